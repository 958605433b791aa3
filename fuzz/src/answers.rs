//! Is the verdict on an answer right, whatever the answer?
//!
//! An input is three bytes that choose the status, the content type and the circumstances, and a body.

use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD as STANDARD, URL_SAFE_NO_PAD as URL_SAFE};
use bytes::Bytes;
use dcams_gateway::audit::{ErrorClass, ResultKind, ReturnedStatus};
use dcams_gateway::json::{Caps, Document, parse};
use dcams_gateway::reject::{Fate, Reject};
use dcams_gateway::secret::Secret;
use dcams_gateway::upstream::{Examined, Examining, Judged, Needles, judge};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::oracle::no_room;
use crate::reader::{Read, Wins, read};

/// Its base64 has slashes and plus signs at some offset, and it needs every kind of escaping.
pub const PASS: &str = "a?~?>/\"%4p\u{f6}? ?>?z";

const STATUSES: [u16; 16] = [200, 200, 200, 201, 400, 401, 404, 422, 500, 502, 100, 103, 204, 301, 302, 304];
const TYPES: [&str; 8] = [
    "application/json",
    "application/json; charset=utf-8",
    "text/html; charset=UTF-8",
    "text/plain",
    "application/problem+json",
    "application/pdf",
    "image/png",
    "multipart/form-data",
];
/// The caller itself had sent the password.
const ECHOES: u8 = 1;
/// The body stands in a header too.
const IN_HEADER: u8 = 2;
/// The answer says that it is compressed.
const COMPRESSED: u8 = 4;

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The caller sees it.
    Believed,
    /// It holds the password, which the caller itself had sent, and the caller sees it.
    Echoed,
    /// It holds the password.
    Withheld,
    /// It is no answer of DCAMS.
    Invalid,
}

static NEEDLES: LazyLock<Arc<Needles>> = LazyLock::new(|| Arc::new(Needles::of(&Secret::new(PASS.into()))));
/// A request of nothing, and one with the password.
static REQUESTS: LazyLock<(Document, Document)> = LazyLock::new(|| {
    let document = |body: String| parse(Bytes::from(body), &Caps::REQUEST).ok().unwrap();
    let guess = serde_json::to_string(PASS).unwrap();
    (document("{}".to_owned()), document(format!("{{\"fn\":{guess}}}")))
});
static DISGUISES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(disguises);

/// Judges the answer that `input` stands for, and panics where the verdict is not what the rules demand.
/// `None` where it stands for none.
pub fn check(input: &[u8]) -> Option<Verdict> {
    let (&[status, kind, circumstances], body) = input.split_first_chunk()?;
    let status = StatusCode::from_u16(STATUSES[usize::from(status) % STATUSES.len()]).unwrap();
    let headers = headers(kind, circumstances, body);
    let request = if circumstances & ECHOES == 0 { &REQUESTS.0 } else { &REQUESTS.1 };
    let whole = Examined::of(Bytes::copy_from_slice(body), &NEEDLES);
    let verdict = judge(status, &headers, &whole, request, &NEEDLES, Fate::Unknown);
    let in_pieces = in_pieces(body, usize::from(kind) + 1);
    assert_eq!(judge(status, &headers, &in_pieces, request, &NEEDLES, Fate::Unknown), verdict, "in pieces");
    let holds = headers.values().any(|value| is_held(value.as_bytes())) || is_held_by(body);
    Some(match verdict {
        Ok(judged) => {
            assert_is_an_answer(status, &headers, body, judged);
            assert!(!holds || circumstances & ECHOES != 0, "the password passes");
            if holds { Verdict::Echoed } else { Verdict::Believed }
        }
        Err(Reject::ResponseWithheld(Fate::Unknown)) => {
            assert!(holds && circumstances & ECHOES == 0, "withheld without a reason");
            Verdict::Withheld
        }
        Err(Reject::UpstreamInvalid(Fate::Unknown)) => {
            // What a head can spoil is spoilt before the body is read; its strings were not looked at.
            Verdict::Invalid
        }
        Err(other) => panic!("{other:?}"),
    })
}

