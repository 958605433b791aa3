//! Which configurations are refused, how is each fault reported, and do file, schema and code agree?
#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dcams_gateway::config::{
    Config, Faults, Loaded, Secrets, Severity, Source, json_schema, load, load_with_secrets,
};
use serde_json::Value;

/// What every case file uses where a secret is written in the wrong place.
const CANARY: &str = "hunter2";

/// The key of RFC 8410, section 10.3.
const SIGNING_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

/// A folder with the shipped configurations and the secrets that they refer to.
struct Deployment {
    folder: tempfile::TempDir,
}

impl Deployment {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("secrets")).expect("a folder");
        let deployment = Self { folder };
        deployment.secret("fingerprint_key", b"0123456789abcdef0123456789abcdef\n");
        deployment.secret("signing_key", SIGNING_KEY.as_bytes());
        deployment.secret("chain_key", b"fedcba9876543210fedcba9876543210\n");
        deployment.secret("veratad_user", b"api-user\n");
        deployment.secret("veratad_pass", b"correct horse \"battery\" \\ staple\r\n");
        deployment
    }

    fn secret(&self, name: &str, contents: &[u8]) {
        let path = self.folder.path().join("secrets").join(name);
        fs::write(&path, contents).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
    }

    /// Where its records go.
    fn audit(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    /// `text` as a file of this folder, its secrets and records in this folder too.
    fn source(&self, text: &str) -> Source {
        let path = self.folder.path().join("gateway.toml");
        let secrets = self.folder.path().join("secrets");
        let text = text
            .replace("/run/secrets", &secrets.to_string_lossy())
            .replace("/var/lib/dcams-gateway/audit", &self.audit().to_string_lossy());
        fs::write(&path, text).expect("a file");
        Source { path, ..Source::default() }
    }

    fn load(&self, text: &str) -> Result<(Loaded, Secrets), Faults> {
        load_with_secrets(&self.source(text))
    }

    fn config(&self, text: &str) -> Config {
        self.load(text).unwrap_or_else(|faults| panic!("{faults}")).0.config
    }
}

fn shipped(name: &str) -> String {
    fs::read_to_string(Path::new("config").join(name)).expect("a shipped configuration")
}

/// A case file's own `# environment: NAME=VALUE` and `# override: KEY = VALUE` lines.
fn source_of_case(path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("a case");
    let pairs = |mark: &str| -> Vec<(String, String)> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
        let pairs = lines.map(|line| line.split_once('=').expect("a pair"));
        pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
    };
    Source {
        path: path.to_owned(),
        environment: pairs("# environment: ").into_iter().collect(),
        overrides: pairs("# override: "),
    }
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir("tests/configurations/faulty").expect("the cases");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    assert!(paths.len() >= 15, "only {} cases", paths.len());
    paths
}

fn faults_of(path: &Path) -> Faults {
    // Git keeps no permissions, and world-readable secrets are refused before they are read.
    for entry in fs::read_dir("tests/configurations/faulty/secrets").expect("the secrets") {
        let path = entry.expect("an entry").path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("permissions");
    }
    match load_with_secrets(&source_of_case(path)) {
        Err(faults) => faults,
        Ok(_) => panic!("{} was accepted", path.display()),
    }
}

#[test]
fn every_faulty_configuration_is_reported_as_its_expected_file_says() {
    let update = std::env::var_os("UPDATE").is_some();
    for path in cases() {
        let report = faults_of(&path).to_string();
        let expected = path.with_extension("expected");
        if update {
            fs::write(&expected, &report).expect("the expected report");
        }
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(report, wanted, "{} (UPDATE=1 writes it anew)", path.display());
    }
}

#[test]
fn ten_different_faults_are_reported_at_once_each_with_line_and_caret() {
    let path = Path::new("tests/configurations/faulty/ten_faults.toml");
    let text = fs::read_to_string(path).expect("the case");
    let faults = faults_of(path);
    let marked = |line: usize| text.lines().nth(line - 1).is_some_and(|line| line.contains("# "));
    assert_eq!(faults.len(), 10, "{faults}");
    for fault in faults.iter() {
        let line = fault.line().expect("a line");
        assert!(marked(line), "line {line} has no planted fault: {}", fault.problem());
        assert!(!fault.remedy().is_empty());
    }
    let report = faults.to_string();
    assert_eq!(report.lines().filter(|line| line.contains('^')).count(), 10);
}

