//! Is every way of leaving something open refused when a schema is loaded, with its place?

use super::*;

/// The faults of a schema that is good but for `members`, each as pointer and problem.
fn faults(members: &str) -> Vec<(String, String)> {
    match compile(members) {
        Ok(_) => Vec::new(),
        Err(faults) => {
            assert!(faults.iter().all(|fault| !fault.remedy.is_empty()));
            faults.into_iter().map(|fault| (fault.pointer, fault.problem)).collect()
        }
    }
}

/// Asserts that an object whose one member is `member` has one fault, at `pointer`, that says `problem`.
fn assert_member_fault(member: &str, pointer: &str, problem: &str) {
    let found = faults(&object(member));
    let is_right = matches!(found.as_slice(), [(at, said)] if at == pointer && said.contains(problem));
    assert!(is_right, "{member}\nexpected {pointer}: {problem}\nfound {found:#?}");
}

fn object(member: &str) -> String {
    format!(r#""type": "object", "additionalProperties": false, "properties": {{"a": {member}}}"#)
}

fn file(name: &str, text: &str) -> (String, String) {
    (name.to_owned(), text.replace("DRAFT", "https://json-schema.org/draft/2020-12/schema"))
}

fn compile_files<const N: usize>(files: [(String, String); N]) -> Result<Schema, Vec<SchemaFault>> {
    Schema::compile("s.json", &SchemaFiles::from(files))
}

fn first_fault<const N: usize>(files: [(String, String); N]) -> (String, String) {
    let faults = compile_files(files).err().expect("a fault");
    (faults[0].pointer.clone(), faults[0].problem.clone())
}

#[test]
fn the_builtin_schemas_have_no_faults() {
    for name in builtin().keys() {
        assert!(Schema::compile(name, &builtin()).is_ok(), "{name}");
    }
}

#[test]
fn members_that_are_described_in_full_are_accepted() {
    for member in [
        r#"{"type": "string", "maxLength": 5}"#,
        r#"{"type": "string", "enum": ["x"], "x-audit": "value"}"#,
        r#"{"type": "string", "const": "x"}"#,
        r#"{"type": ["integer", "null"], "minimum": 0, "maximum": 9, "multipleOf": 3}"#,
        r#"{"type": "object", "x-open": true}"#,
        r#"{"type": "object", "x-open": true, "additionalProperties": {"type": "boolean"}}"#,
        r#"{"type": "array", "maxItems": 2, "uniqueItems": true, "items": {"type": "boolean"}}"#,
        r#"{"type": "array", "maxItems": 2, "items": false}"#,
        r#"{"type": "string", "contentEncoding": "base64", "x-decodedMaxBytes": 5}"#,
        r#"{"allOf": [{"type": "string"}, {"maxLength": 5}]}"#,
        r#"{"type": "object", "unevaluatedProperties": false, "if": {"properties": {"b": {"const": true}}},
            "then": {"properties": {"c": {"type": "null"}}}, "properties": {"b": {"type": "boolean"}}}"#,
        "false",
    ] {
        assert_eq!(faults(&object(member)), [], "{member}");
    }
}

