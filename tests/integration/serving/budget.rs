//! Whose bytes are held in memory, and who waits for whom?

use super::make::{MIB, bodies_in_memory, customer_of, ending, head, status_of};
use crate::harness::{
    BATCH, Connection, GET_STATUS, Gateway, KYC_API, OPS_PORTAL, Setup, Upstream, wait_for,
};

/// Begins a request of `caller` of which `bytes` arrive and the end does not.
fn hold(gateway: &Gateway, caller: &str, bytes: usize) -> Connection {
    let before = bodies_in_memory(gateway);
    let mut connection = gateway.connect();
    connection.send(&head(caller, "Transfer-Encoding: chunked\r\n"));
    connection.send(format!("{bytes:x}\r\n").as_bytes());
    connection.send(&vec![b' '; bytes]);
    wait_for("the bytes to arrive", || (bodies_in_memory(gateway) == before + bytes as u64).then_some(()));
    connection
}

/// All bodies together may have `budget`, a caller `share` of it, and one body 1 MiB. None is ever too slow.
fn small(upstream: &Upstream, budget: &str, share: &str, wait: &str) -> Gateway {
    let setup = Setup::before(upstream)
        .set("data.body_budget", budget)
        .set("data.caller_share", share)
        .set("data.min_body_rate", "0B/s")
        .set("data.budget_wait", wait);
    let services = ["createOrUpdateCustomer", "getStatus", "getDocumentImages", "updateStatus"];
    let limited = |setup: Setup, service| setup.set(&format!("services.{service}.body_limit"), "1MiB");
    services.into_iter().fold(setup, limited).start()
}

#[test]
fn promises_alone_starve_nobody() {
    let upstream = Upstream::start();
    let gateway =
        Setup::before(&upstream).set("data.body_budget", "24MiB").set("data.caller_share", "100%").start();
    let promise = head(OPS_PORTAL, &format!("Content-Length: {}\r\n", 20 * MIB));
    let promising: Vec<_> = (0..13)
        .map(|_| {
            let mut connection = gateway.connect();
            connection.send(&promise);
            connection
        })
        .collect();
    wait_for("the promises", || {
        (gateway.metric("dcams_gateway_requests_in_progress")? == 13.0).then_some(())
    });
    assert_eq!(bodies_in_memory(&gateway), 0);
    assert_eq!(gateway.post(KYC_API, customer_of(20 * MIB)).status, 200);
    drop(promising);
    let lines = gateway.wait_for_outcomes(14);
    let endings: Vec<_> = lines.iter().map(ending).collect();
    assert_eq!(endings[0], ("forwarded", None, Some(200)));
    assert_eq!(endings[1..], [("abandoned", None, None); 13]);
}

#[test]
fn a_caller_holds_no_more_than_its_share() {
    let upstream = Upstream::start();
    let gateway = small(&upstream, "2MiB", "50%", "100ms");
    let held = hold(&gateway, KYC_API, MIB - 1024);
    let refused = gateway.post(KYC_API, status_of(100_000));
    let problem = refused.json();
    assert_eq!((refused.status, problem["limit"].as_str()), (429, Some("caller_bytes")));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(gateway.record_of(&refused)["limit"], "caller_bytes");
    assert_eq!(gateway.post(OPS_PORTAL, status_of(100_000)).status, 200);
    drop(held);
    wait_for("the bytes to be given back", || (bodies_in_memory(&gateway) == 0).then_some(()));
    assert_eq!(gateway.post(KYC_API, status_of(100_000)).status, 200);
}

#[test]
fn a_full_budget_is_waited_for_and_then_overloaded() {
    let upstream = Upstream::start();
    let gateway = small(&upstream, "1MiB", "100%", "100ms");
    let held = hold(&gateway, KYC_API, MIB);
    let refused = gateway.post(BATCH, GET_STATUS);
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("overloaded")));
    assert!(refused.header("retry-after").is_some());
    drop(held);
    wait_for("the bytes to be given back", || (bodies_in_memory(&gateway) == 0).then_some(()));
    assert_eq!(gateway.post(BATCH, GET_STATUS).status, 200);
}

#[test]
fn bytes_given_back_serve_who_waits() {
    let upstream = Upstream::start();
    let gateway = small(&upstream, "1MiB", "100%", "10s");
    let held = hold(&gateway, KYC_API, MIB);
    let mut waiting = gateway.connect();
    waiting.send(&crate::harness::message(BATCH, GET_STATUS.as_bytes()));
    wait_for("two requests", || (gateway.metric("dcams_gateway_requests_in_progress")? == 2.0).then_some(()));
    drop(held);
    assert_eq!(waiting.read_answer().status, 200);
}
