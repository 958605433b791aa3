//! How does a fault change an answer?

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, SERVER, SET_COOKIE};
use http::{Response, StatusCode, Version};

use super::answer::{Answer, Piece, Pieces};
use super::fault::Fault;
use super::reflect::reflect;
use super::script::Step;

/// What becomes of an answer.
pub(super) enum Delivery {
    /// hyper sends it.
    Proper(Response<Pieces>),
    /// The connection is taken from hyper and these steps are performed (on HTTP/2, only an RST can be).
    Scripted(Vec<Step>),
    /// Nothing is ever sent.
    Never,
}

/// The second answer of [`Fault::ExtraResponse`].
pub(super) const UNSOLICITED: &str = r#"{"result":"Success","reference":"unsolicited","status":"PASS","target":{"email":"somebody-else@example.com"}}"#;

/// Applies `fault` to `answer`; `password` is what a reflection shows.
pub(super) fn spoil(answer: Answer, fault: Fault, password: &str, version: Version) -> Delivery {
    let framed = if version == Version::HTTP_2 {
        break_stream(&answer, fault)
    } else {
        break_framing(&answer, fault).map(Delivery::Scripted)
    };
    framed.unwrap_or_else(|| Delivery::Proper(spoil_message(answer, fault, password)))
}

/// Faults of HTTP/1.1 framing and of the connection below it.
fn break_framing(answer: &Answer, fault: Fault) -> Option<Vec<Step>> {
    let half = answer.body.len() / 2;
    let length = |text: &str| format!("content-length: {text}\r\n");
    let whole_length = length(&answer.body.len().to_string());
    let close = "connection: close\r\n";
    Some(match fault {
        Fault::ResetAfterRequest => vec![Step::Reset],
        Fault::ResetMidAnswer => vec![cut(answer, &whole_length, half), Step::Reset],
        Fault::Truncate { after } => vec![cut(answer, &whole_length, after), Step::CloseAbruptly],
        Fault::TruncateCleanClose => vec![cut(answer, &whole_length, half), Step::CloseCleanly],
        Fault::TruncateChunked => {
            let mut bytes = answer.head("transfer-encoding: chunked\r\n");
            bytes.extend_from_slice(format!("{half:x}\r\n").as_bytes());
            bytes.extend_from_slice(answer.body.get(..half).unwrap_or_default());
            bytes.extend_from_slice(b"\r\n");
            vec![Step::Write(bytes.into()), Step::CloseCleanly]
        }
        Fault::CloseDelimited => vec![whole(answer, close), Step::CloseCleanly],
        Fault::CloseDelimitedNoNotify => vec![whole(answer, close), Step::CloseAbruptly],
        Fault::CloseAfterAnswer => vec![whole(answer, &whole_length), Step::CloseCleanly],
        Fault::Drip(pause) => {
            let bytes = (0..answer.body.len()).map(|at| answer.body.slice(at..at + 1));
            let dripping = bytes.flat_map(|byte| [Step::Wait(pause), Step::Write(byte)]);
            std::iter::once(Step::Write(answer.head(&whole_length).into())).chain(dripping).collect()
        }
        Fault::ExtraResponse { after } => followed_by_another(answer, after),
        Fault::Informational { count } => {
            let mut bytes = b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n".repeat(count);
            bytes.extend_from_slice(&answer.message());
            vec![Step::Write(bytes.into())]
        }
        Fault::BadContentLength => vec![whole(answer, &length("12x")), Step::CloseCleanly],
        Fault::TwoContentLengths => {
            let shorter = length(&half.to_string());
            vec![whole(answer, &format!("{whole_length}{shorter}")), Step::CloseCleanly]
        }
        Fault::LengthAndChunked => {
            let mut bytes = answer.head(&format!("{}transfer-encoding: chunked\r\n", length("5")));
            bytes.extend_from_slice(format!("{:x}\r\n", answer.body.len()).as_bytes());
            bytes.extend_from_slice(&answer.body);
            bytes.extend_from_slice(b"\r\n0\r\n\r\n");
            vec![Step::Write(bytes.into()), Step::CloseCleanly]
        }
        _ => return None,
    })
}

/// The faults that HTTP/2 has a form of: a reset of the connection, and a reset of the stream.
fn break_stream(answer: &Answer, fault: Fault) -> Option<Delivery> {
    let after = match fault {
        Fault::ResetAfterRequest => return Some(Delivery::Scripted(vec![Step::Reset])),
        Fault::Truncate { after } => after.min(answer.body.len().saturating_sub(1)),
        Fault::ResetMidAnswer | Fault::TruncateCleanClose | Fault::TruncateChunked => answer.body.len() / 2,
        _ => return None,
    };
    let cut = Answer { status: answer.status, headers: answer.headers.clone(), body: Bytes::new() };
    Some(Delivery::Proper(cut.with_pieces(Pieces::broken_off(answer.body.slice(..after)))))
}

