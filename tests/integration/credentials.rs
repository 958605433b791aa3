//! What happens when DCAMS rejects the credentials, and when they change?

use std::fs;
use std::time::Duration;

use dcams_gateway::simulate::Fault;

use crate::harness::{GET_STATUS, Gateway, KYC_API, Setup, UPDATE_STATUS, Upstream, message, wait_for};

const PASS: &str = "double-password-for-tests";
const RENEWED: &str = "renewed-password-for-tests";

/// A gateway whose pass file can be rewritten.
fn started(upstream: &Upstream) -> Gateway {
    Setup::before(upstream).start()
}

fn rewrite_pass(gateway: &Gateway, pass: &str) {
    fs::write(gateway.folder().join("pass"), pass).unwrap();
}

#[test]
fn a_rejected_pair_is_read_again_and_the_request_sent_once_more_with_the_new_one() {
    let upstream = Upstream::start();
    let gateway = started(&upstream);
    upstream.accept("double-user", RENEWED);
    rewrite_pass(&gateway, RENEWED);
    let answer = gateway.post(KYC_API, UPDATE_STATUS);
    assert_eq!(
        (answer.status, answer.json()["message"].as_str()),
        (200, Some("The email address was not found"))
    );
    let record = gateway.record_of(&answer);
    assert_eq!(record["credential"]["version"], 2);
    assert_eq!(record["upstream"]["attempts"], 2);
    let bodies: Vec<String> =
        upstream.received().iter().map(|request| String::from_utf8(request.body.to_vec()).unwrap()).collect();
    let expected = |pass: &str| format!(r#"{{"user":"double-user","pass":"{pass}",{}"#, &UPDATE_STATUS[1..]);
    assert_eq!(bodies, [expected(PASS), expected(RENEWED)]);
}

#[test]
fn a_rejected_pair_without_a_successor_is_held_back_so_that_the_account_is_not_locked() {
    let upstream = Upstream::start();
    let gateway = started(&upstream);
    upstream.accept("double-user", RENEWED);
    let first = gateway.post(KYC_API, GET_STATUS);
    assert_eq!((first.status, first.json()["code"].as_str()), (502, Some("upstream_credentials_rejected")));
    for _ in 0..5 {
        let held_back = gateway.post(KYC_API, GET_STATUS);
        assert_eq!(
            (held_back.status, held_back.json()["code"].as_str()),
            (503, Some("credentials_unavailable"))
        );
        let seconds: u64 = held_back.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=30).contains(&seconds), "{seconds}");
    }
    assert_eq!(upstream.received().len(), 1, "one attempt with rejected credentials, and no more");
    assert!(gateway.operators("/readyz?verbose").text().contains("1 suspended"));

    // Once the file holds what DCAMS accepts, it is used without another rejected attempt.
    rewrite_pass(&gateway, RENEWED);
    let answer = wait_for("the corrected password to be in use", || {
        Some(gateway.post(KYC_API, GET_STATUS)).filter(|answer| answer.status == 200)
    });
    assert_eq!(gateway.record_of(&answer)["credential"]["version"], 2);
    assert_eq!(upstream.received().len(), 2);
}

#[test]
fn an_answer_to_what_was_sent_before_a_rejection_does_not_end_what_follows_from_it() {
    let upstream = Upstream::start();
    let gateway = started(&upstream);
    upstream.inject_once(Fault::Latency(Duration::from_secs(1)));
    let mut early = gateway.connect();
    early.send(&message(KYC_API, GET_STATUS.as_bytes()));
    upstream.wait_for_received(1);
    upstream.accept("double-user", RENEWED);
    assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 502);
    assert_eq!(early.read_answer().status, 200, "it was sent while the password was right");
    let held_back = gateway.post(KYC_API, GET_STATUS);
    assert_eq!((held_back.status, held_back.json()["code"].as_str()), (503, Some("credentials_unavailable")));
}

#[test]
fn the_second_pair_is_tried_once_when_the_first_is_rejected_and_used_from_then_on() {
    let upstream = Upstream::start();
    let next =
        "\n[credentials.production.next]\nuser = { file = \"user\" }\npass = { file = \"next-pass\" }\n";
    let gateway = Setup::before(&upstream).file("next-pass", RENEWED).append(next).start();
    upstream.accept("double-user", RENEWED);
    let versions = [2, 1].map(|attempts| {
        let answer = gateway.post(KYC_API, UPDATE_STATUS);
        assert_eq!(answer.status, 200);
        let record = gateway.record_of(&answer);
        assert_eq!(record["upstream"]["attempts"], attempts);
        record["credential"]["version"].clone()
    });
    assert_eq!(versions, [2, 2]);
    assert_eq!(upstream.received().len(), 3, "one attempt with the rejected pair, and no more");

    // Where both are rejected, both are held back.
    upstream.accept("double-user", "a-third-password-for-tests");
    let codes = [0, 1].map(|_| gateway.post(KYC_API, GET_STATUS).json()["code"].clone());
    assert_eq!(codes, ["upstream_credentials_rejected", "credentials_unavailable"]);
    assert_eq!(upstream.received().len(), 4);
}
