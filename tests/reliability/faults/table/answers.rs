//! What goes wrong with a request and its answer, in HTTP/1.1?

use super::{double, row};
use crate::faults::script::Step;
use crate::faults::trial::{Place, Row};
use crate::faults::{BODY, OK};

const INVALID: &str = "upstream_invalid";
const TRUNCATED: &str = "upstream_truncated";
const TIMEOUT: &str = "upstream_timeout";
const SUCCESS: &str = "success";

/// A peer that has read a whole request.
fn asked(name: &str, steps: &[Step], told: &str) -> Row {
    let steps = [&[Step::Handshake, Step::ReadRequest], steps].concat();
    row(name, Place::Peer(steps), told)
}

/// A peer that answers every request with this, and closes.
fn said(name: &str, answer: impl Into<Vec<u8>>, told: &str) -> Row {
    asked(name, &[Step::Say(answer.into())], told)
}

/// A peer that has read a whole request and answers with `first` and then `again` without an end.
fn endless(name: &str, first: &str, again: &str, told: &str) -> Row {
    asked(name, &[Step::SayEndlessly(first.into(), again.into())], told)
}

fn head(lines: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{lines}\r\n")
}

/// The first part of a whole answer.
fn part(percent: usize) -> Vec<u8> {
    OK.as_bytes()[..OK.len() * percent / 100].to_vec()
}

/// That part of a whole answer which ends within the body.
fn most() -> Vec<u8> {
    OK.as_bytes()[..OK.len() - 20].to_vec()
}

fn undecipherable() -> Vec<u8> {
    [&[23, 3, 3, 0, 40], &[7; 40][..]].concat()
}

pub fn exchanges() -> Vec<Row> {
    let peer = |name: &str, steps: &[Step], told: &str| row(name, Place::Peer(steps.to_vec()), told);
    vec![
        peer("reset within the request's head", &[Step::Handshake, Step::Read(20), Step::Reset], TRUNCATED),
        peer("closed within the request's head", &[Step::Handshake, Step::Read(20), Step::Cut], TRUNCATED),
        peer("reset within the request's body", &[Step::Handshake, Step::ReadHead, Step::Reset], TRUNCATED),
        peer(
            "half closed after the request's head",
            &[Step::Handshake, Step::ReadHead, Step::HalfClose],
            TRUNCATED,
        ),
        peer("hangs before the request is read", &[Step::Handshake, Step::Hang], TIMEOUT),
        double("hang-before-read", "hangs when the request's head is read", TIMEOUT),
        double("hang-after-read", "hangs when the request is read", TIMEOUT),
        asked("silent after the request, and reads on", &[Step::Swallow], TIMEOUT),
        double("reset-after-request", "reset when the request is read", TRUNCATED),
        asked("closed when the request is read", &[], TRUNCATED),
        asked("closed when the request is read, without close_notify", &[Step::Cut], TRUNCATED),
        asked("half closed when the request is read", &[Step::HalfClose], TRUNCATED),
        asked("close_notify when the request is read, and open", &[Step::Notify], TRUNCATED),
        asked("reset within the answer's head", &[Step::Say(part(20)), Step::Reset], TRUNCATED),
        asked("closed within the answer's head", &[Step::Say(part(20))], TRUNCATED),
        asked("half closed within the answer's head", &[Step::Say(part(20)), Step::HalfClose], TRUNCATED),
        asked("a record of TLS that cannot be decrypted", &[Step::SayRaw(undecipherable())], TRUNCATED),
        asked(
            "such a record within the answer's body",
            &[Step::Say(most()), Step::SayRaw(undecipherable())],
            TRUNCATED,
        ),
        asked("hangs within the answer's head", &[Step::Say(part(20)), Step::Hang], TIMEOUT),
        asked("the answer's head a byte at a time", &[Step::Drip(OK.into())], TIMEOUT),
        double("reset-mid-answer", "reset within the answer's body", TRUNCATED),
        double("truncate:0", "cut before the answer's body, without close_notify", TRUNCATED),
        double("truncate:20", "cut within the answer's body, without close_notify", TRUNCATED),
        double("truncate-clean-close", "cut within the answer's body, with close_notify", TRUNCATED),
        asked("half closed within the answer's body", &[Step::Say(most()), Step::HalfClose], TRUNCATED),
        asked(
            "close_notify within the answer's body, and open",
            &[Step::Say(most()), Step::Notify],
            TRUNCATED,
        ),
        asked("hangs within the answer's body", &[Step::Say(most()), Step::Hang], TIMEOUT),
        double("drip:50ms", "the answer's body a byte at a time", TIMEOUT),
        double("truncate-chunked", "cut within a chunked body", TRUNCATED),
        double("close-delimited", "a body that the end of TLS ends", SUCCESS),
        double("close-delimited-no-notify", "a body that the end of TCP ends", TRUNCATED),
        double("close-after-answer", "closed after the answer, unannounced", SUCCESS),
        double("extra-response:0ms", "a second answer that nobody asked for, at once", SUCCESS),
        double("extra-response:5ms", "a second answer that nobody asked for, later", SUCCESS),
        peer(
            "a whole answer before the request's body was read",
            &[Step::Handshake, Step::ReadHead, Step::Say(OK.into()), Step::Read(40)],
            SUCCESS,
        ),
        double("early-html:413", "a page before the request's body was read", INVALID),
    ]
}

