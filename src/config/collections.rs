//! How are lists, and tables whose keys are names, read?

use std::collections::BTreeMap;

use schemars::{Schema, SchemaGenerator, json_schema};

use super::canonical::Canonical;
use super::findings::{Findings, Spot};
use super::reader::{At, Limits, Written, join};
use super::tree::{Kind, Node};

/// A list; what could not be read of it was reported, and is not in it.
pub(super) struct List<T> {
    pub(super) items: Vec<At<T>>,
    /// Whether something was written that could not be read.
    pub(super) broken: bool,
}

impl<T: Written> Written for List<T> {
    fn read(node: &Node, key: &str, limits: Limits, findings: &mut Findings) -> Option<Self> {
        let Kind::List(nodes) = &node.kind else {
            findings.conceal(node);
            let problem = format!("expected a list, found {}", node.kind_name());
            findings.error(key, &node.place, &problem, "write it between brackets: [ … ]");
            return None;
        };
        let mut items = Vec::with_capacity(nodes.len());
        for (index, item) in nodes.iter().enumerate() {
            let path = element(key, index, item);
            if let Some(value) = T::read(item, &path, limits, findings) {
                items.push(At { value, spot: Spot { key: path.into(), place: item.place.clone() } });
            }
        }
        let broken = items.len() < nodes.len();
        Some(Self { items, broken })
    }

    fn schema(generator: &mut SchemaGenerator, limits: Limits) -> Schema {
        let items = T::schema(generator, limits);
        json_schema!({ "type": "array", "items": items })
    }

    fn feed(&self, _key: &str, canonical: &mut Canonical) {
        for item in &self.items {
            item.value.feed(&item.spot.key, canonical);
        }
    }
}

/// A table of a list goes by its name, where it has a usable one.
fn element(key: &str, index: usize, node: &Node) -> String {
    match node.member("name").and_then(|entry| entry.node.text()).filter(|name| is_name(name)) {
        Some(name) => join(key, name),
        None => format!("{key}[{index}]"),
    }
}

/// Tables by name.
pub(super) struct Named<T> {
    /// `None`: written, but not usable, which was reported.
    pub(super) entries: BTreeMap<String, Option<At<T>>>,
}

impl<T: Written> Written for Named<T> {
    fn read(node: &Node, key: &str, limits: Limits, findings: &mut Findings) -> Option<Self> {
        let Kind::Table(written) = &node.kind else {
            findings.conceal(node);
            let problem = format!("expected a table, found {}", node.kind_name());
            findings.error(key, &node.place, &problem, &format!("write one table each: [{key}.NAME]"));
            return None;
        };
        let mut entries = BTreeMap::new();
        for entry in written {
            let path = join(key, &entry.key);
            if !is_name(&entry.key) {
                findings.error(
                    &path,
                    &entry.key_place,
                    "is not a usable name",
                    &format!("write {NAME_RULE}"),
                );
            }
            let value = T::read(&entry.node, &path, limits, findings);
            let spot = Spot { key: path.into(), place: entry.key_place.clone() };
            entries.insert(entry.key.clone(), value.map(|value| At { value, spot }));
        }
        Some(Self { entries })
    }

    fn schema(generator: &mut SchemaGenerator, limits: Limits) -> Schema {
        let each = T::schema(generator, limits);
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z0-9._-]{1,64}$" },
            "additionalProperties": each,
        })
    }

    fn feed(&self, key: &str, canonical: &mut Canonical) {
        canonical.line(key, "named");
        for at in self.entries.values().flatten() {
            canonical.line(&at.spot.key, "table");
            at.value.feed(&at.spot.key, canonical);
        }
    }
}

/// What a name is made of.
pub(super) const NAME_RULE: &str = "a name of 1 to 64 of the characters A-Z a-z 0-9 . _ -";

pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
