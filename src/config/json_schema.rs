//! What does the configuration file look like, for editors and checkers?

use schemars::generate::SchemaSettings;
use schemars::{Schema, json_schema as schema_of};
use serde_json::{Map, Value};

use super::reader::Key;
use super::tree::{Kind, Node, Place, parse_value};
use super::written::Root;

/// The JSON Schema (draft 2020-12) of the configuration file: every key with its meaning, range and default.
///
/// It describes one value at a time. What depends on several (references, loopback rules, duplicates) is
/// judged by [`load`](super::load) alone.
#[must_use]
pub fn json_schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Root>();
    schema.insert("title".to_owned(), "dcams-gateway configuration".into());
    schema.to_value()
}

/// The JSON Schema of a table.
pub(super) fn table_schema<const N: usize>(about: &[&str], keys: &[Key], kinds: [Schema; N]) -> Schema {
    let mut properties = Map::new();
    for (key, mut kind) in keys.iter().zip(kinds) {
        kind.insert("description".to_owned(), Value::from(described(key)));
        let default = key.default.and_then(|text| parse_value(text, &Place::Default));
        if let Some(default) = default {
            kind.insert("default".to_owned(), json(&default));
        }
        properties.insert(key.name.to_owned(), kind.to_value());
    }
    let required: Vec<_> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    schema_of!({
        "type": "object",
        "description": paragraph(about),
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// What a key means, with its range and default.
fn described(key: &Key) -> String {
    let mut text = paragraph(key.about);
    if let Some((least, most)) = key.limits {
        text.push_str(&format!(" Range: {least} to {most}."));
    }
    if let Some(default) = key.default {
        text.push_str(&format!(" Default: {default}."));
    }
    text
}

fn paragraph(lines: &[&str]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}

/// A value of the file in JSON.
fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Text(text) | Kind::Date(text) => Value::from(text.as_str()),
        Kind::Integer(integer) => Value::from(*integer),
        Kind::Float => Value::Null,
        Kind::Flag(flag) => Value::from(*flag),
        Kind::List(items) => Value::Array(items.iter().map(json).collect()),
        Kind::Table(entries) => {
            Value::Object(entries.iter().map(|entry| (entry.key.clone(), json(&entry.node))).collect())
        }
    }
}
