//! What does the configuration file look like, for editors and checkers?

use schemars::generate::SchemaSettings;
use serde_json::Value;

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
