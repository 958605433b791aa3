//! Is what became of a body right, whatever the body? Shared with the fuzz targets.

use std::sync::LazyLock;

use bytes::Bytes;
use dcams_gateway::arriving::Arriving;
use dcams_gateway::budget::{Budget, Room, Shares};
use dcams_gateway::ids::CallerId;
use dcams_gateway::json::{Caps, Document, Escapes, Kind, Malformed, Node, Text, parse};
use dcams_gateway::secret::Secret;
use dcams_gateway::splice::{Prefix, splice};

use super::reader::{Read, Shape, Wins, read};

/// Secrets that need every kind of escaping.
pub const USER: &str = "api\"user\\/\u{1}";
/// See [`USER`].
pub const PASS: &str = "pä55\u{7f}\n\u{1F511}\u{2028}\"}";

/// Caps that small bodies can exceed.
pub const CAPS: Caps = Caps {
    depth: 6,
    nodes: 40,
    members: 12,
    name_bytes: 24,
    string_bytes: 150,
    number_bytes: 64,
    interoperable: true,
};

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// `parse` refused it.
    Refused(Malformed),
    /// It names credentials.
    NamesCredentials,
    /// It would be sent.
    Sent,
}

static PREFIX: LazyLock<Prefix> = LazyLock::new(|| {
    let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
    Prefix::new(&secret(USER), &secret(PASS)).unwrap()
});

/// Parses and splices `body` within [`CAPS`], and panics where the outcome is not what the rules demand.
pub fn judge(body: &[u8]) -> Fate {
    judge_within(body, &CAPS)
}

/// The same within `caps`.
pub fn judge_within(body: &[u8], caps: &Caps) -> Fate {
    let by_serde = accepted_by_serde(body);
    let parsed = parse(Bytes::copy_from_slice(body), caps);
    assert_same_in_pieces(body, caps, &parsed);
    match parsed {
        Err(malformed) => {
            if let Some((text, value)) = by_serde {
                assert_refused_for_a_reason(text, &value, malformed, caps);
            }
            Fate::Refused(malformed)
        }
        Ok(document) => {
            let (text, value) = by_serde.expect("accepted what serde_json refuses");
            assert_read_alike(text, &document, caps);
            if document.names_credentials() {
                assert!(may_name_credentials(text), "names no credentials: {text}");
                return Fate::NamesCredentials;
            }
            assert!(!surely_names_credentials(text), "names credentials: {text}");
            assert_sends_the_callers_own(text, value, &document);
            Fate::Sent
        }
    }
}

/// The bytes that would be sent for `body`; `None` where it is refused.
pub fn sent(body: &[u8]) -> Option<Vec<u8>> {
    let document = parse(Bytes::copy_from_slice(body), &CAPS).ok()?;
    (!document.names_credentials()).then(|| splice(&PREFIX, &document).concat())
}

/// In which pieces a body comes changes nothing. They are as long as the body itself says, so that each fault of this
/// can be repeated.
fn assert_same_in_pieces(body: &[u8], caps: &Caps, whole: &Result<Document, Malformed>) {
    let longest = 1 + body.iter().fold(0_usize, |sum, byte| sum * 31 % 9973 + usize::from(*byte)) % 700;
    for longest in [1.max(body.len() / 200), longest] {
        let mut arriving = Arriving::new(None, body.len() as u64, caps);
        for piece in body.chunks(longest) {
            arriving.push(Bytes::copy_from_slice(piece));
        }
        match (arriving.end(no_room()).parse(), whole) {
            (Ok(document), Ok(whole)) => assert_same(document.root(), whole.root()),
            (Err(fault), Err(other)) => assert_eq!(fault, *other, "in pieces of {longest}"),
            (parsed, _) => panic!("in pieces of {longest} accepted: {}", parsed.is_ok()),
        }
    }
}

/// Of a budget of nothing: what is examined by itself takes none.
pub fn no_room() -> Room {
    let shares = Shares::new(Budget::new(0, None), std::iter::once(Budget::new(0, None)));
    shares.room(CallerId(0)).unwrap()
}

fn assert_same(node: Node<'_>, whole: Node<'_>) {
    let known =
        |text: Text<'_>| (text.raw().to_owned(), text.escapes(), text.escape_count(), text.is_known_base64());
    let value = |node: Node<'_>| (node.index(), node.kind(), node.text().map(known), node.len());
    assert_eq!(value(node), value(whole));
    assert_eq!((node.number_text(), node.boolean()), (whole.number_text(), whole.boolean()));
    for ((name, node), (of_whole, whole)) in node.members().zip(whole.members()) {
        assert_eq!(known(name), known(of_whole));
        assert_same(node, whole);
    }
    node.elements().zip(whole.elements()).for_each(|(node, whole)| assert_same(node, whole));
}

#[expect(clippy::disallowed_methods, reason = "serde_json is the measure here")]
fn accepted_by_serde(body: &[u8]) -> Option<(&str, serde_json::Value)> {
    let value = serde_json::from_slice(body).ok()?;
    Some((std::str::from_utf8(body).expect("serde_json accepts UTF-8 only"), value))
}