pub fn framing() -> Vec<Row> {
    let length = format!("Content-Length: {}\r\n", BODY.len());
    let framed = |name: &str, lines: &str, told: &str| said(name, head(lines) + BODY, told);
    let chunked = head("Transfer-Encoding: chunked\r\n");
    let chunk = format!("{:x}\r\n{BODY}\r\n", BODY.len());
    let numbered = |count: usize| (0..count).map(|at| format!("X-{at}: {at}\r\n")).collect::<String>();
    vec![
        double("length-and-chunked", "`Content-Length` and `Transfer-Encoding`", "upstream_invalid"),
        double("two-content-lengths", "two lengths that differ", INVALID),
        framed("two lengths in one header", "Content-Length: 5, 6\r\n", INVALID),
        double("bad-content-length", "a length that is no number", INVALID),
        framed("a negative length", "Content-Length: -1\r\n", INVALID),
        framed("a length with a sign", "Content-Length: +5\r\n", INVALID),
        framed("an empty length", "Content-Length: \r\n", INVALID),
        framed("a length beyond 64 bits", "Content-Length: 99999999999999999999999\r\n", INVALID),
        framed("a length of 16 EiB", "Content-Length: 18446744073709551615\r\n", INVALID),
        framed("a length that is shorter than the body", "Content-Length: 10\r\n", INVALID),
        framed("`Transfer-Encoding: gzip, chunked`", "Transfer-Encoding: gzip, chunked\r\n", INVALID),
        said("`Transfer-Encoding: gzip`", head("Transfer-Encoding: gzip\r\n") + BODY, INVALID),
        said(
            "chunked twice",
            head("Transfer-Encoding: chunked, chunked\r\n") + &chunk + "0\r\n\r\n",
            INVALID,
        ),
        said(
            "chunked, in two headers",
            head("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n") + &chunk + "0\r\n\r\n",
            INVALID,
        ),
        said("a chunk's size that is no number", chunked.clone() + "zz\r\n{}\r\n0\r\n\r\n", INVALID),
        said("a chunk's size beyond 64 bits", chunked.clone() + "fffffffffffffffff\r\n{}\r\n", INVALID),
        said("a chunk that is longer than its size", chunked.clone() + "1\r\n{}\r\n0\r\n\r\n", INVALID),
        said("a chunk without its end of line", chunked.clone() + "2\r\n{}0\r\n\r\n", INVALID),
        said("chunks that lack the last one", chunked.clone() + &chunk, TRUNCATED),
        said("chunks that end within the last line", chunked.clone() + &chunk + "0\r\n", TRUNCATED),
        endless("an endless extension of a chunk", &(chunked.clone() + "2;"), "x", INVALID),
        endless("an endless size of a chunk", &chunked, "0", TIMEOUT),
        endless("endless trailers", &(chunked.clone() + &chunk + "0\r\n"), "X-Filler: filler\r\n", INVALID),
        endless("endless bytes in chunks of 32", &chunked, &format!("20\r\n{}\r\n", "{".repeat(32)), INVALID),
        endless("an endless body without a length", &head(""), "{\"a\":[1,2,3,4],", INVALID),
        double("oversize:300000", "a body beyond the limit, announced", INVALID),
        double("oversize-chunked:300000", "a body beyond the limit, in chunks", INVALID),
        endless("an endless head", "HTTP/1.1 200 OK\r\nX-Filler: ", "x", INVALID),
        endless("endless headers", "HTTP/1.1 200 OK\r\n", "X-Filler: filler\r\n", INVALID),
        endless("an endless status line", "HTTP/1.1 200 ", "O", INVALID),
        endless("endless empty lines", "", "\r\n", "upstream_timeout | upstream_invalid"),
        said("500 headers", head(&(numbered(500) + &length)) + BODY, INVALID),
        said("a head of 300 KiB", head(&format!("X: {}\r\n{length}", "x".repeat(300 << 10))) + BODY, INVALID),
        double("informational:1000", "1,000 interim answers", SUCCESS),
        endless("endless interim answers", "", "HTTP/1.1 103 Early Hints\r\n\r\n", TIMEOUT),
        endless("endless `100 Continue`", "", "HTTP/1.1 100 Continue\r\n\r\n", TIMEOUT),
        said(
            "`101 Switching Protocols`",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            INVALID,
        ),
        said("an answer of HTTP/0.9", BODY, INVALID),
        said("an answer of HTTP/1.2", OK.replace("HTTP/1.1", "HTTP/1.2"), INVALID),
        said("an answer of HTTP/2.0 in text", OK.replace("HTTP/1.1", "HTTP/2.0"), INVALID),
        said("an answer of HTTP/1.0", OK.replace("HTTP/1.1", "HTTP/1.0"), SUCCESS),
        said("frames of HTTP/2", crate::faults::http2::answer(1), INVALID),
        said("the client's preface of HTTP/2", crate::faults::http2::PREFACE, INVALID),
        said("a status of two digits", OK.replace("200 OK", "20 OK"), INVALID),
        said("a status beyond 999", OK.replace("200 OK", "2000 OK"), INVALID),
        said("the status 000", OK.replace("200 OK", "000 OK"), INVALID),
        said("`204 No Content` with a body", OK.replace("200 OK", "204 No Content"), INVALID),
        said("`304 Not Modified` with a body", OK.replace("200 OK", "304 Not Modified"), INVALID),
        said(
            "`205 Reset Content` without a body",
            "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
            INVALID,
        ),
        said("a NUL within a header", head("X-A: a\0b\r\n") + BODY, INVALID),
        said("a header without a name", head(&format!(": a\r\n{length}")) + BODY, INVALID),
        said(
            "a space before the colon",
            head(&format!("Content-Length : {}\r\n", BODY.len())) + BODY,
            INVALID,
        ),
        said("a header over two lines", head(&format!("X-A: a\r\n b\r\n{length}")) + BODY, INVALID),
        said("random bytes", [0x16, 0xff, 0x00, 0x80, 0x0a, 0x0d, 0x0a].repeat(100), INVALID),
    ]
}

