//! What does the configuration say once the overrides are in, as TOML again?
//!
//! For a command that runs the operator's configuration with a few keys changed: what it does not know is kept.

use toml::{Table, Value};

use super::load::Source;
use super::tree::{Kind, Node};

/// The file of `source` with the overrides over it; `None` where it cannot be read, which [`load`](super::load)
/// reports.
#[must_use]
pub fn effective(source: &Source) -> Option<Table> {
    match value(&super::load::laid_over(source)?) {
        Value::Table(table) => Some(table),
        _ => None,
    }
}

/// Beyond it a number is another: nowhere, except where the fuzz targets must find a bug.
const WRAPS_AT: Option<i64> = if cfg!(feature = "planted-bug") { Some(1000) } else { None };

fn value(node: &Node) -> Value {
    match &node.kind {
        Kind::Text(text) | Kind::Date(text) => Value::String(text.clone()),
        Kind::Integer(number) => {
            let number = number.unwrap_or(i64::MAX);
            Value::Integer(WRAPS_AT.map_or(number, |end| number % end))
        }
        // No key is a number with a fraction: as an override it meant a text.
        Kind::Float => Value::String(node.given.as_deref().unwrap_or_default().to_owned()),
        Kind::Flag(flag) => Value::Boolean(*flag),
        Kind::List(items) => Value::Array(items.iter().map(value).collect()),
        Kind::Table(entries) => {
            Value::Table(entries.iter().map(|entry| (entry.key.clone(), value(&entry.node))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_stand_in_the_place_of_what_the_file_says_and_the_rest_is_kept() {
        let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let source = Source {
            path: "config/minimal.toml".into(),
            environment: [set("DCAMS_GATEWAY__UPSTREAM__HTTP", "1.1")].into(),
            overrides: vec![set("data.workers", "3"), set("log.filter", "debug")],
        };
        let table = effective(&source).unwrap();
        let at = |part: &str, key: &str| table.get(part).and_then(|part| part.get(key)).cloned();
        assert_eq!(at("upstream", "http"), Some("1.1".into()));
        assert_eq!(at("data", "workers"), Some(3.into()));
        assert_eq!(at("log", "filter"), Some("debug".into()));
        let text = std::fs::read_to_string("config/minimal.toml").unwrap();
        let written: Table = text.parse().unwrap();
        assert_eq!(table.get("services"), written.get("services"));
        assert_eq!(table.get("callers"), written.get("callers"));
        assert_eq!(effective(&Source { path: "nowhere".into(), ..Source::default() }), None);
    }
}