/// Stricter than `serde_json` only by the documented rules, and each refusal says which.
fn assert_refused_for_a_reason(text: &str, value: &serde_json::Value, malformed: Malformed, caps: &Caps) {
    let (_, shape) = read(text, Wins::Last);
    let beyond = exceeds_caps(&shape, caps);
    match malformed {
        Malformed::Duplicate { .. } => assert!(shape.has_duplicates, "no duplicates: {text}"),
        Malformed::TooComplex { .. } => assert!(beyond, "within the caps: {text}"),
        Malformed::Syntax { .. } => {
            let divides = caps.interoperable && (shape.has_nul_name || shape.has_unsafe_integer);
            assert!(!value.is_object() || shape.has_huge_number || divides, "valid: {text}");
        }
    }
}

/// Whether a top-level name is one of the two in some case, spaces around it aside.
fn surely_names_credentials(text: &str) -> bool {
    top_level_names(text).iter().any(|name| {
        let upper = name.trim().to_uppercase();
        upper == "USER" || upper == "PASS"
    })
}

/// Whether a top-level name is anything but a plain word that is neither of the two.
fn may_name_credentials(text: &str) -> bool {
    surely_names_credentials(text)
        || top_level_names(text).iter().any(|name| !name.chars().all(|c| c.is_ascii_graphic()))
}

fn top_level_names(text: &str) -> Vec<String> {
    match read(text, Wins::Last) {
        (Read::Object(members), _) => members.into_keys().collect(),
        _ => Vec::new(),
    }
}

fn exceeds_caps(shape: &Shape, caps: &Caps) -> bool {
    shape.depth > usize::from(caps.depth)
        || shape.nodes > caps.nodes as usize
        || shape.members > caps.members as usize
        || shape.name_bytes > caps.name_bytes as usize
        || shape.string_bytes > caps.string_bytes as usize
        || shape.number_bytes > caps.number_bytes as usize
}

/// The document's nodes say what an independent reader reads, whichever of equal names it prefers.
fn assert_read_alike(text: &str, document: &Document, caps: &Caps) {
    let (last, shape) = read(text, Wins::Last);
    let (first, _) = read(text, Wins::First);
    assert!(!exceeds_caps(&shape, caps), "beyond the caps: {text}");
    assert!(!shape.has_duplicates && first == last, "duplicates: {text}");
    let divides = shape.has_nul_name || shape.has_unsafe_integer;
    assert!(!caps.interoperable || !divides, "parsers differ: {text}");
    assert_eq!(read_node(document.root()), last);
}

/// What is sent reads as the caller's own members plus exactly our two.
fn assert_sends_the_callers_own(text: &str, value: serde_json::Value, document: &Document) {
    let sent = splice(&PREFIX, document).concat();
    let (sent_text, sent_value) = accepted_by_serde(&sent).expect("serde_json refuses what is sent");

    let serde_json::Value::Object(mut expected) = value else { panic!("accepted a root that is no object") };
    for (name, secret) in [("user", USER), ("pass", PASS)] {
        assert!(expected.insert(name.to_owned(), secret.into()).is_none(), "the caller names {name}: {text}");
    }
    assert_eq!(sent_value, serde_json::Value::Object(expected));

    for wins in [Wins::First, Wins::Last] {
        let (Read::Object(mut expected), _) = read(text, wins) else { panic!("no object") };
        for (name, secret) in [("user", USER), ("pass", PASS)] {
            expected.insert(name.to_owned(), Read::String(secret.to_owned()));
        }
        let (sent, shape) = read(sent_text, wins);
        assert_eq!(sent, Read::Object(expected));
        assert!(!shape.has_duplicates, "duplicates sent: {text}");
    }
}

fn read_node(node: Node<'_>) -> Read {
    match node.kind() {
        Kind::Null => Read::Null,
        Kind::Bool => Read::Bool(node.boolean().unwrap()),
        Kind::Number => Read::Number(node.number_text().unwrap().to_owned()),
        Kind::String => Read::String(read_text(node.text().unwrap())),
        Kind::Array => {
            assert_eq!(node.len(), node.elements().count());
            Read::Array(node.elements().map(read_node).collect())
        }
        Kind::Object => {
            assert_eq!(node.len(), node.members().count());
            for (name, value) in node.members() {
                let found = node.member(&name.unescape()).map(|member| member.index());
                assert_eq!(found, Some(value.index()));
            }
            Read::Object(node.members().map(|(name, value)| (read_text(name), read_node(value))).collect())
        }
    }
}

/// The unescaped text, after every measure of it was checked against it.
fn read_text(text: Text<'_>) -> String {
    let read = text.unescape().into_owned();
    let written = std::str::from_utf8(text.raw()).unwrap();
    assert_eq!(text.unescaped_len(), read.len());
    assert_eq!(text.char_count(), read.chars().count());
    assert_eq!(text.is_ascii(), read.is_ascii());
    assert!(text.equals(&read) && text.equals_text(text));
    assert_eq!(text.equals(written), read == written);
    let solidi = written.matches("\\/").count();
    match text.escapes() {
        Escapes::None => assert!(!written.contains('\\') && text.escape_count() == 0),
        Escapes::Solidus => assert!(solidi == written.matches('\\').count() && text.escape_count() == solidi),
        Escapes::Any => assert!(written.matches('\\').count() > 0 && text.escape_count() > 0),
    }
    read
}
