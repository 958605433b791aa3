//! Can a double be steered and questioned from outside?

use http::Method;
use serde_json::Value;

use super::client::{Client, start};
use crate::simulate::Fault;

#[tokio::test]
async fn a_fault_is_set_for_one_request_or_for_all_over_the_control_path() {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    for order in ["once html:503", "html:502"] {
        assert_eq!(client.send(Method::POST, "/control/fault", order).await.unwrap().status(), 200);
    }
    for status in [503, 502, 502] {
        assert_eq!(client.post("").await.unwrap().status(), status);
    }
    double.inject(Fault::None);
    assert_eq!(client.post("").await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_order_that_is_not_understood_is_answered_400_and_changes_nothing() {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    double.inject(Fault::Html { status: 502 });
    for (what, order) in
        [("fault", "nonsense"), ("latency", "soon"), ("credentials", "{}"), ("keep", "perhaps")]
    {
        let response = client.send(Method::POST, &format!("/control/{what}"), order).await.unwrap();
        assert_eq!(response.status(), 400, "{what}");
    }
    assert_eq!(client.post("").await.unwrap().status(), 502);
}

#[tokio::test]
async fn received_requests_are_told_in_base64_and_forgotten_on_demand() {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    client.post("{}").await.unwrap();
    let told = client.send(Method::GET, "/control/received", "").await.unwrap();
    let told: Value = serde_json::from_str(std::str::from_utf8(told.body()).unwrap()).unwrap();
    assert_eq!(told[0]["body"], "e30=");
    assert_eq!(told[0]["target"], "/v3/stable/api/storage");
    assert_eq!(told[0]["complete"], true);
    client.send(Method::DELETE, "/control/received", "").await.unwrap();
    assert_eq!(double.received().len(), 0);
    client.send(Method::POST, "/control/keep", "off").await.unwrap();
    client.post("{}").await.unwrap();
    assert_eq!((double.received().len(), double.counts().requests), (0, 2));
}

#[tokio::test]
async fn the_state_tells_faults_latency_and_counts() {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    client.post("{}").await.unwrap();
    client.send(Method::POST, "/control/latency", "250us").await.unwrap();
    client.send(Method::POST, "/control/credentials", r#"{"user":"u","pass":"p"}"#).await.unwrap();
    double.inject(Fault::Truncate { after: 7 });
    double.inject_once(Fault::SetCookie);
    let state = client.send(Method::GET, "/control/state", "").await.unwrap();
    let mut state: Value = serde_json::from_str(std::str::from_utf8(state.body()).unwrap()).unwrap();
    state["bytes"].take();
    let expected = serde_json::json!({
        "fault": "truncate:7", "once": ["set-cookie"], "latency": "250us", "customers": 0, "keeps": true,
        "connections": 1, "handshakes": 1, "failed_handshakes": 0, "requests": 1, "bytes": null,
    });
    assert_eq!(state, expected);
}
