//! Does `selftest redaction` come to the right verdict, and leave nothing behind?

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use dcams_gateway::config::Source;
use dcams_gateway::reject;
use dcams_gateway::selftest::{ChannelState, ENCODINGS, Plan, Report, Verdict, redaction};
use dcams_gateway::simulate::Fault;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const GATEWAY: &str = env!("CARGO_BIN_EXE_dcams-gateway");

/// The verdict on the configuration that is shipped, with `binary` as the gateway.
fn report(binary: &Path) -> Report {
    dcams_gateway::tls::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let source = Source {
        path: Path::new(env!("CARGO_MANIFEST_DIR")).join("config/gateway.toml"),
        // The folder that is named there is not on every machine.
        overrides: vec![(
            "audit.output".to_owned(),
            format!("{{ folder = \"{}\" }}", folder.path().display()),
        )],
        ..Source::default()
    };
    let plan = Plan {
        source,
        samples: Vec::new(),
        binary: binary.to_path_buf(),
        progress: &|_| {},
        interrupted: &AtomicBool::new(false),
    };
    let report = redaction(&plan).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the operator's folder was written to");
    report
}

/// A shell script in `folder` that runs before the gateway.
fn script(folder: &Path, text: &str) -> PathBuf {
    let binary = folder.join("script");
    fs::write(&binary, text.replace("GATEWAY", GATEWAY)).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o700)).unwrap();
    binary
}

#[test]
fn the_shipped_configuration_passes_with_every_refusal_and_fault_met() {
    let report = report(Path::new(GATEWAY));
    assert_eq!((&report.findings[..], &report.not_covered[..]), (&[][..], &[][..]));
    assert_eq!(report.verdict, Verdict::Pass);
    let unmet: Vec<_> = report.refusals.iter().filter(|refusal| refusal.met == 0).map(|it| it.code).collect();
    assert_eq!((unmet, report.refusals.len()), (vec!["internal"], reject::every().len()));
    assert_eq!(report.faults.len(), Fault::examples().count());
    assert!(report.faults.iter().all(|fault| fault.requests >= 4));
    assert!(report.services.iter().all(|service| service.forwarded && !service.members.is_empty()));
    assert_eq!(report.encodings.len(), ENCODINGS.len());
    assert!(report.encodings.iter().all(|encoding| encoding.proven));
    // The records, the diagnostics at the level trace and the answers are there to be searched.
    for (act, channel) in [
        ("requests", "audit: segment 2"),
        ("requests", "audit: state of the chain"),
        ("requests", "audit: index"),
        ("requests", "audit query --limit 0"),
        ("requests", "audit tail -n 1000000000 -o json"),
        ("requests", "audit export --format ocsf"),
        ("requests", "operators: /audit/checkpoint"),
        ("faults", "audit: segment 2"),
        ("hostile answers", "audit: segment 2"),
        ("no upstream", "audit: segment 1"),
        ("scarcity", "audit: segment 1"),
        ("scarcity", "operators: /readyz at the end"),
        ("requests", "stderr"),
        ("requests", "operators: /metrics"),
        ("requests", "process: cmdline"),
        ("requests", "callers: heads of answers"),
        ("requests", "callers: bodies of refusals"),
        ("faults", "callers: bodies of forwarded answers"),
        ("scarcity", "stderr"),
    ] {
        let searched = report.channels.iter().find(|it| (it.act, &*it.channel) == (act, channel)).unwrap();
        assert!(searched.bytes > 0, "{channel} in {act}");
    }
    let empty = report.channels.iter().filter(|it| it.state == ChannelState::Empty);
    for channel in empty {
        let may_be = ["stdout", "audit: lock", "names of files left behind"].contains(&&*channel.channel);
        assert!(may_be || channel.channel.starts_with("callers: bodies of "), "{channel:?}");
    }
    let kinds: Vec<&str> = report.canaries.iter().map(|canary| &*canary.kind).collect();
    for key in ["fingerprint key", "chain key", "signing key", "signing key, its PEM"] {
        assert!(kinds.contains(&key), "{key}");
    }
    // Only where records are lost is none to be searched, and there are no more answers than are needed.
    let unrecorded: Vec<_> = report.acts.iter().filter(|act| act.unrecorded > 0).collect();
    assert_eq!(unrecorded.iter().map(|act| act.name).collect::<Vec<_>>(), ["lost records"]);
    assert_eq!(unrecorded[0].unrecorded, unrecorded[0].answers);
    assert!(unrecorded[0].answers < 20, "{unrecorded:?}");
}

