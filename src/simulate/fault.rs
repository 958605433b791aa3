//! What can the double be told to do wrong?

use std::fmt;
use std::time::Duration;

use super::duration::{parse_duration, show_duration};

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
    /// `hang-on-accept`: accepts a TCP connection, then says nothing, not even TLS.
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

/// A fault, duration or encoding that [`Fault::parse`] does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownFault {
    /// No fault has this name.
    #[error(
        "no such fault; the names are listed in the documentation of `simulate`, for example `truncate:100`"
    )]
    Name,
    /// The fault takes an argument and none was given, or takes none and one was given.
    #[error("this fault takes {0}")]
    Argument(&'static str),
}

impl Fault {
    /// Reads the text form, for example `truncate:100`, `latency:50ms` or `reflect:base64-1`.
    ///
    /// # Errors
    ///
    /// [`UnknownFault`]: the name is not known, or the argument is missing, superfluous or out of range.
    pub fn parse(text: &str) -> Result<Self, UnknownFault> {
        let (name, argument) = match text.trim().split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text.trim(), None),
        };
        if let Some(fault) = PLAIN.iter().find(|(plain, _)| *plain == name).map(|(_, fault)| *fault) {
            return match argument {
                None => Ok(fault),
                Some(_) => Err(UnknownFault::Argument("no argument")),
            };
        }
        let duration =
            || argument.and_then(parse_duration).ok_or(UnknownFault::Argument("a duration such as 50ms"));
        let number = || {
            argument
                .and_then(|text| text.parse::<usize>().ok())
                .ok_or(UnknownFault::Argument("a whole number"))
        };
        let status = |low: u16, high: u16, what: &'static str| {
            argument
                .and_then(|text| text.parse::<u16>().ok())
                .filter(|status| (low..=high).contains(status))
                .ok_or(UnknownFault::Argument(what))
        };
        Ok(match name {
            "latency" => Self::Latency(duration()?),
            "drip" => Self::Drip(duration()?),
            "extra-response" => Self::ExtraResponse { after: duration()? },
            "truncate" => Self::Truncate { after: number()? },
            "informational" => Self::Informational { count: number()? },
            "many-headers" => Self::ManyHeaders { count: number()? },
            "oversize" => Self::Oversize { bytes: number()? as u64 },
            "oversize-chunked" => Self::OversizeChunked { bytes: number()? as u64 },
            "html" => Self::Html { status: status(200, 599, "a status from 200 to 599")? },
            "redirect" => Self::Redirect { status: status(300, 399, "a status from 300 to 399")? },
            "reflect" => Self::ReflectCredential(
                argument
                    .and_then(|text| ENCODINGS.iter().find(|(name, _)| *name == text))
                    .map(|(_, encoding)| *encoding)
                    .ok_or(UnknownFault::Argument("an encoding such as raw or base64-1"))?,
            ),
            _ => return Err(UnknownFault::Name),
        })
    }

    /// Whether it strikes when a connection is accepted, before there is a request.
    #[must_use]
    pub fn strikes_on_accept(self) -> bool {
        matches!(self, Self::HangOnAccept | Self::ResetOnAccept)
    }

    /// One of each fault, with small arguments: for tests that must meet them all.
    pub fn examples() -> impl Iterator<Item = Self> {
        let with_arguments = [
            Self::Latency(Duration::from_millis(1)),
            Self::Drip(Duration::from_micros(100)),
            Self::ExtraResponse { after: Duration::ZERO },
            Self::ExtraResponse { after: Duration::from_millis(5) },
            Self::Truncate { after: 0 },
            Self::Truncate { after: 20 },
            Self::Informational { count: 200 },
            Self::ManyHeaders { count: 500 },
            Self::Oversize { bytes: 70_000_000 },
            Self::OversizeChunked { bytes: 70_000_000 },
            Self::Html { status: 502 },
            Self::Html { status: 200 },
            Self::Redirect { status: 302 },
        ];
        PLAIN
            .iter()
            .map(|(_, fault)| *fault)
            .chain(with_arguments)
            .chain(ENCODINGS.iter().map(|(_, encoding)| Self::ReflectCredential(*encoding)))
    }
}

