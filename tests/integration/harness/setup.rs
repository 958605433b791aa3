//! With which configuration is the gateway started?

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use dcams_gateway::simulate::Settings;
use dcams_gateway::stages::key_hash;
use rustix::fs::{Gid, Uid, chown};
use tempfile::TempDir;

use super::{BATCH, Gateway, KYC_API, OPS_PORTAL, Upstream};

/// A folder with a configuration, its secrets and its certificates, and the command line to be.
///
/// The defaults: one plain listener and operators on free ports of 127.0.0.1, records in the folder `audit`, the
/// four services, three callers with generous limits, `log.filter = "info"`. Nothing is tried again and no breaker
/// opens, so that one failure has one consequence; [`Setup::with_retries_and_breakers`] is for tests of those.
pub struct Setup {
    folder: Arc<TempDir>,
    text: String,
    overrides: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    most_descriptors: Option<u32>,
    cgroup: Option<PathBuf>,
    passed: Option<TcpListener>,
    names_server: Option<Ipv4Addr>,
    user: Option<u32>,
    binary: PathBuf,
    stdout: Option<PathBuf>,
    tls_ca: Option<String>,
}

/// The key of RFC 8410, section 10.3.
pub const SIGNING_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
/// What chains begin with.
pub const CHAIN_KEY: &str = "chain-key-of-the-tests-0123456789abcdef0123456789abcdef";

const TEXT: &str = r#"
[data]
listen = ["127.0.0.1:0"]
workers = 1

[ops]
listen = "127.0.0.1:0"

[audit]
output = { folder = "audit" }
signing_key = { file = "signing-key" }
chain_key = { file = "chain-key" }
fingerprint_key = { file = "fingerprint-key" }
stranger_rate = { per_second = 1000, burst = 1000 }

[log]
filter = "info"

[upstream]
roots = { file = "upstream-ca.pem" }

[upstream.retry]
attempts = 1

[upstream.breaker]
failures = 0

[endpoints.storage]
path = "/v3/stable/api/storage"
url = "@URL@"
service_member = "service"
deadline = "20s"

[credentials.production]
user = { file = "user" }
pass = { file = "pass" }

[services.createOrUpdateCustomer]
endpoint = "storage"
effect = "write"

[services.getStatus]
endpoint = "storage"
effect = "read"

[services.getDocumentImages]
endpoint = "storage"
effect = "read"

[services.updateStatus]
endpoint = "storage"
effect = "write"

[[callers]]
name = "kyc-api"
keys = [{ sha256 = "@KYC-API@" }]
credentials = "production"
rate = { per_second = 1000, burst = 1000 }
services = ["createOrUpdateCustomer", "getStatus", "getDocumentImages", "updateStatus"]

[[callers]]
name = "ops-portal"
keys = [{ sha256 = "@OPS-PORTAL@" }]
credentials = "production"
rate = { per_second = 1000, burst = 1000 }
services = ["getStatus", "updateStatus"]

[[callers]]
name = "batch"
keys = [{ sha256 = "@BATCH@" }]
credentials = "production"
rate = { per_second = 1000, burst = 1000 }
services = ["getStatus"]
"#;

impl Setup {
    /// A gateway in front of `upstream`, with the double's default user and password.
    pub fn before(upstream: &Upstream) -> Self {
        let settings = Settings::default();
        Self::before_url(&upstream.url())
            .file("upstream-ca.pem", upstream.ca_pem())
            .file("user", &settings.user)
            .file("pass", &settings.pass)
    }

    /// A gateway in front of anything; `user`, `pass` and `upstream-ca.pem` are still to be written.
    pub fn before_url(url: &str) -> Self {
        let text = TEXT
            .replace("@URL@", url)
            .replace("@KYC-API@", &key_hash_hex(KYC_API))
            .replace("@OPS-PORTAL@", &key_hash_hex(OPS_PORTAL))
            .replace("@BATCH@", &key_hash_hex(BATCH));
        let setup = Self {
            folder: Arc::new(tempfile::tempdir().unwrap()),
            text,
            overrides: Vec::new(),
            environment: Vec::new(),
            most_descriptors: None,
            cgroup: None,
            passed: None,
            names_server: None,
            user: None,
            binary: env!("CARGO_BIN_EXE_dcams-gateway").into(),
            stdout: None,
            tls_ca: None,
        };
        setup
            .file("fingerprint-key", "fingerprint-key-of-the-tests-0123456789abcdef0123456789abcdef")
            .file("signing-key", SIGNING_KEY)
            .file("chain-key", CHAIN_KEY)
    }

    /// Retries and breakers with their defaults.
    pub fn with_retries_and_breakers(self) -> Self {
        let off = "[upstream.retry]\nattempts = 1\n\n[upstream.breaker]\nfailures = 0\n";
        self.edit(|text| *text = text.replace(off, ""))
    }

    /// Records on standard output, which is captured.
    pub fn recording_to_stdout(self) -> Self {
        let keys = "output = { folder = \"audit\" }\nsigning_key = { file = \"signing-key\" }\n\
                    chain_key = { file = \"chain-key\" }\n";
        self.edit(|text| *text = text.replace(keys, ""))
    }

    /// Standard output is this file, and not captured.
    pub fn stdout(mut self, path: &str) -> Self {
        self.stdout = Some(path.into());
        self
    }

    /// Overrides one key by `--set`; the value is TOML, or a bare string.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.overrides.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Changes the text of the configuration.
    pub fn edit(mut self, change: impl FnOnce(&mut String)) -> Self {
        change(&mut self.text);
        self
    }