/// A gateway that says its password on standard error, in base64, leaves its user name in a file, and its chain key
/// among the records; the commands that read these say the key that signs them.
const LEAKY: &str = "#!/bin/sh
folder=$(/usr/bin/dirname \"$3\")
case \"$1\" in
run)
    /usr/bin/base64 \"$folder/pass\" >&2
    /bin/cat \"$folder/user\" > core
    /bin/mkdir \"$folder/audit\"
    /bin/cat \"$folder/chain-key\" > \"$folder/audit/lock\"
    ;;
audit) /bin/cat \"$folder/signing-key\" ;;
esac
exec GATEWAY \"$@\"
";

#[test]
fn a_gateway_that_leaks_is_found_out_with_channel_canary_and_encoding() {
    let folder = tempfile::tempdir().unwrap();
    let report = report(&script(folder.path(), LEAKY));
    assert_eq!(report.verdict, Verdict::Fail);
    for act in ["requests", "faults", "hostile answers", "no upstream", "scarcity", "lost records"] {
        let found = |channel: &str, canary: &str| {
            let mut of_act = report.findings.iter().filter(|finding| finding.act == act);
            of_act.find(|finding| (&*finding.channel, &*finding.canary) == (channel, canary)).cloned()
        };
        let on_stderr = found("stderr", "pass").unwrap();
        assert_eq!((&*on_stderr.encoding, on_stderr.offset), ("base64", 0));
        let in_file = found("files left behind", "user").unwrap();
        assert_eq!((&*in_file.encoding, in_file.offset), ("raw", 0));
        let among_records = found("audit: lock", "chain key").unwrap();
        assert_eq!((&*among_records.encoding, among_records.offset), ("raw", 0));
        if act != "lost records" {
            for reader in ["audit query --limit 0", "audit tail -n 1000000000", "audit export --format ecs"] {
                assert_eq!(found(reader, "signing key").unwrap().encoding, "base64");
                assert_eq!(found(reader, "signing key, its PEM").unwrap().encoding, "raw");
            }
        }
    }
    let put = ["pass", "user", "chain key", "signing key", "signing key, its PEM"];
    let others: Vec<_> = report.findings.iter().filter(|it| !put.contains(&&*it.canary)).collect();
    assert!(others.is_empty(), "{others:?}");
    let (text, markdown) = (report.text(), report.markdown());
    let json: Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    let first = json!({"act": "requests", "canary": "user", "channel": "files left behind", "encoding": "raw", "offset": 0});
    assert!(json["findings"].as_array().unwrap().contains(&first), "{json:#}");
    assert!(text.contains("LEAK  requests: pass (base64), byte 0 of stderr\n"), "{text}");
    assert!(markdown.contains("| requests | stderr | pass | base64 | 0 |\n"), "{markdown}");
}

/// A gateway whose records cannot be exported, and whose query says nothing.
const MUTE: &str = "#!/bin/sh
case \"$1 $2\" in
'audit query') exit 0 ;;
'audit export') exit 74 ;;
esac
exec GATEWAY \"$@\"
";

#[test]
fn what_could_not_be_searched_makes_the_verdict_incomplete() {
    let folder = tempfile::tempdir().unwrap();
    let report = report(&script(folder.path(), MUTE));
    assert_eq!((report.verdict, &report.findings[..]), (Verdict::Incomplete, &[][..]));
    let not_covered: Vec<_> = report.not_covered.iter().map(|it| (&*it.what, &*it.reason)).collect();
    // Five acts have records: of each, three queries and two exports; the exports have an exit code, too.
    assert_eq!(not_covered.len(), 5 * (3 + 2 + 2), "{not_covered:?}");
    assert!(not_covered.contains(&(
        "channel audit query --limit 0 in requests",
        "it has no bytes to search, and should have"
    )));
    assert!(not_covered.contains(&("audit export --format ecs after faults", "it ended with exit code 74")));
    assert!(report.text().contains("and 25 missing\n"), "{}", report.text());
    assert!(report.markdown().contains("| requests | audit query --limit 0 | MISSING |\n"));
}

