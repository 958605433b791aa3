//! Does the validator read a document as it is, and without copying what is large?

use std::borrow::Cow;

use jsonschema::json::{Array as _, Node as _, conformance};
use serde_json::{Value, json};

use super::*;

#[test]
fn the_representation_keeps_the_contract_of_jsonschema() {
    let document = parse(conformance::document().to_string());
    let reading = Reading::for_verdict();
    conformance::assert_conformance::<Strict>(&View::new(document.root(), &reading));
    assert!(!reading.gave_up());
}

#[test]
fn the_representation_keeps_the_contract_with_every_character_escaped() {
    let mut escaped = String::new();
    let mut in_string = false;
    for letter in conformance::document().to_string().chars() {
        match letter {
            '"' => {
                in_string = !in_string;
                escaped.push('"');
            }
            letter if in_string => escaped.push_str(&format!("\\u{:04x}", letter as u32)),
            letter => escaped.push(letter),
        }
    }
    let document = parse(escaped);
    let reading = Reading::for_verdict();
    conformance::assert_conformance::<Strict>(&View::new(document.root(), &reading));
}

fn large_text() -> String {
    r"\/".repeat(5 * 1024 * 1024)
}

#[test]
fn a_long_text_with_escapes_is_not_copied() {
    let document = parse(format!(r#"{{"text": "{}"}}"#, large_text()));
    let reading = Reading::for_verdict();
    let view = View::new(document.root().member("text").unwrap(), &reading);
    assert!(matches!(view.as_string(), Some(Cow::Borrowed(""))));
    assert!(reading.gave_up());
    assert_eq!(view.string_length(), Some(5 * 1024 * 1024));
    assert_eq!(*view.to_value(), Value::Null);
}

#[test]
fn a_long_text_without_escapes_is_borrowed() {
    let document = parse(format!(r#"{{"text": "{}"}}"#, "/".repeat(1 << 20)));
    let reading = Reading::for_verdict();
    let view = View::new(document.root().member("text").unwrap(), &reading);
    assert!(matches!(view.as_string(), Some(Cow::Borrowed(text)) if text.len() == 1 << 20));
    assert!(!reading.gave_up());
}

#[test]
fn a_text_too_long_for_its_keywords_does_not_pass() {
    let document = parse(format!(r#"{{"text": "{}"}}"#, large_text()));
    // Each would pass, were the text copied; or were it taken for the empty one that stands for it.
    for keyword in
        [r#""pattern": "^/*$""#, r#""pattern": "/$""#, r#""format": "json-pointer""#, r#""format": "regex""#]
    {
        let schema = compile(&format!(
            r#""type": "object", "additionalProperties": false,
            "properties": {{"text": {{"type": "string", "maxLength": 99999999, {keyword}}}}}"#
        ))
        .ok()
        .unwrap();
        let violations = schema.violations(&document).unwrap();
        assert_eq!(violations.total(), 1, "{keyword}");
    }
}

#[test]
fn the_violation_of_a_text_too_long_for_its_keywords_is_the_whole_documents() {
    let schema = compile(
        r#""type": "object", "additionalProperties": false,
        "properties": {"text": {"type": "string", "maxLength": 99999999, "pattern": "^/*$"}}"#,
    )
    .ok()
    .unwrap();
    let document = parse(format!(r#"{{"text": "{}"}}"#, large_text()));
    assert_eq!(violated(&schema, &document), [(String::new(), "schema".to_owned())]);
    let short = parse(format!(r#"{{"text": "{}"}}"#, r"\/".repeat(100)));
    assert_eq!(violated(&schema, &short), []);
}

#[test]
fn an_array_of_many_faults_is_refused_without_an_error_for_each() {
    let schema = compile(
        r#""type": "object", "additionalProperties": false, "properties": {"list": {"type": "array",
        "maxItems": 9, "items": {"type": "null"}}}"#,
    )
    .ok()
    .unwrap();
    let document = parse(format!(r#"{{"list": [{}]}}"#, vec!["1"; 100_000].join(",")));
    let violations = schema.violations(&document).unwrap();
    assert!(violations.total() <= 4097, "{}", violations.total());
    assert_eq!(violations.shown().len(), Violations::SHOWN);
}

#[test]
fn an_object_of_many_unknown_names_is_refused() {
    let members: Vec<_> = (0..50_000).map(|n| format!("\"{n}\":0")).collect();
    let document = parse(format!("{{{}}}", members.join(",")));
    let violations = service("getStatus").violations(&document).unwrap();
    let places: Vec<_> = violations.shown().iter().map(|id| place(&service("getStatus"), *id)).collect();
    assert!(places.contains(&(String::new(), "additionalProperties".to_owned())), "{places:?}");
}

#[test]
fn values_compare_as_json_schema_says() {
    let document = parse(
        r#"{"n": 1.0, "s": "a\u0062", "o": {"y": [1, null], "x": true}, "list": [1, "1", {"a": 1, "b": 2}, {"b": 2.0, "a": 1e0}], "near": [[1], [1, 2], {"a": 1}, {"a": 1, "b": 1}, {"b": 1}, 1, "1", true, null, false]}"#,
    );
    let reading = Reading::for_verdict();
    let view = |name: &str| View::new(document.root().member(name).unwrap(), &reading);
    assert!(view("n").equals_value(&json!(1)));
    assert!(view("s").equals_value(&json!("ab")));
    assert!(view("o").equals_value(&json!({"x": true, "y": [1.0, null]})));
    assert!(!view("o").equals_value(&json!({"x": true, "y": [1.0]})));
    assert!(!view("n").equals_value(&json!("1.0")));
    assert!(!view("list").is_unique());
    assert!(view("near").is_unique());
}

#[test]
fn a_long_list_is_not_called_unique_unseen() {
    let numbers: Vec<_> = (0..2000).map(|n| n.to_string()).collect();
    let document = parse(format!(r#"{{"list": [{}]}}"#, numbers.join(",")));
    let reading = Reading::for_verdict();
    assert!(!View::new(document.root().member("list").unwrap(), &reading).is_unique());
    assert!(reading.gave_up());
}

/// Pair by pair these are four thousand million characters to compare.
#[test]
fn long_elements_are_told_apart_in_one_pass() {
    let list = |last: &str| {
        let text = r"\/".repeat(8 * 1024);
        let mut elements: Vec<_> = (0..1023).map(|n| format!("\"{text}{n:04}\"")).collect();
        elements.push(format!("\"{}{last}\"", text.replace('\\', "")));
        parse(format!(r#"{{"list": [{}]}}"#, elements.join(",")))
    };
    for (last, unique) in [("1023", true), ("0007", false)] {
        let document = list(last);
        let reading = Reading::for_verdict();
        assert_eq!(View::new(document.root().member("list").unwrap(), &reading).is_unique(), unique);
        assert!(!reading.gave_up());
    }
}
