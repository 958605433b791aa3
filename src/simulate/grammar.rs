//! How is a fault written, on the command line and on the control path?

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::duration::{parse_duration, show_duration};
use super::fault::{Encoding, Fault};

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
    /// The text forms of all faults, for a help text, in the words of the error messages.
    pub fn forms() -> impl Iterator<Item = String> {
        let plain = PLAIN.iter().map(|(name, _)| (*name).to_owned());
        let with_argument = WITH_ARGUMENT.iter().map(|(name, argument)| format!("{name}:{argument}"));
        let reflections = ENCODINGS.iter().map(|(name, _)| format!("reflect:{name}"));
        plain.chain(with_argument).chain(reflections)
    }

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
            "early-html" => Self::EarlyHtml { status: status(200, 599, "a status from 200 to 599")? },
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
            Self::EarlyHtml { status: 413 },
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

const PLAIN: [(&str, Fault); 24] = [
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
    ("close-after-answer", Fault::CloseAfterAnswer),
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

/// The names that take an argument, and what it is; `reflect` stands apart, with [`ENCODINGS`].
const WITH_ARGUMENT: [(&str, &str); 11] = [
    ("latency", "DURATION"),
    ("drip", "DURATION"),
    ("extra-response", "DURATION"),
    ("truncate", "BYTES"),
    ("informational", "COUNT"),
    ("many-headers", "COUNT"),
    ("oversize", "BYTES"),
    ("oversize-chunked", "BYTES"),
    ("html", "STATUS"),
    ("early-html", "STATUS"),
    ("redirect", "STATUS"),
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

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        Self::parse(text)
    }
}

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
            Self::EarlyHtml { status } => write!(f, "early-html:{status}"),
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_is_read_back_from_its_text_form() {
        for fault in Fault::examples() {
            assert_eq!(Fault::parse(&fault.to_string()), Ok(fault), "{fault}");
        }
    }

    #[test]
    fn every_form_has_an_example_and_every_example_a_form() {
        let name = |text: String| text.split_once(':').map_or(text.clone(), |(name, _)| name.to_owned());
        let forms: BTreeSet<String> = Fault::forms().map(name).collect();
        let examples: BTreeSet<String> = Fault::examples().map(|fault| name(fault.to_string())).collect();
        assert_eq!(forms, examples);
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