/// A folder with a configuration of an operator's own, and room for what the self test makes.
struct Operator {
    folder: tempfile::TempDir,
}

/// Much that is unlike the shipped configuration: two endpoints, one of them for one service; a caller on a unix socket;
/// other hosts, little room, HTTP/2; a service whose schema only reports.
const CONFIGURATION: &str = r#"
schemas_dir = "schemas"
[data]
listen = ["unix:/run/dcams-gateway-of-nobody/data.sock"]
hosts = ["gateway.internal"]
max_requests = 2
max_connections = 4
body_budget = "2MiB"
[ops]
listen = "off"
[audit]
fingerprint_key = { env = "KEY_THAT_IS_NOT_SET" }
[log]
format = "text"
[upstream]
http = "2"
[endpoints.accounts]
path = "/accounts"
url = "https://accounts.example.com/v1"
[endpoints.storage]
path = "/storage"
url = "https://dcams.example.com/storage"
service_member = "op"
[credentials.one]
user = { file = "secrets/user" }
pass = { file = "secrets/pass" }
rate = { per_second = 1 }
[services.open]
endpoint = "accounts"
effect = "write"
body_limit = "4KiB"
[services.look]
endpoint = "storage"
effect = "read"
body_limit = "8KiB"
validate = "report"
[[callers]]
name = "kyc-api"
uid = 4711
credentials = "one"
rate = { per_second = 1 }
service_rates = { look = { per_second = 1 } }
max_requests = 1
services = ["open", "look"]
"#;

impl Operator {
    fn new() -> Self {
        let operator = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["schemas", "temporary"] {
            fs::create_dir(operator.path(folder)).unwrap();
        }
        fs::write(operator.path("gateway.toml"), CONFIGURATION).unwrap();
        let draft = "https://json-schema.org/draft/2020-12/schema";
        let open = json!({
            "$schema": draft, "type": "object", "additionalProperties": false, "required": ["code", "holder"],
            "properties": {
                "code": {"type": "string", "maxLength": 9, "pattern": "^q[0-9]q[0-9]q$"},
                "holder": {"$ref": "common.schema.json#/$defs/holder"},
            },
        });
        let look = json!({
            "$schema": draft, "type": "object", "additionalProperties": false, "required": ["op"],
            "properties": {
                "op": {"type": "string", "const": "look"},
                "who": {"type": "string", "maxLength": 100, "format": "email"},
            },
        });
        let common = json!({
            "$schema": draft, "type": "object", "additionalProperties": false,
            "$defs": {"holder": {
                "type": "object", "additionalProperties": false, "required": ["name"],
                "properties": {"name": {"type": "string", "maxLength": 80}, "age": {"type": "integer", "maximum": 150}},
            }},
        });
        for (name, schema) in [("open", open), ("look", look), ("common", common)] {
            fs::write(operator.path(&format!("schemas/{name}.schema.json")), schema.to_string()).unwrap();
        }
        operator
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(GATEWAY);
        command.args(["selftest", "redaction", "--config"]).arg(self.path("gateway.toml")).args(arguments);
        command.env("TMPDIR", self.path("temporary"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Every file, and what is in it.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        files.sort();
        files
    }

    fn left_in_temporary(&self) -> usize {
        fs::read_dir(self.path("temporary")).unwrap().count()
    }
}

#[test]
fn a_service_without_a_request_makes_the_verdict_incomplete_until_a_sample_is_given() {
    let operator = Operator::new();
    let before = operator.files();
    let output = operator.run(&["-o", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["verdict"]), (Some(1), &json!("incomplete")), "{report:#}");
    assert_eq!(
        report["not_covered"],
        json!([
            {
                "what": "service open",
                "reason": "no valid document could be made from its schema",
                "remedy": "give a document that is valid: --sample open=FILE",
            },
            // The other service only reports what it finds.
            {
                "what": "refusal schema_violation",
                "reason": "it was not met",
                "remedy": "cover every service first; else report this as a bug of dcams-gateway",
            },
        ])
    );
    let look = json!({"service": "look", "forwarded": true, "members": ["/who"]});
    let open = json!({"service": "open", "forwarded": false, "members": []});
    assert_eq!(report["services"], json!([look, open]));
    // Nothing of the operator's was written, and nothing of the run is left.
    assert_eq!(operator.files(), before);
    assert_eq!(operator.left_in_temporary(), 0);

    let sample = operator.path("sample.json");
    fs::write(&sample, json!({"code": "q1q2q", "holder": {"name": "anybody"}}).to_string()).unwrap();
    let sample = format!("open={}", sample.display());
    let report_file = operator.path("report.md");
    let arguments = ["--sample", &sample, "-o", "markdown", "--report", report_file.to_str().unwrap()];
    let output = operator.run(&arguments);
    let markdown = fs::read_to_string(&report_file).unwrap();
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()),
        (Some(0), "verdict: pass\n"),
        "{markdown}"
    );
    assert!(markdown.starts_with("# Redaction self test of dcams-gateway: pass\n"), "{markdown}");
    assert!(markdown.contains("| open | yes | `/holder/name` |"), "{markdown}");
    assert!(markdown.contains("| `service_not_permitted` |"), "{markdown}");
    assert_eq!(operator.left_in_temporary(), 0);
}

