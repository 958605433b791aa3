//! Do the commands answer as their help says?

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dcams_gateway::audit::{Fingerprinter, Segment};
use dcams_gateway::schema::Normalise;
use dcams_gateway::secret::Secret;
use serde_json::Value;

use crate::log::{BEGIN_US, HOUR_US, Log, Request, cache, hex};

const BINARY: &str = env!("CARGO_BIN_EXE_dcams-gateway");
const EMAIL: &str = "  Jane@Example.COM ";

struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str], input: &str) -> Answer {
    answered(Command::new(BINARY).args(arguments).env("XDG_CACHE_HOME", cache()), input)
}

fn answered(command: &mut Command, input: &str) -> Answer {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // A command that does not read its input may be gone.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

fn fingerprint(key: u8, value: &str) -> [u8; 16] {
    Fingerprinter::new(&Secret::new(vec![key; 32])).of_str(Normalise::Email, value)
}

/// Three forwarded requests of two persons under two keys, a refused one, a stranger, one that is open, and a loss.
fn small_log(folder: &Path) -> Log {
    let mut log = Log::begin(folder, 1);
    let hour = |hour: i64| BEGIN_US + hour * HOUR_US;
    let request = |number: u128, caller, service| Request {
        time_us: hour(i64::try_from(number).unwrap()),
        id: 0x019a_0000_0000_7000_8000_0000_0000_0000 + number,
        caller: Some(caller),
        service: Some(service),
        outcome: "forwarded",
        status: Some(200),
        email: Some(fingerprint(1, "jane@example.com")),
        key: "k1",
        ..Request::default()
    };
    let passport = request(1, "kyc-api", "getDocumentImages");
    log.intent(&passport);
    log.outcome(&passport);
    let later = Request {
        email: Some(fingerprint(2, "jane@example.com")),
        key: "k2",
        ..request(2, "ops-portal", "getStatus")
    };
    log.intent(&later);
    log.outcome(&later);
    log.rotate(hour(3));
    log.outcome(&Request {
        outcome: "refused",
        code: Some("schema_violation"),
        status: Some(422),
        ..request(3, "kyc-api", "updateStatus")
    });
    let stranger = request(4, "kyc-api", "getStatus");
    log.outcome(&Request {
        caller: None,
        service: None,
        email: None,
        outcome: "refused",
        code: Some("unauthenticated"),
        status: Some(401),
        ..stranger
    });
    log.event("loss", hour(5), r#","strangers":3,"best_effort":0"#);
    let other =
        Request { email: Some(fingerprint(1, "joe@example.com")), ..request(6, "batch", "updateStatus") };
    log.intent(&other);
    log.write();
    log
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

#[test]
fn a_query_lists_the_newest_requests_in_columns() {
    let folder = tempfile::tempdir().unwrap();
    small_log(folder.path());
    let answer = run(&["audit", "query", path(folder.path()), "--limit", "3"], "");
    let expected = "\
2026-11-01T06:00:00.000000Z  batch         updateStatus            open                     -          -  019a0000-0000-7000-8000-000000000006
2026-11-01T04:00:00.000000Z  -             -                       unauthenticated        401     146 ms  019a0000-0000-7000-8000-000000000004
2026-11-01T03:00:00.000000Z  kyc-api       updateStatus            schema_violation       422     146 ms  019a0000-0000-7000-8000-000000000003
";
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), expected));
    assert_eq!(answer.stderr, "these are the 3 newest: --limit 0 shows all, --count counts them\n");
}