fn whole(answer: &Answer, framing: &str) -> Step {
    cut_at(answer, framing, answer.body.len())
}

/// The head and the first bytes of the body, never all of them.
fn cut(answer: &Answer, framing: &str, after: usize) -> Step {
    cut_at(answer, framing, after.min(answer.body.len().saturating_sub(1)))
}

fn cut_at(answer: &Answer, framing: &str, after: usize) -> Step {
    let mut bytes = answer.head(framing);
    bytes.extend_from_slice(answer.body.get(..after).unwrap_or_default());
    Step::Write(bytes.into())
}

fn followed_by_another(answer: &Answer, after: Duration) -> Vec<Step> {
    let mut first = answer.message();
    let second = Answer::json(StatusCode::OK, UNSOLICITED.to_owned()).message();
    if after.is_zero() {
        first.extend_from_slice(&second);
        return vec![Step::Write(first.into())];
    }
    vec![Step::Write(first.into()), Step::Wait(after), Step::Write(second.into())]
}

/// Faults in a message that is well framed.
fn spoil_message(mut answer: Answer, fault: Fault, password: &str) -> Response<Pieces> {
    match fault {
        Fault::Html { status } => {
            answer = html(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY));
        }
        Fault::Redirect { status } => {
            answer = html(StatusCode::from_u16(status).unwrap_or(StatusCode::FOUND));
            let elsewhere = HeaderValue::from_static("https://elsewhere.example.com/login");
            answer.headers.insert(LOCATION, elsewhere);
        }
        Fault::NonJson => {
            answer = Answer::labelled(StatusCode::OK, "text/plain", Bytes::from_static(b"it works"));
        }
        Fault::InvalidJson => answer.body.truncate(answer.body.len().saturating_sub(1)),
        Fault::NotUtf8 => replace_brace(&mut answer, b"{\"note\":\"\xff\xfe\","),
        Fault::DuplicateMembers => {
            let says_error = answer.body.starts_with(b"{\"result\":\"Error\"");
            let contrary: &[u8] =
                if says_error { b"{\"result\":\"Success\"," } else { b"{\"result\":\"Error\"," };
            replace_brace(&mut answer, contrary);
        }
        Fault::EmptyBody => answer.body = Bytes::new(),
        Fault::WrongContentType => {
            answer.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
        }
        Fault::CompressedLabel => {
            answer.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Fault::SetCookie => {
            let cookie = HeaderValue::from_static("PHPSESSID=0123456789abcdef; path=/");
            answer.headers.insert(SET_COOKIE, cookie);
            answer.headers.insert(SERVER, HeaderValue::from_static("Apache/2.4.62"));
            let powered = HeaderName::from_static("x-powered-by");
            answer.headers.insert(powered, HeaderValue::from_static("PHP/8.2.0"));
        }
        Fault::ManyHeaders { count } => {
            for number in 0..count {
                if let Ok(name) = HeaderName::try_from(format!("x-filler-{number}")) {
                    // Past 32,768 headers the map is full: that is as many as there will be.
                    let _ = answer.headers.try_insert(name, HeaderValue::from_static("filler"));
                }
            }
        }
        Fault::Oversize { bytes } => {
            let pieces = Pieces::sized(padded(&answer, bytes));
            return answer.with_pieces(pieces);
        }
        Fault::OversizeChunked { bytes } => {
            let pieces = Pieces::of_untold_length(padded(&answer, bytes));
            return answer.with_pieces(pieces);
        }
        Fault::ReflectCredential(encoding) => return reflect(answer, encoding, password),
        _ => {}
    }
    answer.into_response()
}

/// Puts `opening`, which ends in a comma, in the place of the object's opening brace.
pub(super) fn replace_brace(answer: &mut Answer, opening: &[u8]) {
    let members = answer.body.get(1..).unwrap_or_default();
    answer.body = [opening, members].concat().into();
}

fn padded(answer: &Answer, bytes: u64) -> [Piece; 3] {
    let opening = Bytes::from_static(b"{\"padding\":\"");
    let mut rest = b"\",".to_vec();
    rest.extend_from_slice(answer.body.get(1..).unwrap_or_default());
    let padding = bytes.saturating_sub((opening.len() + rest.len()) as u64);
    [Piece::Given(opening), Piece::Padding(padding), Piece::Given(rest.into())]
}

/// The page that a web server in front of PHP would send.
pub(super) fn html(status: StatusCode) -> Answer {
    let reason = status.canonical_reason().unwrap_or("Unknown");
    let title = format!("{} {reason}", status.as_str());
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<h1>{title}</h1>\r\n</body>\r\n</html>\r\n"
    );
    Answer::labelled(status, "text/html; charset=UTF-8", page.into())
}
