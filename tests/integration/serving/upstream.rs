//! What does the upstream see, and what of its answers comes through?

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use dcams_gateway::simulate::{FailureStyle, Fault, Received, Settings};

use super::make::{MIB, customer_of, sealed};
use crate::harness::{
    Answer, BATCH, Connection, GET_STATUS, Gateway, KYC_API, OPS_PORTAL, PATH, Setup, UPDATE_STATUS, Upstream,
};

/// On which connections the requests arrived, in order.
fn connections(upstream: &Upstream, count: usize) -> Vec<u64> {
    upstream.wait_for_received(count).iter().map(|request| request.connection).collect()
}

fn post_all(gateway: &Gateway, callers: &[&str]) -> Vec<Answer> {
    callers.iter().map(|caller| gateway.post(caller, GET_STATUS)).collect()
}

#[test]
fn a_caller_has_upstream_connections_of_its_own() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let answers = post_all(&gateway, &[KYC_API, BATCH, KYC_API, BATCH, OPS_PORTAL, KYC_API]);
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(connections(&upstream, 6), [1, 2, 1, 2, 3, 1]);
}

#[test]
fn callers_share_no_connection_of_http2_either() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("upstream.http", "\"2\"").start();
    assert!(post_all(&gateway, &[KYC_API, BATCH, KYC_API, BATCH]).iter().all(|answer| answer.status == 200));
    let body = customer_of(20 * MIB);
    assert_eq!(gateway.post(KYC_API, &body).status, 200);
    let received = upstream.wait_for_received(5);
    assert!(received.iter().all(|request| request.version == http::Version::HTTP_2));
    assert!(received[4].body == sealed(&body), "the bodies differ");
    assert_eq!(connections(&upstream, 5), [1, 2, 1, 2, 1]);
}

#[test]
fn an_upstream_without_http2_is_not_spoken_http2_to() {
    let upstream = Upstream::start_with(Settings { http2: false, ..Settings::default() });
    let gateway = Setup::before(&upstream).set("upstream.http", "\"2\"").start();
    let answer = gateway.post(KYC_API, GET_STATUS);
    assert_eq!((answer.status, answer.json()["code"].as_str()), (502, Some("upstream_tls")));
}

#[test]
fn an_answer_that_nobody_asked_for_is_given_to_nobody() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    upstream.inject_once(Fault::ExtraResponse { after: Duration::ZERO });
    let answers = post_all(&gateway, &[KYC_API, KYC_API, BATCH, KYC_API]);
    for answer in &answers {
        assert_eq!((answer.status, answer.text().contains("unsolicited")), (200, false));
    }
    let connections = connections(&upstream, 4);
    assert_eq!(connections, [1, 2, 3, 2], "the connection must be dropped");
}

#[test]
fn a_late_answer_never_reaches_another_caller() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    for _ in 0..5 {
        upstream.inject_once(Fault::ExtraResponse { after: Duration::from_millis(1) });
        assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200);
        for caller in [BATCH, OPS_PORTAL] {
            let answer = gateway.post(caller, GET_STATUS);
            assert_eq!((answer.status, answer.text().contains("unsolicited")), (200, false));
        }
    }
}

#[test]
fn a_connection_that_the_upstream_closed_while_idle_costs_no_request() {
    for http in ["\"1.1\"", "\"2\""] {
        let settings = || Settings { tls: false, ..Settings::default() };
        // HTTP/2 needs TLS at the double, whose certificate would differ after a restart.
        let upstream = if http == "\"2\"" { Upstream::start() } else { Upstream::start_with(settings()) };
        let address = upstream.address();
        let gateway = Setup::before(&upstream)
            .set("upstream.http", http)
            .edit(|text| {
                if http != "\"2\"" {
                    *text = text.replace(
                        "roots = { file = \"upstream-ca.pem\" }",
                        "roots = \"webpki\"\nplain_http_to_loopback = true",
                    );
                }
            })
            .start();
        assert_eq!(gateway.post(KYC_API, UPDATE_STATUS).status, 200);
        drop(upstream);
        if http == "\"2\"" {
            let answer = gateway.post(KYC_API, UPDATE_STATUS);
            assert_eq!((answer.status, answer.json()["code"].as_str()), (502, Some("upstream_unreachable")));
            continue;
        }
        let upstream = Upstream::start_with(Settings { listen: address, ..settings() });
        assert_eq!(gateway.post(KYC_API, UPDATE_STATUS).status, 200);
        assert_eq!(connections(&upstream, 1), [1]);
    }
}

