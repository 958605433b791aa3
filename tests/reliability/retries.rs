//! What is sent again, how often, and when?

mod duplicates;
mod relay;

use std::time::Instant;

use dcams_gateway::selftest::Scripted;
use dcams_gateway::simulate::Fault;
use serde_json::{Value, json};

use crate::harness::{
    Answer, BATCH, GET_STATUS, Gateway, KYC_API, PATH, Setup, UPDATE_STATUS, Upstream, wait_for,
};

/// A gateway with the retry rule's defaults but short pauses, and without breakers.
fn started(upstream: &Upstream, connect_timeout: &str) -> Setup {
    Setup::before(upstream)
        .with_retries_and_breakers()
        .set("upstream.retry.backoff_base", "1ms")
        .set("upstream.breaker.failures", "0")
        .set("upstream.connect_timeout", connect_timeout)
}

/// Status, code of a problem, and what the record says of the attempts: how many, and what ended each.
fn told(gateway: &Gateway, answer: &Answer) -> (u16, Option<String>, u64, Vec<Option<String>>) {
    let record = gateway.record_of(answer);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let tried = record["upstream"]["tried"].as_array().cloned().unwrap_or_default();
    let codes = tried.iter().map(|attempt| text(&attempt["code"])).collect();
    (answer.status, text(&answer.json()["code"]), record["upstream"]["attempts"].as_u64().unwrap_or(0), codes)
}

fn code(code: &str) -> Option<String> {
    Some(code.to_owned())
}

#[test]
fn a_read_is_tried_again_and_each_attempt_is_recorded() {
    let upstream = Upstream::start();
    let gateway = started(&upstream, "1s").set("upstream.retry.attempt_timeout", "2s").start();
    for (fault, ended_by) in [
        (Fault::ResetOnAccept, "upstream_unreachable"),
        (Fault::HangOnAccept, "upstream_unreachable"),
        (Fault::HangBeforeRead, "upstream_timeout"),
        (Fault::HangAfterRead, "upstream_timeout"),
        (Fault::ResetAfterRequest, "upstream_truncated"),
        (Fault::TruncateChunked, "upstream_truncated"),
        (Fault::Html { status: 502 }, "upstream_invalid"),
        (Fault::Html { status: 503 }, "upstream_invalid"),
        (Fault::Html { status: 504 }, "upstream_invalid"),
    ] {
        // A caller without an idle connection, so that the fault meets a new one.
        let gateway = if fault.strikes_on_accept() {
            &started(&upstream, "1s").set("upstream.retry.attempt_timeout", "5s").start()
        } else {
            &gateway
        };
        upstream.inject_once(fault);
        let answer = gateway.post(KYC_API, GET_STATUS);
        assert_eq!((fault, told(gateway, &answer)), (fault, (200, None, 2, vec![code(ended_by), None])));
    }
    let series =
        |code: &str| format!("dcams_gateway_upstream_attempts_total{{endpoint=\"storage\",code=\"{code}\"}}");
    assert_eq!(gateway.metric(&series("upstream_timeout")), Some(2.0));
    assert_eq!(gateway.metric(&series("")), Some(7.0));
}

#[test]
fn a_write_is_tried_again_only_where_no_connection_came_about() {
    let upstream = Upstream::start();
    for fault in [Fault::ResetOnAccept, Fault::HangOnAccept] {
        let gateway = started(&upstream, "1s").start();
        upstream.forget_received();
        upstream.inject_once(fault);
        let answer = gateway.post(KYC_API, UPDATE_STATUS);
        let expected = (200, None, 2, vec![code("upstream_unreachable"), None]);
        assert_eq!((fault, told(&gateway, &answer)), (fault, expected));
        assert_eq!(upstream.received().len(), 1);
    }
    let gateway = started(&upstream, "1s").set("endpoints.storage.deadline", "3s").start();
    for (fault, ended_by) in [
        (Fault::Html { status: 503 }, "upstream_invalid"),
        (Fault::ResetAfterRequest, "upstream_truncated"),
        (Fault::HangBeforeRead, "upstream_timeout"),
        (Fault::HangAfterRead, "upstream_timeout"),
    ] {
        upstream.forget_received();
        upstream.inject_once(fault);
        let answer = gateway.post(KYC_API, UPDATE_STATUS);
        let (_, ended, attempts, _) = told(&gateway, &answer);
        assert_eq!((fault, ended, attempts), (fault, code(ended_by), 1));
        assert_eq!(answer.json()["outcome"], "unknown");
        assert_eq!(upstream.received().len(), 1, "{fault}");
    }
}

/// A gateway before a server that gives each connection the next of its answers, in plain.
fn scripted(answers: &[(u16, &str)]) -> (Scripted, Gateway) {
    dcams_gateway::tls::install_provider();
    let server = Scripted::start().unwrap();
    for (status, body) in answers {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} Told\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
        );
        server.next(format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
    }
    let gateway = Setup::before_url(&format!("http://{}{PATH}", server.address()))
        .with_retries_and_breakers()
        .file("user", "user")
        .file("pass", "a password of some length")
        .edit(|text| {
            let plain = "roots = \"webpki\"\nplain_http_to_loopback = true";
            *text = text.replace("roots = { file = \"upstream-ca.pem\" }", plain);
        })
        .start();
    (server, gateway)
}