    /// Appends a fragment of TOML.
    pub fn append(self, fragment: &str) -> Self {
        self.edit(|text| text.push_str(fragment))
    }

    /// Sets an environment variable; the gateway gets no other than `PATH`.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes a file of mode 0600 into the folder of the configuration.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        write_private(&self.folder.path().join(name), content.as_ref());
        self
    }

    /// Serves TLS with a certificate for `localhost` and 127.0.0.1; the clients of [`Gateway`] trust it.
    pub fn tls(mut self) -> Self {
        let (ca, certificate, key) = certify();
        self.tls_ca = Some(ca);
        self.file("tls.crt", certificate)
            .file("tls.key", key)
            .set("data.tls.cert", "\"tls.crt\"")
            .set("data.tls.key", "\"tls.key\"")
    }

    /// Limits the open files of the process (`RLIMIT_NOFILE`).
    pub fn most_descriptors(mut self, most: u32) -> Self {
        self.most_descriptors = Some(most);
        self
    }

    /// Passes this socket as systemd would (`LISTEN_FDS`), to every gateway that is started; it is `data.listen`.
    pub fn passing(mut self, listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        self.passed = Some(listener);
        self.set("data.listen", &format!("[\"{address}\"]"))
    }

    /// Has names looked up at port 53 of this address alone; needs root, for files mounted over those in `/etc`
    /// that the process alone sees.
    pub fn names_server(mut self, address: Ipv4Addr) -> Self {
        self.names_server = Some(address);
        self.file("resolv.conf", format!("nameserver {address}\n"))
            .file("nsswitch.conf", "hosts: files dns\n")
            .file("hosts", "127.0.0.1 localhost\n")
    }

    /// Runs another build than the one under test.
    pub fn binary(mut self, binary: impl Into<PathBuf>) -> Self {
        self.binary = binary.into();
        self
    }

    /// Runs as this user, who is in no group but the one of the same number, instead of as root.
    pub fn unprivileged(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// Starts the process as a member of this control group.
    pub fn within(mut self, cgroup: &Path) -> Self {
        self.cgroup = Some(cgroup.to_owned());
        self
    }

    /// The folder of the configuration.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the gateway and waits until it serves.
    pub fn start(self) -> Gateway {
        self.run()
    }

    /// As [`start`](Self::start), and stays: the gateway can be started again in the same folder.
    pub fn run(&self) -> Gateway {
        let command = self.command(&["run"]);
        let ops_off = self.overrides.iter().any(|(key, value)| key == "ops.listen" && value.contains("off"));
        let stdout = self.stdout.as_ref().map(|path| fs::OpenOptions::new().write(true).open(path).unwrap());
        Gateway::start(command, stdout, Arc::clone(&self.folder), self.tls_ca.clone(), !ops_off)
    }

    /// Writes the configuration and gives the command line of `arguments` with `--config` and `--set`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let path: PathBuf = self.folder().join("gateway.toml");
        write_private(&path, self.text.as_bytes());
        let binary = &self.binary;
        let mut command = match (self.most_descriptors, self.user) {
            (None, None) if self.cgroup.is_some() => {
                let mut shell = Command::new("/bin/sh");
                let procs = self.cgroup.iter().map(|cgroup| cgroup.join("cgroup.procs"));
                shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).args(procs).arg(binary);
                shell
            }
            (None, None) if self.passed.is_some() => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", "export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\" 3<&0 0</dev/null"]);
                shell.arg(binary);
                shell
            }
            (None, None) if self.names_server.is_some() => self.as_named(),
            (None, None) => Command::new(binary),
            (None, Some(user)) => self.as_user(user),
            (Some(most), _) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", "ulimit -n \"$0\" && exec \"$@\""]).arg(most.to_string()).arg(binary);
                shell
            }
        };
        command.stdin(match &self.passed {
            Some(listener) => Stdio::from(OwnedFd::from(listener.try_clone().unwrap())),
            None => Stdio::null(),
        });
        command.args(arguments).arg("--config").arg(&path);
        for (key, value) in &self.overrides {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn as_named(&self) -> Command {
        let mounts = "cd \"$0\" && for name in resolv.conf nsswitch.conf hosts; do \
                      mount --bind \"$name\" \"/etc/$name\" || exit; done && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", mounts]);
        command.arg(self.folder()).arg(&self.binary);
        command
    }

    /// The binary is copied into the folder, which is given to that user: where it was built may be closed to him.
    fn as_user(&self, user: u32) -> Command {
        let copy = self.folder().join("dcams-gateway");
        fs::copy(&self.binary, &copy).unwrap();
        let owner = (Some(Uid::from_raw(user)), Some(Gid::from_raw(user)));
        for entry in fs::read_dir(self.folder()).unwrap() {
            chown(entry.unwrap().path(), owner.0, owner.1).unwrap();
        }
        chown(self.folder(), owner.0, owner.1).unwrap();
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={user}"), format!("--regid={user}")]).arg("--clear-groups").arg(copy);
        command
    }
}

/// How a key stands in the configuration.
pub fn key_hash_hex(key: &str) -> String {
    key_hash(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file that nobody else can read, whatever the mask of the process that tests is.
pub fn write_private(path: &Path, content: &[u8]) {
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(content).unwrap();
}

/// PEM of a throw-away CA, of a certificate that it signed, and of the certificate's key.
fn certify() -> (String, String, String) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca_key = KeyPair::generate().unwrap();
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let leaf = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let signed = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    (ca_pem, signed.pem(), key.serialize_pem())
}
