//! Which limit refuses, and what does it tell?

use serde_json::json;

use super::scene::{Expected, HOST, JSON, Met, Scene, head, key_line};
use crate::harness::{BATCH, Connection, GET_STATUS, KYC_API, PATH, UPDATE_STATUS, wait_for};
use dcams_gateway::simulate::Fault;

fn limited(expected: Expected, limit: &str, policy: &str) -> Expected {
    expected
        .problem("limit", json!(limit))
        .header("ratelimit-policy", &format!("\"{limit}\";{policy}"))
        .header("ratelimit", &format!("\"{limit}\";r=0;t=1"))
}

/// One request, then none for a second.
const ONE: &str = "{ per_second = 1, burst = 1 }";

pub fn a_caller_beyond_its_rate_is_refused() -> Met {
    let mut scene = Scene::with(|setup| setup.set("callers.kyc-api.rate", ONE));
    assert_eq!(scene.post(GET_STATUS).status, 200);
    let answer = scene.post(GET_STATUS);
    let expected = limited(Expected::caller("rate_limited"), "caller", "q=1;w=1");
    let met = expected.record("endpoint", json!("storage")).sent(&[GET_STATUS]).meets(&mut scene, &answer);
    // Another caller is not concerned.
    assert_eq!(scene.gateway.post(BATCH, GET_STATUS).status, 200);
    met
}

pub fn a_caller_beyond_its_rate_for_a_service_is_refused() -> Met {
    let rates = "{ getStatus = { per_second = 1, burst = 1 } }";
    let mut scene = Scene::with(|setup| setup.set("callers.kyc-api.service_rates", rates));
    assert_eq!(scene.post(GET_STATUS).status, 200);
    let answer = scene.post(GET_STATUS);
    let expected = limited(Expected::service("rate_limited", "getStatus"), "caller_service", "q=1;w=1");
    let met = expected.sent(&[GET_STATUS]).meets(&mut scene, &answer);
    // Another service is not concerned.
    assert_eq!(scene.post(UPDATE_STATUS).status, 200);
    met
}

pub fn a_caller_with_too_many_requests_in_progress_is_refused() -> Met {
    let mut scene = Scene::with(|setup| setup.set("callers.kyc-api.max_requests", "1"));
    scene.upstream.inject_once(Fault::HangAfterRead);
    let mut hanging = scene.gateway.connect();
    hanging.send(&crate::harness::message(KYC_API, GET_STATUS.as_bytes()));
    scene.upstream.wait_for_received(1);
    let answer = scene.post(GET_STATUS);
    let policy = "q=1;qu=\"concurrent-requests\"";
    let expected = limited(Expected::endpoint("rate_limited"), "caller_requests", policy);
    let met = expected.sent(&[GET_STATUS]).meets(&mut scene, &answer);
    // It is a limit of what is in progress: when the caller gives up on the first, there is room.
    drop(hanging);
    wait_for("room for a request", || (scene.post(GET_STATUS).status == 200).then_some(()));
    met
}

pub fn a_caller_with_too_many_bytes_in_memory_is_refused() -> Met {
    let mut scene =
        Scene::with(|setup| setup.set("callers.kyc-api.max_body", "2KiB").set("data.budget_wait", "0s"));
    let holding = hold(&scene, KYC_API, 1_500, 2_000);
    let answer = scene.post(format!("{GET_STATUS}{}", " ".repeat(1_000)));
    let policy = "q=2048;qu=\"content-bytes\"";
    let expected = limited(Expected::endpoint("rate_limited"), "caller_bytes", policy);
    let met = expected.meets(&mut scene, &answer);
    // Another caller is not concerned.
    assert_eq!(scene.gateway.post(BATCH, GET_STATUS).status, 200);
    drop(holding);
    met
}

pub fn a_request_beyond_the_rate_of_the_account_is_refused() -> Met {
    let mut scene = Scene::with(|setup| setup.set("credentials.production.rate", ONE));
    // The account is shared: it is another caller that uses it up.
    assert_eq!(scene.gateway.post(BATCH, GET_STATUS).status, 200);
    let answer = scene.post(GET_STATUS);
    let expected = limited(Expected::service("rate_limited", "getStatus"), "account", "q=1;w=1");
    let credential = json!({"name": "production", "version": 1});
    expected.record("credential", credential).sent(&[GET_STATUS]).meets(&mut scene, &answer)
}

/// A connection on which `sent` of `promised` bytes of a body have arrived.
pub fn hold(scene: &Scene, key: &str, sent: usize, promised: usize) -> Connection {
    let mut holding = scene.gateway.connect();
    let key = key_line().replace(KYC_API, key);
    let head = head("POST", PATH, &[HOST, &key, JSON, &format!("Content-Length: {promised}")]);
    holding.send(head.as_bytes());
    holding.send(" ".repeat(sent).as_bytes());
    let series = "dcams_gateway_memory_bytes{kind=\"bodies\"}";
    wait_for("the bytes to be held", || scene.gateway.metric(series).filter(|bytes| *bytes >= sent as f64));
    holding
}
