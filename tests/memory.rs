//! Does memory stay within 1.5 times the body, whatever its shape, up to what is sent?
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use dcams_gateway::json::{Caps, parse};
use dcams_gateway::schema::{Schema, builtin};
use dcams_gateway::secret::Secret;
use dcams_gateway::splice::{Prefix, splice};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The allocator counts for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

const MIB: usize = 1 << 20;

/// Shapes that make other parsers' trees many times as large as the text.
fn shapes(length: usize) -> Vec<(&'static str, String)> {
    let filled = |unit: &str| format!("{{\"a\":[{}0]}}", unit.repeat(length / unit.len()));
    let string = |unit: &str| format!("{{\"a\":\"{}\"}}", unit.repeat(length / unit.len()));
    let names: String = (0..length / 12).map(|i| format!("\"{i:07x}\":0,")).collect();
    let members = format!("{{{}\"z\":0}},", names.get(..960).unwrap_or(&names)).repeat(length / 1000);
    vec![
        ("numbers", filled("0,")),
        ("empty arrays", filled("[],")),
        ("objects of one member", filled("{\"\":0},")),
        ("empty strings", filled("\"\",")),
        ("strings of one escape", filled("\"\\n\",")),
        ("objects of many members", format!("{{\"a\":[{members}0]}}")),
        ("one object", format!("{{{names}\"z\":0}}")),
        ("nesting", "{\"a\":".repeat(length / 5)),
        ("brackets", format!("{{\"a\":{}", "[".repeat(length))),
        ("white space", format!("{{{}}}", " ".repeat(length))),
        ("one plain string", string("AAAA")),
        ("one string of \\/", string("\\/")),
        ("one string of \\n", string("\\n")),
        ("one string of \\u", string("\\u00e9")),
        ("one string of UTF-8", string("漢")),
        ("one long name", format!("{{\"{}\":0}}", "n".repeat(length))),
        ("one long escaped name", format!("{{\"{}\":0}}", "\\u006e".repeat(length / 6))),
        ("one long number", format!("{{\"a\":{}}}", "1".repeat(length))),
        ("one long fraction", format!("{{\"a\":0.{}e-1}}", "1".repeat(length))),
    ]
}

/// Requests to store a customer, around texts of about `length` bytes in all.
fn requests(length: usize) -> Vec<(&'static str, String)> {
    let create = |target: &str| {
        format!(
            r#"{{"service":"createOrUpdateCustomer","target":{{"email":"customer@example.com",{target}}}}}"#
        )
    };
    let images = |front: &str, unit: &str, end: &str| {
        let image = format!("{front}{}{end}", unit.repeat(length / 2 / unit.len()));
        create(&format!(r#""documents":{{"front":"{image}","back":"{image}"}}"#))
    };
    let text =
        |name: &str, unit: &str| create(&format!(r#""{name}":"{}""#, unit.repeat(length / unit.len())));
    let email = |text: &str| {
        format!(r#"{{"service":"getStatus","reference":"{text}","target":{{"email":"{text}"}}}}"#)
    };
    let service = |unit: &str| format!(r#"{{"service":"{}"}}"#, unit.repeat(length / unit.len()));
    vec![
        ("images", images("/9j/", "AAAA", "")),
        ("images of \\/", images("\\/9j\\/", "A\\/\\/A", "")),
        ("images of \\u002B", images("/9j/", "AA\\u002BA", "")),
        ("images that break off", images("/9j/", "AAAA", "A")),
        ("images of \\/ with a stray letter", images("\\/9j\\/", "A\\/\\/A", "!AAA")),
        ("images of another type", images("", "AAAA", "")),
        ("images that are no base64", images("", "é", "")),
        ("a name", text("fn", "a")),
        ("a name of escapes", text("fn", "\\u00e9")),
        ("an address", text("addr", "漢")),
        ("a date", text("dob", "1")),
        ("a phone number", text("phone", "5-")),
        ("an unknown text", text("x", "\\n")),
        ("an e-mail", email(&format!("{}@example.com", "a".repeat(length / 2)))),
        ("an e-mail of escapes", email(&format!("{}@example.com", "\\u0061".repeat(length / 12)))),
        ("an e-mail of dots", email(&format!("a@{}com", "a.".repeat(length / 4)))),
        ("a service", service("g")),
        ("a service of escapes", service("\\u0067")),
    ]
}

/// Bytes allocated at the peak of parsing `body`, itself not counted, and whether it was accepted.
fn cost(body: String, caps: &Caps) -> (usize, bool) {
    let body = Bytes::from(body);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let parsed = parse(body, caps).is_ok();
    (MEMORY.peak_usage().saturating_sub(before), parsed)
}

#[test]
fn parsing_allocates_at_most_a_small_constant_beside_the_body() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (caps, constant) in [(Caps::REQUEST, MIB / 12), (Caps::ANSWER, MIB)] {
        let mut accepted = 0;
        // Below, at and far above what the caps allow.
        for length in [1000, 4000, 100 * 1000, 10 * MIB] {
            for (shape, body) in shapes(length) {
                let bytes = body.len();
                let (peak, parsed) = cost(body, &caps);
                assert!(peak <= constant, "{shape} of {bytes} bytes: {peak}");
                accepted += usize::from(parsed);
            }
        }
        assert!(accepted > 20, "{accepted}");
    }
}

/// Bytes allocated at the peak of everything that is done with `body` up to sending it, itself not counted, and whether
/// it obeys `schema`.
fn cost_of_all(body: String, schema: &Schema, prefix: &Prefix) -> (usize, Option<bool>) {
    let body = Bytes::from(body);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let obeys = parse(body, &Caps::REQUEST).ok().map(|document| {
        let violations = schema.violations(&document);
        let facts = schema.facts(&document);
        let mut letters = 0;
        schema.fingerprinted(&document, |_, text| letters += text.chars().count());
        let sent = splice(prefix, &document);
        std::hint::black_box((facts, letters, sent));
        violations.is_none()
    });
    (MEMORY.peak_usage().saturating_sub(before), obeys)
}

#[test]
fn validating_and_splicing_allocates_at_most_half_the_body_beside_it() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let files = builtin();
    let secret = || Secret::new(b"s3cret".to_vec());
    let prefix = Prefix::new(&secret(), &secret()).unwrap();
    let mut verdicts = [0; 3];
    for name in ["createOrUpdateCustomer", "getStatus"] {
        let schema = Schema::compile(&format!("{name}.schema.json"), &files).ok().unwrap();
        for length in [4000, 100 * 1000, 18 * MIB] {
            for (shape, body) in requests(length).into_iter().chain(shapes(length)) {
                let bytes = body.len();
                let (peak, obeys) = cost_of_all(body, &schema, &prefix);
                assert!(peak <= bytes / 2 + MIB, "{name}: {shape} of {bytes} bytes: {peak}");
                verdicts[obeys.map_or(0, |obeys| 1 + usize::from(obeys))] += 1;
            }
        }
    }
    let [unparsed, invalid, valid] = verdicts;
    assert!(unparsed > 20 && invalid > 40 && valid >= 8, "{verdicts:?}");
}