#[test]
fn the_members_of_the_json_report_are_these_and_no_others() {
    let operator = Operator::new();
    let output = operator.run(&["-o", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(&report),
        [
            "acts",
            "canaries",
            "channels",
            "configuration",
            "duration_ms",
            "encodings",
            "faults",
            "findings",
            "format",
            "not_covered",
            "refusals",
            "replaced",
            "report",
            "schemas",
            "services",
            "time",
            "verdict",
            "version"
        ]
    );
    for (member, expected) in [
        ("acts", &["answers", "exit", "forwarded", "name", "reached", "unrecorded"][..]),
        ("canaries", &["allowed", "bytes", "kind"]),
        ("channels", &["act", "bytes", "channel", "state"]),
        ("encodings", &["encoding", "proven"]),
        ("faults", &["fault", "requests"]),
        ("not_covered", &["reason", "remedy", "what"]),
        ("refusals", &["code", "met"]),
        ("replaced", &["by", "keys"]),
        ("schemas", &["digest", "service"]),
        ("services", &["forwarded", "members", "service"]),
    ] {
        assert_eq!(names(&report[member][0]), expected, "{member}");
    }
}

#[test]
fn what_cannot_be_tested_is_said_at_once() {
    let operator = Operator::new();
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let output = operator.run(&["--sample", "open"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let output = operator.run(&["--sample", "close=nowhere.json"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        said(&output).contains("the sample of close is for no service of the configuration"),
        "{}",
        said(&output)
    );
    let output = operator.run(&["--set", "data.workers=none", "--set", "upstream.http=3"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(said(&output).contains("2 faults; nothing was started"), "{}", said(&output));
    assert_eq!(operator.left_in_temporary(), 0);
}

#[test]
fn an_interrupted_run_ends_its_gateway_and_leaves_nothing() {
    let operator = Operator::new();
    let mut run = operator.command(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(|| gateways_of(&operator) > 0);
    let pid = i32::try_from(run.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(code_of(&mut run), Some(1));
    assert_eq!((gateways_of(&operator), operator.left_in_temporary()), (0, 0));
}

/// How many processes run on a configuration in the operator's temporary folder.
fn gateways_of(operator: &Operator) -> usize {
    let temporary = operator.path("temporary").to_string_lossy().into_owned();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(&temporary)).count()
}

fn code_of(run: &mut Child) -> Option<i32> {
    let mut status = None;
    wait_for(|| {
        status = run.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap().code()
}

fn wait_for(mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !met() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
}