#[test]
fn filters_and_forms_go_together() {
    let folder = tempfile::tempdir().unwrap();
    small_log(folder.path());
    let query = |arguments: &[&str]| {
        let answer = run(&[&["audit", "query", path(folder.path())], arguments].concat(), "");
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        answer.stdout
    };
    assert_eq!(query(&["--count"]), "5\n");
    assert_eq!(query(&["--count", "--caller", "kyc-api,batch"]), "3\n");
    assert_eq!(query(&["--count", "--caller", "(none)", "--status", "4xx"]), "1\n");
    assert_eq!(
        query(&["--count", "--since", "2026-11-01T02:00:00Z", "--until", "2026-11-01T03:00:00Z"]),
        "1\n"
    );
    assert_eq!(query(&["--count", "--fingerprint", &hex(&fingerprint(1, "jane@example.com"))]), "2\n");
    assert_eq!(query(&["--count", "--since", "1h"]), "0\n");
    assert_eq!(
        query(&["--by", "outcome,caller"]),
        "OUTCOME    CALLER      COUNT\n\
         forwarded  kyc-api         1\n\
         forwarded  ops-portal      1\n\
         open       batch           1\n\
         refused    (none)          1\n\
         refused    kyc-api         1\n"
    );
    assert_eq!(query(&["--by", "day", "-o", "csv"]), "day,count\n2026-11-01,5\n");
    assert_eq!(
        query(&["--by", "code", "--outcome", "refused", "--caller", "kyc-api", "-o", "json"]),
        "{\"code\":\"schema_violation\",\"count\":1}\n"
    );
    assert_eq!(
        query(&["--code", "schema_violation", "-o", "csv"]),
        "seq,time,kind,id,caller,service,outcome,code,status,credential,credential_reflected,upstream_status,upstream_result,outcome_unknown,total_us\n\
         7,2026-11-01T03:00:00.000000Z,outcome,019a0000-0000-7000-8000-000000000003,kyc-api,updateStatus,refused,schema_violation,422,production,,,,,145011\n"
    );
    let id = "019a0000-0000-7000-8000-000000000001";
    let both = query(&["--id", id, "--kind", "intent,outcome", "-o", "json", "--order", "oldest"]);
    let segment = fs::read_to_string(folder.path().join(Segment::name_of(1))).unwrap();
    let lines: Vec<&str> = segment.lines().filter(|line| line.contains(id)).collect();
    assert_eq!(both.lines().collect::<Vec<_>>(), lines);
    assert_eq!(
        query(&["--kind", "loss"]),
        "2026-11-01T05:00:00.000000Z  loss          best_effort=0 strangers=3\n"
    );
}

#[test]
fn a_value_that_cannot_be_is_answered_with_what_would_be_right_and_never_quoted() {
    let folder = tempfile::tempdir().unwrap();
    small_log(folder.path());
    let secret = "jane@example.com";
    for (arguments, right) in [
        (["--outcome", "forwarde"], "error: --outcome: did you mean forwarded? one of: forwarded, refused, "),
        (["--outcome", secret], "error: --outcome: one of: forwarded, "),
        (["--code", secret], "error: --code: one of: bad_request, "),
        (["--kind", secret], "error: --kind: one of: outcome, intent, "),
        (
            ["--caller", "kyc-ap"],
            "error: --caller: did you mean kyc-api? one of: batch, kyc-api, ops-portal, (none)",
        ),
        (["--caller", secret], "error: --caller: a name of the configuration "),
        (
            ["--service", "getDocument"],
            "error: --service: did you mean getDocumentImages? one of: getDocumentImages, ",
        ),
        (["--credential", "staging"], "error: --credential: one of: production, (none)"),
        (["--status", secret], "error: --status: three digits (429) or a class of them (5xx)"),
        (["--since", secret], "error: --since: a time is a length before now "),
        (["--id", secret], "error: --id: a UUID: "),
        (["--fingerprint", secret], "error: --fingerprint: 32 hexadecimal digits; "),
    ] {
        let answer = run(&["audit", "query", path(folder.path()), arguments[0], arguments[1]], "");
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(answer.stderr.starts_with(right), "{arguments:?}: {}", answer.stderr);
        assert!(!answer.stderr.contains(secret), "{}", answer.stderr);
    }
    let together = ["audit", "query", path(folder.path()), "--kind", "loss", "--caller", "batch"];
    assert_eq!(
        run(&together, "").stderr,
        "error: --kind: lines of kind loss have no caller, service, outcome, code or status\n"
    );
}