#[test]
fn no_report_shows_a_secret_that_was_written_in_the_wrong_place() {
    let mut planted = 0;
    for path in cases() {
        planted += fs::read_to_string(&path).expect("a case").matches(CANARY).count();
        for color in [false, true] {
            let report = faults_of(&path).render(color).to_ascii_lowercase();
            assert!(!report.contains(CANARY), "{}:\n{report}", path.display());
        }
    }
    assert!(planted > 30, "only {planted} secrets were planted");
}

#[test]
fn the_colored_report_says_the_same_as_the_plain_one() {
    for path in cases() {
        let faults = faults_of(&path);
        let colored = faults.render(true);
        assert!(colored.contains("\u{1b}["), "{} has no color", path.display());
        let mut plain = String::new();
        let mut escaped = false;
        for character in colored.chars() {
            match character {
                '\u{1b}' => escaped = true,
                'm' if escaped => escaped = false,
                _ if escaped => {}
                other => plain.push(other),
            }
        }
        assert_eq!(plain, faults.render(false));
    }
}

#[test]
fn the_shipped_configurations_load_once_their_secrets_exist() {
    let deployment = Deployment::new();
    for name in ["gateway.toml", "minimal.toml"] {
        let (loaded, secrets) =
            deployment.load(&shipped(name)).unwrap_or_else(|faults| panic!("{name}: {faults}"));
        assert!(loaded.warnings.is_empty(), "{name}: {}", loaded.warnings);
        assert!(secrets.warnings().is_empty(), "{name}: {}", secrets.warnings());
        let caller = loaded.config.callers.first().expect("a caller");
        let pair = secrets.pair(caller.credentials).expect("its credentials");
        assert_eq!(pair.user.expose(), b"api-user");
        assert_eq!(pair.pass.expose(), b"correct horse \"battery\" \\ staple");
        assert_eq!(secrets.fingerprint_key().expose(), b"0123456789abcdef0123456789abcdef");
    }
}

#[test]
fn load_does_not_look_at_secrets_and_read_secrets_names_the_line_of_each_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.toml");
    let text = shipped("minimal.toml")
        .replace("/run/secrets", "/nonexistent")
        .replace("/var/lib/dcams-gateway", &folder.path().to_string_lossy());
    fs::write(&path, text).expect("a file");
    let loaded = load(&Source { path, ..Source::default() }).unwrap_or_else(|faults| panic!("{faults}"));
    let Err(faults) = dcams_gateway::config::read_secrets(&loaded.config) else {
        panic!("secrets out of nothing")
    };
    let text = shipped("minimal.toml");
    let refers = |line: &str| line.contains("{ file = ");
    let lines: Vec<_> =
        text.lines().zip(1..).filter(|(line, _)| refers(line)).map(|(_, number)| number).collect();
    assert_eq!(faults.iter().filter_map(|fault| fault.line()).collect::<Vec<_>>(), lines);
    assert_eq!(faults.len(), 5);
}

