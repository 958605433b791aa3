//! What becomes of requests in progress when the process is told to end?

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use dcams_gateway::simulate::Fault;
use http::StatusCode;

use super::http2::{connect, request, run, whole};
use super::make::ending;
use crate::harness::{GET_STATUS, Gateway, KYC_API, Setup, UPDATE_STATUS, Upstream, message, wait_for};

/// Until it took this long, an answer is in progress; the end is told within it.
const WORK: Duration = Duration::from_millis(400);

fn end_while_in_progress(gateway: &Gateway, upstream: &Upstream, requests: usize) {
    upstream.wait_for_received(requests);
    gateway.terminate();
    let refused = wait_for("the listener to close", || TcpStream::connect(gateway.data()).err());
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

fn ended_whole(mut gateway: Gateway, requests: usize) {
    assert_eq!(gateway.wait().code(), Some(0));
    let lines = gateway.outcomes();
    assert_eq!(lines.len(), requests);
    assert!(lines.iter().all(|line| ending(line) == ("forwarded", None, Some(200))), "{lines:?}");
}

#[test]
fn requests_in_progress_are_answered_over_http1() {
    for tls in [false, true] {
        let upstream = Upstream::start();
        let setup = Setup::before(&upstream);
        let gateway = if tls { setup.tls() } else { setup }.start();
        upstream.delay(WORK);
        let mut connections = [gateway.connect(), gateway.connect()];
        for (connection, body) in connections.iter_mut().zip([GET_STATUS, UPDATE_STATUS]) {
            connection.send(&message(KYC_API, body.as_bytes()));
        }
        // Neither waits for anything nor keeps the process from its end.
        let _silent = gateway.connect();
        end_while_in_progress(&gateway, &upstream, 2);
        for connection in &mut connections {
            assert_eq!(connection.read_answer().status, 200);
            assert!(connection.is_closed());
        }
        ended_whole(gateway, 2);
    }
}

#[test]
fn requests_in_progress_are_answered_over_http2() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).tls().start();
    upstream.delay(WORK);
    run(async {
        let mut sender = connect(&gateway, 1 << 20).await;
        let answers =
            [GET_STATUS, UPDATE_STATUS].map(|body| tokio::spawn(sender.send_request(request(KYC_API, body))));
        while upstream.received().len() < 2 {
            tokio::task::yield_now().await;
        }
        gateway.terminate();
        for answer in answers {
            assert_eq!(whole(answer.await.unwrap().unwrap()).await.0, StatusCode::OK);
        }
    });
    ended_whole(gateway, 2);
}

#[test]
fn a_request_that_was_sent_before_the_end_is_answered() {
    let upstream = Upstream::start();
    for _ in 0..5 {
        let mut gateway = Setup::before(&upstream).start();
        let mut connections = [gateway.connect(), gateway.connect(), gateway.connect()];
        for connection in &mut connections {
            connection.send(&message(KYC_API, GET_STATUS.as_bytes()));
        }
        // As soon as they are accepted, whether or not anything was read.
        wait_for("the connections", || {
            (gateway.metric("dcams_gateway_connections_open")? == 3.0).then_some(())
        });
        gateway.terminate();
        for connection in &mut connections {
            assert!([200, 503].contains(&connection.read_answer().status));
        }
        assert_eq!(gateway.wait().code(), Some(0));
        assert_eq!(gateway.outcomes().len(), 3);
    }
}

#[test]
fn a_write_without_its_caller_is_waited_for() {
    let upstream = Upstream::start();
    let mut gateway = Setup::before(&upstream).start();
    upstream.delay(WORK);
    let mut connection = gateway.connect();
    connection.send(&message(KYC_API, UPDATE_STATUS.as_bytes()));
    upstream.wait_for_received(1);
    drop(connection);
    gateway.terminate();
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(ending(&gateway.outcomes()[0]), ("abandoned", None, Some(200)));
}

#[test]
fn a_second_signal_ends_at_once_and_loses_no_record() {
    let upstream = Upstream::start();
    let mut gateway = Setup::before(&upstream).start();
    upstream.inject_once(Fault::HangAfterRead);
    let mut connection = gateway.connect();
    connection.send(&message(KYC_API, UPDATE_STATUS.as_bytes()));
    upstream.wait_for_received(1);
    gateway.terminate();
    wait_for("the drain", || {
        gateway.log_lines().iter().any(|line| line["message"] == "draining").then_some(())
    });
    gateway.terminate();
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(gateway.stderr().contains("stopped with requests in progress"));
    let lines = gateway.outcomes();
    assert_eq!((lines.len(), ending(&lines[0])), (1, ("abandoned", None, None)));
    assert!(connection.is_closed());
}

#[test]
fn a_drain_ends_at_its_limit_and_loses_no_record() {
    let upstream = Upstream::start();
    let mut gateway = Setup::before(&upstream).set("data.drain_timeout", "100ms").start();
    upstream.inject_once(Fault::HangAfterRead);
    let mut connection = gateway.connect();
    connection.send(&message(KYC_API, GET_STATUS.as_bytes()));
    upstream.wait_for_received(1);
    assert_eq!(gateway.stop().code(), Some(0));
    let lines = gateway.outcomes();
    assert_eq!((lines.len(), ending(&lines[0])), (1, ("abandoned", None, None)));
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let upstream = Upstream::start();
    let mut gateway = Setup::before(&upstream).set("data.drain_timeout", "1h").start();
    let mut connection = gateway.connect();
    assert_eq!(connection.post(KYC_API, GET_STATUS.as_bytes()).status, 200);
    assert_eq!(gateway.stop().code(), Some(0));
    assert!(connection.is_closed());
}
