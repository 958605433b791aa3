//! Where can a document violate this schema, in the schema's own words?
//!
//! The table is built when the schema is loaded, from names that the schema has. A violation is a place in the
//! table: no text of a request can get into it.

use std::collections::HashMap;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::dialect::{Holds, holds};
use super::walk::{Place, segment};
use super::{Location, LocationId};

/// Every place of a schema that can be violated, and the way from the validator's errors to it.
pub(super) struct Locations {
    table: Vec<Location>,
    /// By pointer and keyword.
    by_name: HashMap<(String, String), LocationId>,
    /// By evaluation path, with the name of the missing member for `required` and `dependentRequired`.
    by_path: HashMap<(String, String), LocationId>,
}

impl Locations {
    /// The place of what cannot be said more precisely: the document as a whole, keyword `schema`.
    pub(super) const WHOLE: LocationId = LocationId(0);

    pub(super) fn new() -> Self {
        let mut locations = Self { table: Vec::new(), by_name: HashMap::new(), by_path: HashMap::new() };
        locations.add(String::new(), "schema", String::new(), "");
        locations
    }

    pub(super) fn table(&self) -> &[Location] {
        &self.table
    }

    /// Adds what can fail at one place.
    pub(super) fn visit(&mut self, place: &Place<'_>) {
        if !place.reported {
            return;
        }
        let pointer = place.pointer();
        let Value::Object(map) = place.schema else {
            if place.schema == &Value::Bool(false) {
                self.add(pointer, "false", place.path.clone(), "");
            }
            return;
        };
        for (keyword, value) in map {
            let path = format!("{}/{keyword}", place.path);
            match keyword.as_str() {
                "required" => self.add_missing(&pointer, keyword, &path, value),
                "dependentRequired" => {
                    for names in value.as_object().into_iter().flat_map(|by_name| by_name.values()) {
                        self.add_missing(&pointer, keyword, &path, names);
                    }
                }
                // These speak for `contains`, where they are; without it they say nothing.
                "minContains" | "maxContains" if !map.contains_key("contains") => {}
                "contains" if map.contains_key("minContains") || map.contains_key("maxContains") => {}
                "anyOf" | "oneOf" | "not" | "contains" | "propertyNames" => {
                    self.add(pointer.clone(), keyword, path, "");
                }
                "additionalProperties" | "unevaluatedProperties" | "items"
                    if value == &Value::Bool(false) =>
                {
                    self.add(pointer.clone(), keyword, path, "");
                }
                _ if holds(keyword) == Some(Holds::Assertion) => self.add(pointer.clone(), keyword, path, ""),
                _ => {}
            }
        }
    }

    /// The place of `error`: by its evaluation path; where that leaves a `$ref` out (it does for our own
    /// keywords), by the value; else the nearest place on the path.
    pub(super) fn of(&self, error: &ValidationError<'_>) -> LocationId {
        let missing = match error.kind() {
            ValidationErrorKind::Required { property: Value::String(name) } => name.as_str(),
            _ => "",
        };
        let mut key = (error.evaluation_path().as_str().to_owned(), missing.to_owned());
        if let Some(id) = self.by_path.get(&key).copied().or_else(|| self.by_value(error)) {
            return id;
        }
        while let Some(end) = key.0.rfind('/') {
            key.0.truncate(end);
            if let Some(id) = self.by_path.get(&key) {
                return *id;
            }
        }
        Self::WHOLE
    }

    /// The place of the keyword that failed for that value. The value's path has names of the request in it,
    /// so it is only compared.
    fn by_value(&self, error: &ValidationError<'_>) -> Option<LocationId> {
        let (_, keyword) = error.schema_path().as_str().rsplit_once('/')?;
        let value = error.instance_path().as_str();
        let at = self
            .table
            .iter()
            .position(|location| *location.keyword == *keyword && is_at(&location.pointer, value))?;
        u16::try_from(at).ok().map(LocationId)
    }

    fn add_missing(&mut self, pointer: &str, keyword: &str, path: &str, names: &Value) {
        for name in names.as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.add(format!("{pointer}/{}", segment(name)), keyword, path.to_owned(), name);
        }
    }

    /// Two paths to the same keyword for the same value share a place.
    fn add(&mut self, pointer: String, keyword: &str, path: String, missing: &str) {
        let name = (pointer, keyword.to_owned());
        let id = match self.by_name.get(&name) {
            Some(id) => *id,
            None => {
                // A schema has at most 2,000 places with 50 keywords each; what would not fit falls back to WHOLE.
                let Ok(id) = u16::try_from(self.table.len()).map(LocationId) else { return };
                self.table.push(Location { pointer: name.0.as_str().into(), keyword: keyword.into() });
                self.by_name.insert(name, id);
                id
            }
        };
        self.by_path.insert((path, missing.to_owned()), id);
    }
}

/// Whether the value at `path` is meant by `pointer`, in which `*` stands for any element or member.
fn is_at(pointer: &str, path: &str) -> bool {
    let (mut pointer, mut path) = (pointer.split('/'), path.split('/'));
    loop {
        match (pointer.next(), path.next()) {
            (None, None) => return true,
            (Some(meant), Some(segment)) if meant == segment || meant == "*" => {}
            _ => return false,
        }
    }
}
