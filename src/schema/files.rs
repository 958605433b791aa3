//! Which files make up one schema, and what is the one schema that they make?
//!
//! A `$ref` reaches the same file (`#/$defs/name`) or another file by its name
//! (`common.schema.json#/$defs/name`). Other files are put under `$defs` of the first, and the pointers into them
//! rewritten, so that everything after this step sees one schema and nothing is ever fetched.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::dialect::{DRAFT, Holds, holds};
use super::{SchemaFault, SchemaFiles};
use crate::digest::sha256;
use crate::json::{self, Caps, Malformed};

/// One schema, made of one file and those it refers to.
pub(super) struct Joined {
    /// The first file as written.
    pub(super) source: Value,
    /// The first file with the others under `$defs`: every `$ref` is of the form `#/…`.
    pub(super) schema: Value,
    /// SHA-256 over the names and texts of all of them.
    pub(super) digest: [u8; 32],
}

/// Reads `files[name]` and all files that it refers to.
///
/// # Errors
///
/// Faults for files that are missing, are not JSON or not of draft 2020-12, and for other forms of `$ref`.
pub(super) fn join(name: &str, files: &SchemaFiles) -> Result<Joined, Vec<SchemaFault>> {
    let mut faults = Vec::new();
    let Some(source) = read(name, "", files, &mut faults) else { return Err(faults) };
    let mut schema = source.clone();
    let mut wanted = BTreeSet::new();
    rewrite(&mut schema, "", "", &mut wanted, &mut faults);
    check_definitions(&source, &mut faults);
    let mut others = Map::new();
    while let Some(other) = wanted.iter().find(|other| !others.contains_key(&key(other))).cloned() {
        let place = format!("{other}#");
        let mut text = read(&other, &place, files, &mut faults).unwrap_or(Value::Bool(false));
        rewrite(&mut text, &place, &other, &mut wanted, &mut faults);
        others.insert(key(&other), text);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let digest = digest(std::iter::once(name).chain(wanted.iter().map(String::as_str)), files);
    if let Some(map) = schema.as_object_mut().filter(|_| !others.is_empty())
        && let Some(defs) = map.entry("$defs").or_insert_with(|| Value::Object(Map::new())).as_object_mut()
    {
        defs.extend(others);
    }
    Ok(Joined { source, schema, digest })
}

/// Where other files are put, the first file may have nothing of its own.
fn check_definitions(source: &Value, faults: &mut Vec<SchemaFault>) {
    let names = source.get("$defs").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    faults.extend(names.filter(|name| name.starts_with(FILE)).map(|name| {
        SchemaFault::new(
            &format!("/$defs/{}", super::walk::segment(name)),
            &format!("a definition named \"{name}\": that name stands for another file"),
            &format!("choose a name that does not begin with \"{FILE}\""),
        )
    }));
}

/// Parses one file strictly, duplicates refused: the last one would silently win.
fn read(name: &str, place: &str, files: &SchemaFiles, faults: &mut Vec<SchemaFault>) -> Option<Value> {
    let mut fault = |problem: String, remedy: &str| {
        faults.push(SchemaFault::new(place, &problem, remedy));
        None
    };
    let Some(text) = files.get(name) else {
        return fault(format!("there is no schema file \"{name}\""), "put it beside the other schema files");
    };
    let at = |offset: u32| {
        let before = text.as_bytes().get(..offset as usize).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} of \"{name}\"")
    };
    match json::parse(Bytes::copy_from_slice(text.as_bytes()), &Caps::ANSWER) {
        Ok(_) => {}
        Err(Malformed::Syntax { offset }) => {
            return fault(format!("not one JSON object, {}", at(offset)), "write strict JSON (RFC 8259)");
        }
        Err(Malformed::Duplicate { offset }) => {
            return fault(format!("a name occurs twice, {}", at(offset)), "keep one of the two");
        }
        Err(Malformed::TooComplex { offset }) => {
            return fault(format!("too many or too deep values, {}", at(offset)), "split the schema");
        }
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return fault(format!("\"{name}\" is not JSON"), "write strict JSON (RFC 8259)");
    };
    if value.get("$schema").and_then(Value::as_str).map(|uri| uri.trim_end_matches('#')) != Some(DRAFT) {
        faults.push(SchemaFault::new(
            place,
            &format!("\"{name}\" does not say that it is draft 2020-12"),
            &format!("\"$schema\": \"{DRAFT}\""),
        ));
    }
    Some(value)
}

