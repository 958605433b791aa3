//! In which ways can a request end without its answer, and what is recorded then?

use std::time::Duration;

use dcams_gateway::simulate::Fault;

use super::make::{GET_IMAGES, customer_with_photo, ending, head, narrow};
use crate::harness::{GET_STATUS, KYC_API, Setup, UPDATE_STATUS, Upstream, message, wait_for};

#[test]
fn a_caller_that_leaves_within_its_body_is_recorded() {
    let upstream = Upstream::start();
    let mut gateway = Setup::before(&upstream).start();
    let mut connection = gateway.connect();
    connection.send(&head(KYC_API, "Content-Length: 1000\r\n"));
    connection.send(b"{\"service\":");
    wait_for("the body to begin", || (super::make::bodies_in_memory(&gateway) == 11).then_some(()));
    drop(connection);
    let record = &gateway.wait_for_outcomes(1)[0];
    assert_eq!((ending(record), record["bytes"]["received"].as_u64()), (("abandoned", None, None), Some(11)));
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(gateway.outcomes().len(), 1);
}

#[test]
fn a_read_whose_caller_leaves_is_cancelled() {
    let upstream = Upstream::start();
    let mut gateway = Setup::before(&upstream).start();
    upstream.inject_once(Fault::HangAfterRead);
    let mut connection = gateway.connect();
    connection.send(&message(KYC_API, GET_STATUS.as_bytes()));
    upstream.wait_for_received(1);
    drop(connection);
    // Within the patience of this test; the deadline is twice as long.
    assert_eq!(ending(&gateway.wait_for_outcomes(1)[0]), ("abandoned", None, None));
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(gateway.outcomes().len(), 1);
}

#[test]
fn a_write_that_has_begun_is_finished_without_its_caller() {
    let upstream = Upstream::start();
    let mut gateway = Setup::before(&upstream).start();
    upstream.delay(Duration::from_millis(300));
    let mut connection = gateway.connect();
    connection.send(&message(KYC_API, UPDATE_STATUS.as_bytes()));
    upstream.wait_for_received(1);
    drop(connection);
    assert_eq!(ending(&gateway.wait_for_outcomes(1)[0]), ("abandoned", None, Some(200)));
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(gateway.outcomes().len(), 1);
}

#[test]
fn a_write_that_has_not_begun_is_cancelled_with_its_caller() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("upstream.connect_timeout", "60s").start();
    upstream.inject_once(Fault::HangOnAccept);
    let mut connection = gateway.connect();
    connection.send(&message(KYC_API, UPDATE_STATUS.as_bytes()));
    wait_for("a connection", || (upstream.counts().connections == 1).then_some(()));
    drop(connection);
    let record = &gateway.wait_for_outcomes(1)[0];
    assert_eq!((ending(record), record["bytes"]["sent"].as_u64()), (("abandoned", None, None), Some(0)));
    assert_eq!(upstream.counts().requests, 0);
}

#[test]
fn a_write_that_is_still_going_on_at_the_deadline_is_recorded_once() {
    let upstream = Upstream::start();
    let deadline = |text: &mut String| *text = text.replace("deadline = \"20s\"", "deadline = \"1s\"");
    let mut gateway = Setup::before(&upstream).edit(deadline).start();
    // Within the time that a write has on top.
    upstream.delay(Duration::from_millis(1300));
    let answer = gateway.post(KYC_API, UPDATE_STATUS);
    assert_eq!((answer.status, answer.json()["outcome"].as_str()), (504, Some("unknown")));
    let record = gateway.record_of(&answer);
    assert_eq!(ending(&record), ("refused", Some("upstream_timeout"), Some(200)));
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(gateway.outcomes().len(), 1);
}

#[test]
fn an_answer_that_is_cut_by_its_caller_is_recorded_as_such() {
    let upstream = Upstream::start();
    let mut gateway = Setup::before(&upstream).start();
    assert_eq!(gateway.post(KYC_API, customer_with_photo()).status, 200);
    let stream = narrow(gateway.data(), &message(KYC_API, GET_IMAGES.as_bytes()));
    drop(stream);
    let record = &gateway.wait_for_outcomes(2)[1];
    assert_eq!(ending(record), ("truncated", None, Some(200)));
    let bytes = |name: &str| record["bytes"][name].as_u64().unwrap();
    assert!(bytes("returned") < bytes("answer"), "{record}");
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(gateway.outcomes().len(), 2);
}
