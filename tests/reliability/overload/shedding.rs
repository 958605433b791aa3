//! Is load shed before a body is read?

use dcams_gateway::simulate::Fault;

use crate::harness::{
    Answer, BATCH, Connection, GET_STATUS, Gateway, KYC_API, PATH, Setup, Upstream, message, wait_for,
};

const PROMISED: usize = 20 << 20;

fn head(key: &str, lines: &str) -> Vec<u8> {
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {PROMISED}\r\n{lines}\r\n"
    )
    .into_bytes()
}

/// A request of `key` that hangs at the upstream.
fn hang(upstream: &Upstream, gateway: &Gateway, key: &str) -> Connection {
    upstream.inject_once(Fault::HangAfterRead);
    let mut hanging = gateway.connect();
    hanging.send(&message(key, GET_STATUS.as_bytes()));
    upstream.wait_for_received(1);
    hanging
}

/// It promises 20 MiB, and is answered before it sends a byte of them.
fn refused_unread(gateway: &Gateway, lines: &str) -> Answer {
    let mut connection = gateway.connect();
    connection.send(&head(KYC_API, lines));
    let sent = connection.read_until(b"\r\n").unwrap();
    assert!(!sent.starts_with(b"HTTP/1.1 100"), "asked for the body");
    let mut rest = connection.read_to_end();
    rest.splice(..0, sent);
    Answer::parse(&rest)
}

fn assert_shed(upstream: &Upstream, gateway: &Gateway, status: u16) {
    for lines in ["", "Expect: 100-continue\r\n"] {
        let answer = refused_unread(gateway, lines);
        assert_eq!((answer.status, answer.header("retry-after")), (status, Some("1")), "{}", answer.text());
        assert_eq!(gateway.record_of(&answer)["bytes"]["received"], 0);
        assert_eq!(answer.header("connection"), Some("close"));
    }
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn a_request_too_many_is_refused_before_its_body() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("data.max_requests", "1").start();
    let _hanging = hang(&upstream, &gateway, BATCH);
    assert_shed(&upstream, &gateway, 503);
}

#[test]
fn a_request_too_many_of_its_caller_is_refused_before_its_body() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("callers.kyc-api.max_requests", "1").start();
    let _hanging = hang(&upstream, &gateway, KYC_API);
    assert_shed(&upstream, &gateway, 429);
}

#[test]
fn a_body_that_will_not_fit_is_refused_before_it_is_read() {
    let upstream = Upstream::start();
    let gateway =
        Setup::before(&upstream).set("data.body_budget", "24MiB").set("data.caller_share", "100%").start();
    let mut first = gateway.connect();
    first.send(&head(KYC_API, ""));
    first.send(&vec![b' '; 8 << 20]);
    wait_for("most of the first", || {
        let held = gateway.metric("dcams_gateway_memory_bytes{kind=\"bodies\"}")?;
        (held == (8 << 20) as f64).then_some(())
    });
    let answer = refused_unread(&gateway, "Expect: 100-continue\r\n");
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{}", answer.text());
    assert_eq!(answer.json()["limit"], "caller_bytes");
    assert_eq!(gateway.record_of(&answer)["bytes"]["received"], 0);
    // What is small is served.
    assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200);
}
