//! What goes wrong in HTTP/2?

use super::{double2, row};
use crate::faults::BODY;
use crate::faults::http2::{
    self, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, HEADERS,
    INITIAL_WINDOW_SIZE, INTERNAL_ERROR, MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, PING, PUSH_PROMISE,
    REFUSED_STREAM, WINDOW_UPDATE, body, field, fields, frame, go_away, head, setting,
};
use crate::faults::script::Step;
use crate::faults::trial::{Place, Row};

const INVALID: &str = "upstream_invalid";
const TRUNCATED: &str = "upstream_truncated";
const TIMEOUT: &str = "upstream_timeout";

fn peer(name: &str, settings: &[u8], steps: &[Step], told: &str) -> Row {
    let steps = [&[Step::Handshake, Step::Preface(settings.to_vec())], steps].concat();
    row(name, Place::Peer2(steps), told)
}

/// A peer that answers each request with these frames.
fn said(name: &str, frames: &[Vec<u8>], told: &str) -> Row {
    let steps = [Step::SayToEach(frames.concat())];
    peer(name, &Frame::SETTINGS, &steps, told)
}

fn endless(name: &str, first: &[Vec<u8>], again: &[u8], told: &str) -> Row {
    let steps = [Step::ReadStream, Step::SayEndlessly(first.concat(), again.to_vec())];
    peer(name, &Frame::SETTINGS, &steps, told)
}

pub fn streams() -> Vec<Row> {
    let interim = [field(":status", "103")].concat();
    let interim = frame(HEADERS, END_HEADERS, 1, &interim);
    let fillers = (0..100).flat_map(|_| field("x-filler", &"x".repeat(100))).collect::<Vec<u8>>();
    let ok_head = head(END_HEADERS);
    vec![
        peer("silent after the handshake: no settings", &[], &[Step::Swallow], TIMEOUT),
        peer(
            "text of HTTP/1.1 instead of settings",
            crate::faults::OK.as_bytes(),
            &[Step::Swallow],
            TRUNCATED,
        ),
        peer("no stream is allowed", &setting(MAX_CONCURRENT_STREAMS, 0), &[Step::Swallow], TIMEOUT),
        peer("a window of 0, never opened", &setting(INITIAL_WINDOW_SIZE, 0), &[Step::Swallow], TIMEOUT),
        peer("a window beyond 31 bits", &setting(INITIAL_WINDOW_SIZE, u32::MAX), &[Step::Swallow], TRUNCATED),
        peer("frames of 1 byte at most", &setting(MAX_FRAME_SIZE, 1), &[Step::Swallow], TRUNCATED),
        said("silent after the request", &[], TIMEOUT),
        said("the stream is reset (`CANCEL`)", &[http2::reset(CANCEL)], TRUNCATED),
        said("the stream is refused (`REFUSED_STREAM`)", &[http2::reset(REFUSED_STREAM)], TRUNCATED),
        said("the stream is reset (`ENHANCE_YOUR_CALM`)", &[http2::reset(ENHANCE_YOUR_CALM)], TRUNCATED),
        said(
            "the stream is reset within the answer",
            &[ok_head.clone(), body(0, b"{"), http2::reset(INTERNAL_ERROR)],
            TRUNCATED,
        ),
        said("GOAWAY that covers the request, and nothing more", &[go_away(1, 0)], TIMEOUT),
        said("GOAWAY that does not cover the request", &[go_away(0, 0)], TRUNCATED),
        said("GOAWAY with an error", &[go_away(0, INTERNAL_ERROR)], TRUNCATED),
        peer(
            "GOAWAY before the request",
            &[Frame::SETTINGS.to_vec(), go_away(0, 0)].concat(),
            &[Step::Swallow],
            TRUNCATED,
        ),
        peer("closed when the request is read", &Frame::SETTINGS, &[Step::ReadStream], TRUNCATED),
        peer("reset when the request is read", &Frame::SETTINGS, &[Step::ReadStream, Step::Reset], TRUNCATED),
        said("the head and nothing more", std::slice::from_ref(&ok_head), TIMEOUT),
        said("a head that is never whole", &[head(0)], TIMEOUT),
        endless(
            "an endless head (`CONTINUATION`)",
            &[head(0)],
            &frame(CONTINUATION, 0, 1, &fillers),
            TRUNCATED,
        ),
        endless("endless empty `CONTINUATION`", &[head(0)], &frame(CONTINUATION, 0, 1, &[]), TRUNCATED),
        said(
            "a head of 100 KiB",
            &[
                head(0),
                frame(CONTINUATION, 0, 1, &fillers).repeat(9),
                frame(CONTINUATION, END_HEADERS, 1, &fillers),
            ],
            TRUNCATED,
        ),
        endless("endless interim answers", &[], &interim, "upstream_timeout | upstream_truncated"),
        endless("endless `PING`", &[], &frame(PING, 0, 0, &[7; 8]), "upstream_timeout | upstream_truncated"),
        endless("endless `SETTINGS`", &[], &Frame::SETTINGS, "upstream_timeout | upstream_truncated"),
        endless(
            "endless empty `DATA`",
            std::slice::from_ref(&ok_head),
            &body(0, b""),
            "upstream_timeout | upstream_truncated",
        ),
        endless("endless `RST_STREAM` of streams that are over", &[], &http2::reset(CANCEL), TRUNCATED),
        endless(
            "endless `WINDOW_UPDATE`",
            &[],
            &frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
            TRUNCATED,
        ),
        endless(
            "an endless body",
            std::slice::from_ref(&ok_head),
            &body(0, &[b'{'; 1024]),
            "upstream_invalid | upstream_truncated",
        ),
        endless(
            "trailers, again and again",
            &[ok_head.clone(), body(0, BODY.as_bytes())],
            &frame(HEADERS, END_HEADERS | END_STREAM, 1, &field("x-filler", "x")),
            "success | upstream_truncated",
        )
        .hurried()
        .write("success | upstream_truncated unknown | upstream_timeout unknown"),
        said(
            "a promise of another answer",
            &[
                frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], &fields()[..]].concat()),
                http2::answer(1),
            ],
            TRUNCATED,
        ),
        said("an answer on another stream", &[http2::answer(3)], TRUNCATED),
        said("a body before its head", &[body(END_STREAM, BODY.as_bytes())], TRUNCATED),
        said("a head that cannot be decoded", &[frame(HEADERS, END_HEADERS, 1, &[0xff; 20])], TRUNCATED),
        said(
            "a head without a status",
            &[frame(HEADERS, END_HEADERS | END_STREAM, 1, &field("x-a", "b"))],
            TRUNCATED,
        ),
        said(
            "a body longer than its length",
            &[
                frame(HEADERS, END_HEADERS, 1, &[fields(), field("content-length", "2")].concat()),
                body(END_STREAM, BODY.as_bytes()),
            ],
            TRUNCATED,
        ),
        said(
            "a body shorter than its length",
            &[
                frame(HEADERS, END_HEADERS, 1, &[fields(), field("content-length", "1000")].concat()),
                body(END_STREAM, BODY.as_bytes()),
            ],
            TRUNCATED,
        ),
        said("a frame longer than allowed", &[frame(DATA, 0, 1, &vec![b'x'; 20_000])], TRUNCATED),
        double2("hang-after-read", "hangs when the request is read", TIMEOUT),
        double2("reset-after-request", "reset when the request is read", TRUNCATED),
        double2("truncate:20", "the stream is reset within the body", TRUNCATED),
        double2("html:502", "a page, `502`", INVALID),
        double2("oversize-chunked:300000", "a body beyond the limit", INVALID),
    ]
}