#[test]
fn no_control_character_of_an_edited_log_reaches_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = small_log(folder.path());
    let seq = log.next_seq();
    let hostile = format!(
        "{{\"seq\":{seq},\"v\":1,\"kind\":\"fault\",\"time\":\"2026-11-01T07:00:00.000000Z\",\"fault\":\"\\u001b[2J\u{9b}2J\u{202e}\"}}\n"
    );
    log.write_raw(hostile.as_bytes());
    log.write_raw(b"\x1b]0;not json\x07\n");
    for arguments in [
        &["query", "--kind", "fault"][..],
        &["query", "--kind", "fault", "-o", "json"],
        &["query", "--kind", "fault", "-o", "csv"],
        &["tail", "-n", "2"],
        &["tail", "-n", "2", "-o", "json"],
        &["export", "--format", "ecs"],
    ] {
        let answer = run(&[&["audit", arguments[0], path(folder.path())], &arguments[1..]].concat(), "");
        assert_eq!(answer.code, Some(0), "{arguments:?}");
        let obeyed =
            |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
        assert!(!answer.stdout.contains(obeyed), "{arguments:?}: {:?}", answer.stdout);
    }
}

/// Keys of two fingerprints, of which the first is `k1`.
fn keys(folder: &Path) -> [PathBuf; 2] {
    [1_u8, 2].map(|byte| {
        let path = folder.join(format!("k{byte}.key"));
        fs::write(&path, [byte; 32]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    })
}

#[test]
fn a_person_is_found_by_an_email_that_no_output_holds() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit");
    fs::create_dir(&audit).unwrap();
    small_log(&audit);
    let [k1, k2] = keys(folder.path());
    let find = |arguments: &[&str], input: &str| {
        let answer = run(&[&["audit", "find", path(&audit), "--email"], arguments].concat(), input);
        for output in [&answer.stdout, &answer.stderr] {
            assert!(!output.to_lowercase().contains("jane@example"), "{output}");
        }
        answer
    };
    let one = ["--key-file", path(&k1), "--key-id", "k1"];
    let both = [&one[..], &["--key-file", path(&k2), "--key-id", "k2"]].concat();
    let with_one = find(&[&one[..], &["--by", "service,caller"]].concat(), EMAIL);
    let expected = "SERVICE            CALLER   COUNT\ngetDocumentImages  kyc-api      1\nupdateStatus       kyc-api      1\n";
    assert_eq!((with_one.code, with_one.stdout.as_str()), (Some(0), expected));
    assert_eq!(
        with_one.stderr,
        "warning: the log also holds fingerprints of other keys, which are not looked through: k2; give each with \
         --key-file FILE --key-id ID\n"
    );
    let with_both = find(
        &[&both[..], &["--service", "getDocumentImages,getStatus", "-o", "csv"]].concat(),
        "jane@example.com\n",
    );
    assert_eq!(
        (with_both.code, with_both.stdout.lines().count(), with_both.stderr.as_str()),
        (Some(0), 3, "")
    );

    let nobody = find(&[&both[..], &["--count"]].concat(), "nobody@example.com");
    let told = "nothing found; requests of the log with fingerprints: 3 of key id k1, 1 of key id k2. A key file that \
                does not hold the key of its --key-id finds nothing and cannot be told from the right one: a person \
                who must be found proves the key\n";
    assert_eq!((nobody.code, nobody.stdout.as_str(), nobody.stderr.as_str()), (Some(1), "0\n", told));
    for (arguments, input, problem) in [
        (&both[..], "", "error: there is no value"),
        (&both, "jane@example.com\njane@example.com\n", "error: one value at a time"),
        (&[], EMAIL, "error: which key?"),
        (&one[..2], EMAIL, "error: each --key-file needs its --key-id"),
        (
            &["--key-file", path(&k1), "--key-id", "jane@example.com"],
            EMAIL,
            "error: --key-id: 1 to 32 of a-z ",
        ),
    ] {
        let answer = find(arguments, input);
        assert_eq!(answer.code, Some(2), "{problem}");
        assert!(answer.stderr.starts_with(problem), "{}", answer.stderr);
    }
    // On the command line it is refused, and not quoted.
    let pasted = find(&[&both[..], &["jane@example.com"]].concat(), "");
    assert_eq!(pasted.code, Some(2));
    for flag in ["--email=jane@example.com", "--reference=jane@example.com", "--echo=jane@example.com"] {
        let answer = run(&["audit", "find", path(&audit), flag], "");
        assert_eq!(answer.code, Some(2), "{flag}");
        assert!(!answer.stderr.contains("jane"), "{}", answer.stderr);
        assert!(answer.stderr.starts_with("error: unexpected value '…' for '--"), "{}", answer.stderr);
    }
}

