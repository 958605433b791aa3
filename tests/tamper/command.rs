//! The commands, and the second verifier, on folders.

use std::path::Path;
use std::process::{Command, Output};

use crate::edits::{self, Attacker, KINDS};
use crate::experiment::from_environment;
use crate::log::{Author, CHAIN_KEY, Folder, next_signing_key, signing_key};
use crate::random::Random;

/// A folder with a log, its keys and its last checkpoint.
struct Case(tempfile::TempDir);

impl Case {
    fn of(log: &Folder, checkpoint: Option<&[u8]>) -> Self {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("log")).unwrap();
        log.write(&folder.path().join("log"));
        let write = |name: &str, contents: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, contents).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        };
        write("public.pem", signing_key().public().to_pem().as_bytes());
        write("next.pem", next_signing_key().public().to_pem().as_bytes());
        write("chain.key", &[CHAIN_KEY, b"\n"].concat());
        if let Some(checkpoint) = checkpoint {
            write("checkpoint.jsonl", checkpoint);
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// What both verifiers take.
    fn arguments(&self, keyed: bool) -> Vec<std::ffi::OsString> {
        let mut arguments =
            vec![self.path("log").into(), "--public-key".into(), self.path("public.pem").into()];
        if keyed {
            arguments.extend(["--chain-key".into(), self.path("chain.key").into()]);
        }
        if self.path("checkpoint.jsonl").exists() {
            arguments.extend(["--checkpoint".into(), self.path("checkpoint.jsonl").into()]);
        }
        arguments
    }

    fn verify(&self, keyed: bool) -> Output {
        gateway(&["audit", "verify"]).args(self.arguments(keyed)).output().unwrap()
    }
}

fn gateway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcams-gateway"));
    command.args(arguments);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn log() -> Author {
    let mut author = Author::begin(7);
    (0..60).for_each(|_| author.live());
    author.checkpoint();
    author
}

#[test]
fn a_clean_log_ends_with_0_and_says_what_was_proven() {
    let author = log();
    let last = author.folder.last_checkpoint().unwrap();
    let case = Case::of(&author.folder, Some(&last));
    let said = case.verify(true);
    assert_eq!(said.status.code(), Some(0), "{}", text(&said.stderr));
    let seq = author.chain.next_seq() - 1;
    let said = text(&said.stdout);
    assert!(said.starts_with("clean: nothing is wrong\n"), "{said}");
    assert!(
        said.contains(&format!("by checkpoints kept elsewhere: 1 unchanged, the last at seq {seq}")),
        "{said}"
    );
    assert!(
        said.contains(&format!("cannot be seen here: whether lines were cut off after seq {seq}\n")),
        "{said}"
    );
    let printed = gateway(&["audit", "checkpoint"]).arg(case.path("log")).output().unwrap();
    assert_eq!((printed.status.code(), printed.stdout), (Some(0), last));
}

#[test]
fn a_log_of_which_nothing_is_proven_ends_with_1_and_advice() {
    let case = Case::of(&Author::begin(7).folder, None);
    let said = case.verify(false);
    assert_eq!(said.status.code(), Some(1));
    let said = text(&said.stdout);
    assert!(said.starts_with("NOTHING PROVEN"), "{said}");
    assert!(said.contains("give the chain key, or wait for the first checkpoint"), "{said}");
    assert_eq!(case.verify(true).status.code(), Some(0));
}

#[test]
fn a_socket_in_the_place_of_a_segment_is_found() {
    let author = log();
    let case = Case::of(&author.folder, None);
    let path = case.path("log").join(format!("audit-{:016}.jsonl", author.folder.0[0].name));
    std::fs::remove_file(&path).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let said = case.verify(false);
    assert_eq!(said.status.code(), Some(1));
    assert!(text(&said.stdout).contains("not_a_file"), "{}", text(&said.stdout));
}