#[test]
fn a_short_password_is_warned_of_and_not_shown() {
    let deployment = Deployment::new();
    deployment.secret("veratad_pass", b"hunter2hunt");
    let (_, secrets) = deployment.load(&shipped("minimal.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    let warnings = secrets.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings.iter().all(|warning| warning.severity() == Severity::Warning));
    assert!(warnings.to_string().contains("credentials.production.pass: has fewer than 12 bytes"));
    assert!(!warnings.to_string().contains(CANARY));
}

#[test]
fn no_key_of_the_audit_is_another_secret() {
    for (one, other, said) in [
        (
            "fingerprint_key",
            "veratad_pass",
            "audit.fingerprint_key: is the same secret as credentials.production.pass",
        ),
        ("chain_key", "veratad_user", "audit.chain_key: is the same secret as credentials.production.user"),
        (
            "signing_key",
            "veratad_pass",
            "audit.signing_key: is the same secret as credentials.production.pass",
        ),
        ("fingerprint_key", "chain_key", "audit.fingerprint_key: is the same secret as audit.chain_key"),
    ] {
        let deployment = Deployment::new();
        let secrets = deployment.folder.path().join("secrets");
        fs::copy(secrets.join(one), secrets.join(other)).expect("a copy");
        let Err(faults) = deployment.load(&shipped("minimal.toml")) else {
            panic!("accepted: {one} {other}")
        };
        let problems: Vec<_> = faults.iter().map(|fault| fault.problem().to_owned()).collect();
        assert_eq!(problems, [said]);
    }
}

#[test]
fn the_secret_of_the_chain_is_read_only_to_begin_one() {
    let deployment = Deployment::new();
    let text = shipped("minimal.toml");
    let without = text.replace("chain_key = {", "# chain_key = {");
    let problems = |text: &str| -> Vec<String> {
        let faults = deployment.load(text).err().unwrap_or_default();
        faults.iter().map(|fault| fault.problem().to_owned()).collect()
    };
    let (_, secrets) = deployment.load(&text).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(secrets.chain_key().expect("a secret").expose(), b"fedcba9876543210fedcba9876543210");
    assert_eq!(problems(&without), ["audit.chain_key: is missing"]);

    fs::create_dir(deployment.audit()).expect("a folder");
    fs::write(deployment.audit().join("chain"), "").expect("a file");
    fs::remove_file(deployment.folder.path().join("secrets/chain_key")).expect("a file");
    for text in [&text, &without] {
        let (_, secrets) = deployment.load(text).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(secrets.signing_key().is_some() && secrets.chain_key().is_none());
    }
    let same = text.replace("/run/secrets/chain_key", "/run/secrets/fingerprint_key");
    assert_eq!(problems(&same), ["audit.chain_key: is the same secret as audit.fingerprint_key"]);
}

#[test]
fn on_standard_output_the_keys_of_a_folder_are_neither_needed_nor_read() {
    let deployment = Deployment::new();
    let lines = "output = { folder = \"/var/lib/dcams-gateway/audit\" }\n";
    let text = shipped("minimal.toml").replace(lines, "").replace("/run/secrets/signing_key", "/nonexistent");
    let (loaded, secrets) = deployment.load(&text).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(secrets.signing_key().is_none() && secrets.chain_key().is_none());
    let problems: Vec<_> = loaded.warnings.iter().map(|fault| fault.problem().to_owned()).collect();
    let idle = |key| format!("audit.{key}: has no effect: audit.output is `stdout`");
    assert_eq!(problems, ["signing_key", "chain_key"].map(idle));
}

#[test]
fn an_expired_key_is_a_warning() {
    let deployment = Deployment::new();
    let text = shipped("gateway.toml").replace("2099-12-31", "2020-01-31");
    let (loaded, _) = deployment.load(&text).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings.to_string().contains("is in the past"), "{}", loaded.warnings);
}

#[test]
fn an_anonymous_caller_is_accepted_on_loopback_only_and_warned_of() {
    let deployment = Deployment::new();
    let text = shipped("minimal.toml")
        .replace("https://dcams.app/", "https://localhost:8443/")
        .replace("keys = [{", "anonymous = true\nkeys = [{");
    let (loaded, _) = deployment.load(&text).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(loaded.config.callers.iter().all(|caller| caller.known_by.anonymous));
    assert_eq!(loaded.warnings.len(), 1, "{}", loaded.warnings);
}

#[test]
fn certificates_that_cannot_be_used_are_found_at_their_line() {
    let deployment = Deployment::new();
    let issued = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let (one, other) = (issued("a.example.com"), issued("b.example.com"));
    for (name, contents) in [
        ("cert", one.cert.pem()),
        ("key", one.signing_key.serialize_pem()),
        ("other_key", other.signing_key.serialize_pem()),
        ("nothing", "no PEM\n".to_owned()),
    ] {
        deployment.secret(name, contents.as_bytes());
    }
    for (lines, key) in [
        ("data.tls = { cert = \"secrets/cert\", key = \"secrets/key\" }", None),
        ("upstream.roots = { file = \"secrets/cert\" }", None),
        ("data.tls = { cert = \"secrets/cert\", key = \"secrets/other_key\" }", Some("data.tls.key")),
        ("data.tls = { cert = \"secrets/cert\", key = \"secrets/nothing\" }", Some("data.tls.key")),
        ("data.tls = { cert = \"secrets/nothing\", key = \"secrets/key\" }", Some("data.tls.cert")),
        ("upstream.roots = { file = \"secrets/nothing\" }", Some("upstream.roots")),
    ] {
        let loaded = load(&deployment.source(&format!("{lines}\n{}", shipped("minimal.toml"))));
        let found = loaded.err().map(|faults| {
            assert_eq!(faults.len(), 1, "{lines}: {faults}");
            let fault = faults.iter().next().expect("a fault");
            assert_eq!(fault.line(), Some(1), "{lines}");
            fault.problem().split(':').next().expect("a key").to_owned()
        });
        assert_eq!(found.as_deref(), key, "{lines}");
    }
}

#[test]
fn what_is_unwise_together_is_a_warning_at_its_line() {
    let deployment = Deployment::new();
    let caller = "max_body = \"1MiB\"\nrate = {";
    let endpoint = "deadline = \"5s\"\npath = ";
    let other = "pass = { file = \"/run/secrets/veratad_user\" }";
    let filter = "log.filter = \"info,hyper=debug,dcams_gateway::ops=trace\"\n[audit]";
    for (from, to, said) in [
        ("rate = {", caller, "callers.kyc-api.max_body: may hold 1048576 bytes, less than"),
        (
            "[audit]",
            "data.caller_share = \"1%\"\n[audit]",
            "callers.kyc-api: may hold 1342177 bytes, less than",
        ),
        ("path = ", endpoint, "endpoints.storage.deadline: connecting (upstream.connect_timeout) may take"),
        ("[audit]", "upstream.connect_timeout = \"30s\"\n[audit]", "upstream.connect_timeout: connecting"),
        (
            "pass = { file = \"/run/secrets/veratad_pass\" }",
            other,
            "credentials.production.pass: is read from",
        ),
        ("[audit]", filter, "log.filter: names a module that has no events"),
        (
            "[audit]",
            "[audit]\nretain_bytes = \"1MiB\"",
            "audit.retain_bytes: is less than one segment (audit.segment_bytes)",
        ),
        (
            "{ file = \"/run/secrets/signing_key",
            "{ file = \"/var/lib/dcams-gateway/audit/signing_key",
            "audit.signing_key: lies in the audit folder",
        ),
    ] {
        let text = shipped("minimal.toml");
        assert!(text.contains(from), "{from}");
        let loaded = load(&deployment.source(&text.replacen(from, to, 1)));
        let warnings = loaded.unwrap_or_else(|faults| panic!("{faults}")).warnings;
        let problems: Vec<_> =
            warnings.iter().map(|warning| (warning.line().is_some(), warning.problem())).collect();
        assert!(
            matches!(problems.as_slice(), [(true, problem)] if problem.starts_with(said)),
            "{problems:?}"
        );
    }
}

#[test]
fn plain_http_needs_its_opt_in_and_warns() {
    let deployment = Deployment::new();
    let text = shipped("minimal.toml").replace("https://dcams.app/", "http://127.0.0.1:8080/");
    assert!(deployment.load(&text).is_err());
    let (loaded, _) = deployment
        .load(&format!("upstream = {{ plain_http_to_loopback = true }}\n{text}"))
        .unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(loaded.warnings.len(), 1, "{}", loaded.warnings);
    let endpoint = loaded.config.endpoints.first().expect("an endpoint");
    assert!(!endpoint.url.tls);
    assert_eq!((&*endpoint.url.host, endpoint.url.port), ("127.0.0.1", 8080));
    assert_eq!(&*endpoint.url.authority, "127.0.0.1:8080");
}

#[test]
fn overrides_take_precedence_command_line_over_environment_over_file() {
    let deployment = Deployment::new();
    let mut source = deployment.source(&shipped("gateway.toml"));
    let config = |source: &Source| load(source).unwrap_or_else(|faults| panic!("{faults}")).config;
    let seconds = |config: &Config| config.endpoints.first().expect("an endpoint").deadline.as_secs();
    assert_eq!(seconds(&config(&source)), 30);
    source.environment.insert("DCAMS_GATEWAY__UPSTREAM__DEADLINE".to_owned(), "20s".to_owned());
    assert_eq!(seconds(&config(&source)), 20);
    source.overrides.push(("upstream.deadline".to_owned(), "10s".to_owned()));
    assert_eq!(seconds(&config(&source)), 10);
    source.overrides.push(("endpoints.storage.deadline".to_owned(), "\"5s\"".to_owned()));
    assert_eq!(seconds(&config(&source)), 5);
}

#[test]
fn a_variable_that_was_probably_meant_to_set_a_key_is_told_of() {
    let deployment = Deployment::new();
    let told = |name: &str| {
        let mut source = deployment.source(&shipped("minimal.toml"));
        source.environment.insert(name.to_owned(), CANARY.to_owned());
        match load(&source) {
            Ok(loaded) => (true, loaded.warnings.to_string()),
            Err(faults) => (false, faults.to_string()),
        }
    };
    for (name, accepted) in [
        ("DCAMS_GATEWAY_UPSTREAM_DEADLINE", true),
        ("dcams_gateway_upstream_deadline", true),
        ("DCAMS_GATEWAYUPSTREAM__DEADLINE", false),
        ("dcams_gateway__upstream__deadline", false),
        ("Dcams_Gateway__Upstream__Deadline", false),
    ] {
        let (loaded, report) = told(name);
        assert_eq!(loaded, accepted, "{name}: {report}");
        assert!(report.contains(name) && !report.contains(CANARY), "{report}");
    }
    for name in ["DCAMS_GATEWAY_SERVICE_HOST", "DCAMS_GATEWAY_PORT_3226_TCP", "DCAMS_URL"] {
        let (loaded, report) = told(name);
        assert!(loaded && !report.contains(name), "{report}");
    }
}

#[test]
fn a_key_that_is_set_twice_on_the_command_line_is_refused() {
    let deployment = Deployment::new();
    let mut source = deployment.source(&shipped("minimal.toml"));
    source.overrides = vec![("log.filter".to_owned(), "info".to_owned())];
    assert!(load(&source).is_ok());
    source.overrides.push(("log.\"filter\"".to_owned(), "debug".to_owned()));
    let Err(faults) = load(&source) else { panic!("accepted") };
    assert!(faults.to_string().contains("a key is set twice on the command line"), "{faults}");
}

#[test]
fn overrides_reach_every_kind_of_key_and_match_names_in_any_case() {
    let deployment = Deployment::new();
    let mut source = deployment.source(&shipped("gateway.toml"));
    for (name, value) in [
        ("UPSTREAM__HTTP", "2"),
        ("OPS__LISTEN", "off"),
        ("DATA__LISTEN", "[\"unix:/run/gateway.sock\", \"127.0.0.1:0\"]"),
        ("DATA__WORKERS", "3"),
        ("CALLERS__KYC_API__RATE__BURST", "7"),
        ("CALLERS__OPS_PORTAL__UID", "1001"),
        ("SERVICES__GETSTATUS__VALIDATE", "report"),
        ("CREDENTIALS__PRODUCTION__RATE", "{ per_second = 9 }"),
        ("CREDENTIALS__PRODUCTION__PASS", "{ env = \"VERATAD_PASS\" }"),
        ("INSTANCE", "42"),
    ] {
        source.environment.insert(format!("DCAMS_GATEWAY__{name}"), value.to_owned());
    }
    source.environment.insert("OTHER".to_owned(), "passed over".to_owned());
    let config = load(&source).unwrap_or_else(|faults| panic!("{faults}")).config;
    assert_eq!(config.upstream.http, dcams_gateway::config::HttpVersion::Http2);
    assert_eq!(config.ops.listen, None);
    assert_eq!(config.data.listen.len(), 2);
    assert_eq!(config.data.workers, 3);
    assert_eq!(&*config.instance, "42");
    let bursts: Vec<_> =
        config.callers.iter().map(|caller| (caller.rate.burst, caller.known_by.uid)).collect();
    assert_eq!(bursts, [(7, None), (5, Some(1001))]);
    let validate: Vec<_> = config.services.iter().map(|service| (&*service.name, service.validate)).collect();
    assert!(validate.contains(&("getStatus", dcams_gateway::config::Validate::Report)));
    let credential = config.credentials.first().expect("credentials");
    assert_eq!(credential.pass, dcams_gateway::config::SecretRef::Env("VERATAD_PASS".into()));
    let account = credential.rate.expect("a rate");
    assert_eq!((account.per_second, account.burst), (9, 9));
}

#[test]
fn the_digest_depends_on_what_is_effective_and_not_on_how_it_is_spelled() {
    let deployment = Deployment::new();
    let text = shipped("minimal.toml");
    let digest = |text: &str| deployment.config(text).digest;
    let plain = digest(&text);
    for same in ["body_timeout = \"60s\"", "body_timeout = \"1m\"", "# a comment", "max_head = \"16384B\""] {
        assert_eq!(digest(&format!("{text}\n[data]\n{same}\n")), plain, "{same}");
    }
    for other in ["body_timeout = \"61s\"", "max_requests = 511", "hosts = [\"localhost\"]"] {
        assert_ne!(digest(&format!("{text}\n[data]\n{other}\n")), plain, "{other}");
    }
    // A secret is no part of it, so that a rotation is none of the configuration's business.
    deployment.secret("veratad_pass", b"another horse altogether");
    assert_eq!(digest(&text), plain);
}

#[test]
fn defaults_are_those_of_the_design() {
    let config = Deployment::new().config(&shipped("minimal.toml"));
    let data = &config.data;
    assert_eq!(data.listen.len(), 1);
    assert_eq!(data.body_budget_bytes, 128 << 20);
    assert_eq!(data.answer_budget_bytes, 64 << 20);
    assert_eq!(data.caller_share_bytes, 64 << 20);
    assert_eq!(data.min_body_rate_bytes_per_s, 16 << 10);
    assert_eq!((data.max_connections, data.max_connections_per_peer, data.max_requests), (1024, 512, 512));
    assert_eq!(data.max_head_bytes, 16 << 10);
    assert_eq!(
        data.hosts.iter().map(|host| &**host).collect::<Vec<_>>(),
        ["localhost", "127.0.0.1", "[::1]"]
    );
    assert_eq!(data.idle_timeout.as_secs(), 75);
    assert!(data.workers >= 1 && config.ops.caller_names);
    let seconds = |seconds| std::time::Duration::from_secs(seconds);
    let retry = &config.upstream.retry;
    assert_eq!((retry.attempts, retry.attempt_timeout, retry.budget_percent), (3, None, 20));
    assert_eq!((retry.budget_min_per_s, retry.budget_window), (1, seconds(10)));
    let breaker = &config.upstream.breaker;
    assert_eq!((breaker.failures, breaker.share_percent, breaker.probes), (10, 50, 3));
    assert_eq!((breaker.window, breaker.slow), (seconds(10), seconds(15)));
    assert_eq!((breaker.open_for, breaker.open_max), (seconds(5), seconds(60)));
    let caller = config.callers.first().expect("a caller");
    assert_eq!((caller.max_requests, caller.max_body_bytes), (64, 64 << 20));
    assert!(config.services.iter().all(|service| service.body_limit_bytes == 20 << 20));
}

/// One `key = value` of `config/gateway.toml`.
struct Documented {
    section: String,
    key: String,
    commented: bool,
    value: Value,
    comment: String,
}

/// Reads the reference configuration as a person does: sections, keys, and the comment above each.
fn documented() -> Vec<Documented> {
    let text = shipped("gateway.toml");
    let mut section = String::new();
    let mut comment = String::new();
    let mut keys = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let key = bare.split_once(" = ").filter(|(key, _)| {
            key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
        });
        if let Some(header) = bare
            .strip_prefix('[')
            .and_then(|rest| rest.trim_end_matches(']').into())
            .filter(|_| bare.ends_with(']'))
        {
            section = header.trim_start_matches('[').to_owned();
            comment.clear();
        } else if let Some((key, value)) = key {
            let mut value = value.to_owned();
            while toml::from_str::<Value>(&format!("value = {value}")).is_err() {
                value.push_str(lines.next().expect("the end of a value"));
            }
            let parsed: Value = toml::from_str(&format!("value = {value}")).expect("a value");
            keys.push(Documented {
                section: section.clone(),
                key: key.to_owned(),
                commented: line.starts_with('#'),
                value: parsed["value"].clone(),
                comment: std::mem::take(&mut comment),
            });
        } else if line.starts_with('#') {
            comment.push_str(line.trim_start_matches('#').trim_start());
            comment.push(' ');
        } else {
            comment.clear();
        }
    }
    keys
}

