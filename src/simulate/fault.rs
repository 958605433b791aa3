//! What can the double be told to do wrong?

use std::time::Duration;

/// One way in which the double misbehaves.
///
/// A fault spoils the answer, not the work: the request is carried out first wherever the body is read, so a
/// `createOrUpdateCustomer` under [`Fault::Truncate`] has stored the customer. [`Fault::RejectCredential`] is the
/// exception, as the real service does nothing then.
///
/// The text form, which [`Fault::parse`] reads and `Display` writes, is `name` or `name:argument`; the names stand
/// beside the variants. Durations are a whole number with `us`, `ms` or `s`; sizes are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// `none`: answers as documented.
    None,
    /// `latency:50ms`: waits before it answers.
    Latency(Duration),
    /// `hang-on-accept`: accepts a TCP connection, then says nothing, not even TLS; on one already open, as
    /// `hang-before-read`.
    HangOnAccept,
    /// `hang-before-read`: reads the head, never the body, and never answers.
    HangBeforeRead,
    /// `hang-after-read`: reads the whole request and never answers.
    HangAfterRead,
    /// `reset-on-accept`: RST on a new connection; on one already open, RST when a request's head arrives.
    ResetOnAccept,
    /// `reset-after-request`: RST once the whole request was read and carried out.
    ResetAfterRequest,
    /// `reset-mid-answer`: RST after the head and half of the body (HTTP/2: the stream is reset there).
    ResetMidAnswer,
    /// `truncate:100`: promises the whole answer in `Content-Length`, sends so many bytes of the body, and ends
    /// the TCP connection without TLS close_notify (HTTP/2: the stream is reset there).
    Truncate {
        /// Bytes of the body that are sent, 0 and up; at most all but one.
        after: usize,
    },
    /// `truncate-clean-close`: as `truncate` at half of the body, but TLS is closed properly (HTTP/2: as `truncate`).
    TruncateCleanClose,
    /// `truncate-chunked`: a chunked answer that ends after half of the body, TLS closed properly (HTTP/2: as
    /// `truncate`).
    TruncateChunked,
    /// `close-delimited`: a whole answer without a length, ended by a proper TLS close (HTTP/2: no fault).
    CloseDelimited,
    /// `close-delimited-no-notify`: the same, ended without TLS close_notify (HTTP/2: no fault).
    CloseDelimitedNoNotify,
    /// `close-after-answer`: the whole answer, then a proper close that no header announced, as an upstream's idle
    /// timeout would (HTTP/2: no fault).
    CloseAfterAnswer,
    /// `drip:10ms`: the body one byte at a time with this pause between (HTTP/2: no fault).
    Drip(Duration),
    /// `extra-response:0ms`: a second, complete, unsolicited answer on the same connection, so long after the
    /// first; its `reference` is `unsolicited` (HTTP/2: no fault, as the protocol has no room for one).
    ExtraResponse {
        /// How long after the first answer; zero puts both in one write.
        after: Duration,
    },
    /// `informational:1000`: so many `103` answers before the real one (HTTP/2: no fault).
    Informational {
        /// How many.
        count: usize,
    },
    /// `bad-content-length`: `Content-Length: 12x` (HTTP/2: no fault).
    BadContentLength,
    /// `two-content-lengths`: two that differ (HTTP/2: no fault).
    TwoContentLengths,
    /// `length-and-chunked`: `Content-Length` and `Transfer-Encoding: chunked` together (HTTP/2: no fault).
    LengthAndChunked,
    /// `html:502`: an HTML error page with this status.
    Html {
        /// 200 to 599.
        status: u16,
    },
    /// `early-html:413`: an HTML error page sent as soon as the head is there, as a web server with a smaller body
    /// limit would; the body is not read and nothing is carried out.
    EarlyHtml {
        /// 200 to 599.
        status: u16,
    },
    /// `redirect:302`: this status with a `Location` on another host.
    Redirect {
        /// 300 to 399.
        status: u16,
    },
    /// `non-json`: plain text, and labelled so.
    NonJson,
    /// `invalid-json`: the answer without its last byte, in a message that is whole.
    InvalidJson,
    /// `not-utf8`: a byte that is no UTF-8 inside a string.
    NotUtf8,
    /// `duplicate-members`: a second `result`, contrary to the first, before the documented members.
    DuplicateMembers,
    /// `empty-body`: the answer's head with a body of 0 bytes.
    EmptyBody,
    /// `wrong-content-type`: the documented JSON labelled `text/html`.
    WrongContentType,
    /// `compressed-label`: the documented JSON labelled `Content-Encoding: gzip`.
    CompressedLabel,
    /// `set-cookie`: with a session cookie, `Server` and `X-Powered-By`.
    SetCookie,
    /// `many-headers:500`: with so many headers more.
    ManyHeaders {
        /// How many.
        count: usize,
    },
    /// `oversize:1000000`: valid JSON with a padding member, of this total length, which `Content-Length` tells.
    Oversize {
        /// Bytes of the whole body; at least the documented answer and some 20 bytes.
        bytes: u64,
    },
    /// `oversize-chunked:1000000`: the same without a length.
    OversizeChunked {
        /// As for `Oversize`.
        bytes: u64,
    },
    /// `reflect:raw` and the other names of [`Encoding`]: the password stands in the answer.
    ReflectCredential(Encoding),
    /// `reject-credential`: says that user or password is incorrect, whatever was sent, and does nothing.
    RejectCredential,
}

/// How a reflected password is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// `raw`: its bytes, unescaped.
    Raw,
    /// `chunked`: its bytes, each in a chunk (HTTP/2: a DATA frame) of its own.
    Chunked,
    /// `json`: as PHP's `json_encode` writes it.
    JsonEscaped,
    /// `unicode`: every character as `\u00XX`.
    UnicodeEscaped,
    /// `percent`: RFC 3986, unreserved characters as they are.
    Percent,
    /// `percent-all`: every byte as `%XX`.
    PercentAll,
    /// `base64-0`, `base64-1`, `base64-2`: base64 of a longer text in which it starts at this offset modulo 3.
    Base64(u8),
    /// `hex`: lower case.
    Hex,
    /// `hex-upper`: upper case.
    HexUpper,
    /// `header`: its bytes in a header; the body is as documented.
    HeaderRaw,
}

impl Fault {
    /// Whether it strikes when a connection is accepted, before there is a request.
    #[must_use]
    pub fn strikes_on_accept(self) -> bool {
        matches!(self, Self::HangOnAccept | Self::ResetOnAccept)
    }
}
