//! What does the file say, and where does it say each thing?

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Bytes of the configuration file.
    File(Range<usize>),
    /// An environment variable, by name.
    Variable(Arc<str>),
    /// A `KEY=VALUE` of the command line, by key.
    Argument(Arc<str>),
    /// Nowhere: it is a built-in default, or the file as a whole.
    Default,
}

/// One value as written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
    /// An override's text as given: `1.1` is a number to TOML, but means `"1.1"` where a text is wanted.
    pub(super) given: Option<Box<str>>,
}

/// What kind of value it is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Text(String),
    /// `None`: larger than any integer that has a meaning here.
    Integer(Option<i64>),
    Float,
    Flag(bool),
    /// A TOML date or time, in its own notation.
    Date(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A member of a table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) node: Node,
}

impl Node {
    /// What a person calls this kind of value.
    pub(super) fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Text(_) => "a string",
            Kind::Integer(_) => "a whole number",
            Kind::Float => "a number with a fraction",
            Kind::Flag(_) => "true or false",
            Kind::Date(_) => "a date",
            Kind::List(_) => "a list",
            Kind::Table(_) => "a table",
        }
    }

    /// The text of a string, or an override as it was given.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            Kind::List(_) | Kind::Table(_) => None,
            _ => self.given.as_deref(),
        }
    }

    /// The member named `key`, where this is a table that has it.
    pub(super) fn member(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Table(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }
}

/// A fault of the TOML notation itself: what, and where if that is known.
pub(super) struct Malformed {
    pub(super) problem: String,
    pub(super) span: Option<Range<usize>>,
}

/// Reads `text`, with every fault of notation that the parser can find in one run.
pub(super) fn parse(text: &str) -> (Node, Vec<Malformed>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    // The root has no line of its own.
    let kind = table_kind(table.get_ref(), &|span| Place::File(span));
    let root = Node { place: Place::Default, kind, given: None };
    let malformed = errors
        .iter()
        .map(|error| Malformed { problem: error.message().to_owned(), span: error.span() })
        .collect();
    (root, malformed)
}

/// Reads `text` as one TOML value, all of it written at `place`; `None` where it is no TOML value.
pub(super) fn parse_value(text: &str, place: &Place) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    Some(node(&value, &|_| place.clone()))
}

fn node(value: &Spanned<DeValue<'_>>, place_of: &dyn Fn(Range<usize>) -> Place) -> Node {
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Text(text.clone().into_owned()),
        DeValue::Integer(integer) => {
            Kind::Integer(i64::from_str_radix(integer.as_str(), integer.radix()).ok())
        }
        DeValue::Float(_) => Kind::Float,
        DeValue::Boolean(flag) => Kind::Flag(*flag),
        DeValue::Datetime(date) => Kind::Date(date.to_string()),
        DeValue::Array(items) => Kind::List(items.iter().map(|item| node(item, place_of)).collect()),
        DeValue::Table(table) => table_kind(table, place_of),
    };
    Node { place: place_of(value.span()), kind, given: None }
}

fn table_kind(table: &DeTable<'_>, place_of: &dyn Fn(Range<usize>) -> Place) -> Kind {
    let entries = table.iter().map(|(key, value)| Entry {
        key: key.get_ref().clone().into_owned(),
        key_place: place_of(key.span()),
        node: node(value, place_of),
    });
    Kind::Table(entries.collect())
}