#[test]
fn what_dcams_itself_answered_is_not_asked_for_again_whatever_its_status() {
    for body in [r#"{"result":"Error","message":"try later"}"#, r#"{"result":"Success"}"#] {
        let (_server, gateway) = scripted(&[(503, body)]);
        let answer = gateway.post(KYC_API, GET_STATUS);
        assert_eq!((answer.status, answer.text()), (503, body.to_owned()));
        assert_eq!(gateway.record_of(&answer)["upstream"]["attempts"], 1);
    }
    let (_server, gateway) =
        scripted(&[(503, r#"{"error":"no backend"}"#), (200, r#"{"result":"Success"}"#)]);
    let answer = gateway.post(KYC_API, GET_STATUS);
    assert_eq!((answer.status, answer.text()), (200, r#"{"result":"Success"}"#.to_owned()));
    let tried = &gateway.record_of(&answer)["upstream"]["tried"];
    assert_eq!((&tried[0]["status"], &tried[1]["status"]), (&json!(503), &json!(200)));
}

#[test]
fn nothing_is_tried_again_after_the_deadline() {
    let upstream = Upstream::start();
    let gateway = started(&upstream, "1s")
        .set("endpoints.storage.deadline", "3s")
        .set("upstream.retry.attempts", "10")
        .set("upstream.retry.attempt_timeout", "1s")
        .set("upstream.retry.budget_min_per_second", "1000")
        .start();
    upstream.inject(Fault::HangAfterRead);
    let answer = gateway.post(KYC_API, GET_STATUS);
    let (status, ended, attempts, codes) = told(&gateway, &answer);
    assert_eq!((status, ended), (504, code("upstream_timeout")));
    // Fewer where the machine gave the gateway no time; more would be after the deadline.
    assert!(attempts <= 3, "{attempts} attempts of a second within three");
    assert!(codes.iter().all(|ended| *ended == code("upstream_timeout")));
}

#[test]
fn a_read_without_another_attempt_is_waited_for_until_its_deadline() {
    let upstream = Upstream::start();
    let gateway = started(&upstream, "1s")
        .set("upstream.retry.attempt_timeout", "10ms")
        .set("upstream.retry.budget", "0%")
        .set("upstream.retry.budget_min_per_second", "0")
        .start();
    upstream.inject_once(Fault::Latency(std::time::Duration::from_millis(400)));
    let answer = gateway.post(KYC_API, GET_STATUS);
    assert_eq!(told(&gateway, &answer), (200, None, 1, Vec::new()));
}

#[test]
fn an_upstream_that_is_down_is_not_stormed_and_one_caller_does_not_spend_anothers_retries() {
    const REQUESTS: u64 = 200;
    let upstream = Upstream::start();
    let gateway = started(&upstream, "1s").start();
    upstream.inject(Fault::Html { status: 503 });
    let began = Instant::now();
    let mut connection = gateway.connect();
    for _ in 0..REQUESTS {
        assert_eq!(connection.post(KYC_API, GET_STATUS.as_bytes()).status, 502);
    }
    let attempts = upstream.counts().requests;
    // A fifth of the requests, and what ten seconds give at one a second: that is there from the start, and again when
    // the window has passed. Tower's window turns up to twice as fast as it is told.
    let reserve = 10 * (began.elapsed().as_secs() / 5 + 1);
    assert!(attempts <= REQUESTS + REQUESTS / 5 + reserve, "{attempts} attempts for {REQUESTS} requests");
    assert!(attempts >= REQUESTS + REQUESTS / 10, "{attempts} attempts: there were retries");
    println!("{REQUESTS} reads of one caller while DCAMS answered 503: {attempts} attempts");
    let refused = gateway.metric("dcams_gateway_upstream_retries_refused_total{endpoint=\"storage\"}");
    assert!(refused.is_some_and(|refused| refused > 100.0), "{refused:?}");

    upstream.inject(Fault::None);
    upstream.inject_once(Fault::Html { status: 503 });
    let answer = gateway.post(BATCH, GET_STATUS);
    assert_eq!(told(&gateway, &answer).2, 2, "another caller has a budget of its own");
}

#[test]
fn a_caller_that_leaves_ends_the_attempts_of_its_read() {
    let upstream = Upstream::start();
    let gateway = started(&upstream, "1s").start();
    upstream.inject(Fault::HangAfterRead);
    let mut connection = gateway.connect();
    connection.send(&crate::harness::message(KYC_API, GET_STATUS.as_bytes()));
    upstream.wait_for_received(1);
    drop(connection);
    let line = gateway.wait_for_outcomes(1).remove(0);
    assert_eq!((&line["outcome"], &line["upstream"]["attempts"]), (&json!("abandoned"), &json!(1)));
    wait_for("nothing in progress", || {
        (gateway.metric("dcams_gateway_requests_in_progress") == Some(0.0)).then_some(())
    });
    assert_eq!(upstream.counts().requests, 1);
}
