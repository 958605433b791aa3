//! With which configuration does the gateway run here?

use dcams_gateway::stages::key_hash;

use super::canaries;

/// What differs from one scene to another.
pub struct Wanted<'a> {
    /// Where the storage services are.
    pub url: &'a str,
    /// `"1.1"` or `"2"`.
    pub http: &'a str,
    /// `"json"` or `"text"`.
    pub log_format: &'a str,
    /// A TOML value.
    pub audit: &'a str,
    /// Keys of `[data]`, as TOML lines.
    pub data: &'a str,
    /// Where the account's secrets come from: `file` or `env`.
    pub secrets: &'a str,
    /// How many failures open a breaker; 0: none do, so that each fault is met.
    pub failures: u32,
    /// Further tables.
    pub more: &'a str,
}

/// A TOML value, and the keys that it needs.
pub const FOLDER: &str = "{ folder = \"audit\" }\nsigning_key = { file = \"signing-key\" }\n\
                          chain_key = { file = \"chain-key\" }";

impl Default for Wanted<'_> {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:1/",
            http: "1.1",
            log_format: "json",
            audit: FOLDER,
            data: "",
            secrets: "file",
            failures: 0,
            more: "",
        }
    }
}

/// The callers of every scene.
pub const CALLERS: [&str; 4] = ["kyc-api", "ops-portal", "batch", "late"];

/// The text of the configuration, which logs at the level `trace`.
pub fn configuration(wanted: &Wanted<'_>) -> String {
    let Wanted { url, http, log_format, audit, data, secrets, failures, more } = wanted;
    let (user, pass, key) = match *secrets {
        "env" => ("THE_USER", "THE_PASS", "THE_KEY"),
        _ => ("user", "pass", "fingerprint-key"),
    };
    let roots = if url.starts_with("https") { "{ file = \"ca.pem\" }" } else { "\"webpki\"" };
    let storage = ["createOrUpdateCustomer", "updateStatus", "getStatus", "getDocumentImages"];
    let services: String = storage
        .iter()
        .map(|name| {
            let effect = if name.starts_with("get") { "read" } else { "write" };
            let limit = if name.starts_with("get") { "64KiB" } else { "256KiB" };
            format!(
                "[services.{name}]\nendpoint = \"storage\"\neffect = \"{effect}\"\nbody_limit = \"{limit}\"\n"
            )
        })
        .collect();
    let callers: String = CALLERS.iter().map(|name| caller(name)).collect();
    format!(
        r#"
[data]
listen = ["127.0.0.1:0"]
first_byte_timeout = "1s"
header_timeout = "1s"
body_timeout = "1s"
drain_timeout = "10s"
drain_grace = "0s"
{data}
[ops]
listen = "127.0.0.1:0"
[audit]
output = {audit}
fingerprint_key = {{ {secrets} = "{key}" }}
stranger_rate = {{ per_second = 1000, burst = 1000 }}
[log]
filter = "trace"
format = "{log_format}"
[upstream]
http = "{http}"
roots = {roots}
connect_timeout = "1s"
answer_limit = "1MiB"
max_idle_per_caller = 2
plain_http_to_loopback = true
[upstream.breaker]
failures = {failures}
[endpoints.storage]
path = "/v3/stable/api/storage"
url = "{url}"
service_member = "service"
deadline = "1s"
[credentials.production]
user = {{ {secrets} = "{user}" }}
pass = {{ {secrets} = "{pass}" }}
{services}{callers}{more}
"#
    )
}

/// The SHA-256 of that caller's key.
pub fn key_hash_hex(caller: &str) -> String {
    key_hash(canaries::key(caller).as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn caller(name: &str) -> String {
    let hash = key_hash_hex(name);
    let (services, rate) = match name {
        "ops-portal" => ("\"getStatus\"", "per_second = 100, burst = 100"),
        "batch" => ("\"getStatus\"", "per_second = 1, burst = 1"),
        _ => (
            "\"createOrUpdateCustomer\", \"updateStatus\", \"getStatus\", \"getDocumentImages\"",
            "per_second = 1000, burst = 10000",
        ),
    };
    format!(
        "[[callers]]\nname = \"{name}\"\nkeys = [{{ sha256 = \"{hash}\" }}]\ncredentials = \"production\"\n\
         rate = {{ {rate} }}\nservices = [{services}]\n"
    )
}
