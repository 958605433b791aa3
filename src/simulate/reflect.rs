//! In which disguises does a password stand in an answer?

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Response;
use http::header::{HeaderName, HeaderValue};

use super::answer::{Answer, Piece, Pieces};
use super::fault::Encoding;
use super::php::{write_escaped, write_unicode};
use super::spoil::replace_brace;

/// The answer with a first member `debug` that holds the password, or with a header `x-debug`.
pub(super) fn reflect(mut answer: Answer, encoding: Encoding, password: &str) -> Response<Pieces> {
    if encoding == Encoding::HeaderRaw {
        // A password with control characters has no raw form in a header: then the body shows it.
        if let Ok(value) = HeaderValue::from_bytes(password.as_bytes()) {
            answer.headers.insert(HeaderName::from_static("x-debug"), value);
            return answer.into_response();
        }
    }
    let written = disguise(password, encoding);
    replace_brace(&mut answer, &[b"{\"debug\":\"pass was ", written.as_slice(), b" here\","].concat());
    if encoding == Encoding::Chunked {
        let bytes: Vec<Piece> =
            answer.body.chunks(1).map(|byte| Piece::Given(Bytes::copy_from_slice(byte))).collect();
        return answer.with_pieces(Pieces::of_untold_length(bytes));
    }
    answer.into_response()
}

/// `password` as `encoding` writes it.
pub(super) fn disguise(password: &str, encoding: Encoding) -> Vec<u8> {
    let bytes = password.as_bytes();
    match encoding {
        Encoding::Raw | Encoding::Chunked | Encoding::HeaderRaw => bytes.to_vec(),
        Encoding::JsonEscaped => {
            let mut written = String::new();
            for character in password.chars() {
                match character {
                    '"' | '\\' | '/' => write_escaped(character, &mut written),
                    ' '..='~' => written.push(character),
                    _ => write_escaped(character, &mut written),
                }
            }
            written.into_bytes()
        }
        Encoding::UnicodeEscaped => {
            let mut written = String::new();
            password.chars().for_each(|character| write_unicode(character, &mut written));
            written.into_bytes()
        }
        Encoding::Percent => percent(bytes, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
        Encoding::PercentAll => percent(bytes, |_| false),
        Encoding::Base64(offset) => {
            // The neighbours on both sides mix with the password's first and last letters of base64.
            let before: &[u8] = if offset == 0 {
                b""
            } else if offset == 1 {
                b"a"
            } else {
                b"ab"
            };
            STANDARD.encode([before, bytes, b"&b"].concat()).into_bytes()
        }
        Encoding::Hex => bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
        Encoding::HexUpper => bytes.iter().flat_map(|byte| format!("{byte:02X}").into_bytes()).collect(),
    }
}

fn percent(bytes: &[u8], plain: fn(u8) -> bool) -> Vec<u8> {
    let mut written = Vec::new();
    for byte in bytes {
        if plain(*byte) {
            written.push(*byte);
        } else {
            written.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    written
}
