//! Does the binary forward, record and end as it should?

use crate::harness::{Answer, BATCH, Connection, GET_STATUS, KYC_API, Setup, Upstream};

#[test]
fn a_request_is_forwarded_answered_and_recorded() {
    let upstream = Upstream::start();
    let mut gateway = Setup::before(&upstream).start();
    let answer = gateway.post(KYC_API, GET_STATUS);
    assert_eq!(
        (answer.status, answer.json()["message"].as_str()),
        (200, Some("The email address was not found"))
    );
    let record = gateway.record_of(&answer);
    assert_eq!((record["outcome"].as_str(), record["caller"].as_str()), (Some("forwarded"), Some("kyc-api")));
    let received = upstream.wait_for_received(1);
    let spliced =
        format!(r#"{{"user":"double-user","pass":"double-password-for-tests",{}"#, &GET_STATUS[1..]);
    assert_eq!(received[0].body, spliced.as_bytes());
    assert_eq!(gateway.operators("/readyz").text(), "ready\n");
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(gateway.outcomes().len(), 1);
}

#[test]
fn tls_and_unix_listeners_serve_the_same() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).tls().start();
    assert_eq!(gateway.post(BATCH, GET_STATUS).status, 200);

    let setup = Setup::before(&upstream);
    let folder = setup.folder().join("socket");
    let socket = folder.join("data.sock");
    let gateway = setup.set("data.listen", &format!("[\"unix:{}\"]", socket.display())).start();
    assert_eq!(Connection::unix(&socket).post(BATCH, GET_STATUS.as_bytes()).status, 200);
    drop(gateway);
}

#[test]
fn a_raw_exchange_gives_every_byte() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let answer =
        Answer::parse(&gateway.send_raw(b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("unauthenticated")));
    assert!(upstream.received().is_empty());
}
