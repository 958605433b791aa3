//! Which heads does the HTTP library refuse before there is a request?

use super::scene::{HOST, JSON, Scene, head, key_line};
use crate::harness::{Answer, GET_STATUS, PATH};

/// Each with the status it is refused with; 0 where the connection is closed without an answer.
fn heads() -> Vec<(&'static str, u16, Vec<u8>)> {
    let key = key_line();
    let length = format!("Content-Length: {}", GET_STATUS.len());
    let with = |lines: &[&str]| {
        let lines: Vec<&str> = [HOST, &key, JSON].into_iter().chain(lines.iter().copied()).collect();
        (head("POST", PATH, &lines) + GET_STATUS).into_bytes()
    };
    vec![
        ("two lengths", 400, with(&[&length, "Content-Length: 5"])),
        ("a length with a sign", 400, with(&["Content-Length: +61"])),
        ("a length that is no number", 400, with(&["Content-Length: 0x3d"])),
        ("a list of lengths", 400, with(&["Content-Length: 61, 61"])),
        (
            "a transfer encoding that does not end in chunked",
            400,
            with(&["Transfer-Encoding: chunked, identity"]),
        ),
        ("an unknown transfer encoding", 400, with(&["Transfer-Encoding: xchunked"])),
        ("a folded line", 400, with(&[&length, "X-Folded: a\r\n b"])),
        ("a space before a colon", 400, with(&["Content-Length : 61"])),
        ("a control character in a value", 400, with(&[&length, "X-Odd: a\u{0}b"])),
        ("no version", 400, format!("POST {PATH}\r\n{HOST}\r\n\r\n").into_bytes()),
        ("an unknown version", 400, head("POST", PATH, &[HOST]).replace("HTTP/1.1", "HTTP/3.0").into_bytes()),
        ("a preface of HTTP/2", 0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("TLS on a plain listener", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("a head beyond the limit", 431, with(&[&format!("X-Long: {}", "a".repeat(20 << 10))])),
        ("too many headers", 431, with(&["X-Many: a"; 200])),
    ]
}

#[test]
fn heads_that_no_request_comes_of_are_refused_counted_and_not_recorded() {
    let scene = Scene::new();
    let series = "dcams_gateway_connections_total{event=\"bad_request_head\"}";
    for (count, (what, status, bytes)) in (1..).zip(heads()) {
        let said = scene.gateway.send_raw(&bytes);
        let answer = (!said.is_empty()).then(|| Answer::parse(&said));
        let said = answer.map_or((0, 0), |answer| (answer.status, answer.body.len()));
        assert_eq!((what, said), (what, (status, 0)));
        crate::harness::wait_for(what, || {
            scene.gateway.metric(series).filter(|seen| *seen == f64::from(count))
        });
    }
    assert!(scene.upstream.received().is_empty());
    assert_eq!(scene.gateway.outcomes().len(), 0);
}

/// hyper lets these pass. They cannot mean two things here, because the message to DCAMS is built anew.
#[test]
fn framing_that_hyper_resolves_reaches_dcams_as_one_plain_message() {
    let mut scene = Scene::new();
    let key = key_line();
    let chunks = format!("{:x};a=b\r\n{GET_STATUS}\r\n0\r\nTrailer: x\r\n\r\n", GET_STATUS.len());
    let both = head("POST", PATH, &[HOST, &key, JSON, "Content-Length: 5", "Transfer-Encoding: chunked"]);
    let bare = format!("POST {PATH} HTTP/1.1\n{HOST}\n{key}\n{JSON}\nContent-Length: 61\n\n{GET_STATUS}");
    let length = format!("Content-Length: {}", GET_STATUS.len());
    let twice = head("POST", PATH, &[HOST, &key, JSON, &length, &length]) + GET_STATUS;
    let heads = [("CL and TE", both + &chunks), ("bare line feeds", bare), ("one CL twice", twice)];
    for (what, bytes) in &heads {
        scene.connection = scene.gateway.connect();
        let answer = scene.send(bytes);
        assert_eq!((what, answer.status), (what, 200));
    }
    for request in scene.upstream.wait_for_received(heads.len()) {
        assert_eq!(request.body, super::scene::spliced(GET_STATUS).as_bytes());
        assert!(!String::from_utf8_lossy(&request.head).to_lowercase().contains("transfer-encoding"));
    }
}
