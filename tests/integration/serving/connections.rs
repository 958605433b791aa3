//! Until when, and how many, connections may be open?

use std::io::Read;
use std::time::Duration;

use dcams_gateway::simulate::Fault;

use super::make::GET_IMAGES;
use super::make::{customer_with_photo, ending, head, narrow, wait_for_events};
use crate::harness::{Connection, GET_STATUS, KYC_API, Setup, Upstream, message, wait_for};

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("data.first_byte_timeout", "100ms").start();
    assert!(gateway.connect().is_closed());
    wait_for_events(&gateway, "first_byte_timeout", 1.0);
    let gateway = Setup::before(&upstream).tls().set("data.first_byte_timeout", "100ms").start();
    assert!(Connection::plain(gateway.data()).is_closed());
    wait_for_events(&gateway, "first_byte_timeout", 1.0);
}

#[test]
fn a_head_that_does_not_end_is_closed() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("data.header_timeout", "100ms").start();
    let mut connection = gateway.connect();
    connection.send(b"POST / HTTP/1.1\r\n");
    assert!(connection.is_closed());
    // The second head of a connection has the same time.
    let mut connection = gateway.connect();
    assert_eq!(connection.post(KYC_API, GET_STATUS.as_bytes()).status, 200);
    connection.send(b"POST / HTTP/1.1\r\n");
    assert!(connection.is_closed());
    wait_for_events(&gateway, "header_timeout", 2.0);
}

#[test]
fn an_idle_connection_is_closed() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("data.idle_timeout", "100ms").start();
    let mut connection = gateway.connect();
    assert_eq!(connection.post(KYC_API, GET_STATUS.as_bytes()).status, 200);
    assert!(connection.is_closed());
    wait_for_events(&gateway, "idle_timeout", 1.0);
}

#[test]
fn a_body_that_does_not_end_is_refused() {
    let upstream = Upstream::start();
    let total = ("data.body_timeout", "100ms");
    let rate = ("data.min_body_rate_grace", "100ms");
    for (key, value) in [total, rate] {
        let gateway = Setup::before(&upstream).set(key, value).set("data.min_body_rate", "1MiB/s").start();
        let mut connection = gateway.connect();
        connection.send(&head(KYC_API, "Content-Length: 1000\r\n"));
        connection.send(b"{\"service\"");
        let answer = connection.read_answer();
        assert_eq!((answer.status, answer.json()["code"].as_str()), (408, Some("body_timeout")), "{key}");
        assert_eq!(gateway.record_of(&answer)["bytes"]["received"], 10, "{key}");
        assert!(connection.is_closed());
    }
    assert!(upstream.received().is_empty());
}

#[test]
fn an_answer_that_nobody_reads_is_given_up() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .set("data.idle_timeout", "200ms")
        .set("data.min_body_rate", "1GiB/s")
        .start();
    assert_eq!(gateway.post(KYC_API, customer_with_photo()).status, 200);
    let mut stream = narrow(gateway.data(), &message(KYC_API, GET_IMAGES.as_bytes()));
    let record = &gateway.wait_for_outcomes(2)[1];
    assert_eq!(ending(record), ("truncated", None, Some(200)));
    wait_for_events(&gateway, "reader_timeout", 1.0);
    // The rest is what the systems had taken.
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < customer_with_photo().len());
}

#[test]
fn more_connections_than_allowed_are_refused_while_all_are_in_use() {
    let upstream = Upstream::start();
    for (limit, event) in
        [("data.max_connections", "refused_total"), ("data.max_connections_per_peer", "refused_peer")]
    {
        let gateway = Setup::before(&upstream).set(limit, "2").start();
        upstream.forget_received();
        let held = [gateway.connect(), gateway.connect()].map(|mut connection| {
            upstream.inject_once(Fault::HangAfterRead);
            connection.send(&message(KYC_API, GET_STATUS.as_bytes()));
            connection
        });
        upstream.wait_for_received(2);
        let mut refused = gateway.connect();
        let answer = refused.read_answer();
        assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("overloaded")), "{limit}");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(refused.is_closed(), "{limit}");
        wait_for_events(&gateway, event, 1.0);
        drop(held);
        wait_for("the connections to end", || {
            (gateway.metric("dcams_gateway_connections_open")? == 0.0).then_some(())
        });
        assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200, "{limit}");
    }
}

#[test]
fn a_new_connection_takes_the_place_of_an_idle_one() {
    let upstream = Upstream::start();
    for limit in ["data.max_connections", "data.max_connections_per_peer"] {
        let gateway = Setup::before(&upstream).set(limit, "2").start();
        let mut caller = gateway.connect();
        assert_eq!(caller.post(KYC_API, GET_STATUS.as_bytes()).status, 200);
        let mut stranger = gateway.connect();
        assert_eq!(stranger.post("wrong", GET_STATUS.as_bytes()).status, 401);
        assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200, "{limit}");
        assert!(stranger.is_closed(), "{limit}");
        assert_eq!(caller.post(KYC_API, GET_STATUS.as_bytes()).status, 200, "{limit}");
        wait_for_events(&gateway, "gave_way", 1.0);
    }
}

#[test]
fn a_connection_that_rested_goes_on_as_if_it_had_not() {
    let upstream = Upstream::start();
    // Nothing shows from outside that a connection rests: it does so after 20 ms.
    let rest = || std::thread::sleep(Duration::from_millis(100));
    for setup in [Setup::before(&upstream), Setup::before(&upstream).tls()] {
        let gateway = setup.set("data.header_timeout", "1s").start();
        let mut connection = gateway.connect();
        let request = message(KYC_API, GET_STATUS.as_bytes());
        // Before its first byte, and after each of the pieces: what comes with a request is the beginning of the next.
        let (begun, half) = (request.len() / 4, request.len() / 2);
        for piece in [&[&request[..], &request[..begun]].concat()[..], &request[begun..]] {
            rest();
            connection.send(piece);
            assert_eq!(connection.read_answer().status, 200);
        }
        rest();
        connection.send(&request[..half]);
        rest();
        connection.send(&request[half..]);
        assert_eq!(connection.read_answer().status, 200);
        // A beginning that came with a request and is all that comes.
        connection.send(&[&request[..], &request[..begun]].concat());
        assert_eq!(connection.read_answer().status, 200);
        assert!(connection.is_closed());
        wait_for_events(&gateway, "header_timeout", 1.0);
        let mut connection = gateway.connect();
        assert_eq!(connection.post(KYC_API, GET_STATUS.as_bytes()).status, 200);
        rest();
        connection.send(b"this is no head\r\n\r\n");
        assert_eq!(connection.read_answer().status, 400);
        assert!(connection.is_closed());
    }
}

#[test]
fn an_answer_that_is_read_late_is_no_rest() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    assert_eq!(gateway.post(KYC_API, customer_with_photo()).status, 200);
    let whole = gateway.post(KYC_API, GET_IMAGES);
    let mut late = narrow(gateway.data(), &message(KYC_API, GET_IMAGES.as_bytes()));
    std::thread::sleep(Duration::from_millis(500));
    late.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut rest = Vec::new();
    let _ = late.read_to_end(&mut rest);
    assert!(whole.body.ends_with(&rest) && rest.len() + 1024 >= whole.body.len(), "{} bytes", rest.len());
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("data.max_head", "8KiB").start();
    let mut connection = gateway.connect();
    connection.send(&head(KYC_API, &format!("X-Padding: {}\r\n", "x".repeat(9 << 10))));
    assert_eq!(connection.read_answer().status, 431);
    assert!(connection.is_closed());
}
