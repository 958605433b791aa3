//! When is DCAMS left alone, by whom, and for how long?

use std::time::Duration;

use dcams_gateway::simulate::Fault;
use serde_json::{Value, json};

use crate::harness::{
    Answer, BATCH, GET_STATUS, Gateway, KYC_API, OPS_PORTAL, Setup, UPDATE_STATUS, Upstream, message,
    wait_for,
};

/// A gateway whose breakers open after three failures, and that tries nothing twice.
fn started(upstream: &Upstream, open_for: &str) -> Setup {
    Setup::before(upstream)
        .with_retries_and_breakers()
        .set("upstream.retry.attempts", "1")
        .set("upstream.breaker.failures", "3")
        .set("upstream.breaker.probes", "1")
        .set("upstream.breaker.window", "10m")
        .set("upstream.breaker.open_for", open_for)
}

fn code(answer: &Answer) -> Option<String> {
    answer.json()["code"].as_str().map(str::to_owned)
}

/// Posts so many times and gives the codes; empty where DCAMS answered.
fn post(gateway: &Gateway, key: &str, body: &str, times: usize) -> Vec<String> {
    (0..times).map(|_| code(&gateway.post(key, body)).unwrap_or_default()).collect()
}

/// What the audit says of breakers: endpoint or whose, for which effect, and which state.
fn told(gateway: &Gateway) -> Vec<Value> {
    let lines = gateway.audit().into_iter().filter(|line| line["kind"] == "breaker");
    lines
        .map(|line| {
            let own = line["scope"] == "caller";
            assert_eq!(line["endpoint"], "storage");
            json!([if own { &line["caller"] } else { &line["scope"] }, line["effect"], line["state"]])
        })
        .collect()
}

/// Lines are written a moment after what they tell of.
fn wait_for_told(gateway: &Gateway, states: &[Value]) {
    wait_for("the audit to tell", || (told(gateway).len() >= states.len()).then_some(()));
    assert_eq!(told(gateway), states);
}

fn state(gateway: &Gateway, scope: &str, caller: &str, effect: &str) -> Option<f64> {
    gateway.metric(&format!(
        "dcams_gateway_breaker_state{{endpoint=\"storage\",scope=\"{scope}\",caller=\"{caller}\",effect=\"{effect}\"}}"
    ))
}

fn wait_for_success(gateway: &Gateway, key: &str, body: &str) {
    wait_for("the breaker to close", || (gateway.post(key, body).status == 200).then_some(()));
}

#[test]
fn a_callers_own_breaker_opens_probes_and_closes_and_concerns_nobody_else() {
    let upstream = Upstream::start();
    let gateway = started(&upstream, "3s").start();
    upstream.inject(Fault::Html { status: 500 });
    assert_eq!(post(&gateway, KYC_API, UPDATE_STATUS, 3), ["upstream_invalid"; 3]);
    let sent = upstream.counts().requests;
    let refused = gateway.post(KYC_API, UPDATE_STATUS);
    assert_eq!((refused.status, code(&refused).as_deref()), (503, Some("upstream_suspended")));
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&seconds), "{seconds}");
    assert_eq!(upstream.counts().requests, sent, "nothing was sent");
    assert_eq!(gateway.record_of(&refused)["bytes"]["sent"], 0);
    assert_eq!(state(&gateway, "caller", "kyc-api", "write"), Some(2.0));

    upstream.inject(Fault::None);
    assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200, "its reads go on");
    assert_eq!(gateway.post(OPS_PORTAL, UPDATE_STATUS).status, 200, "other callers' writes go on");
    assert_eq!(state(&gateway, "endpoint", "", ""), Some(0.0));
    assert_eq!(gateway.operators("/readyz").text(), "ready\n");

    wait_for_success(&gateway, KYC_API, UPDATE_STATUS);
    assert_eq!(state(&gateway, "caller", "kyc-api", "write"), Some(0.0));
    let states = ["open", "half_open", "closed"].map(|state| json!(["kyc-api", "write", state]));
    wait_for_told(&gateway, &states);
}

#[test]
fn a_probe_that_fails_opens_it_again() {
    let upstream = Upstream::start();
    let gateway = started(&upstream, "100ms").start();
    upstream.inject(Fault::Html { status: 500 });
    wait_for("two probes to have failed", || {
        gateway.post(KYC_API, GET_STATUS);
        (told(&gateway).len() >= 5).then_some(())
    });
    let states: Vec<_> = told(&gateway).iter().map(|told| told[2].as_str().unwrap().to_owned()).collect();
    assert_eq!(states[..5], ["open", "half_open", "open", "half_open", "open"]);
    // Three failures opened it, and each probe was one request. Lines are written a moment later.
    wait_for("a line for each probe", || {
        let probes = told(&gateway).iter().filter(|told| told[2] == "half_open").count();
        (upstream.counts().requests == 3 + u64::try_from(probes).unwrap()).then_some(())
    });
    upstream.inject(Fault::None);
    wait_for_success(&gateway, KYC_API, GET_STATUS);
}