#[test]
fn what_would_let_unknown_members_pass_is_refused() {
    let open = "an open object";
    assert_member_fault(r#"{"type": "object"}"#, "/properties/a", open);
    assert_member_fault(r#"{"type": ["object", "null"], "properties": {}}"#, "/properties/a", open);
    assert_member_fault(r#"{"type": "object", "additionalProperties": true}"#, "/properties/a", open);
    assert_member_fault(
        r#"{"type": "object", "additionalProperties": {"type": "boolean"}}"#,
        "/properties/a",
        open,
    );
    assert_member_fault(
        r#"{"type": "array", "maxItems": 1, "items": {"type": "object"}}"#,
        "/properties/a/items",
        open,
    );
    assert_member_fault(
        r#"{"type": "object", "anyOf": [{"additionalProperties": false}, {"properties": {"b": {"const": 1}}}]}"#,
        "/properties/a",
        open,
    );
    assert_eq!(faults(r#""type": "object", "properties": {}"#).len(), 1);
}

#[test]
fn an_object_is_not_closed_where_additional_properties_evaluate_what_is_left() {
    let root = |keywords: &str| {
        faults(&format!(
            r##""type": "object", "properties": {{"service": {{"type": "null"}}}}, "unevaluatedProperties": false,
            {keywords}, "$defs": {{"any": {{"anyOf": [{{"additionalProperties": true}}]}}}}"##
        ))
    };
    for (keywords, pointer) in [
        (r#""additionalProperties": true"#, ""),
        (r#""additionalProperties": {"type": "string", "maxLength": 9}"#, ""),
        (r#""allOf": [{"additionalProperties": true}]"#, "/allOf/0"),
        (r#""anyOf": [{"additionalProperties": {}}]"#, "/anyOf/0"),
        (r#""oneOf": [{"allOf": [{"additionalProperties": {}}]}]"#, "/oneOf/0/allOf/0"),
        (r#""if": {"additionalProperties": true}"#, "/if"),
        (r#""if": true, "then": {"additionalProperties": true}"#, "/then"),
        (r#""if": false, "else": {"additionalProperties": true}"#, "/else"),
        (r#""not": {"additionalProperties": true}"#, "/not"),
        (r#""dependentSchemas": {"service": {"additionalProperties": true}}"#, "/dependentSchemas/service"),
        (r##""$ref": "#/$defs/any""##, "/$defs/any/anyOf/0"),
    ] {
        let found = root(keywords);
        let pointer = format!("{pointer}/additionalProperties");
        let is_right = found.iter().any(|(at, said)| *at == pointer && said.contains("an open object"));
        assert!(is_right, "{keywords}: {found:#?}");
    }
    for keywords in [
        r#""additionalProperties": false"#,
        r#""anyOf": [{"additionalProperties": false}]"#,
        r#""x-open": true, "additionalProperties": {"type": "null"}"#,
        r#""if": {"required": ["service"]}"#,
    ] {
        assert_eq!(root(keywords), [], "{keywords}");
    }
}

#[test]
fn a_member_named_by_a_condition_is_checked_like_any_other() {
    assert_member_fault(
        r#"{"type": "object", "unevaluatedProperties": false, "anyOf": [{"properties": {"b": {"type": "string"}}}]}"#,
        "/properties/a/anyOf/0/properties/b",
        "unbounded string",
    );
}

#[test]
fn what_would_let_any_value_pass_is_refused() {
    for member in
        ["true", "{}", r#"{"maxLength": 5}"#, r#"{"anyOf": [{"type": "string"}, {"type": "null"}]}"#]
    {
        assert_member_fault(member, "/properties/a", "no \"type\"");
    }
    assert_eq!(faults(r#""title": "x""#)[0].1, "no \"type\": any value would pass");
}

#[test]
fn what_would_let_any_length_pass_is_refused() {
    assert_member_fault(r#"{"type": "string"}"#, "/properties/a", "unbounded string");
    assert_member_fault(r#"{"type": "string", "pattern": "^a*$"}"#, "/properties/a", "unbounded string");
    assert_member_fault(r#"{"type": ["string", "null"]}"#, "/properties/a", "unbounded string");
    assert_member_fault(
        r#"{"type": "array", "items": {"type": "null"}}"#,
        "/properties/a",
        "unbounded array",
    );
    assert_member_fault(r#"{"type": "array", "maxItems": 1}"#, "/properties/a", "elements of any kind");
    assert_member_fault(
        r#"{"type": "string", "maxLength": 9, "contentEncoding": "base64"}"#,
        "/properties/a/contentEncoding",
        "base64 of any size",
    );
}

#[test]
fn what_would_check_nothing_is_refused() {
    let member = |keyword: &str| format!(r#"{{"type": "string", "maxLength": 9, {keyword}}}"#);
    for (keyword, at, problem) in [
        (r#""requried": ["b"]"#, "requried", "unknown keyword"),
        (r#""x-decodedMaxByte": 5"#, "x-decodedMaxByte", "unknown keyword"),
        (r#""prefixItems": []"#, "prefixItems", "unknown keyword"),
        (r#""format": "emial""#, "format", "unknown format"),
        (r#""contentEncoding": "base32", "x-decodedMaxBytes": 1"#, "", ""),
        (r#""x-audit": "fingerprint""#, "x-audit", "unknown annotation"),
        (r#""x-open": false"#, "x-open", "true or absent"),
        (r#""x-decodedMaxBytes": 5"#, "x-decodedMaxBytes", "not a number of bytes"),
        (r#""x-imageTypes": ["image/jpeg"]"#, "x-imageTypes", "not a list of image types"),
        (r#""$id": "x""#, "$id", "at the top only"),
        (r#""pattern": "(?=a)""#, "pattern", "does not compile"),
        (r#""pattern": "(a)\\1""#, "pattern", "does not compile"),
        (r#""pattern": "[""#, "pattern", ""),
        (r#""minLength": "5""#, "minLength", "not a schema of draft 2020-12"),
    ] {
        let found = faults(&object(&member(keyword)));
        let pointer = format!("/properties/a/{at}");
        let is_right =
            found.iter().any(|(place, said)| place.starts_with(&pointer) && said.contains(problem));
        assert!(is_right, "{keyword}: {found:#?}");
    }
}

#[test]
fn an_image_type_that_is_not_known_is_refused() {
    assert_member_fault(
        r#"{"type": "string", "contentEncoding": "base64", "x-decodedMaxBytes": 5, "x-imageTypes": ["image/gif"]}"#,
        "/properties/a/x-imageTypes",
        "not a list of image types",
    );
}

#[test]
fn free_text_cannot_be_annotated_for_the_audit() {
    let value = r#"{"type": "string", "maxLength": 9, "x-audit": "value"}"#;
    assert_member_fault(value, "/properties/a", "without a closed list");
    assert_member_fault(
        r#"{"type": "integer", "enum": [1], "x-audit": "value"}"#,
        "/properties/a",
        "closed list",
    );
    assert_member_fault(
        r#"{"type": "integer", "x-audit": "fingerprint:email"}"#,
        "/properties/a",
        "only a string",
    );
    let one = r#"{"type": "string", "enum": ["x"], "x-audit": "value"}"#;
    let two = format!(
        r#""type": "object", "additionalProperties": false, "properties": {{"a": {one}, "b": {one}}}"#
    );
    assert_eq!(faults(&two)[0].0, "/properties/b");
    assert_member_fault(
        r#"{"type": "null", "anyOf": [{"x-audit": "fingerprint:email"}]}"#,
        "/properties/a/anyOf/0",
        "only sometimes",
    );
}

#[test]
fn names_that_parsers_read_differently_are_refused() {
    for (name, problem) in [
        ("é", "printable ASCII"),
        ("", "printable ASCII"),
        ("a b", "printable ASCII"),
        ("User", "gateway's"),
        ("pass", "gateway's"),
    ] {
        let found = faults(&format!(
            r#""type": "object", "additionalProperties": false, "properties": {{"{name}": {{"type": "null"}}}}"#
        ));
        assert!(found.iter().any(|(_, said)| said.contains(problem)), "{name}: {found:?}");
    }
    let inner =
        r#"{"type": "object", "additionalProperties": false, "properties": {"user": {"type": "null"}}}"#;
    assert_eq!(faults(&object(inner)), []);
}

#[test]
fn more_members_than_the_audit_has_bits_are_refused() {
    let members = |count: usize| {
        let members: Vec<_> = (0..count).map(|n| format!(r#""m{n}": {{"type": "null"}}"#)).collect();
        let members = members.join(",");
        faults(&format!(r#""type": "object", "additionalProperties": false, "properties": {{{members}}}"#))
    };
    assert_eq!(members(64), []);
    assert!(members(65)[0].1.contains("65 members"));
}

#[test]
fn a_schema_that_no_request_could_obey_is_refused() {
    assert_member_fault(
        r#"{"type": "object", "additionalProperties": false, "required": ["b"]}"#,
        "/properties/a",
        "\"b\" is not described",
    );
    assert!(faults(r#""type": "null""#)[0].1.contains("a request is an object"));
}

#[test]
fn all_faults_are_reported_at_once_and_in_order() {
    let found = faults(
        r#""type": "object", "additionalProperties": false, "properties": {
        "a": {"type": "string"}, "b": {"typ": "null"}, "c": {"type": "object", "format": "nonsense"}}"#,
    );
    let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        ["/properties/a", "/properties/b", "/properties/b/typ", "/properties/c", "/properties/c/format"]
    );
}

#[test]
fn a_reference_may_reach_this_file_and_its_neighbours() {
    let schema = compile_files([
        file(
            "s.json",
            r##"{"$schema": "DRAFT", "$id": "https://example.com/s", "type": "object", "additionalProperties": false,
            "properties": {"a": {"$ref": "other.json#/$defs/name"}, "b": {"$ref": "#/$defs/flag"}},
            "$defs": {"flag": {"type": "boolean"}}}"##,
        ),
        file(
            "other.json",
            r##"{"$schema": "DRAFT", "$id": "https://example.com/o", "$defs": {"name": {"$ref": "#/$defs/short"},
            "short": {"type": "string", "maxLength": 3}}}"##,
        ),
    ])
    .unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(violated(&schema, &parse(r#"{"a": "abc", "b": true}"#)), []);
    let expected =
        [("/a", "maxLength"), ("/b", "type")].map(|(at, keyword)| (at.to_owned(), keyword.to_owned()));
    assert_eq!(violated(&schema, &parse(r#"{"a": "abcd", "b": 1}"#)), expected);
    assert!(schema.source().pointer("/$defs/flag").is_some());
    assert!(schema.source().pointer("/$defs/file:other.json").is_none());
}

#[test]
fn a_definition_named_like_the_place_of_another_file_is_refused() {
    let (pointer, problem) = first_fault([
        file(
            "s.json",
            r#"{"$schema": "DRAFT", "type": "object", "additionalProperties": false,
            "properties": {"a": {"$ref": "other.json#/$defs/a"}},
            "$defs": {"file:other.json": {"$defs": {"a": {"type": "boolean"}}}}}"#,
        ),
        file("other.json", r#"{"$schema": "DRAFT", "$defs": {"a": {"type": "null"}}}"#),
    ]);
    assert_eq!(pointer, "/$defs/file:other.json");
    assert!(problem.contains("stands for another file"), "{problem}");
}

#[test]
fn the_digest_covers_the_files_that_are_referred_to() {
    let first = file(
        "s.json",
        r#"{"$schema": "DRAFT", "type": "object", "additionalProperties": false,
        "properties": {"a": {"$ref": "other.json#/$defs/a"}}}"#,
    );
    let other = |max: u8| {
        file(
            "other.json",
            &format!(r#"{{"$schema": "DRAFT", "$defs": {{"a": {{"type": "string", "maxLength": {max}}}}}}}"#),
        )
    };
    let digest = |max: u8, third: &str| {
        compile_files([first.clone(), other(max), file("third.json", third)]).ok().unwrap().digest()
    };
    assert_eq!(digest(1, "{}"), digest(1, "not even JSON"));
    assert_ne!(digest(1, "{}"), digest(2, "{}"));
}

#[test]
fn a_fault_in_another_file_names_that_file() {
    let (pointer, problem) = first_fault([
        file(
            "s.json",
            r#"{"$schema": "DRAFT", "type": "object", "additionalProperties": false,
            "properties": {"a": {"$ref": "other.json#/$defs/a"}}}"#,
        ),
        file("other.json", r#"{"$schema": "DRAFT", "$defs": {"a": {"type": "null", "formt": "x"}}}"#),
    ]);
    assert_eq!(pointer, "other.json#/$defs/a/formt");
    assert!(problem.contains("unknown keyword"));
}

#[test]
fn a_reference_out_of_the_files_is_refused() {
    let out = "leads out of the schema files";
    for (target, problem) in [
        ("https://example.com/x.json", out),
        ("file:///etc/passwd", out),
        ("../x.json", out),
        ("/x.json", out),
        ("..", out),
        ("#anchor", out),
        ("#/$defs/%61", out),
        ("#/$defs/a#", out),
        ("missing.json", "no schema file"),
        ("#/$defs/missing", "leads nowhere"),
    ] {
        let found = faults(&object(&format!(r#"{{"$ref": "{target}"}}"#)));
        assert!(found.iter().any(|(_, said)| said.contains(problem)), "{target}: {found:?}");
    }
}

#[test]
fn a_reference_to_what_is_no_schema_is_refused() {
    for (keyword, target) in [
        (r#""examples": [{"requried": ["x"]}]"#, "#/examples/0"),
        (r#""default": {"requried": ["x"]}"#, "#/default"),
        (r#""const": {"requried": ["x"]}"#, "#/const"),
        (r#""enum": [{"requried": ["x"]}]"#, "#/enum/0"),
        (r#""$defs": {"a": {"type": "null"}}"#, "#/$defs"),
        (r#""$defs": {"a": {"type": "null", "examples": [{}]}}"#, "#/$defs/a/examples/0"),
    ] {
        let found = faults(&format!(
            r#""type": "object", "additionalProperties": false, {keyword},
            "properties": {{"a": {{"type": "null", "$ref": "{target}"}}}}"#
        ));
        let expected = format!("\"$ref\": \"{target}\" leads to what is no schema");
        assert_eq!(found, [("/properties/a/$ref".to_owned(), expected)], "{keyword}");
    }
    let pointed = |target: &str| {
        faults(&format!(
            r#""type": "object", "additionalProperties": false, "$defs": {{"a/b~c": {{"type": "null"}}}}, "properties":
            {{"a": {{"$ref": "{target}"}}, "b": {{"allOf": [{{"type": "null"}}]}}}}"#
        ))
    };
    assert_eq!(pointed("#/$defs/a~1b~0c"), []);
    assert_eq!(pointed("#/properties/b"), []);
    assert_eq!(pointed("#/properties/b/allOf/0"), []);
}

#[test]
fn a_reference_that_leads_back_to_itself_is_refused() {
    for definitions in [
        r##"{"a": {"$ref": "#/$defs/a"}}"##,
        r##"{"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}"##,
        r##"{"a": {"type": "object", "additionalProperties": false, "properties": {"x": {"$ref": "#/$defs/a"}}}}"##,
        r##"{"a": {"$ref": "#"}}"##,
    ] {
        let found = faults(&format!(
            r##""type": "object", "additionalProperties": false, "properties": {{"a": {{"$ref": "#/$defs/a"}}}}, "$defs": {definitions}"##
        ));
        assert!(
            found.iter().any(|(_, said)| said.contains("leads back to itself")),
            "{definitions}: {found:?}"
        );
    }
}

#[test]
fn references_that_multiply_are_refused() {
    let levels: Vec<_> = (0..20)
        .map(|level| {
            let next = level + 1;
            format!(
                r##""d{level}": {{"allOf": [{{"$ref": "#/$defs/d{next}"}}, {{"$ref": "#/$defs/d{next}"}}]}}"##
            )
        })
        .collect();
    let levels = levels.join(",");
    let found = faults(&format!(
        r##""type": "object", "additionalProperties": false, "allOf": [{{"$ref": "#/$defs/d0"}}],
        "$defs": {{{levels}, "d20": {{"minProperties": 0}}}}"##
    ));
    assert!(found.iter().any(|(_, said)| said.contains("2,000 places")), "{found:?}");
}

#[test]
fn a_file_that_is_not_strict_json_of_draft_2020_12_is_refused() {
    for (text, problem) in [
        ("", "not one JSON object, line 1"),
        ("{\n\"a\": 01}", "not one JSON object, line 2"),
        ("[]", "not one JSON object"),
        ("{\"type\": \"object\",\n \"type\": \"object\"}", "a name occurs twice, line 2"),
        ("{}", "does not say that it is draft 2020-12"),
        (
            r#"{"$schema": "http://json-schema.org/draft-07/schema#"}"#,
            "does not say that it is draft 2020-12",
        ),
    ] {
        let (pointer, said) = first_fault([file("s.json", text)]);
        assert!(pointer.is_empty() && said.contains(problem), "{text}: {said}");
    }
    assert!(first_fault([file("other.json", "{}")]).1.contains("no schema file \"s.json\""));
}
