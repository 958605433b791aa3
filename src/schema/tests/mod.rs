//! Do the schemas of this repository say what their documents show, and are bad schemas refused?

mod documents;
mod facts;
mod faults;
mod places;
mod reading;

use bytes::Bytes;

use super::*;
use crate::json::{self, Caps};

/// Wide enough that the schema, not the parser, has the word.
const CAPS: Caps =
    Caps { depth: 64, nodes: u32::MAX, members: u32::MAX, name_bytes: u32::MAX, ..Caps::REQUEST };

fn parse(text: impl Into<Vec<u8>>) -> Document {
    json::parse(Bytes::from(text.into()), &CAPS).unwrap()
}

fn service(name: &str) -> Schema {
    let name = format!("{name}.schema.json");
    Schema::compile(&name, &builtin()).unwrap_or_else(|faults| panic!("{name}: {faults:#?}"))
}

/// Compiles a schema from members of its root; `$schema` is added.
fn compile(members: &str) -> Result<Schema, Vec<SchemaFault>> {
    let text = format!(r#"{{"$schema": "https://json-schema.org/draft/2020-12/schema", {members}}}"#);
    Schema::compile("s.json", &SchemaFiles::from([("s.json".to_owned(), text)]))
}

/// The violated places, as pairs of pointer and keyword, sorted.
fn violated(schema: &Schema, document: &Document) -> Vec<(String, String)> {
    let Some(violations) = schema.violations(document) else { return Vec::new() };
    assert!(
        usize::from(violations.total()) <= Violations::SHOWN,
        "split this document: not all places are shown"
    );
    let mut places: Vec<_> = violations.shown().iter().map(|id| place(schema, *id)).collect();
    places.sort();
    places
}

fn place(schema: &Schema, id: LocationId) -> (String, String) {
    let location = &schema.locations()[usize::from(id.0)];
    (location.pointer.to_string(), location.keyword.to_string())
}

fn image(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/images/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn encode(bytes: &[u8]) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A request to store `front`, which is JSON text without its quotes.
fn with_front(front: &str) -> Document {
    parse(format!(
        r#"{{"service":"createOrUpdateCustomer","target":{{"email":"customer@example.com","documents":{{"front":"{front}"}}}}}}"#
    ))
}

/// All workers read the same schema: this does not compile otherwise.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Schema>();
};