pub fn contents() -> Vec<Row> {
    let typed = |name: &str, media_type: &str, told: &str| {
        said(name, OK.replace("application/json", media_type), told)
    };
    let with_body = |name: &str, body: &str, told: &str| {
        said(name, format!("{}{body}", head(&format!("Content-Length: {}\r\n", body.len()))), told)
    };
    let mut rows = vec![
        double("html:200", "a page, `200`", INVALID),
        double("html:502", "a page, `502`", INVALID),
        double("html:503", "a page, `503`", INVALID),
        double("redirect:301", "a redirect, `301`", INVALID),
        double("redirect:307", "a redirect, `307`", INVALID),
        double("non-json", "plain text", INVALID),
        double("invalid-json", "JSON that lacks its last byte", INVALID),
        double("not-utf8", "JSON that is not UTF-8", INVALID),
        double("duplicate-members", "JSON with `result` twice", INVALID),
        double("empty-body", "an empty body", INVALID),
        double("wrong-content-type", "JSON that is called a page, as PHP does", SUCCESS),
        double("compressed-label", "JSON that is called compressed", INVALID),
        double("set-cookie", "a cookie, and who the server is", SUCCESS),
        double("many-headers:500", "500 headers", INVALID),
        typed("JSON that is called PDF", "application/pdf", INVALID),
        typed("JSON that is called a form", "application/x-www-form-urlencoded", INVALID),
        with_body("a list", "[{\"result\":\"Success\"}]", INVALID),
        with_body("two objects", "{\"result\":\"Success\"}{\"result\":\"Error\"}", INVALID),
        with_body("an object and a page", "{\"result\":\"Success\"}<html>", INVALID),
        with_body("a byte order mark", "\u{feff}{\"result\":\"Success\"}", INVALID),
        with_body("1,000 levels", &"{\"a\":".repeat(1000), INVALID),
        with_body("half a surrogate", "{\"result\":\"Success\",\"reference\":\"\\ud800\"}", INVALID),
        with_body("NaN", "{\"result\":\"Success\",\"reference\":NaN}", INVALID),
    ];
    let reflected = ["raw", "chunked", "json", "unicode", "percent", "base64-1", "hex", "header"];
    let reflected = reflected
        .map(|form| double(&format!("reflect:{form}"), "the password in the answer", "response_withheld"));
    rows.extend(reflected);
    rows
}