const PLAIN: [(&str, Fault); 23] = [
    ("none", Fault::None),
    ("hang-on-accept", Fault::HangOnAccept),
    ("hang-before-read", Fault::HangBeforeRead),
    ("hang-after-read", Fault::HangAfterRead),
    ("reset-on-accept", Fault::ResetOnAccept),
    ("reset-after-request", Fault::ResetAfterRequest),
    ("reset-mid-answer", Fault::ResetMidAnswer),
    ("truncate-clean-close", Fault::TruncateCleanClose),
    ("truncate-chunked", Fault::TruncateChunked),
    ("close-delimited", Fault::CloseDelimited),
    ("close-delimited-no-notify", Fault::CloseDelimitedNoNotify),
    ("bad-content-length", Fault::BadContentLength),
    ("two-content-lengths", Fault::TwoContentLengths),
    ("length-and-chunked", Fault::LengthAndChunked),
    ("non-json", Fault::NonJson),
    ("invalid-json", Fault::InvalidJson),
    ("not-utf8", Fault::NotUtf8),
    ("duplicate-members", Fault::DuplicateMembers),
    ("empty-body", Fault::EmptyBody),
    ("wrong-content-type", Fault::WrongContentType),
    ("compressed-label", Fault::CompressedLabel),
    ("set-cookie", Fault::SetCookie),
    ("reject-credential", Fault::RejectCredential),
];

const ENCODINGS: [(&str, Encoding); 12] = [
    ("raw", Encoding::Raw),
    ("chunked", Encoding::Chunked),
    ("json", Encoding::JsonEscaped),
    ("unicode", Encoding::UnicodeEscaped),
    ("percent", Encoding::Percent),
    ("percent-all", Encoding::PercentAll),
    ("base64-0", Encoding::Base64(0)),
    ("base64-1", Encoding::Base64(1)),
    ("base64-2", Encoding::Base64(2)),
    ("hex", Encoding::Hex),
    ("hex-upper", Encoding::HexUpper),
    ("header", Encoding::HeaderRaw),
];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = PLAIN.iter().find(|(_, fault)| fault == self) {
            return f.write_str(name);
        }
        match *self {
            Self::Latency(pause) => write!(f, "latency:{}", show_duration(pause)),
            Self::Drip(pause) => write!(f, "drip:{}", show_duration(pause)),
            Self::ExtraResponse { after } => write!(f, "extra-response:{}", show_duration(after)),
            Self::Truncate { after } => write!(f, "truncate:{after}"),
            Self::Informational { count } => write!(f, "informational:{count}"),
            Self::ManyHeaders { count } => write!(f, "many-headers:{count}"),
            Self::Oversize { bytes } => write!(f, "oversize:{bytes}"),
            Self::OversizeChunked { bytes } => write!(f, "oversize-chunked:{bytes}"),
            Self::Html { status } => write!(f, "html:{status}"),
            Self::Redirect { status } => write!(f, "redirect:{status}"),
            Self::ReflectCredential(encoding) => {
                let name =
                    ENCODINGS.iter().find(|(_, known)| *known == encoding).map_or("", |(name, _)| name);
                write!(f, "reflect:{name}")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_back_from_its_text_form() {
        for fault in Fault::examples() {
            assert_eq!(Fault::parse(&fault.to_string()), Ok(fault), "{fault}");
        }
    }

    #[test]
    fn a_fault_with_a_wrong_argument_is_refused() {
        for text in [
            "",
            "trunc",
            "truncate",
            "truncate:x",
            "none:1",
            "html:99",
            "redirect:200",
            "reflect:rot13",
            "latency:50",
        ] {
            assert!(Fault::parse(text).is_err(), "{text}");
        }
    }
}