/// Makes every `$ref` of one file point into the joined schema. `file` is empty for the first file.
fn rewrite(
    schema: &mut Value,
    place: &str,
    file: &str,
    wanted: &mut BTreeSet<String>,
    faults: &mut Vec<SchemaFault>,
) {
    if let Some(map) = schema.as_object_mut() {
        // A base URI would change what `#/…` means.
        map.remove("$id");
        if !file.is_empty() {
            map.remove("$schema");
        }
    }
    rewrite_refs(schema, place, file, wanted, faults);
}

fn rewrite_refs(
    schema: &mut Value,
    place: &str,
    file: &str,
    wanted: &mut BTreeSet<String>,
    faults: &mut Vec<SchemaFault>,
) {
    let Some(map) = schema.as_object_mut() else { return };
    for (keyword, value) in map {
        let here = format!("{place}/{}", super::walk::segment(keyword));
        match (holds(keyword), value) {
            (Some(Holds::Reference), Value::String(target)) => match target_of(target, file) {
                Some((other, pointer)) => {
                    *target = if other.is_empty() {
                        format!("#{pointer}")
                    } else {
                        wanted.insert(other.clone());
                        format!("#/$defs/{}{pointer}", key(&other))
                    };
                }
                None => faults.push(SchemaFault::new(
                    &here,
                    &format!("\"$ref\": \"{target}\" leads out of the schema files"),
                    "use \"#/$defs/NAME\" or \"FILE.schema.json#/$defs/NAME\"",
                )),
            },
            (Some(Holds::Schema), schema) => rewrite_refs(schema, &here, file, wanted, faults),
            (Some(Holds::Schemas), Value::Object(schemas)) => {
                for (name, schema) in schemas {
                    let here = format!("{here}/{}", super::walk::segment(name));
                    rewrite_refs(schema, &here, file, wanted, faults);
                }
            }
            (Some(Holds::List), Value::Array(schemas)) => {
                for (index, schema) in schemas.iter_mut().enumerate() {
                    rewrite_refs(schema, &format!("{here}/{index}"), file, wanted, faults);
                }
            }
            _ => {}
        }
    }
}

/// File (empty: the first one) and pointer of a `$ref` written in `file`; `None` for any other form.
fn target_of(target: &str, file: &str) -> Option<(String, String)> {
    let (named, pointer) = target.split_once('#').unwrap_or((target, ""));
    let is_name = named.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    // `%` would be decoded by one reader and not by another.
    let is_pointer = (pointer.is_empty() || pointer.starts_with('/')) && !pointer.contains(['%', '#']);
    let other = if named.is_empty() { file } else { named };
    (is_name && is_pointer && !named.starts_with('.')).then(|| (other.to_owned(), pointer.to_owned()))
}

/// What the names of other files begin with under `$defs`.
const FILE: &str = "file:";

/// Where a file stands under `$defs`.
fn key(file: &str) -> String {
    format!("{FILE}{file}")
}

fn digest<'a>(names: impl Iterator<Item = &'a str>, files: &SchemaFiles) -> [u8; 32] {
    let texts = names.flat_map(|name| [name, files.get(name).map_or("", String::as_str)]);
    // Lengths in front, so that no two sets of files read alike.
    sha256(texts.flat_map(|text| [text.len().to_string(), ":".to_owned(), text.to_owned()]))
}

/// Faults in order of their pointers, each once, with the names of other files in front instead of where
/// those were put.
pub(super) fn named(mut faults: Vec<SchemaFault>) -> Vec<SchemaFault> {
    for fault in &mut faults {
        let other = fault.pointer.strip_prefix("/$defs/file:").map(|rest| match rest.split_once('/') {
            Some((file, pointer)) => format!("{file}#/{pointer}"),
            None => format!("{rest}#"),
        });
        fault.pointer = other.unwrap_or_else(|| std::mem::take(&mut fault.pointer));
    }
    faults.sort_by(|left, right| (&left.pointer, &left.problem).cmp(&(&right.pointer, &right.problem)));
    faults.dedup();
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_names_from_texts() {
        let digest = |name: &str, text: &str| {
            digest(std::iter::once(name), &SchemaFiles::from([(name.to_owned(), text.to_owned())]))
        };
        assert_ne!(digest("a", "bc"), digest("ab", "c"));
        assert_eq!(digest("a", "bc"), digest("a", "bc"));
    }
}