#[test]
fn the_head_of_every_request_is_the_same_but_for_its_length() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200);
    let mut connection = gateway.connect();
    connection.send(
        format!(
            "POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {BATCH}\r\nUser-Agent: other\r\n\
             Content-Type: application/json; charset=utf-8\r\nX-Forwarded-For: 192.0.2.1\r\nCookie: a=b\r\n\
             Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nAccept-Encoding: gzip\r\n\
             X-Request-Id: mine\r\nContent-Length: {}\r\n\r\n{GET_STATUS} ",
            GET_STATUS.len() + 1
        )
        .as_bytes(),
    );
    assert_eq!(connection.read_answer().status, 200);
    let received = upstream.wait_for_received(2);
    let head = |request: &Received| {
        let text = String::from_utf8(request.head.to_vec()).unwrap();
        let length = format!("content-length: {}\r\n", request.body.len());
        assert!(text.contains(&length), "{text}");
        text.replace(&length, "content-length: N\r\n")
    };
    let port = upstream.address().port();
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost:{port}\r\nuser-agent: dcams-gateway/{version}\r\n\
         content-type: application/json\r\naccept: application/json\r\naccept-encoding: identity\r\n\
         content-length: N\r\n\r\n"
    );
    assert_eq!([head(&received[0]), head(&received[1])], [expected.clone(), expected]);
}

#[test]
fn a_redirect_is_followed_by_nobody() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    for status in [301, 302, 303, 307, 308] {
        upstream.inject_once(Fault::Redirect { status });
        let answer = gateway.post(KYC_API, GET_STATUS);
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (502, Some("upstream_invalid")),
            "{status}"
        );
        assert_eq!(answer.header("location"), None);
    }
    assert_eq!(upstream.counts().requests, 5);
}

#[test]
fn what_dcams_answers_passes_byte_for_byte_with_its_status() {
    for style in [FailureStyle::OkWithError, FailureStyle::ClientError] {
        let upstream = Upstream::start_with(Settings { failure_style: style, ..Settings::default() });
        let gateway = Setup::before(&upstream)
            .edit(|text| {
                *text = text.replace("effect = \"read\"", "effect = \"read\"\nvalidate = \"report\"")
            })
            .start();
        let unknown = GET_STATUS.replace("jane", "nobody");
        let invalid = GET_STATUS.replace("jane@example.com", "jane");
        let missing = r#"{"service":"getStatus","target":{}}"#;
        for body in [&*unknown, &invalid, missing] {
            let mut direct = Connection::tls(upstream.address(), upstream.ca_pem(), b"http/1.1");
            let expected = direct.post("", &sealed(body.as_bytes()));
            let answer = gateway.post(KYC_API, body);
            assert_eq!((answer.status, answer.text()), (expected.status, expected.text()));
            assert_eq!(answer.json()["result"], "Error");
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
    }
}

#[test]
fn json_that_php_labels_as_html_passes_as_json() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    upstream.inject_once(Fault::WrongContentType);
    let answer = gateway.post(KYC_API, GET_STATUS);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn an_upstream_that_does_not_answer_is_given_up_at_the_deadline() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .edit(|text| *text = text.replace("deadline = \"20s\"", "deadline = \"1s\""))
        .start();
    for (fault, body, outcome) in [
        (Fault::HangAfterRead, GET_STATUS, None),
        (Fault::HangAfterRead, UPDATE_STATUS, Some("unknown")),
        (Fault::HangBeforeRead, UPDATE_STATUS, Some("unknown")),
        (Fault::HangOnAccept, UPDATE_STATUS, None),
    ] {
        upstream.inject_once(fault);
        let answer = gateway.post(KYC_API, body);
        let problem = answer.json();
        assert_eq!((answer.status, problem["code"].as_str()), (504, Some("upstream_timeout")), "{fault}");
        assert_eq!(problem["outcome"].as_str(), outcome, "{fault}");
        assert!(answer.header("proxy-status").unwrap().contains("timeout"));
    }
}

#[test]
fn an_answer_before_the_request_was_read_is_not_held_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}{PATH}", listener.local_addr().unwrap().port());
    let hasty = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 64];
        stream.read_exact(&mut head).unwrap();
        let body = r#"{"result":"Error","message":"too much"}"#;
        let answer = format!(
            "HTTP/1.1 413 Too Large\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).unwrap();
        stream
    });
    let gateway = Setup::before_url(&url)
        .file("user", "user")
        .file("pass", "a password of some length")
        .edit(|text| {
            *text = text.replace(
                "roots = { file = \"upstream-ca.pem\" }",
                "roots = \"webpki\"\nplain_http_to_loopback = true",
            );
        })
        .start();
    let answer = gateway.post(KYC_API, customer_of(20 * MIB));
    assert_eq!((answer.status, answer.json()["message"].as_str()), (413, Some("too much")));
    drop(hasty.join().unwrap());
}
