//! Does every example document get the verdict that its table says, and is every keyword hit?

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::*;

const SERVICES: [&str; 4] = ["createOrUpdateCustomer", "getStatus", "getDocumentImages", "updateStatus"];

fn documents(service: &str, kind: &str) -> BTreeMap<String, Document> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/documents").join(service).join(kind);
    let documents: BTreeMap<_, _> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), parse(std::fs::read(path).unwrap()))
        })
        .collect();
    assert!(documents.len() >= 3, "{} is nearly empty", folder.display());
    documents
}

/// `expected.json`: which places each invalid document violates.
fn expected(service: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let path = format!("{}/tests/documents/{service}/expected.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn valid_documents_pass() {
    for name in SERVICES {
        let schema = service(name);
        for (file, document) in documents(name, "valid") {
            assert_eq!(violated(&schema, &document), [], "{name}/valid/{file}");
        }
    }
}

#[test]
fn invalid_documents_violate_exactly_what_their_table_says() {
    for name in SERVICES {
        let schema = service(name);
        let found: BTreeMap<_, _> = documents(name, "invalid")
            .into_iter()
            .map(|(file, document)| (file, violated(&schema, &document)))
            .collect();
        for (file, places) in &found {
            assert_eq!(Some(places), expected(name).get(file), "{name}/invalid/{file}");
        }
        assert_eq!(found, expected(name), "{name}: the table names a document that is not there");
    }
}

/// Places that no document of a few kilobytes, or no document at all, can violate.
fn exceptions() -> BTreeSet<(String, String)> {
    let exception = |pointer: &str, keyword: &str| (pointer.to_owned(), keyword.to_owned());
    BTreeSet::from([
        // A parsed document is an object.
        exception("", "type"),
        // Where a place cannot be named; no error of these schemas leads there.
        exception("", "schema"),
        // Needs an image of more than 10 MiB: a_document_of_one_byte_too_many_is_too_large.
        exception("/target/documents/front", "x-decodedMaxBytes"),
        exception("/target/documents/back", "x-decodedMaxBytes"),
    ])
}

#[test]
fn every_place_that_can_be_violated_is_violated_by_some_document() {
    for name in SERVICES {
        let schema = service(name);
        let all: BTreeSet<_> = (0..schema.locations().len())
            .map(|id| place(&schema, LocationId(id.try_into().unwrap())))
            .collect();
        let hit: BTreeSet<_> =
            documents(name, "invalid").values().flat_map(|document| violated(&schema, document)).collect();
        let missed: BTreeSet<_> = all.difference(&hit).cloned().collect();
        assert_eq!(missed, exceptions().intersection(&all).cloned().collect(), "{name}");
        assert!(hit.is_subset(&all), "{name}");
    }
}

#[test]
fn every_keyword_that_can_fail_has_a_place() {
    // Counted in the files' text, independently of the walk that makes the table.
    for (name, text) in builtin() {
        let schema = Schema::compile(&name, &builtin()).unwrap();
        for keyword in [
            "type",
            "required",
            "additionalProperties",
            "const",
            "enum",
            "minLength",
            "maxLength",
            "pattern",
            "format",
            "contentEncoding",
            "x-decodedMaxBytes",
            "x-imageTypes",
        ] {
            let written = text.contains(&format!("\"{keyword}\":"));
            let placed = schema.locations().iter().any(|location| *location.keyword == *keyword);
            assert_eq!(written, placed, "{name}: {keyword}");
        }
    }
}

#[test]
fn a_document_of_one_byte_too_many_is_too_large() {
    let schema = service("createOrUpdateCustomer");
    let mut bytes = image("thumbnail.jpg");
    bytes.resize(10 * 1024 * 1024, 0);
    assert_eq!(violated(&schema, &with_front(&encode(&bytes))), []);
    bytes.push(0);
    let front = encode(&bytes);
    let too_large = [("/target/documents/front".to_owned(), "x-decodedMaxBytes".to_owned())];
    assert_eq!(violated(&schema, &with_front(&front)), too_large);
    let php = front.replace('/', r"\/");
    assert_ne!(php, front);
    assert_eq!(violated(&schema, &with_front(&php)), too_large);
}

#[test]
fn a_dob_of_today_passes_and_one_two_days_ahead_does_not() {
    let schema = service("createOrUpdateCustomer");
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let born = |date: jiff::civil::Date| {
        let dob = date.strftime("%Y%m%d");
        parse(format!(
            r#"{{"service":"createOrUpdateCustomer","target":{{"email":"customer@example.com","dob":"{dob}"}}}}"#
        ))
    };
    assert_eq!(violated(&schema, &born(today)), []);
    let ahead = today.checked_add(jiff::Span::new().days(2)).unwrap();
    assert_eq!(violated(&schema, &born(ahead)), [("/target/dob".to_owned(), "format".to_owned())]);
}

#[test]
fn only_eight_violations_are_kept_and_all_are_counted() {
    let members: Vec<_> = (0..20).map(|n| format!(r#""m{n:02}": {{"type": "null"}}"#)).collect();
    let properties = members.join(",");
    let schema = compile(&format!(
        r#""type": "object", "additionalProperties": false, "properties": {{{properties}}}"#
    ))
    .ok()
    .unwrap();
    let values: Vec<_> = (0..20).map(|n| format!(r#""m{n:02}": 1"#)).collect();
    let violations = schema.violations(&parse(format!("{{{}}}", values.join(",")))).unwrap();
    assert_eq!(violations.total(), 20);
    assert_eq!(violations.shown().len(), Violations::SHOWN);
    assert_eq!(place(&schema, violations.shown()[0]), ("/m00".to_owned(), "type".to_owned()));
}

#[test]
fn no_text_of_a_request_is_in_a_place() {
    let schema = service("createOrUpdateCustomer");
    let document = parse(
        r#"{"canary-name": "canary-value", "service": "canary-service", "target": {"email": "canary@"}}"#,
    );
    for (pointer, keyword) in violated(&schema, &document) {
        assert!(!pointer.contains("canary") && !keyword.contains("canary"), "{pointer} {keyword}");
    }
}