#[test]
fn a_person_is_found_with_the_key_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit");
    fs::create_dir(&audit).unwrap();
    small_log(&audit);
    let [k1, _] = keys(folder.path());
    let minimal = fs::read_to_string("config/minimal.toml").unwrap();
    let mut configuration: toml::Table = minimal.parse().unwrap();
    let key: toml::Table = format!("file = {:?}", path(&k1)).parse().unwrap();
    let output: toml::Table = format!("folder = {:?}", path(&audit)).parse().unwrap();
    let configured = configuration["audit"].as_table_mut().unwrap();
    configured.insert("fingerprint_key".to_owned(), key.into());
    // A folder that is there: the configuration is judged as a whole.
    configured.insert("output".to_owned(), output.into());
    let file = folder.path().join("gateway.toml");
    fs::write(&file, configuration.to_string()).unwrap();
    let answer = run(&["audit", "find", path(&audit), "--email", "--config", path(&file), "--count"], EMAIL);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "2\n"), "{}", answer.stderr);
}

#[test]
fn a_collector_that_resumes_gets_every_event_once() {
    let export = |folder: &Path, format: &str, from: u64| {
        let from = from.to_string();
        let answer = run(&["audit", "export", path(folder), "--format", format, "--from-seq", &from], "");
        assert_eq!(answer.code, Some(0));
        let next = answer.stderr.trim_end().rsplit_once(' ').unwrap().1.parse::<u64>().unwrap();
        let events: Vec<Value> =
            answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (events, next)
    };
    for (format, sequence) in [("ocsf", "/metadata/sequence"), ("ecs", "/event/sequence")] {
        let folder = tempfile::tempdir().unwrap();
        let mut log = small_log(folder.path());
        let sequences = |events: &[Value]| {
            events.iter().map(|event| event.pointer(sequence).unwrap().as_u64().unwrap()).collect::<Vec<_>>()
        };
        let (all, next) = export(folder.path(), format, 1);
        assert_eq!((sequences(&all), next), (vec![3, 5, 7, 8, 9], log.next_seq()));
        assert_eq!(export(folder.path(), format, next), (vec![], next));
        log.event("stop", BEGIN_US, r#","in_progress":0"#);
        log.write();
        let (more, _) = export(folder.path(), format, next);
        assert_eq!(sequences(&more), [next]);
    }
}

#[test]
fn the_last_lines_are_shown_and_new_ones_followed_into_the_next_segment() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = small_log(folder.path());
    let tail = run(&["audit", "tail", path(folder.path()), "-n", "1", "--kind", "outcome"], "");
    let expected = "2026-11-01T04:00:00.000000Z  -             -                       unauthenticated        401     146 ms  019a0000-0000-7000-8000-000000000004\n";
    assert_eq!((tail.code, tail.stdout.as_str(), tail.stderr.as_str()), (Some(0), expected, ""));

    let mut command = Command::new(BINARY);
    command.args([
        "audit",
        "tail",
        path(folder.path()),
        "-f",
        "-n",
        "1",
        "-o",
        "json",
        "--kind",
        "loss,stop",
    ]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["kind"].clone();
    assert_eq!(next(), "loss");
    log.rotate(BEGIN_US);
    log.event("stop", BEGIN_US, r#","in_progress":0"#);
    log.write();
    assert_eq!(next(), "stop");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn groups_are_limited_as_lines_are() {
    let folder = tempfile::tempdir().unwrap();
    small_log(folder.path());
    let by_caller = |limit: &str| {
        let answer = run(&["audit", "query", path(folder.path()), "--by", "caller", "--limit", limit], "");
        assert_eq!(answer.code, Some(0));
        (answer.stdout, answer.stderr)
    };
    let all =
        "CALLER      COUNT\nkyc-api         2\n(none)          1\nbatch           1\nops-portal      1\n";
    assert_eq!(
        by_caller("1"),
        (
            "CALLER   COUNT\nkyc-api      2\n".to_owned(),
            "these are 1 of 4 groups: --limit 0 shows all\n".to_owned()
        )
    );
    for limit in ["0", "4", "9"] {
        assert_eq!(by_caller(limit), (all.to_owned(), String::new()), "{limit}");
    }
}

#[test]
fn the_help_lists_every_outcome_that_can_be_asked_for() {
    let help = run(&["audit", "query", "--help"], "").stdout;
    let words: Vec<&str> =
        help.split(|character: char| !character.is_alphanumeric() && character != '_').collect();
    for outcome in dcams_gateway::audit::OUTCOMES {
        assert!(words.contains(&outcome), "{outcome}");
    }
}

#[test]
fn what_has_a_segments_name_and_is_none_is_told_and_the_segments_answer() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let folder = tempfile::tempdir().unwrap();
    let mut log = small_log(folder.path());
    let name = |seq| folder.path().join(Segment::name_of(seq));
    let first_events =
        |command: &[&str]| run(&[&["audit", command[0], path(folder.path())], &command[1..]].concat(), "");
    let commands: [&[&str]; 4] = [
        &["tail", "-n", "100", "-o", "json"],
        &["export", "--format", "ocsf"],
        &["query", "-o", "json", "--limit", "0"],
        &["query", "--by", "caller,outcome"],
    ];
    let before = commands.map(|command| first_events(command).stdout);
    // Among the lines of a segment, behind the last one, and before the first.
    let _socket = std::os::unix::net::UnixListener::bind(name(4)).unwrap();
    mknodat(CWD, name(5), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::create_dir(name(9_000_000)).unwrap();
    std::os::unix::fs::symlink("chain", name(0)).unwrap();
    for (command, before) in commands.iter().zip(&before) {
        let answer = first_events(command);
        assert_eq!((answer.code, &answer.stdout), (Some(0), before), "{command:?}: {}", answer.stderr);
        for seq in [0, 4, 5, 9_000_000] {
            let told = format!("warning: {}: named as a segment, but no regular file; ", name(seq).display());
            assert_eq!(answer.stderr.matches(&told).count(), 1, "{command:?}: {}", answer.stderr);
        }
    }

    let mut command = Command::new(BINARY);
    command.args([
        "audit",
        "tail",
        path(folder.path()),
        "-f",
        "-n",
        "1",
        "-o",
        "json",
        "--kind",
        "loss,stop",
    ]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["kind"].clone();
    assert_eq!(next(), "loss");
    log.event("stop", BEGIN_US, r#","in_progress":0"#);
    log.write();
    assert_eq!(next(), "stop");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_is_exported_names_the_chain_and_the_version_that_wrote_it_also_from_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    small_log(folder.path());
    let answer = run(&["audit", "export", path(folder.path()), "--format", "ocsf", "--from-seq", "8"], "");
    let events: Vec<Value> = answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named: Vec<_> = events
        .iter()
        .map(|event| (event["metadata"]["uid"].as_str(), event["metadata"]["product"]["version"].as_str()))
        .collect();
    let chain = "00000000-0000-0000-0000-000000000001";
    let [eighth, ninth] = [8, 9].map(|seq| format!("{chain}-{seq}"));
    assert_eq!(named, [(Some(eighth.as_str()), Some("0.1.0")), (Some(ninth.as_str()), Some("0.1.0"))]);
}

#[test]
fn an_index_beside_the_log_or_of_a_copy_is_never_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (audit, copy) = (folder.path().join("audit"), folder.path().join("copy"));
    fs::create_dir(&audit).unwrap();
    fs::create_dir(&copy).unwrap();
    small_log(&audit);
    let beside = audit.join("index.sqlite");
    let reindexed = run(&["audit", "reindex", path(&audit), "--index", path(&beside)], "");
    assert_eq!(reindexed.code, Some(0), "{}", reindexed.stderr);
    let connection = rusqlite::Connection::open(&beside).unwrap();
    connection.execute_batch("DELETE FROM request; DELETE FROM hourly;").unwrap();
    drop(connection);
    for entry in fs::read_dir(&audit).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let [k1, _] = keys(folder.path());
    let find = |folder: &Path, more: &[&str]| {
        let whole =
            ["audit", "find", path(folder), "--email", "--key-file", path(&k1), "--key-id", "k1", "--count"];
        run(&[&whole[..], more].concat(), EMAIL).stdout
    };
    // It was asked for by name.
    assert_eq!(find(&audit, &["--index", path(&beside)]), "0\n");
    assert_eq!((find(&audit, &[]), find(&copy, &[])), ("2\n".to_owned(), "2\n".to_owned()));
    let kept = |folder: &Path| {
        let answer = run(&["audit", "reindex", path(folder)], "");
        let (path, told) = answer.stdout.split_once(": ").unwrap();
        assert!(told.starts_with("5 requests and 3 other lines, "), "{told}");
        PathBuf::from(path)
    };
    let (of_log, of_copy) = (kept(&audit), kept(&copy));
    assert_ne!(of_log, of_copy);
    for path in [&of_log, &of_copy] {
        assert_eq!(path.parent().unwrap(), cache().join("dcams-gateway").canonicalize().unwrap());
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Another chain in the same folder has another index.
    fs::remove_dir_all(&audit).unwrap();
    fs::create_dir(&audit).unwrap();
    Log::begin(&audit, 2).write();
    let other = run(&["audit", "reindex", path(&audit)], "").stdout;
    assert!(other.contains(": 0 requests and 1 other lines, "), "{other}");
    assert_ne!(Path::new(other.split_once(": ").unwrap().0), of_log);
}

#[test]
fn the_index_is_kept_in_a_private_cache_or_gone_afterwards() {
    use std::os::unix::process::CommandExt;

    let folder = tempfile::tempdir().unwrap();
    let [audit, cache, temporary] = ["audit", "cache", "temporary"].map(|name| folder.path().join(name));
    for path in [&audit, &cache, &temporary] {
        fs::create_dir(path).unwrap();
    }
    small_log(&audit);
    let binary = folder.path().join("dcams-gateway");
    fs::copy(BINARY, &binary).unwrap();
    for (path, mode) in [(folder.path(), 0o755), (&audit, 0o555), (&cache, 0o777), (&temporary, 0o777)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let query = |set: &[(&str, &Path)]| {
        let mut command = Command::new(&binary);
        command
            .args(["audit", "query", path(&audit), "--count"])
            .env_remove("XDG_CACHE_HOME")
            .env_remove("HOME");
        command.env("TMPDIR", &temporary).envs(set.iter().copied());
        // Nothing is forbidden to root.
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        answered(&mut command, "")
    };
    let answered = |set: &[(&str, &Path)]| {
        let answer = query(set);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "5\n"), "{}", answer.stderr);
        answer.stderr
    };
    let for_this_time = |set: &[(&str, &Path)]| {
        let told = answered(set);
        assert!(told.starts_with("there is no private cache to keep the index in "), "{told}");
        assert!(told.contains(path(&temporary)), "{told}");
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    };
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(answered(&[("XDG_CACHE_HOME", &cache)]), "");
    assert_eq!(answered(&[("HOME", &cache)]), "");
    for made in [cache.join("dcams-gateway"), cache.join(".cache/dcams-gateway")] {
        assert_eq!(mode(&made), 0o700);
    }
    for_this_time(&[]);
    for_this_time(&[("XDG_CACHE_HOME", Path::new("relative"))]);
    for_this_time(&[("XDG_CACHE_HOME", &audit)]);
    // A link may lead anywhere, also into the log.
    let linked = temporary.join("../linked");
    fs::create_dir(&linked).unwrap();
    std::os::unix::fs::symlink(cache.join("dcams-gateway"), linked.join("dcams-gateway")).unwrap();
    for_this_time(&[("XDG_CACHE_HOME", &linked)]);
    let nowhere = query(&[("TMPDIR", &audit)]);
    assert_eq!((nowhere.code, nowhere.stdout.as_str()), (Some(77), ""));
    fs::set_permissions(&audit, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_index_is_made_again_on_demand_and_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    small_log(folder.path());
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("elsewhere.sqlite");
    let answer = run(&["audit", "reindex", path(folder.path()), "--index", path(&file)], "");
    let told = format!("{}: 5 requests and 3 other lines, ", fs::canonicalize(&file).unwrap().display());
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    assert!(answer.stdout.starts_with(&told), "{}", answer.stdout);
    assert!(!folder.path().join("index.sqlite").exists());
    let nowhere = run(&["audit", "reindex", "/nonexistent"], "");
    assert_eq!(nowhere.code, Some(74));
}

#[test]
fn every_command_shows_examples() {
    for command in ["tail", "query", "find", "export", "reindex"] {
        let answer = run(&["audit", command, "--help"], "");
        assert_eq!(answer.code, Some(0));
        assert!(answer.stdout.contains(&format!("  dcams-gateway audit {command} ")), "{}", answer.stdout);
    }
}
