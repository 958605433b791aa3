//! How does a body come in, and how is one refused that is still on its way?

use std::io::{Read, Write};
use std::net::TcpStream;

use super::make::{
    GET_IMAGES, MIB, customer_of, customer_with_photo, ending, head, narrow, sealed, status_of,
};
use crate::harness::{
    Answer, BATCH, Connection, GET_STATUS, KYC_API, PATIENCE, Setup, Upstream, message, wait_for,
};

#[test]
fn a_body_of_20_mib_is_forwarded_byte_for_byte() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let body = customer_of(20 * MIB);
    let answer = gateway.post(KYC_API, &body);
    assert_eq!((answer.status, answer.json()["result"].as_str()), (200, Some("Success")));
    assert!(upstream.wait_for_received(1)[0].body == sealed(&body), "the bodies differ");
    let record = gateway.record_of(&answer);
    assert_eq!(record["bytes"]["received"], 20 * MIB);
}

#[test]
fn a_chunked_body_of_20_mib_is_forwarded_byte_for_byte() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let body = customer_of(20 * MIB);
    let mut connection = gateway.connect();
    connection.send(&head(KYC_API, "Transfer-Encoding: chunked\r\n"));
    // Sizes that fit no buffer.
    let mut rest = &body[..];
    for size in [1, 7, 4_099, 65_537].into_iter().cycle() {
        let (chunk, after) = rest.split_at(rest.len().min(size));
        connection.send(format!("{:x}\r\n", chunk.len()).as_bytes());
        connection.send(chunk);
        connection.send(b"\r\n");
        rest = after;
        if chunk.is_empty() {
            break;
        }
    }
    assert_eq!(connection.read_answer().status, 200);
    let received = &upstream.wait_for_received(1)[0];
    assert!(received.body == sealed(&body), "the bodies differ");
    assert_eq!(received.headers["content-length"], sealed(&body).len().to_string());
    assert_eq!(connection.post(KYC_API, GET_STATUS.as_bytes()).status, 200);
}

#[test]
fn one_byte_more_than_the_limit_is_refused() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("services.getStatus.body_limit", "4KiB").start();
    assert_eq!(gateway.post(BATCH, status_of(4096)).status, 200);
    let refused = gateway.post(BATCH, status_of(4097));
    assert_eq!((refused.status, refused.json()["limit_bytes"].as_u64()), (413, Some(4096)));
    // A caller with a service that takes more is told so when the service is known.
    let known = gateway.post(KYC_API, status_of(4097));
    assert_eq!((known.status, known.json()["limit_bytes"].as_u64()), (413, Some(4096)));
    let received = |answer| gateway.record_of(answer)["bytes"]["received"].clone();
    assert_eq!((received(&refused), received(&known)), (0.into(), 4097.into()));
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn a_promise_that_is_too_large_is_refused_before_the_body_comes() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let mut connection = gateway.connect();
    connection.send(&head(KYC_API, "Content-Length: 20971521\r\n"));
    let answer = connection.read_answer();
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
}

#[test]
fn a_chunked_body_without_end_is_refused_at_the_limit() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("services.getStatus.body_limit", "1MiB").start();
    let mut connection = gateway.connect();
    connection.send(&head(BATCH, "Transfer-Encoding: chunked\r\n"));
    let mut chunk = b"10000\r\n".to_vec();
    chunk.resize(chunk.len() + 65_536, b' ');
    chunk.extend_from_slice(b"\r\n");
    for _ in 0..24 {
        connection.send(&chunk);
    }
    let answer = connection.read_answer();
    assert_eq!((answer.status, answer.json()["code"].as_str()), (413, Some("body_too_large")));
}

#[test]
fn a_refusal_reaches_a_caller_that_is_still_sending() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .set("services.getStatus.body_limit", "1KiB")
        .edit(|text| *text = text.replacen("\nrate = {", "\nmax_requests = 1\nrate = {", 1))
        .start();
    // All that this caller may have in progress.
    let mut held = gateway.connect();
    held.send(&head(KYC_API, "Content-Length: 1\r\n"));
    wait_for("the request", || (gateway.metric("dcams_gateway_requests_in_progress")? == 1.0).then_some(()));
    let body = customer_of(20 * MIB);
    for (key, status) in [("wrong", 401), (BATCH, 413), (KYC_API, 429)] {
        let mut stream = TcpStream::connect(gateway.data()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Most clients take a send that fails for the end and never look for an answer.
        stream.write_all(&message(key, &body)).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let answer = Answer::parse(&bytes);
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
    }
    assert!(upstream.received().is_empty());
}

#[test]
fn a_refused_small_body_leaves_the_connection_in_use() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let mut connection = gateway.connect();
    connection.send(&head("wrong", &format!("Content-Length: {}\r\n", GET_STATUS.len())));
    let refused = connection.read_answer();
    assert_eq!((refused.status, refused.header("connection")), (401, None));
    connection.send(GET_STATUS.as_bytes());
    assert_eq!(connection.post(KYC_API, GET_STATUS.as_bytes()).status, 200);
    assert_eq!(connection.post("wrong", GET_STATUS.as_bytes()).status, 401);
    assert_eq!(connection.post(KYC_API, b"{}").status, 400);
    assert_eq!(connection.post(KYC_API, GET_STATUS.as_bytes()).status, 200);
}

#[test]
fn a_body_is_asked_for_after_authentication_only() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let expecting = |key| {
        let mut connection = gateway.connect();
        let length = GET_STATUS.len();
        connection.send(&head(key, &format!("Expect: 100-continue\r\nContent-Length: {length}\r\n")));
        let first = connection.read_until(b"\r\n\r\n").unwrap();
        (connection, String::from_utf8(first).unwrap())
    };
    let (mut connection, first) = expecting(KYC_API);
    assert_eq!(first, "HTTP/1.1 100 Continue\r\n\r\n");
    connection.send(GET_STATUS.as_bytes());
    assert_eq!(connection.read_answer().status, 200);

    let (mut connection, first) = expecting("wrong");
    assert!(first.starts_with("HTTP/1.1 401 ") && first.contains("connection: close\r\n"), "{first}");
    assert!(!connection.read_to_end().windows(3).any(|window| window == b"100"));
}

#[test]
fn an_answer_is_whole_before_its_connection_closes() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    assert_eq!(gateway.post(KYC_API, customer_with_photo()).status, 200);
    let last = [
        &head(KYC_API, &format!("Connection: close\r\nContent-Length: {}\r\n", GET_IMAGES.len())),
        GET_IMAGES.as_bytes(),
    ];
    let mut stream = narrow(gateway.data(), &last.concat());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    let record = &gateway.wait_for_outcomes(2)[1];
    assert_eq!(ending(record), ("forwarded", None, Some(200)));
    // But for the head and what `narrow` read of the body.
    let answer = usize::try_from(record["bytes"]["answer"].as_u64().unwrap()).unwrap();
    assert!(rest.len() < answer && rest.len() > answer - 1024, "{} of {answer}", rest.len());
    assert!(rest.ends_with(b"}"));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let mut connection: Connection = gateway.connect();
    let ids = ["first-1", "second-2", "third-3"];
    for id in ids {
        let lines = format!("X-Request-Id: {id}\r\nContent-Length: {}\r\n", GET_STATUS.len());
        connection.send(&[&head(KYC_API, &lines), GET_STATUS.as_bytes()].concat());
    }
    let answered = ids.map(|_| connection.read_answer().header("x-request-id").unwrap().to_owned());
    assert_eq!(answered, ids);
}
