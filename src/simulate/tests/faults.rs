//! Does each fault do what it says?

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{Client, Ending, connect, exchange, message, request, start};
use crate::simulate::reflect::disguise;
use crate::simulate::{Double, Encoding, Fault, Settings};

const EMAIL: &str = "jane@example.com";

/// A double that knows one customer, and what it answers when asked for that customer's status.
async fn with_jane() -> (Double, String) {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    client.ask("createOrUpdateCustomer", json!({"email": EMAIL})).await;
    let (_, answer) = client.ask("getStatus", json!({"email": EMAIL})).await;
    double.forget_received();
    (double, answer)
}

fn status_request() -> String {
    request("getStatus", &json!({"email": EMAIL}))
}

/// Asks once with `fault` standing; gives everything that came back and how it ended.
async fn struck(double: &Double, fault: Fault) -> (String, Ending) {
    double.inject(fault);
    exchange(double, &message(&status_request())).await
}

/// The part after the head.
fn body(text: &str) -> &str {
    text.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn a_truncated_answer_promises_more_than_it_sends() {
    let (double, answer) = with_jane().await;
    let promise = format!("content-length: {}\r\n", answer.len());
    let half = &answer[..answer.len() / 2];
    let all_but_one = &answer[..answer.len() - 1];
    for (fault, sent, ending) in [
        (Fault::Truncate { after: 0 }, "", Ending::NoCloseNotify),
        (Fault::Truncate { after: 20 }, &answer[..20], Ending::NoCloseNotify),
        (Fault::Truncate { after: usize::MAX }, all_but_one, Ending::NoCloseNotify),
        (Fault::TruncateCleanClose, half, Ending::CloseNotify),
    ] {
        let (text, ended) = struck(&double, fault).await;
        assert!(text.contains(&promise), "{fault}: {text}");
        assert_eq!((body(&text), ended), (sent, ending), "{fault}");
    }
    let (text, ended) = struck(&double, Fault::TruncateChunked).await;
    assert_eq!((body(&text), ended), (&*format!("{:x}\r\n{half}\r\n", half.len()), Ending::CloseNotify));
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_its_connection() {
    let (double, answer) = with_jane().await;
    for (fault, ending) in
        [(Fault::CloseDelimited, Ending::CloseNotify), (Fault::CloseDelimitedNoNotify, Ending::NoCloseNotify)]
    {
        let (text, ended) = struck(&double, fault).await;
        assert!(!text.contains("content-length") && !text.contains("chunked"), "{text}");
        assert_eq!((body(&text), ended), (&*answer, ending), "{fault}");
    }
}

#[tokio::test]
async fn resets_strike_at_their_place() {
    let (double, answer) = with_jane().await;
    let (text, ending) = struck(&double, Fault::ResetAfterRequest).await;
    assert_eq!((&*text, ending), ("", Ending::Reset));
    assert_eq!(double.received()[0].body, status_request());

    let (text, ending) = struck(&double, Fault::ResetMidAnswer).await;
    assert_eq!((body(&text), ending), (&answer[..answer.len() / 2], Ending::Reset));

    // On a connection that was open before the fault was ordered, the head of a request draws the reset.
    double.inject(Fault::None);
    let mut open = connect(&double, "http/1.1").await.unwrap();
    open.write_all(b"POST ").await.unwrap();
    double.inject(Fault::ResetOnAccept);
    open.write_all(&message("").as_bytes()[5..]).await.unwrap();
    let error = open.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

    let before = double.counts();
    assert!(connect(&double, "http/1.1").await.is_err());
    let after = double.counts();
    assert_eq!(after.connections, before.connections + 1);
    assert_eq!((after.handshakes, after.bytes), (before.handshakes, before.bytes));
}

#[tokio::test]
async fn a_fault_queued_for_acceptance_strikes_one_connection_only() {
    let (double, _) = with_jane().await;
    double.inject_once(Fault::ResetOnAccept);
    assert!(connect(&double, "http/1.1").await.is_err());
    assert!(connect(&double, "http/1.1").await.is_ok());
}

#[tokio::test]
async fn a_fault_queued_for_a_request_waits_for_it_under_a_standing_reset() {
    let (double, _) = with_jane().await;
    double.inject(Fault::ResetOnAccept);
    double.inject_once(Fault::Html { status: 503 });
    let mut client = Client::http1(&double).await;
    assert_eq!(client.post(status_request()).await.unwrap().status(), 503);
    assert!(connect(&double, "http/1.1").await.is_err());
}

/// Whether nothing came on `stream` while another connection had a whole request answered.
async fn stays_silent(double: &Double, stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    double.inject(Fault::None);
    Client::http1(double).await.post(status_request()).await.unwrap();
    stream.read_u8().now_or_never().is_none()
}

/// Lets the double work until `reached`.
async fn until(reached: impl Fn() -> bool) {
    while !reached() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn hanging_says_nothing_before_or_after_reading() {
    let (double, _) = with_jane().await;
    double.inject(Fault::HangAfterRead);
    let mut stream = connect(&double, "http/1.1").await.unwrap();
    stream.write_all(message(&status_request()).as_bytes()).await.unwrap();
    until(|| double.received().iter().any(|request| request.complete)).await;
    assert!(stays_silent(&double, &mut stream).await);
    assert_eq!(double.received()[0].body, status_request());

    double.forget_received();
    double.inject(Fault::HangBeforeRead);
    let mut stream = connect(&double, "http/1.1").await.unwrap();
    stream.write_all(message(&status_request()).as_bytes()).await.unwrap();
    until(|| !double.received().is_empty()).await;
    assert!(stays_silent(&double, &mut stream).await);
    let received = double.received().remove(0);
    assert_eq!((received.complete, &*received.body), (false, &b""[..]));

    double.inject(Fault::HangOnAccept);
    let before = double.counts();
    let mut stream = TcpStream::connect(double.address()).await.unwrap();
    stream.write_all(b"\x16\x03\x01").await.unwrap();
    until(|| double.counts().connections > before.connections).await;
    assert!(stays_silent(&double, &mut stream).await);
    // That one handshake is the witness's own.
    assert_eq!(double.counts().handshakes, before.handshakes + 1);
}

#[tokio::test]
async fn a_body_that_its_sender_gives_up_is_kept_as_incomplete() {
    let (double, _) = with_jane().await;
    let mut stream = connect(&double, "http/1.1").await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
    stream.shutdown().await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    let received = double.received().remove(0);
    assert_eq!((received.complete, &*received.body), (false, &b"half"[..]));
}

#[tokio::test]
async fn an_extra_response_follows_the_first_and_the_connection_lives_on() {
    let (double, answer) = with_jane().await;
    for after in [Duration::ZERO, Duration::from_millis(3)] {
        double.inject_once(Fault::ExtraResponse { after });
        let mut stream = connect(&double, "http/1.1").await.unwrap();
        stream.write_all(message(&status_request()).as_bytes()).await.unwrap();
        assert_eq!(read_answer(&mut stream).await, answer);
        assert!(read_answer(&mut stream).await.contains(r#""reference":"unsolicited""#));
        stream.write_all(message(&status_request()).as_bytes()).await.unwrap();
        assert_eq!(read_answer(&mut stream).await, answer);
        let last = double.received().pop().unwrap();
        assert_eq!(last.head.len() + last.body.len(), message(&status_request()).len());
    }
}

/// Reads one answer by its `Content-Length`, not a byte beyond it.
async fn read_answer(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    String::from_utf8(body).unwrap()
}

#[tokio::test]
async fn a_drip_and_a_flood_of_early_hints_end_in_the_whole_answer() {
    let (double, answer) = with_jane().await;
    double.inject_once(Fault::Drip(Duration::from_micros(1)));
    double.inject_once(Fault::Informational { count: 3 });
    let mut stream = connect(&double, "http/1.1").await.unwrap();
    stream.write_all(message(&status_request()).as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut stream).await, answer);
    stream.write_all(message(&status_request()).as_bytes()).await.unwrap();
    let mut hints = vec![0; "HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n".len() * 3];
    stream.read_exact(&mut hints).await.unwrap();
    assert_eq!(String::from_utf8(hints).unwrap().matches("HTTP/1.1 103").count(), 3);
    assert_eq!(read_answer(&mut stream).await, answer);
}

#[tokio::test]
async fn broken_framing_is_on_the_wire() {
    let (double, answer) = with_jane().await;
    let (length, half) = (answer.len(), answer.len() / 2);
    for (fault, line) in [
        (Fault::BadContentLength, "\r\ncontent-length: 12x\r\n".to_owned()),
        (Fault::TwoContentLengths, format!("\r\ncontent-length: {length}\r\ncontent-length: {half}\r\n")),
        (Fault::LengthAndChunked, "\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n".to_owned()),
    ] {
        let (text, _) = struck(&double, fault).await;
        assert!(text.contains(&line), "{fault}: {text}");
        assert!(text.contains(&answer), "{fault}: {text}");
    }
}

#[tokio::test]
async fn messages_are_spoiled_within_good_framing() {
    let (double, answer) = with_jane().await;
    let mut client = Client::http1(&double).await;
    let mut ask = async |fault| {
        double.inject_once(fault);
        let response = client.post(status_request()).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status.as_u16(), head.headers, body)
    };
    let (status, headers, body) = ask(Fault::Html { status: 502 }).await;
    assert_eq!((status, &headers["content-type"]), (502, &"text/html; charset=UTF-8".parse().unwrap()));
    assert!(body.starts_with(b"<html>"));
    let (status, headers, _) = ask(Fault::Redirect { status: 307 }).await;
    assert_eq!(
        (status, &headers["location"]),
        (307, &"https://elsewhere.example.com/login".parse().unwrap())
    );
    let (_, headers, body) = ask(Fault::NonJson).await;
    assert_eq!((&headers["content-type"], &*body), (&"text/plain".parse().unwrap(), &b"it works"[..]));
    let (_, headers, body) = ask(Fault::InvalidJson).await;
    assert_eq!(&headers["content-type"], "application/json");
    assert_eq!(body, answer[..answer.len() - 1]);
    let (_, _, body) = ask(Fault::NotUtf8).await;
    assert!(std::str::from_utf8(&body).is_err());
    let (_, _, body) = ask(Fault::DuplicateMembers).await;
    assert!(body.starts_with(br#"{"result":"Error","result":"Success""#));
    let (status, _, body) = ask(Fault::EmptyBody).await;
    assert_eq!((status, body.len()), (200, 0));
    let (_, headers, body) = ask(Fault::WrongContentType).await;
    assert_eq!(
        (&headers["content-type"], body),
        (&"text/html; charset=UTF-8".parse().unwrap(), answer.clone().into())
    );
    let (_, headers, body) = ask(Fault::CompressedLabel).await;
    assert_eq!((&headers["content-encoding"], body), (&"gzip".parse().unwrap(), answer.clone().into()));
    let (_, headers, body) = ask(Fault::SetCookie).await;
    assert!(headers.contains_key("set-cookie") && headers.contains_key("x-powered-by"));
    assert_eq!(body, answer);
    let (_, headers, _) = ask(Fault::ManyHeaders { count: 50 }).await;
    assert_eq!(headers.keys().filter(|name| name.as_str().starts_with("x-filler-")).count(), 50);
    for (fault, told) in
        [(Fault::Oversize { bytes: 1_000_000 }, true), (Fault::OversizeChunked { bytes: 1_000_000 }, false)]
    {
        let (_, headers, body) = ask(fault).await;
        assert_eq!((body.len(), headers.contains_key("content-length")), (1_000_000, told), "{fault}");
        let value: Value = serde_json::from_str(std::str::from_utf8(&body).unwrap()).unwrap();
        assert_eq!(value["result"], "Success");
    }
    let (_, _, body) = ask(Fault::Latency(Duration::from_millis(1))).await;
    assert_eq!(body, answer);
}

#[tokio::test]
async fn an_early_page_is_sent_while_the_body_is_still_missing() {
    let (double, _) = with_jane().await;
    double.inject_once(Fault::EarlyHtml { status: 413 });
    let mut stream = connect(&double, "http/1.1").await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n").await.unwrap();
    assert!(read_answer(&mut stream).await.contains("413 Payload Too Large"));
    let received = double.received().remove(0);
    assert_eq!((received.complete, &*received.body), (false, &b""[..]));
}

#[tokio::test]
async fn a_close_after_the_answer_is_announced_by_nothing() {
    let (double, answer) = with_jane().await;
    let (text, ending) = struck(&double, Fault::CloseAfterAnswer).await;
    assert!(text.contains(&format!("content-length: {}\r\n\r\n{answer}", answer.len())), "{text}");
    assert!(!text.contains("connection:"), "{text}");
    assert_eq!(ending, Ending::CloseNotify);
}

#[tokio::test]
async fn a_rejected_credential_leaves_the_customer_as_it_was() {
    let (double, _) = with_jane().await;
    let mut client = Client::http1(&double).await;
    double.inject_once(Fault::RejectCredential);
    let (_, answer) = client.ask("createOrUpdateCustomer", json!({"email": "new@example.com"})).await;
    assert_eq!(answer, r#"{"result":"Error","message":"Either your username or password is incorrect"}"#);
    assert_eq!(double.customers(), 1);
}

#[tokio::test]
async fn the_password_is_reflected_in_every_disguise() {
    let pass = "p/\"\\sswörd-0123456789";
    let settings = Settings { pass: pass.to_owned(), ..Settings::default() };
    let double = Double::start(settings).await.unwrap();
    let mut client = Client::http1(&double).await;
    for (encoding, written) in [
        (Encoding::Raw, pass),
        (Encoding::Chunked, pass),
        (Encoding::JsonEscaped, r#"p\/\"\\ssw\u00f6rd-0123456789"#),
        (
            Encoding::UnicodeEscaped,
            r"\u0070\u002f\u0022\u005c\u0073\u0073\u0077\u00f6\u0072\u0064\u002d\u0030\u0031\u0032\u0033\u0034\u0035\u0036\u0037\u0038\u0039",
        ),
        (Encoding::Percent, "p%2F%22%5Cssw%C3%B6rd-0123456789"),
        (Encoding::PercentAll, "%70%2F%22%5C%73%73%77%C3%B6%72%64%2D%30%31%32%33%34%35%36%37%38%39"),
        // base64 of the password between its neighbours, by `printf … | base64`.
        (Encoding::Base64(0), "cC8iXHNzd8O2cmQtMDEyMzQ1Njc4OSZi"),
        (Encoding::Base64(1), "YXAvIlxzc3fDtnJkLTAxMjM0NTY3ODkmYg=="),
        (Encoding::Base64(2), "YWJwLyJcc3N3w7ZyZC0wMTIzNDU2Nzg5JmI="),
        (Encoding::Hex, "702f225c737377c3b672642d30313233343536373839"),
        (Encoding::HexUpper, "702F225C737377C3B672642D30313233343536373839"),
    ] {
        assert_eq!(String::from_utf8(disguise(pass, encoding)).unwrap(), written, "{encoding:?}");
        double.inject_once(Fault::ReflectCredential(encoding));
        let response = client.post("").await.unwrap();
        let told = String::from_utf8(response.body().to_vec()).unwrap();
        assert!(
            told.starts_with(&format!(r#"{{"debug":"pass was {written} here","#)),
            "{encoding:?}: {told}"
        );
        assert_eq!(response.headers().contains_key("content-length"), encoding != Encoding::Chunked);
    }
    double.inject_once(Fault::ReflectCredential(Encoding::HeaderRaw));
    let response = client.post("").await.unwrap();
    assert_eq!(response.headers()["x-debug"].as_bytes(), pass.as_bytes());
    assert!(!response.body().windows(4).any(|bytes| bytes == b"pass was"));
}

#[tokio::test]
async fn on_http2_truncation_resets_the_stream_and_a_reset_the_connection() {
    let (double, answer) = with_jane().await;
    let mut client = Client::http2(&double).await;
    for fault in [
        Fault::Truncate { after: 20 },
        Fault::ResetMidAnswer,
        Fault::TruncateCleanClose,
        Fault::TruncateChunked,
    ] {
        double.inject_once(fault);
        assert!(client.post(status_request()).await.is_err(), "{fault}");
    }
    // The connection has survived those, and has no form of the faults of HTTP/1.1 framing.
    double.inject_once(Fault::ExtraResponse { after: Duration::ZERO });
    assert_eq!(client.post(status_request()).await.unwrap().into_body(), answer);
    double.inject_once(Fault::ResetAfterRequest);
    assert!(client.post(status_request()).await.is_err());
    assert!(client.post(status_request()).await.is_err());
}

#[tokio::test]
async fn no_fault_strikes_a_control_request_on_an_open_connection() {
    let double = start().await;
    let mut client = Client::http1(&double).await;
    for fault in Fault::examples() {
        double.inject(fault);
        let state = client.send(Method::GET, "/control/state", Bytes::new()).await.unwrap();
        let state: Value = serde_json::from_str(std::str::from_utf8(state.body()).unwrap()).unwrap();
        assert_eq!(state["fault"], fault.to_string());
    }
    assert_eq!((double.counts().connections, double.counts().requests), (1, 0));
}