#[test]
fn an_edited_log_ends_with_1_and_its_first_bad_record_is_named() {
    let author = log();
    let case = Case::of(&author.folder, None);
    let file = author.folder.0.len() - 1;
    let name = author.folder.0[file].name;
    let path = case.path("log").join(format!("audit-{name:016}.jsonl"));
    let line = author.folder.lines(file)[0].len();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[line + 1] = b'?';
    std::fs::write(&path, bytes).unwrap();
    let said = case.verify(false);
    assert_eq!(said.status.code(), Some(1));
    let expected = format!("first bad record: audit-{name:016}.jsonl, line 2, byte {line}\n  not_a_line: ");
    assert!(text(&said.stdout).contains(&expected), "{}", text(&said.stdout));
    let said = gateway(&["audit", "verify", "-o", "json"]).args(case.arguments(true)).output().unwrap();
    assert_eq!(said.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let first = &report["findings"][0];
    let place = [&first["code"], &first["segment"], &first["line"], &first["offset"], &first["seq"]];
    let name = format!("audit-{name:016}.jsonl");
    let expected = serde_json::json!(["not_a_line", name, 2, line, null]);
    assert_eq!((serde_json::json!(place), &report["clean"]), (expected, &serde_json::json!(false)));
}

#[test]
fn a_segment_that_is_a_link_is_found() {
    let author = log();
    let case = Case::of(&author.folder, None);
    let path = case.path("log").join(format!("audit-{:016}.jsonl", author.folder.0[0].name));
    std::fs::rename(&path, case.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(case.path("elsewhere"), &path).unwrap();
    let said = case.verify(false);
    assert_eq!(said.status.code(), Some(1));
    assert!(text(&said.stdout).contains("not_a_file"), "{}", text(&said.stdout));
}

#[test]
fn checkpoints_are_read_from_standard_input_too() {
    use std::io::Write;

    let author = log();
    let case = Case::of(&author.folder, None);
    let mut verify = gateway(&["audit", "verify", "--checkpoint", "-"]);
    verify
        .args(case.arguments(false))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut verify = verify.spawn().unwrap();
    let checkpoints = author.folder.checkpoints().concat();
    verify.stdin.take().unwrap().write_all(&checkpoints).unwrap();
    let said = verify.wait_with_output().unwrap();
    assert_eq!(said.status.code(), Some(0), "{}", text(&said.stdout));
}

#[test]
fn what_cannot_be_read_ends_with_its_own_code() {
    let case = Case::of(&log().folder, None);
    let with = |folder: &str, key: &str| {
        let mut command = gateway(&["audit", "verify"]);
        command.arg(case.path(folder)).arg("--public-key").arg(case.path(key));
        command.output().unwrap().status.code()
    };
    assert_eq!(with("log", "public.pem"), Some(0));
    assert_eq!(with("nowhere", "public.pem"), Some(74));
    assert_eq!(with("log", "chain.key"), Some(78));
    assert_eq!(gateway(&["audit", "verify"]).arg(case.path("log")).output().unwrap().status.code(), Some(2));
    let empty = gateway(&["audit", "checkpoint"]).arg(case.0.path()).output().unwrap();
    assert_eq!(empty.status.code(), Some(1));
}

#[test]
fn the_signing_key_that_keygen_makes_is_one_that_openssl_reads() {
    let folder = tempfile::tempdir().unwrap();
    assert!(gateway(&["audit", "keygen"]).arg(folder.path()).output().unwrap().status.success());
    let openssl = Command::new("openssl")
        .args(["pkey", "-pubout", "-in"])
        .arg(folder.path().join("signing.pem"))
        .output();
    let Ok(openssl) = openssl else {
        println!("skipped: no openssl");
        return;
    };
    assert_eq!(text(&openssl.stdout), std::fs::read_to_string(folder.path().join("public.pem")).unwrap());
}

/// Whether the second verifier finds the log clean; `None` without Python.
fn second(case: &Case, keyed: bool) -> Option<bool> {
    second_with(case, keyed, &[])
}

fn second_with(case: &Case, keyed: bool, more: &[std::ffi::OsString]) -> Option<bool> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit-verify.py");
    let said = Command::new("python3").arg(script).args(case.arguments(keyed)).args(more).output().ok()?;
    match said.status.code() {
        Some(0) => Some(true),
        Some(1) if said.stdout.starts_with(b"NOT CLEAN") => Some(false),
        _ => panic!("{}{}", text(&said.stdout), text(&said.stderr)),
    }
}

/// The log, what was kept of it, and whether it is clean without the chain key and with it.
type Agreed = (&'static str, Folder, Vec<Vec<u8>>, [bool; 2]);

/// Logs from which retention removed something, whose signing key was replaced, or of which nothing is proven.
fn agreed() -> Vec<Agreed> {
    let mut cases: Vec<Agreed> = Vec::new();
    let mut young = Author::begin(1);
    young.request();
    cases.push(("no checkpoint yet", young.folder.clone(), vec![], [false, true]));
    young.rotate();
    young.request();
    young.rotate();
    young.sign_with(next_signing_key());
    young.request();
    young.rotate();
    let kept = young.folder.checkpoints();
    cases.push(("two signing keys", young.folder.clone(), kept.clone(), [true, true]));
    let mut middle = young.folder.clone();
    middle.0.remove(1);
    cases.push(("a gap that nothing explains", middle, vec![], [false, false]));
    let mut other = Author::begin(2);
    other.checkpoint();
    let strange = other.folder.checkpoints();
    let both = [kept.clone(), strange.clone()].concat();
    cases.push(("checkpoints of two chains", young.folder.clone(), both, [true, true]));
    cases.push(("checkpoints of another chain", young.folder.clone(), strange, [false, false]));
    young.retain(2);
    cases.push(("a record of retention that nothing signs", young.folder.clone(), vec![], [false, true]));
    young.checkpoint();
    cases.push(("a record of retention that is signed", young.folder.clone(), kept.clone(), [true, true]));
    let removed = kept[..1].to_vec();
    cases.push(("nothing kept but what was removed", young.folder.clone(), removed, [false, false]));
    let inside = young.folder.0[1].name;
    young.next_segment();
    young.remove(&[inside]);
    young.checkpoint();
    cases.push(("retention inside the log", young.folder, vec![], [false, false]));
    cases
}

#[test]
fn both_verifiers_judge_retention_and_keys_alike() {
    for (name, folder, kept, expected) in agreed() {
        let kept = kept.concat();
        let case = Case::of(&folder, (!kept.is_empty()).then_some(&kept));
        for (keyed, expected) in [false, true].into_iter().zip(expected) {
            let keys = ["--public-key".into(), case.path("next.pem").into_os_string()];
            let said =
                gateway(&["audit", "verify"]).args(case.arguments(keyed)).args(&keys).output().unwrap();
            assert_eq!(said.status.success(), expected, "{name}, {keyed}: {}", text(&said.stdout));
            let Some(judged) = second_with(&case, keyed, &keys) else {
                println!("skipped: no python3");
                return;
            };
            assert_eq!(judged, expected, "{name}, {keyed}: the second verifier");
        }
    }
}

#[test]
fn a_verifier_that_was_written_from_the_documentation_agrees() {
    let tries = from_environment("TAMPER_SECOND", 16);
    let (mut clean, mut bad) = (0, 0);
    for seed in 0..tries {
        let mut author = Author::begin(seed);
        (0..50).for_each(|_| author.live());
        author.checkpoint();
        let last = author.folder.last_checkpoint().unwrap();
        for keyed in [false, true] {
            let case = Case::of(&author.folder, Some(&last));
            let Some(judged) = second(&case, keyed) else {
                println!("skipped: no python3");
                return;
            };
            assert!(judged, "seed {seed}");
            clean += 1;
        }
        let mut random = Random::new(seed);
        let snapshots = [author.folder.clone()];
        let attacker = Attacker::of(&author, &snapshots);
        let kind = KINDS[random.index(KINDS.len())];
        let edited = edits::edit(kind, &author.folder, &attacker, &mut random);
        let Some(edited) = edited.filter(|edited| *edited != author.folder) else { continue };
        let case = Case::of(&edited, Some(&last));
        assert_eq!(second(&case, seed % 2 == 0), Some(false), "seed {seed}: {kind:?}");
        bad += 1;
    }
    println!("the second verifier agreed on {clean} clean and {bad} edited logs");
    assert!(bad > 0);
}
