//! Does a faulty configuration, or a start that fails, show a secret that stands in a wrong place?

use super::canaries::{self, core, named};
use super::configuration::{Wanted, configuration};
use super::scene::Stage;
use crate::scanner::Scanner;

/// A secret that was pasted where none belongs.
fn pasted() -> String {
    core("pasted")
}

fn assert_silent(title: &str, said: &[u8]) {
    let canaries = [canaries::secrets(&[]), vec![named("pasted", pasted())]].concat();
    let leaks = Scanner::new(&canaries).leaks(said);
    assert!(leaks.is_empty(), "{title}: {leaks:?}\n{}", String::from_utf8_lossy(said));
}

/// What `check --offline` says of `text`; it must refuse it.
fn refused(stage: &Stage, text: &str, more: &[&str]) -> Vec<u8> {
    stage.file("gateway.toml", text.as_bytes());
    let path = stage.path("gateway.toml");
    let arguments = [&["check", "--offline", "--config", path.to_str().unwrap()][..], more].concat();
    let (code, said) = stage.said(&arguments);
    assert!(matches!(code, Some(1..)), "accepted: {}", String::from_utf8_lossy(&said));
    assert!(!said.is_empty());
    said
}

#[test]
fn a_secret_in_a_wrong_place_of_the_file_is_not_shown() {
    let stage = Stage::new("");
    let good = configuration(&Wanted::default());
    let c = pasted();
    let (user, pass) = ("user = { file = \"user\" }", "pass = { file = \"pass\" }");
    let (signing, chain) =
        ("signing_key = { file = \"signing-key\" }", "chain_key = { file = \"chain-key\" }");
    let (key, keys) = ("fingerprint_key = { file = \"fingerprint-key\" }", "keys = [{ sha256 = \"");
    let replaced = [
        (pass, format!("pass = \"{c}\"")),
        (pass, format!("pass = [\"{c}\"]")),
        (pass, format!("pass = {{ value = \"{c}\" }}")),
        (pass, format!("pass = {{ file = [\"{c}\"] }}")),
        (pass, format!("pass = {{ file = \"pass\", pass = \"{c}\" }}")),
        (pass, format!("password = \"{c}\"")),
        (pass, format!("pass = \"{c}")),
        (pass, format!("pass = {c}")),
        (pass, format!("pass: {c}")),
        (pass, format!("pass = '''\n{c}\n")),
        (pass, format!("pass = {{ file = \"pass\" }} \"{c}\"")),
        (pass, format!("pass = {{ file = \"pass\" }}\npass = \"{c}\"")),
        (pass, format!("pas = {{ file = \"pass\" }} # it is {c}")),
        (pass, c.clone()),
        (user, format!("user = \"{c}\"")),
        (user, format!("user = 1 # {c}")),
        (key, format!("fingerprint_key = \"{c}\"")),
        (key, format!("fingerprint_key = {{ key = \"{c}\" }}")),
        (signing, format!("signing_key = \"{c}\"")),
        (signing, format!("signing_key = '''-----BEGIN PRIVATE KEY-----\n{c}\n'''")),
        (chain, format!("chain_key = \"{c}\"")),
        (keys, format!("keys = [\"{c}\", {{ sha256 = \"")),
        (keys, format!("keys = [{{ key = \"{c}\" }}, {{ sha256 = \"")),
        (keys, format!("keys = [{{ sha256 = \"{c}\" }}, {{ sha256 = \"")),
        (keys, format!("key = \"{c}\"\nkeys = [{{ sha256 = \"")),
        ("url = \"http://", format!("url = \"https://me:{c}@")),
        ("[credentials.production]", format!("[credentials]\nproduction = \"{c}\"\n[credentials.other]")),
    ];
    for (old, new) in replaced {
        let text = good.replacen(old, &new, 1);
        assert_ne!(text, good, "{old}");
        assert_silent(&new, &refused(&stage, &text, &[]));
        let path = stage.path("gateway.toml");
        let (_, said) = stage.said(&["run", "--config", path.to_str().unwrap()]);
        assert_silent(&new, &said);
    }
}

