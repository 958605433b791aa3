//! With which trail is a gateway started, and what does `audit verify` say of it?

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use dcams_gateway::audit::Fingerprinter;
use dcams_gateway::schema::Normalise;
use dcams_gateway::secret::Secret;
use dcams_gateway::simulate::Settings;

use crate::harness::{Gateway, Setup, Upstream};

/// The public half of the harness's signing key (RFC 8410, section 10).
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
const FINGERPRINT_KEY: &str = "fingerprint-key-of-the-tests-0123456789abcdef0123456789abcdef";

/// A double without TLS, so that a trace shows what it was sent.
pub fn plain_upstream() -> Upstream {
    Upstream::start_with(Settings { tls: false, ..Settings::default() })
}

/// A gateway before `upstream` that keeps its trail in [`folder_of`] its configuration.
pub fn keeping(upstream: &Upstream) -> Setup {
    let setup = telling(upstream).file("public-key", PUBLIC_KEY);
    std::fs::create_dir(disk_of(setup.folder())).unwrap();
    setup.set("audit.output", "{ folder = \"disk/audit\" }")
}

/// A gateway before `upstream` with records in the place of the harness; no limit of its callers is met.
pub fn telling(upstream: &Upstream) -> Setup {
    let unlimited = |text: &mut String| {
        *text = text.replace("per_second = 1000, burst = 1000", "per_second = 1000000, burst = 1000000");
        let roots = "roots = { file = \"upstream-ca.pem\" }";
        *text = text.replace(roots, "roots = \"webpki\"\nplain_http_to_loopback = true");
    };
    Setup::before(upstream).file("fingerprint-key", FINGERPRINT_KEY).edit(unlimited)
}

/// Where a disk can be mounted for the trail's folder: a mount itself could not be renamed.
pub fn disk_of(configuration: &Path) -> PathBuf {
    configuration.join("disk")
}

/// The trail's folder.
pub fn folder_of(configuration: &Path) -> PathBuf {
    disk_of(configuration).join("audit")
}

/// The e-mail address of a customer that exists for one request.
pub fn customer(number: u64) -> String {
    format!("customer-{number}@example.com")
}

/// A read of one customer.
pub fn read_of(email: &str) -> String {
    format!(r#"{{"service":"getStatus","target":{{"email":"{email}"}}}}"#)
}

/// A write of one customer.
pub fn write_of(email: &str) -> String {
    format!(r#"{{"service":"updateStatus","target":{{"email":"{email}","status":"PASS"}}}}"#)
}

/// The customer of a request as DCAMS got it.
pub fn customer_in(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).expect("a request of these tests");
    body["target"]["email"].as_str().expect("a customer").to_owned()
}

/// How a customer is written down in the trail.
pub fn fingerprint(email: &str) -> String {
    static KEY: LazyLock<Fingerprinter> =
        LazyLock::new(|| Fingerprinter::new(&Secret::new(FINGERPRINT_KEY.into())));
    KEY.of_str(Normalise::Email, email).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What `audit verify` said.
#[derive(Debug)]
pub struct Verdict {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Display for Verdict {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "audit verify: {}{}", self.stdout, self.stderr)
    }
}

/// Runs `audit verify` with the public key and the chain key, and with a checkpoint that was kept elsewhere.
pub fn verify(configuration: &Path, checkpoint: Option<&str>) -> Verdict {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcams-gateway"));
    command.args(["audit", "verify"]).arg(folder_of(configuration));
    command.arg("--public-key").arg(configuration.join("public-key"));
    command.arg("--chain-key").arg(configuration.join("chain-key"));
    if let Some(checkpoint) = checkpoint {
        let file = configuration.join("kept-checkpoint");
        std::fs::write(&file, checkpoint).unwrap();
        command.arg("--checkpoint").arg(file);
    }
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Verdict { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// That the trail is whole, to the last checkpoint that is in it.
pub fn assert_clean(configuration: &Path, checkpoint: Option<&str>) {
    let verdict = verify(configuration, checkpoint);
    assert_eq!(verdict.code, Some(0), "{verdict}");
}

/// The memory of a process at its height, bytes.
pub fn peak_memory(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}
