//! What does an answer consist of, as a message and as HTTP/1.1 bytes?

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

/// One whole answer, before a fault spoils it.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(status: StatusCode, body: String) -> Self {
        Self::labelled(status, "application/json", Bytes::from(body))
    }

    pub(super) fn labelled(status: StatusCode, media_type: &'static str, body: Bytes) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
        Self { status, headers, body }
    }

    /// The HTTP/1.1 head up to the blank line, with `framing` (whole header lines) in place of the length.
    pub(super) fn head(&self, framing: &str) -> Vec<u8> {
        let reason = self.status.canonical_reason().unwrap_or("Unknown");
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status.as_str()).into_bytes();
        for (name, value) in &self.headers {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(framing.as_bytes());
        head.extend_from_slice(b"\r\n");
        head
    }

    /// The whole HTTP/1.1 message, with a true `Content-Length`.
    pub(super) fn message(&self) -> Vec<u8> {
        let mut message = self.head(&format!("content-length: {}\r\n", self.body.len()));
        message.extend_from_slice(&self.body);
        message
    }

    pub(super) fn into_response(self) -> Response<Pieces> {
        let pieces = Pieces::whole(self.body);
        respond(self.status, self.headers, pieces)
    }

    /// As [`Answer::into_response`], with another body.
    pub(super) fn with_pieces(self, pieces: Pieces) -> Response<Pieces> {
        respond(self.status, self.headers, pieces)
    }
}

fn respond(status: StatusCode, headers: HeaderMap, pieces: Pieces) -> Response<Pieces> {
    let mut response = Response::new(pieces);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// A body in pieces: each is a frame of its own, and the last can be followed by a failure.
pub(super) struct Pieces {
    left: VecDeque<Piece>,
    told_length: bool,
    breaks_off: bool,
}

/// One piece: given bytes, or so many times the letter `x` (so that 10 GB need no memory).
pub(super) enum Piece {
    Given(Bytes),
    Padding(u64),
}

/// The end of a body that breaks off; hyper resets the HTTP/2 stream.
#[derive(Debug)]
pub(super) struct BrokenOff;

static PADDING: [u8; 65_536] = [b'x'; 65_536];

impl Pieces {
    pub(super) fn whole(body: Bytes) -> Self {
        Self::sized([Piece::Given(body)])
    }

    pub(super) fn sized(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self { left: pieces.into_iter().collect(), told_length: true, breaks_off: false }
    }

    /// Without a length: chunked on HTTP/1.1.
    pub(super) fn of_untold_length(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self { told_length: false, ..Self::sized(pieces) }
    }

    pub(super) fn broken_off(body: Bytes) -> Self {
        Self { breaks_off: true, ..Self::of_untold_length([Piece::Given(body)]) }
    }

    fn length(&self) -> u64 {
        self.left.iter().map(Piece::length).sum()
    }

    fn next(&mut self) -> Option<Bytes> {
        match self.left.pop_front()? {
            Piece::Given(bytes) => Some(bytes),
            Piece::Padding(count) => {
                let now = count.min(PADDING.len() as u64);
                if count > now {
                    self.left.push_front(Piece::Padding(count - now));
                }
                let now = usize::try_from(now).unwrap_or(PADDING.len());
                Some(Bytes::from_static(&PADDING).slice(..now))
            }
        }
    }
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Given(bytes) => bytes.len() as u64,
            Self::Padding(count) => *count,
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.next() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None if std::mem::take(&mut self.breaks_off) => Poll::Ready(Some(Err(BrokenOff))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.breaks_off && self.length() == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.told_length { SizeHint::with_exact(self.length()) } else { SizeHint::default() }
    }
}

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the double was told to break this answer off")
    }
}

impl std::error::Error for BrokenOff {}