#[test]
fn a_secret_in_an_override_is_not_shown() {
    let c = pasted();
    let good = configuration(&Wanted::default());
    for name in [
        "CREDENTIALS__PRODUCTION__PASS",
        "CREDENTIALS__PRODUCTION__PASSWORD",
        "AUDIT__FINGERPRINT_KEY",
        "AUDIT__SIGNING_KEY",
        "AUDIT__CHAIN_KEY",
        "LOG__FORMAT",
        "DATA__WORKERS",
    ] {
        for value in [c.clone(), format!("{{ value = \"{c}\" }}"), format!("[\"{c}"), format!("\"{c}")] {
            let stage = Stage::new("").variable(&format!("DCAMS_GATEWAY__{name}"), &value);
            assert_silent(name, &refused(&stage, &good, &[]));
        }
    }
    let stage = Stage::new("");
    for argument in [
        format!("credentials.production.pass={c}"),
        format!("audit.fingerprint_key=\"{c}"),
        c.clone(),
        format!("{c}={c}="),
    ] {
        let said = refused(&stage, &good, &["--set", &argument]);
        // A key is a name, and names are shown.
        if !argument.starts_with(&format!("{c}=")) {
            assert_silent(&argument, &said);
        }
    }
}

#[test]
fn a_secret_file_that_is_unfit_is_not_shown() {
    let good = configuration(&Wanted::default());
    let c = pasted();
    let unfit: [(&str, &str, Vec<u8>); 9] = [
        ("no UTF-8", "pass", [c.as_bytes(), b"\xff"].concat()),
        ("too long", "pass", c.repeat(200).into_bytes()),
        ("a short key", "fingerprint-key", c.clone().into_bytes()),
        ("a key that is the password", "fingerprint-key", canaries::pass().into_bytes()),
        ("a short chain key", "chain-key", c.clone().into_bytes()),
        ("a chain key that is the password", "chain-key", canaries::pass().into_bytes()),
        ("a signing key that is none", "signing-key", c.clone().into_bytes()),
        ("a broken signing key", "signing-key", canaries::signing_key().replacen("MC4C", &c, 1).into_bytes()),
        ("an empty file", "user", Vec::new()),
    ];
    for (title, file, bytes) in unfit {
        let stage = Stage::new("");
        stage.file(file, &bytes);
        assert_silent(title, &refused(&stage, &good, &[]));
    }
    let stage = Stage::new("");
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(stage.path("pass"), everybody).unwrap();
    assert_silent("a file that everybody reads", &refused(&stage, &good, &[]));
}

#[test]
fn a_start_that_fails_shows_no_secret() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let c = pasted();
    let good = configuration(&Wanted::default());
    let cases = [
        ("a taken address", good.replacen("127.0.0.1:0", &address.to_string(), 1)),
        ("no audit", good.replace("folder = \"audit\"", "folder = \"nowhere/audit\"")),
        ("no filter", good.replace("filter = \"trace\"", "filter = \"a=b=c\"")),
        ("no certificates", good.replace("roots = \"webpki\"", "roots = { file = \"pasted\" }")),
        (
            "no certificate of its own",
            good.replace("[ops]", "[data.tls]\ncert = \"pasted\"\nkey = \"pasted\"\n[ops]"),
        ),
        ("a broken certificate", good.replace("[ops]", "[data.tls]\ncert = \"pem\"\nkey = \"pem\"\n[ops]")),
    ];
    for (title, text) in cases {
        let stage = Stage::new(&text);
        stage.file("pasted", c.as_bytes());
        stage
            .file("pem", format!("-----BEGIN PRIVATE KEY-----\n{c}\n-----END PRIVATE KEY-----\n").as_bytes());
        let path = stage.path("gateway.toml");
        for command in ["run", "check"] {
            let (code, said) = stage.said(&[command, "--config", path.to_str().unwrap()]);
            assert!(matches!(code, Some(1..)), "{title}: {command} ended with {code:?}");
            assert_silent(title, &said);
        }
    }
}

#[test]
fn a_key_on_the_wrong_side_of_hash_key_is_not_shown() {
    let stage = Stage::new("");
    let c = pasted();
    let option = format!("--key={c}");
    for arguments in [vec!["hash-key", &c], vec!["hash-key", "--stdin", &c], vec!["hash-key", &option]] {
        let (code, said) = stage.said(&arguments);
        assert_eq!(code, Some(2));
        assert_silent("an argument", &said);
    }
    let mut child = stage.command(&["hash-key", "--stdin"]);
    stage.file("short", c.as_bytes());
    child.stdin(std::fs::File::open(stage.path("short")).unwrap());
    assert_eq!(child.status().unwrap().code(), Some(1));
    assert_silent("a short key", &[stage.caught("stdout"), stage.caught("stderr")].concat());
}
