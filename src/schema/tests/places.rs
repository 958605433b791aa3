//! Does a violation point to the right place, whatever the way through the schema?

use super::*;

/// Asserts that `document` violates exactly `places` of a schema with these members of its root.
#[track_caller]
fn assert_places(members: &str, document: &str, places: &[(&str, &str)]) {
    let schema =
        compile(&format!(r#""type": "object", {members}"#)).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let mut expected: Vec<_> =
        places.iter().map(|(at, keyword)| ((*at).to_owned(), (*keyword).to_owned())).collect();
    expected.sort();
    assert_eq!(violated(&schema, &parse(document)), expected);
}

const CLOSED: &str = r#""additionalProperties": false"#;

#[test]
fn elements_of_an_array_are_one_place() {
    let members = format!(
        r#"{CLOSED}, "properties": {{"list": {{"type": "array", "maxItems": 3, "items": {{"type": "object",
        {CLOSED}, "required": ["id"], "properties": {{"id": {{"type": "integer"}}}}}}}}}}"#
    );
    assert_places(&members, r#"{"list": [{"id": 1}, {"id": "x"}]}"#, &[("/list/*/id", "type")]);
    assert_places(&members, r#"{"list": [{"id": 1}, {}]}"#, &[("/list/*/id", "required")]);
    assert_places(
        &members,
        r#"{"list": [{"id": 1, "x": 1}, 5]}"#,
        &[("/list/*", "additionalProperties"), ("/list/*", "type")],
    );
    assert_places(
        &members,
        r#"{"list": [1, 1, 1, 1]}"#,
        &[
            ("/list", "maxItems"),
            ("/list/*", "type"),
            ("/list/*", "type"),
            ("/list/*", "type"),
            ("/list/*", "type"),
        ],
    );
}

#[test]
fn a_false_schema_is_a_place_of_its_own() {
    assert_places(&format!(r#"{CLOSED}, "properties": {{"a": false}}"#), r#"{"a": 1}"#, &[("/a", "false")]);
}

#[test]
fn choices_are_reported_as_a_whole() {
    let string = |rest: &str| {
        format!(r#"{CLOSED}, "properties": {{"a": {{"type": "string", "maxLength": 9, {rest}}}}}"#)
    };
    for keyword in ["anyOf", "oneOf"] {
        let members = string(&format!(r#""{keyword}": [{{"const": "x"}}, {{"pattern": "^y"}}]"#));
        assert_places(&members, r#"{"a": "yes"}"#, &[]);
        assert_places(&members, r#"{"a": "no"}"#, &[("/a", keyword)]);
    }
    assert_places(&string(r#""not": {"const": "x"}"#), r#"{"a": "x"}"#, &[("/a", "not")]);
    assert_places(&string(r#""allOf": [{"minLength": 2}]"#), r#"{"a": "x"}"#, &[("/a", "minLength")]);
    assert_places(
        &string(r#""if": {"pattern": "^x"}, "then": {"minLength": 2}, "else": {"const": "y"}"#),
        r#"{"a": "x"}"#,
        &[("/a", "minLength")],
    );
}

#[test]
fn arrays_are_held_to_what_they_contain() {
    let list = |keywords: &str| {
        format!(
            r#"{CLOSED}, "properties": {{"a": {{"type": "array", "maxItems": 9, "uniqueItems": true,
            "items": {{"type": "integer"}}, "contains": {{"maximum": 1}} {keywords}}}}}"#
        )
    };
    assert_places(&list(""), r#"{"a": [1, 2]}"#, &[]);
    assert_places(&list(""), r#"{"a": [2]}"#, &[("/a", "contains")]);
    assert_places(&list(""), r#"{"a": [1, 1]}"#, &[("/a", "uniqueItems")]);
    assert_places(&list(r#", "minContains": 2"#), r#"{"a": [1, 2]}"#, &[("/a", "minContains")]);
    assert_places(&list(r#", "maxContains": 1"#), r#"{"a": [1, 0]}"#, &[("/a", "maxContains")]);
    let both = list(r#", "minContains": 1, "maxContains": 1"#);
    assert_places(&both, r#"{"a": [2]}"#, &[("/a", "minContains")]);
    assert_places(&both, r#"{"a": [0, 1]}"#, &[("/a", "maxContains")]);
}

#[test]
fn what_depends_on_a_member_is_placed_at_what_is_missing() {
    let members = format!(
        r#"{CLOSED}, "properties": {{"a": {{"type": "null"}}, "b": {{"type": "null"}}}}, "dependentRequired": {{"a": ["b"]}}"#
    );
    assert_places(&members, r#"{"a": null}"#, &[("/b", "dependentRequired")]);
    let members = format!(
        r#"{CLOSED}, "properties": {{"a": {{"type": "null"}}, "b": {{"type": "null"}}}},
        "dependentSchemas": {{"a": {{"required": ["b"]}}}}"#
    );
    assert_places(&members, r#"{"a": null}"#, &[("/b", "required")]);
}

#[test]
fn names_of_a_request_never_stand_in_a_place() {
    let open = r#""x-open": true, "propertyNames": {"pattern": "^[a-z]+$"}, "additionalProperties": {"type": "integer"}"#;
    assert_places(open, r#"{"CANARY": 1}"#, &[("", "propertyNames")]);
    assert_places(open, r#"{"canary": "x"}"#, &[("/*", "type")]);
    let unevaluated = r#""unevaluatedProperties": false, "allOf": [{"properties": {"a": {"type": "null"}}}]"#;
    assert_places(unevaluated, r#"{"a": null, "canary": 1}"#, &[("", "unevaluatedProperties")]);
}

#[test]
fn a_schema_that_is_used_twice_has_two_places() {
    let members = format!(
        r##"{CLOSED}, "properties": {{"a": {{"$ref": "#/$defs/file"}}, "b": {{"type": "array", "maxItems": 2, "items": {{"$ref": "#/$defs/file"}}}}}},
        "$defs": {{"file": {{"type": "string", "contentEncoding": "base64", "x-decodedMaxBytes": 3, "x-imageTypes": ["application/pdf"]}}}}"##
    );
    assert_places(&members, r#"{"a": "JVBERi0="}"#, &[("/a", "x-decodedMaxBytes")]);
    assert_places(
        &members,
        r#"{"b": ["AAAA", "!"]}"#,
        &[("/b/*", "contentEncoding"), ("/b/*", "x-imageTypes"), ("/b/*", "x-imageTypes")],
    );
}

#[test]
fn an_image_of_a_known_type_that_is_not_listed_is_refused() {
    let members = format!(
        r#"{CLOSED}, "properties": {{"a": {{"type": "string", "contentEncoding": "base64", "x-decodedMaxBytes": 99,
        "x-imageTypes": ["image/png", "application/pdf"]}}}}"#
    );
    for (bytes, places) in [(&b"%PDF-1.7"[..], &[][..]), (b"\xFF\xD8\xFF\xE0", &[("/a", "x-imageTypes")])] {
        assert_places(&members, &format!(r#"{{"a": "{}"}}"#, encode(bytes)), places);
    }
}

#[test]
fn members_with_slashes_in_their_names_are_escaped_in_pointers() {
    let members = format!(
        r#"{CLOSED}, "required": ["b~c"], "properties": {{"a/b": {{"type": "null"}}, "b~c": {{"type": "null"}}}}"#
    );
    assert_places(&members, r#"{"a/b": 1}"#, &[("/a~1b", "type"), ("/b~0c", "required")]);
}