fn in_pieces(body: &[u8], longest: usize) -> Examined {
    let mut examining = Examining::new(None, body.len() as u64, Arc::clone(&NEEDLES));
    for piece in body.chunks(longest) {
        examining.push(Bytes::copy_from_slice(piece));
    }
    examining.end(no_room())
}

fn headers(kind: u8, circumstances: u8, body: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // Half of them from the table, a quarter from the body, a quarter of none.
    let content_type = match kind {
        0..=127 => HeaderValue::from_static(TYPES[usize::from(kind) % TYPES.len()]).into(),
        128..=191 => HeaderValue::from_bytes(&body[..body.len().min(24)]).ok(),
        192.. => None,
    };
    content_type.and_then(|value| headers.insert(CONTENT_TYPE, value));
    if circumstances & COMPRESSED != 0 {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if circumstances & IN_HEADER != 0
        && let Ok(value) = HeaderValue::from_bytes(body)
    {
        headers.insert(HeaderName::from_static("x-debug"), value);
    }
    headers
}

/// What is believed is one object that every parser reads alike, and says what it was understood to say.
fn assert_is_an_answer(status: StatusCode, headers: &HeaderMap, body: &[u8], judged: Judged) {
    assert!(!(100..200).contains(&status.as_u16()) && !(300..400).contains(&status.as_u16()), "{status}");
    assert!(headers.get(CONTENT_ENCODING).is_none(), "compressed");
    if let Some(kind) = headers.get(CONTENT_TYPE) {
        let kind = kind.to_str().unwrap().to_ascii_lowercase();
        let essence = kind.split(';').next().unwrap().trim();
        assert!(essence.starts_with("text/") || essence.ends_with("json"), "{essence}");
    }
    let text = std::str::from_utf8(body).expect("believed what is no UTF-8");
    let value: serde_json::Value = serde_json::from_str(text).expect("believed what serde_json refuses");
    assert!(value.is_object());
    let (last, shape) = read(text, Wins::Last);
    assert!(!shape.has_duplicates, "believed an object with two members of one name");
    assert!(shape.depth <= 64, "deeper than any answer");
    let Read::Object(members) = last else { panic!("no object") };
    let says = |name: &str| match members.get(name) {
        Some(Read::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let result = match says("result") {
        Some("Success") => ResultKind::Success,
        Some("Error") => ResultKind::Error,
        _ => ResultKind::Other,
    };
    let class = (result == ResultKind::Error).then(|| match says("message") {
        Some("Either your username or password is incorrect") => ErrorClass::CredentialsRejected,
        Some("The email address was not found") => ErrorClass::NotFound,
        Some("The email address is invalid" | "Missing a required input") => ErrorClass::InvalidRequest,
        _ => ErrorClass::Other,
    });
    let of_status = |status: Option<&Read>| match status {
        Some(Read::String(text)) if text == "PASS" => Some(ReturnedStatus::Pass),
        Some(Read::String(text)) if text == "PENDING" => Some(ReturnedStatus::Pending),
        Some(Read::String(text)) if text == "FAIL" => Some(ReturnedStatus::Fail),
        _ => None,
    };
    let returned_status = of_status(members.get("status")).or_else(|| match members.get("target") {
        Some(Read::Object(target)) => of_status(target.get("status")),
        _ => None,
    });
    assert_eq!(judged, Judged { result, class, returned_status });
}

/// Whether `body` holds the password as it is written, but for `\/`, or, where it is JSON, in a name or a string.
fn is_held_by(body: &[u8]) -> bool {
    if is_held(body) {
        return true;
    }
    let Ok(text) = std::str::from_utf8(body) else { return false };
    if serde_json::from_str::<serde_json::Value>(text).is_err() {
        return false;
    }
    // Of two equal names each reader sees one.
    [Wins::First, Wins::Last].into_iter().any(|wins| is_held_in(&read(text, wins).0))
}

fn is_held_in(value: &Read) -> bool {
    match value {
        Read::String(text) => is_held(text.as_bytes()),
        Read::Array(elements) => elements.iter().any(is_held_in),
        Read::Object(members) => {
            members.iter().any(|(name, value)| is_held(name.as_bytes()) || is_held_in(value))
        }
        Read::Null | Read::Bool(_) | Read::Number(_) => false,
    }
}

fn is_held(bytes: &[u8]) -> bool {
    let held = |bytes: &[u8]| {
        DISGUISES.iter().any(|disguise| bytes.windows(disguise.len()).any(|window| window == &disguise[..]))
    };
    let held = |bytes: &[u8]| held(bytes) || held(&with_plain_slashes(bytes));
    held(bytes) || bytes.contains(&b'%') && held(&percent_decoded(bytes))
}

/// With each `\/` as the slash that it stands for in JSON.
fn with_plain_slashes(bytes: &[u8]) -> Vec<u8> {
    let behind = bytes.iter().skip(1).map(Some).chain([None]);
    let stays = |(byte, next): (&u8, Option<&u8>)| (*byte, next) != (b'\\', Some(&b'/'));
    bytes.iter().zip(behind).filter(|pair| stays(*pair)).map(|(byte, _)| *byte).collect()
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match digits {
            Some(digits) if bytes[at] == b'%' => {
                let digits = std::str::from_utf8(digits).unwrap();
                decoded.push(u8::from_str_radix(digits, 16).unwrap());
                at += 3;
            }
            _ => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

/// Every form that is searched for, made in other ways than the gateway makes them: raw, as the JSON of three
/// writers, hexadecimal, and what all base64 of texts that hold the password has in common.
fn disguises() -> Vec<Vec<u8>> {
    let json = serde_json::to_string(PASS).unwrap();
    let json = json.trim_matches('"');
    // The closing quote of a password would be trimmed too.
    assert!(!PASS.starts_with('"') && !PASS.ends_with('"'));
    let php = json.replace('/', "\\/");
    let ascii: String = php
        .chars()
        .map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) })
        .collect();
    let lower: String = PASS.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![PASS.to_owned(), json.to_owned(), php, ascii, lower.to_uppercase(), lower];
    for engine in [&STANDARD, &URL_SAFE] {
        for offset in 0..3 {
            let [one, other] = [b'\0', 0xFF].map(|around| {
                let around = [around; 4];
                engine.encode([&around[..offset], PASS.as_bytes(), &around[..]].concat())
            });
            let alike: Vec<bool> = one.bytes().zip(other.bytes()).map(|(one, other)| one == other).collect();
            let start = alike.iter().position(|alike| *alike).unwrap();
            let length = alike[start..].iter().take_while(|alike| **alike).count();
            forms.push(one[start..start + length].to_owned());
        }
    }
    forms.into_iter().map(String::into_bytes).collect()
}

/// What the mutator may put into a string: the disguises, and those that JSON or a server puts on top.
pub fn reflections() -> &'static [Vec<u8>] {
    static REFLECTIONS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let percent = |plain: fn(u8) -> bool| -> Vec<u8> {
            let each = PASS.bytes();
            each.flat_map(|b| if plain(b) { vec![b] } else { format!("%{b:02X}").into_bytes() }).collect()
        };
        let unicode: String = PASS.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
        let mut forms: Vec<Vec<u8>> =
            DISGUISES.iter().filter(|form| form != &PASS.as_bytes()).cloned().collect();
        let solidus = |form: &Vec<u8>| String::from_utf8_lossy(form).replace('/', "\\/").into_bytes();
        forms.extend(DISGUISES.iter().skip(4).map(solidus).collect::<Vec<_>>());
        forms.extend([unicode.into_bytes(), percent(|_| false), percent(|b| b.is_ascii_alphanumeric())]);
        forms
    });
    &REFLECTIONS
}