#[test]
fn an_upstream_that_cannot_be_reached_is_left_alone_by_all_and_by_the_only_caller_too() {
    let upstream = Upstream::start();
    let gateway = started(&upstream, "3s").start();
    upstream.inject(Fault::ResetOnAccept);
    let codes = post(&gateway, KYC_API, UPDATE_STATUS, 4);
    assert_eq!(
        codes,
        ["upstream_unreachable", "upstream_unreachable", "upstream_unreachable", "upstream_suspended"]
    );
    assert_eq!(post(&gateway, BATCH, GET_STATUS, 1), ["upstream_suspended"]);
    assert_eq!(upstream.counts().connections, 3);
    assert_eq!(state(&gateway, "endpoint", "", ""), Some(2.0));
    assert_eq!(gateway.operators("/readyz").text(), "ready\n");
    upstream.inject(Fault::None);
    wait_for_success(&gateway, KYC_API, UPDATE_STATUS);
    let states = ["open", "half_open", "closed"].map(|state| json!(["endpoint", null, state]));
    wait_for_told(&gateway, &states);
}

#[test]
fn what_several_callers_meet_after_they_sent_suspends_all() {
    let upstream = Upstream::start();
    let gateway = started(&upstream, "3s").start();
    upstream.inject(Fault::Html { status: 503 });
    assert_eq!(post(&gateway, KYC_API, GET_STATUS, 4)[3], "upstream_suspended");
    assert_eq!(state(&gateway, "endpoint", "", ""), Some(0.0), "one caller's failures are its own");
    assert_eq!(post(&gateway, OPS_PORTAL, GET_STATUS, 4)[3], "upstream_suspended");
    let sent = upstream.counts().requests;
    assert_eq!(post(&gateway, BATCH, GET_STATUS, 1), ["upstream_suspended"], "it had not tried yet");
    assert_eq!(upstream.counts().requests, sent);
    upstream.inject(Fault::None);
    wait_for_success(&gateway, BATCH, GET_STATUS);
}

#[test]
fn a_caller_that_keeps_failing_suspends_nobody_but_itself() {
    let upstream = Upstream::start();
    let gateway = started(&upstream, "100ms").start();
    for _ in 0..30 {
        upstream.inject(Fault::ResetAfterRequest);
        post(&gateway, KYC_API, UPDATE_STATUS, 3);
        upstream.inject(Fault::None);
        assert_eq!(gateway.post(BATCH, GET_STATUS).status, 200);
    }
    assert!(told(&gateway).iter().all(|told| told[0] == "kyc-api" && told[1] == "write"));
}

#[test]
fn an_error_that_the_request_deserves_is_no_failure() {
    let upstream = Upstream::start();
    let gateway = started(&upstream, "3s").start();
    let unknown = GET_STATUS.replace("jane", "nobody");
    upstream.inject(Fault::EarlyHtml { status: 413 });
    assert_eq!(post(&gateway, KYC_API, UPDATE_STATUS, 10), ["upstream_invalid"; 10]);
    upstream.inject(Fault::None);
    let answers: Vec<Answer> = (0..10).map(|_| gateway.post(KYC_API, &unknown)).collect();
    assert!(answers.iter().all(|answer| answer.json()["result"] == "Error"));
    assert_eq!(told(&gateway), Vec::<Value>::new());
}

#[test]
fn answers_that_take_too_long_open_it_too() {
    let upstream = Upstream::start();
    let gateway = started(&upstream, "3s").set("upstream.breaker.slow", "200ms").start();
    upstream.delay(Duration::from_millis(300));
    assert!((0..3).all(|_| gateway.post(KYC_API, GET_STATUS).status == 200));
    assert_eq!(post(&gateway, KYC_API, GET_STATUS, 1), ["upstream_suspended"]);
}

#[test]
fn a_write_that_hangs_is_told_to_the_breaker_at_its_deadline() {
    let upstream = Upstream::start();
    let gateway = started(&upstream, "3s").set("endpoints.storage.deadline", "4s").start();
    upstream.inject(Fault::HangAfterRead);
    std::thread::scope(|threads| {
        let posts: Vec<_> =
            (0..3).map(|_| threads.spawn(|| post(&gateway, KYC_API, UPDATE_STATUS, 1))).collect();
        posts.into_iter().for_each(|post| assert_eq!(post.join().unwrap(), ["upstream_timeout"]));
    });
    // They are seen through for another four seconds, which nobody else has to wait for.
    wait_for("the breaker to open", || {
        (state(&gateway, "caller", "kyc-api", "write") == Some(2.0)).then_some(())
    });
    assert_eq!(gateway.metric("dcams_gateway_requests_in_progress"), Some(3.0));
    assert_eq!(post(&gateway, KYC_API, UPDATE_STATUS, 1), ["upstream_suspended"]);
}

#[test]
fn a_probe_whose_caller_left_frees_its_place() {
    let upstream = Upstream::start();
    let gateway = started(&upstream, "100ms").start();
    upstream.inject(Fault::Html { status: 500 });
    post(&gateway, KYC_API, GET_STATUS, 3);
    upstream.inject(Fault::HangAfterRead);
    let before = upstream.counts().requests;
    // Until one passes as the probe, and hangs; the others are refused.
    let hanging = wait_for("a probe", || {
        let refused = gateway.outcomes().len();
        let mut connection = gateway.connect();
        connection.send(&message(KYC_API, GET_STATUS.as_bytes()));
        let probes = wait_for("a probe or a refusal", || {
            let probes = upstream.counts().requests > before;
            (probes || gateway.outcomes().len() > refused).then_some(probes)
        });
        probes.then_some(connection)
    });
    assert_eq!(post(&gateway, KYC_API, GET_STATUS, 1), ["upstream_suspended"], "its place is taken");
    drop(hanging);
    upstream.inject(Fault::None);
    wait_for_success(&gateway, KYC_API, GET_STATUS);
}
