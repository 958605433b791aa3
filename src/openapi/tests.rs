//! Is the document whole, and does it say what the gateway does?

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use jsonschema::Validator;

use super::*;
use crate::json::{Caps, parse};
use crate::reject;
use crate::schema::{Schema, builtin};

/// Keywords that any validator of JSON Schema checks; the others are ours, or formats that it does not know.
const PLAIN: [&str; 7] =
    ["type", "required", "additionalProperties", "const", "enum", "minLength", "maxLength"];
/// Documents that break a pattern which every tool can read.
const PATTERNS: [&str; 5] = [
    "addr-has-a-control-character.json",
    "dob-with-dashes.json",
    "phone-has-letters.json",
    "reference-has-a-newline.json",
    "zip-has-a-slash.json",
];

fn operation_of(document: &Value) -> &Value {
    &document["paths"][DEFAULT_PATH]["post"]
}

/// A validator of `schema`, whose references lead into `document`.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    jsonschema::draft202012::options().should_validate_formats(false).build(&schema).unwrap()
}

fn strings<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get(name).and_then(Value::as_str));
            map.values().for_each(|inner| strings(inner, name, found));
        }
        Value::Array(list) => list.iter().for_each(|inner| strings(inner, name, found)),
        _ => {}
    }
}

fn assert_references_lead_somewhere(document: &Value) -> usize {
    let mut references = Vec::new();
    strings(document, "$ref", &mut references);
    for reference in &references {
        let pointer = reference.strip_prefix('#').expect("no reference leaves the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    references.len()
}

fn documents(service: &str, kind: &str) -> BTreeMap<String, Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/documents").join(service).join(kind);
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect()
}

#[test]
fn every_reference_leads_somewhere() {
    assert!(assert_references_lead_somewhere(&document(&builtin())) > 50);
}

#[test]
fn every_response_is_described_and_every_component_has_a_usable_name() {
    let document = document(&builtin());
    let responses = operation_of(&document)["responses"].as_object().unwrap();
    assert!(responses.values().all(|response| response["description"].is_string()));
    for kind in document["components"].as_object().unwrap().values() {
        for name in kind.as_object().unwrap().keys() {
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{name}");
        }
    }
}

#[test]
fn every_code_stands_under_its_status() {
    let document = document(&builtin());
    let responses = operation_of(&document)["responses"].as_object().unwrap();
    let mut listed = BTreeSet::new();
    for (status, response) in responses {
        let schema = &response["content"]["application/problem+json"]["schema"];
        for code in schema["properties"]["code"]["enum"].as_array().into_iter().flatten() {
            listed.insert((status.clone(), code.as_str().unwrap().to_owned()));
            let described = response["description"].as_str().unwrap();
            assert!(described.contains(&format!("`{}`", code.as_str().unwrap())), "{code}");
        }
    }
    let every = reject::every();
    let refusals = every.iter().map(|reject| (reject.status().as_str().to_owned(), reject.code().to_owned()));
    assert_eq!(listed, refusals.collect());
}

#[test]
fn documents_get_the_verdict_that_plain_keywords_can_give() {
    let document = document(&builtin());
    let body = &operation_of(&document)["requestBody"]["content"]["application/json"]["schema"];
    let body = validator(&document, body);
    let (mut accepted, mut refused) = (0, 0);
    for service in requests::services(&builtin()) {
        let of_service = validator(&document, &schema(service));
        for (name, valid) in documents(service, "valid") {
            assert!(of_service.is_valid(&valid) && body.is_valid(&valid), "{service}: {name}");
            accepted += 1;
        }
        let expected = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/documents").join(service);
        let expected: BTreeMap<String, Vec<(String, String)>> =
            serde_json::from_str(&fs::read_to_string(expected.join("expected.json")).unwrap()).unwrap();
        for (name, invalid) in documents(service, "invalid") {
            let plain = expected[&name].iter().any(|(_, keyword)| PLAIN.contains(&keyword.as_str()));
            if plain || PATTERNS.contains(&name.as_str()) {
                assert!(!of_service.is_valid(&invalid), "{service}: {name}");
                refused += 1;
            }
        }
    }
    assert!(accepted > 20 && refused > 60, "{accepted} {refused}");
}

#[test]
fn every_example_of_a_request_is_accepted_by_the_gateway() {
    let document = document(&builtin());
    let examples = &operation_of(&document)["requestBody"]["content"]["application/json"]["examples"];
    let examples = examples.as_object().unwrap();
    assert_eq!(examples.len(), builtin().len());
    for (service, example) in examples {
        let schema = Schema::compile(&format!("{service}.schema.json"), &builtin()).ok().unwrap();
        let body = parse(Bytes::from(example["value"].to_string()), &Caps::REQUEST).unwrap();
        assert_eq!(schema.violations(&body), None, "{service}");
    }
}

#[test]
fn every_example_of_an_answer_is_of_its_schema() {
    let document = document(&builtin());
    let mut examples = 0;
    for (status, response) in operation_of(&document)["responses"].as_object().unwrap() {
        for content in response["content"].as_object().unwrap().values() {
            let validator = validator(&document, &content["schema"]);
            for (name, example) in content["examples"].as_object().unwrap() {
                assert!(validator.is_valid(&example["value"]), "{status} {name}");
                examples += 1;
            }
        }
    }
    assert!(examples > reject::every().len());
}

#[test]
fn nothing_internal_is_told() {
    let text = document(&builtin()).to_string();
    for word in ["$schema", "x-audit", "fingerprint", "\"$defs\""] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn every_pattern_is_one_that_any_tool_can_read() {
    let document = document(&builtin());
    let (mut patterns, mut unicode) = (Vec::new(), Vec::new());
    strings(&document["components"], "pattern", &mut patterns);
    strings(&document["components"], "x-pattern", &mut unicode);
    assert!(patterns.iter().all(|pattern| !pattern.contains("\\p")), "{patterns:?}");
    assert!(!patterns.is_empty() && !unicode.is_empty());
}

#[test]
fn shared_files_become_components_and_are_no_service() {
    let draft = "https://json-schema.org/draft/2020-12/schema";
    let service = json!({
        "$schema": draft,
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "$ref": {"$ref": "common.schema.json#/$defs/a~1b"},
            "whole": {"$ref": "common.schema.json"},
            "own": {"$ref": "#/$defs/own/items"},
            "again": {"$ref": "#/properties/own"},
            "listed": {"type": "object", "additionalProperties": false, "enum": [{"$ref": "#/$defs/own"}]}
        },
        "$defs": {"own": {"type": "array", "maxItems": 1, "items": {"type": "boolean"}}}
    });
    let common = json!({"$schema": draft, "type": "boolean", "$defs": {"a/b": {"$ref": "#/$defs/c"}, "c": {"type": "null"}}});
    let files = SchemaFiles::from([
        ("common.schema.json".to_owned(), common.to_string()),
        ("odd.schema.json".to_owned(), service.to_string()),
    ]);
    assert_eq!(requests::services(&files), ["odd"]);
    let document = document(&files);
    let properties = &document["components"]["schemas"]["odd"]["properties"];
    let reference = |target: &str| json!({"$ref": format!("#/components/schemas/{target}")});
    assert_eq!(properties["$ref"], reference("common.a_b"));
    assert_eq!(properties["whole"], reference("common"));
    assert_eq!(properties["own"], reference("odd.own/items"));
    assert_eq!(properties["again"], reference("odd/properties/own"));
    assert_eq!(properties["listed"]["enum"][0]["$ref"], "#/$defs/own", "a value, not a schema");
    assert_eq!(document["components"]["schemas"]["common.a_b"], reference("common.c"));
}

#[test]
fn an_endpoint_lists_its_own_services_only() {
    let endpoint = Endpoint { path: "/status", services: vec!["getStatus"] };
    let document = document_of(&[endpoint], &builtin());
    let post = &document["paths"]["/status"]["post"];
    assert_eq!(post["operationId"], "post-status");
    assert_eq!(
        post["requestBody"]["content"]["application/json"]["schema"]["oneOf"],
        json!([schema("getStatus")])
    );
    assert_references_lead_somewhere(&document);
}