/// The schema of the table at `section`, with references followed.
fn schema_of<'s>(root: &'s Value, section: &str) -> &'s Value {
    let follow = |schema: &'s Value| match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).expect("a definition"),
        None => schema,
    };
    section.split('.').filter(|part| !part.is_empty()).fold(root, |schema, part| {
        let next = follow(&schema["properties"][part]);
        let next = if next.is_null() { follow(&schema["additionalProperties"]) } else { next };
        if next["type"] == "array" { follow(&next["items"]) } else { next }
    })
}

#[test]
fn the_reference_configuration_documents_every_key_with_its_range_and_default() {
    let schema = json_schema();
    let documented = documented();
    let mut sections: BTreeMap<&str, Vec<&Documented>> = BTreeMap::new();
    for key in &documented {
        sections.entry(key.section.as_str()).or_default().push(key);
    }
    let mut checked = 0;
    for section in [
        "",
        "data",
        "data.tls",
        "ops",
        "audit",
        "log",
        "upstream",
        "upstream.retry",
        "upstream.breaker",
        "endpoints.storage",
        "credentials.production",
        "credentials.production.next",
        "services.createOrUpdateCustomer",
        "callers",
    ] {
        let properties = schema_of(&schema, section)["properties"].as_object().expect("properties");
        let tables = ["tls", "retry", "breaker", "next"];
        for (name, property) in properties {
            // Tables have sections of their own.
            if section.is_empty() && !["instance", "schemas_dir"].contains(&name.as_str())
                || tables.contains(&name.as_str())
            {
                continue;
            }
            let all = sections.get(section).map(Vec::as_slice).unwrap_or_default();
            let key = all
                .iter()
                .find(|key| key.key == *name)
                .unwrap_or_else(|| panic!("[{section}] {name} is not documented"));
            agree(section, key, property);
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} keys");
    for key in &documented {
        let known = &schema_of(&schema, &key.section)["properties"][&key.key];
        assert!(!known.is_null(), "[{}] {} is no key", key.section, key.key);
    }
    for table in ["KeyTable", "RateTable", "FileTable", "FolderTable", "SecretTable"] {
        let properties = schema["$defs"][table]["properties"].as_object().expect("properties");
        for name in properties.keys() {
            assert!(
                shipped("gateway.toml").contains(&format!("{name} = ")),
                "{table}.{name} is not documented"
            );
        }
    }
}

fn agree(section: &str, key: &Documented, property: &Value) {
    let place = format!("[{section}] {}", key.key);
    let description = property["description"].as_str().unwrap_or_default();
    assert!(!description.is_empty(), "{place} has no description");
    assert!(!key.comment.is_empty(), "{place} has no comment");
    match property.get("default") {
        Some(default) if key.commented => assert_eq!(&key.value, default, "{place}"),
        Some(default) => {
            let stated = format!("Default: {default}.");
            assert!(key.comment.contains(&stated), "{place}: its comment does not say `{stated}`");
        }
        None if key.commented => {
            assert!(
                key.comment.contains("Absent: ")
                    || ["data.tls", "credentials.production.next"].contains(&key.section.as_str()),
                "{place}: what when it is absent?"
            );
        }
        None => {}
    }
    if let Some(range) = description.split("Range: ").nth(1) {
        let range = range.split('.').next().unwrap_or_default();
        assert!(key.comment.contains(&format!(": {range}")), "{place}: its comment does not say {range}");
    }
}

#[test]
fn the_published_schema_accepts_what_is_shipped_and_its_own_defaults() {
    let schema = json_schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for name in ["gateway.toml", "minimal.toml"] {
        let instance: Value = toml::from_str(&shipped(name)).expect("TOML");
        let errors: Vec<_> = validator.iter_errors(&instance).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
    }
    let mut spelled_out = shipped("gateway.toml");
    for key in documented().iter().filter(|key| key.commented) {
        spelled_out = spelled_out.replace(&format!("\n# {} = ", key.key), &format!("\n{} = ", key.key));
    }
    for table in ["[data.tls]", "[credentials.production.next]"] {
        spelled_out = spelled_out.replace(&format!("# {table}"), table);
    }
    let instance: Value = toml::from_str(&spelled_out).expect("TOML");
    let errors: Vec<_> = validator.iter_errors(&instance).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new(), "with every default spelled out");
}

#[test]
fn the_published_schema_refuses_what_no_single_key_may_be() {
    let validator = jsonschema::validator_for(&json_schema()).expect("a schema");
    for name in ["unknown_keys", "wrong_types", "units", "secrets_in_place", "empty"] {
        let text = fs::read_to_string(format!("tests/configurations/faulty/{name}.toml")).expect("a case");
        let instance: Value = toml::from_str(&text).expect("TOML");
        assert!(!validator.is_valid(&instance), "{name}");
    }
}
