//! What stands in the files that a contestant is started with?

use std::fmt::Write as _;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};

use crate::contestants::{CALLERS, CONNECTIONS, Contestant, Setup, Variant};
use crate::identity::private;
use crate::traffic::{BEARER, PASS, USER, bearer_of};

/// The private key of RFC 8410, section 10.3: known to everybody, good for a benchmark.
const SIGNING_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

/// The configurations that are measured, beside this file.
const TEMPLATES: [(&str, &str); 7] = [
    ("nginx.conf", include_str!("peers/nginx.conf")),
    ("haproxy.cfg", include_str!("peers/haproxy.cfg")),
    ("nginx-lua.conf", include_str!("peers/nginx-lua.conf")),
    ("gateway.lua", include_str!("peers/gateway.lua")),
    ("node/gateway.mjs", include_str!("peers/node/gateway.mjs")),
    ("envoy.yaml", include_str!("peers/envoy.yaml")),
    ("gateway.toml", include_str!("peers/gateway.toml")),
];

/// A digest over every configuration, as it stands before addresses are filled in.
pub fn configuration_digest() -> String {
    let mut all = String::new();
    for (name, text) in TEMPLATES {
        let _ = write!(all, "{name}\n{text}\n");
    }
    hex(&all)
}

fn hex(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl Setup<'_> {
    /// Writes every contestant's files: which of them are read, its command says.
    pub fn write_files(&self) {
        for (name, template) in TEMPLATES {
            private(&self.folder.join(Path::new(name).file_name().unwrap()), &self.filled(template));
        }
        for (name, text) in [
            ("user", USER),
            ("pass", PASS),
            ("fingerprint-key", "fingerprint-key-of-the-benchmark-0123456789abcdef"),
            ("chain-key", "chain-key-of-the-benchmark-0123456789abcdef"),
            ("signing-key", SIGNING_KEY),
        ] {
            private(&self.folder.join(name), text);
        }
    }

    fn filled(&self, template: &str) -> String {
        let tls_upstream = self.variant != Variant::Plain;
        let http2 = self.variant == Variant::Http2;
        let crowded = self.contestant == Contestant::Crowded;
        let certificates = self.place.folder.display();
        let when = |condition: bool, text: String| if condition { text } else { String::new() };
        let envoy = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
        let values = [
            ("@FOLDER@", self.folder.display().to_string()),
            ("@CERTIFICATES@", certificates.to_string()),
            ("@PORT@", self.address.port().to_string()),
            ("@UPSTREAM_PORT@", self.port.to_string()),
            ("@SCHEME@", if tls_upstream { "https" } else { "http" }.to_owned()),
            ("@USER@", USER.to_owned()),
            ("@PASS@", PASS.to_owned()),
            ("@BEARER@", BEARER.to_owned()),
            ("@BEARER_SHA256@", hex(BEARER)),
            ("@NGINX_LISTEN@", when(http2, "ssl http2".to_owned())),
            ("@HAPROXY_BIND@", when(http2, format!("ssl crt {certificates}/both.pem alpn h2"))),
            (
                "@HAPROXY_SERVER@",
                when(
                    tls_upstream,
                    format!(
                        "ssl verify required ca-file {certificates}/ca.pem sni str(localhost) \
                         verifyhost localhost"
                    ),
                ),
            ),
            ("@NODE_HTTP2@", http2.to_string()),
            (
                "@ENVOY_LISTENER@",
                when(
                    http2,
                    format!(
                        "transport_socket: {{ name: tls, typed_config: {{ \"@type\": {envoy}.DownstreamTlsContext, \
                         common_tls_context: {{ alpn_protocols: [h2], tls_certificates: [{{ certificate_chain: \
                         {{ filename: {certificates}/cert.pem }}, private_key: {{ filename: \
                         {certificates}/key.pem }} }}] }} }} }}"
                    ),
                ),
            ),
            (
                "@ENVOY_CLUSTER@",
                when(
                    tls_upstream,
                    format!(
                        "transport_socket: {{ name: tls, typed_config: {{ \"@type\": {envoy}.UpstreamTlsContext, \
                         sni: localhost, common_tls_context: {{ validation_context: {{ trusted_ca: {{ filename: \
                         {certificates}/ca.pem }} }} }} }} }}"
                    ),
                ),
            ),
            (
                "@GATEWAY_TLS@",
                when(
                    http2,
                    format!(
                        "[data.tls]\ncert = \"{certificates}/cert.pem\"\nkey = \"{certificates}/key.pem\""
                    ),
                ),
            ),
            (
                "@GATEWAY_AUDIT@",
                when(self.contestant == Contestant::BestEffort, "audit = \"best_effort\"".to_owned()),
            ),
            ("@GATEWAY_BUDGET@", if crowded { "128MiB" } else { "512MiB" }.to_owned()),
            ("@GATEWAY_CONNECTIONS@", when(crowded, connections())),
            ("@GATEWAY_CALLERS@", when(crowded, (0..CALLERS).map(caller).collect())),
        ];
        values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

/// Limits with room for those that are active beside those that are held.
fn connections() -> String {
    let most = CONNECTIONS + 200;
    format!("max_connections = {most}\nmax_connections_per_peer = {most}")
}

fn caller(number: usize) -> String {
    let sha256 = hex(&bearer_of(number));
    format!(
        "[[callers]]\nname = \"caller-{number}\"\nkeys = [{{ sha256 = \"{sha256}\" }}]\ncredentials = \"bench\"\n\
         rate = {{ per_second = 1000000, burst = 1000000 }}\n\
         services = [\"createOrUpdateCustomer\", \"updateStatus\"]\n\n"
    )
}
