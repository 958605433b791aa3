//! Is every keyword of a schema one that we know, with a value that it can have?

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::dialect::{self, AUDIT, DECODED_MAX_BYTES, Holds, IMAGE_TYPES, OPEN, holds};
use super::keywords::{is_known_format, is_linear_pattern};
use super::walk::segment;
use super::{MediaType, SchemaFault};

/// Checks every schema object in `schema`, applied or not.
pub(super) fn check(schema: &Value) -> Vec<SchemaFault> {
    let mut faults = Vec::new();
    for error in jsonschema::draft202012::meta::validator().iter_errors(schema) {
        // A schema is the operator's own text: the message may quote it.
        faults.push(SchemaFault::new(
            error.instance_path().as_str(),
            &format!("not a schema of draft 2020-12: {error}"),
            "see the keyword in https://json-schema.org/draft/2020-12/json-schema-validation",
        ));
    }
    let mut seen = Seen::default();
    check_schema(schema, "", &mut seen, &mut faults);
    faults.extend(seen.targets.iter().filter_map(|(at, target)| {
        // What is not there at all is the walk's to say.
        let pointer = target.strip_prefix('#').filter(|pointer| !seen.schemas.contains(*pointer))?;
        schema.pointer(pointer)?;
        Some(SchemaFault::new(
            at,
            &format!("\"$ref\": \"{target}\" leads to what is no schema"),
            "point to a schema, for example under \"$defs\": no other value was checked to be one",
        ))
    }));
    faults
}

/// The schemas that were checked, by pointer, and what they refer to.
#[derive(Default)]
struct Seen<'s> {
    schemas: HashSet<String>,
    /// Where a `$ref` stands, and its value.
    targets: Vec<(String, &'s str)>,
}

fn check_schema<'s>(schema: &'s Value, at: &str, seen: &mut Seen<'s>, faults: &mut Vec<SchemaFault>) {
    seen.schemas.insert(at.to_owned());
    let Some(map) = schema.as_object() else { return };
    for (keyword, value) in map {
        let here = format!("{at}/{}", segment(keyword));
        match (holds(keyword), value) {
            (None, _) => faults.push(SchemaFault::new(
                &here,
                &format!("unknown keyword \"{keyword}\": it would check nothing"),
                &dialect::remedy(keyword),
            )),
            (Some(Holds::Reference), Value::String(target)) => seen.targets.push((here, target)),
            (Some(Holds::Schema), schema) => check_schema(schema, &here, seen, faults),
            (Some(Holds::Schemas), Value::Object(schemas)) => {
                for (name, schema) in schemas {
                    check_schema(schema, &format!("{here}/{}", segment(name)), seen, faults);
                }
            }
            (Some(Holds::List), Value::Array(schemas)) => {
                for (index, schema) in schemas.iter().enumerate() {
                    check_schema(schema, &format!("{here}/{index}"), seen, faults);
                }
            }
            _ => {
                if let Some((problem, remedy)) = check_value(keyword, value, map, at) {
                    faults.push(SchemaFault::new(&here, &problem, &remedy));
                }
            }
        }
    }
}

/// What is wrong with the value of one keyword, and what would be right; the meta-schema has seen the rest.
fn check_value(
    keyword: &str,
    value: &Value,
    beside: &Map<String, Value>,
    at: &str,
) -> Option<(String, String)> {
    let is_base64 = beside.get("contentEncoding").and_then(Value::as_str) == Some("base64");
    let (right, problem, remedy) = match keyword {
        "$id" | "$schema" => (at.is_empty(), "it may stand at the top only", "remove it here".to_owned()),
        "format" => (
            value.as_str().is_none_or(is_known_format),
            "unknown format: it would check nothing",
            "schemas/README.md lists the formats".to_owned(),
        ),
        "pattern" => (
            value.as_str().is_none_or(is_linear_pattern),
            "the pattern does not compile, or needs more than linear time",
            "use no look-around and no back-references, and keep repetitions small".to_owned(),
        ),
        "contentEncoding" if !is_base64 => {
            (false, "unknown encoding: it would check nothing", "say \"base64\"".to_owned())
        }
        "contentEncoding" => (
            beside.contains_key(DECODED_MAX_BYTES),
            "base64 of any size would pass",
            format!("say \"{DECODED_MAX_BYTES}\" beside it"),
        ),
        DECODED_MAX_BYTES => (
            is_base64 && value.as_u64().is_some_and(|bytes| bytes > 0),
            "not a number of bytes of a base64 string",
            "a positive integer beside \"contentEncoding\": \"base64\"".to_owned(),
        ),
        IMAGE_TYPES => (
            is_base64 && is_list_of_media_types(value),
            "not a list of image types of a base64 string",
            format!("a list of {}, beside \"contentEncoding\": \"base64\"", media_types()),
        ),
        AUDIT => (
            matches!(value.as_str(), Some("value" | "fingerprint:email" | "fingerprint:reference")),
            "unknown annotation",
            "\"value\", \"fingerprint:email\" or \"fingerprint:reference\"".to_owned(),
        ),
        OPEN => (value == &Value::Bool(true), "it is true or absent", "true, or remove it".to_owned()),
        "unevaluatedProperties" => {
            (value == &Value::Bool(false), "it is false or absent", "false, or remove it".to_owned())
        }
        _ => return None,
    };
    (!right).then(|| (format!("\"{keyword}\": {problem}"), remedy))
}

fn is_list_of_media_types(value: &Value) -> bool {
    value.as_array().is_some_and(|names| {
        !names.is_empty() && names.iter().all(|name| name.as_str().and_then(MediaType::from_name).is_some())
    })
}

fn media_types() -> String {
    MediaType::ALL.map(|media| format!("\"{}\"", media.name())).join(", ")
}
