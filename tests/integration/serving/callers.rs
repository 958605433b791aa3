//! How is a caller known without a key?

use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::make::head;
use crate::harness::{Answer, BATCH, Connection, GET_STATUS, Gateway, PATH, Setup, Upstream};

fn folder_of(setup: &Setup, mode: u32) -> PathBuf {
    let folder = setup.folder().join("socket");
    std::fs::DirBuilder::new().mode(mode).create(&folder).unwrap();
    folder
}

fn on_socket(setup: Setup, socket: &Path, uid: u32) -> Setup {
    setup.set("data.listen", &format!("[\"unix:{}\"]", socket.display())).append(&format!(
        r#"
[[callers]]
name = "local"
uid = {uid}
credentials = "production"
rate = {{ per_second = 1000 }}
services = ["getStatus"]
"#
    ))
}

fn without_key(mut connection: Connection) -> Answer {
    let length = GET_STATUS.len();
    connection.send(
        format!(
            "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{GET_STATUS}"
        )
        .as_bytes(),
    );
    connection.read_answer()
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn identified(gateway: &Gateway, answer: &Answer) -> (String, String) {
    let record = gateway.record_of(answer);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    (text(&record["caller"]), text(&record["identified_by"]["by"]))
}

#[test]
fn a_peer_on_the_socket_is_known_by_its_uid() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let socket = folder_of(&setup, 0o750).join("data.sock");
    // Left over by a process that was killed.
    drop(UnixListener::bind(&socket).unwrap());
    let mut gateway = on_socket(setup, &socket, own_uid()).start();
    let metadata = std::fs::symlink_metadata(&socket).unwrap();
    assert_eq!((metadata.file_type().is_socket(), metadata.permissions().mode() & 0o777), (true, 0o660));

    let answer = without_key(Connection::unix(&socket));
    assert_eq!(answer.status, 200);
    assert_eq!(identified(&gateway, &answer), ("local".to_owned(), "uid".to_owned()));
    assert_eq!(gateway.record_of(&answer)["peer"], "unix");
    let answer = Connection::unix(&socket).post(BATCH, GET_STATUS.as_bytes());
    assert_eq!(identified(&gateway, &answer), ("batch".to_owned(), "key".to_owned()));
    assert_eq!(Connection::unix(&socket).post("wrong", GET_STATUS.as_bytes()).status, 401);
    assert_eq!(gateway.stop().code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn an_unknown_uid_is_a_stranger() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let socket = folder_of(&setup, 0o700).join("data.sock");
    let gateway = on_socket(setup, &socket, own_uid() + 1).start();
    assert_eq!(without_key(Connection::unix(&socket)).status, 401);
    assert_eq!(Connection::unix(&socket).post(BATCH, GET_STATUS.as_bytes()).status, 200);
    drop(gateway);
}

#[test]
fn a_socket_that_could_be_somebody_elses_is_not_used() {
    let upstream = Upstream::start();
    let refused = |mode, prepare: fn(&Path) -> Option<UnixListener>| {
        let setup = Setup::before(&upstream);
        let socket = folder_of(&setup, 0o700).join("data.sock");
        std::fs::set_permissions(socket.parent().unwrap(), std::fs::Permissions::from_mode(mode)).unwrap();
        let held = prepare(&socket);
        let ended = on_socket(setup, &socket, own_uid()).command(&["run"]).output().unwrap();
        drop(held);
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    for open in [0o755, 0o770, 0o701] {
        let (code, told) = refused(open, |_| None);
        assert_eq!(code, Some(77), "{told}");
        assert!(told.contains("0750 or stricter"), "{told}");
    }
    let (code, told) = refused(0o700, |socket| Some(UnixListener::bind(socket).unwrap()));
    assert_eq!(code, Some(74), "{told}");
    assert!(told.contains("another process listens there"), "{told}");
    let (code, told) = refused(0o700, |socket| {
        std::fs::write(socket, "a file").unwrap();
        None
    });
    assert_eq!(code, Some(74), "{told}");
    assert!(told.contains("no socket"), "{told}");
}

#[test]
fn the_anonymous_caller_is_announced_and_a_wrong_key_is_not_it() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .append(
            r#"
[[callers]]
name = "first-steps"
anonymous = true
credentials = "production"
rate = { per_second = 1000 }
services = ["getStatus"]
"#,
        )
        .start();
    let warned = |line: &serde_json::Value| line["level"] == "WARN" && line["caller"] == "first-steps";
    assert!(gateway.log_lines().iter().any(warned));
    let answer = without_key(gateway.connect());
    assert_eq!(answer.status, 200);
    assert_eq!(identified(&gateway, &answer), ("first-steps".to_owned(), "anonymous".to_owned()));
    assert_eq!(gateway.post("wrong", GET_STATUS).status, 401);
    let mut twice = gateway.connect();
    twice.send(&head(BATCH, &format!("Authorization: Bearer {BATCH}\r\nContent-Length: 0\r\n")));
    assert_eq!(twice.read_answer().status, 401);
}

#[test]
fn an_anonymous_caller_needs_loopback_on_both_sides() {
    let upstream = Upstream::start();
    let anonymous = "\n[[callers]]\nname = \"first-steps\"\nanonymous = true\ncredentials = \"production\"\n\
                     rate = { per_second = 1 }\nservices = [\"getStatus\"]\n";
    let elsewhere = Setup::before_url("https://dcams.example.com/v3/stable/api/storage")
        .file("upstream-ca.pem", upstream.ca_pem())
        .file("user", "user")
        .file("pass", "a password of some length");
    let open = Setup::before(&upstream).tls().set("data.listen", "[\"0.0.0.0:0\"]");
    for setup in [elsewhere, open] {
        let ended = setup.append(anonymous).command(&["run"]).output().unwrap();
        assert_eq!(ended.status.code(), Some(78), "{}", String::from_utf8_lossy(&ended.stderr));
    }
}
