//! How does the validator read a document without building it?
//!
//! `jsonschema` validates anything that implements its `Json` and `Node` traits. These implementations read from
//! the index of [`crate::json`]. What the validator would copy is bounded by a [`Reading`]: where a bound is
//! reached, it notes that it gave up, and the document counts as invalid whatever the validator found.

use std::borrow::Cow;
use std::cell::Cell;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, Node, NodeIdentity, Object};
use serde_json::{Number, Value};

use super::compare::{all_differ, build, equals, number};
use crate::json::{self, Escapes, Kind, Text};

/// Strings with escapes are unescaped into a copy up to this length as written, bytes.
const LONGEST_COPY_BYTES: usize = 64 * 1024;
/// Values up to this length are built for the validator's own errors, which nobody reads, bytes.
const LARGEST_VALUE_BYTES: usize = 256;
/// Arrays up to this length are searched for equal elements for `uniqueItems`.
const LONGEST_UNIQUE: usize = 1024;

/// The representation: strict JSON as [`crate::json::parse`] indexes it.
pub(super) struct Strict;

/// What one reading of a document may still cost, and whether that was too little.
pub(super) struct Reading {
    children: Cell<u32>,
    gave_up: Cell<bool>,
}

impl Reading {
    /// For a verdict: it holds nothing of what it has seen.
    pub(super) fn for_verdict() -> Self {
        Self { children: Cell::new(u32::MAX), gave_up: Cell::new(false) }
    }

    /// For a list of violations: the validator holds an error for each, before it gives the first.
    pub(super) fn for_violations() -> Self {
        Self { children: Cell::new(4096), gave_up: Cell::new(false) }
    }

    /// Whether a bound was reached: the document must not pass.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up.get()
    }

    fn give_up(&self) {
        self.gave_up.set(true);
    }

    /// Whether one more member or element may be read.
    fn takes_child(&self) -> bool {
        let left = self.children.get();
        self.children.set(left.saturating_sub(1));
        if left == 0 {
            self.give_up();
        }
        left > 0
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self::for_verdict()
    }
}

/// One value as the validator sees it.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    seen: Seen<'a>,
    reading: &'a Reading,
}

#[derive(Clone, Copy)]
enum Seen<'a> {
    Value(json::Node<'a>),
    /// A member's name, for `propertyNames`.
    Name(&'a str),
}

impl<'a> View<'a> {
    pub(super) fn new(node: json::Node<'a>, reading: &'a Reading) -> Self {
        Self { seen: Seen::Value(node), reading }
    }

    /// The text of a string value.
    pub(super) fn text(&self) -> Option<Text<'a>> {
        self.node()?.text()
    }

    fn node(&self) -> Option<json::Node<'a>> {
        match self.seen {
            Seen::Value(node) => Some(node),
            Seen::Name(_) => None,
        }
    }

    /// The value itself where it is an object or array of that kind.
    fn container(&self, kind: Kind) -> Option<Self> {
        self.node().filter(|node| node.kind() == kind).map(|_| *self)
    }

    fn with(&self, node: json::Node<'a>) -> Self {
        Self::new(node, self.reading)
    }
}

impl Json for Strict {
    type Node<'a> = View<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = Reading;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>(buffer: &mut Reading, string: &str, f: impl FnOnce(View<'_>) -> T) -> T {
        f(View { seen: Seen::Name(string), reading: buffer })
    }
}

impl<'a> Node<'a, Strict> for View<'a> {
    type Object = Self;
    type Array = Self;
    type Number = Number;

    fn as_object(&self) -> Option<Self> {
        self.container(Kind::Object)
    }

    fn as_array(&self) -> Option<Self> {
        self.container(Kind::Array)
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        if let Seen::Name(name) = self.seen {
            return Some(Cow::Borrowed(name));
        }
        let text = self.text()?;
        if text.escapes() != Escapes::None && text.raw().len() > LONGEST_COPY_BYTES {
            self.reading.give_up();
            return Some(Cow::Borrowed(""));
        }
        Some(text.unescape())
    }

    fn as_number(&self) -> Option<Number> {
        let node = self.node().filter(|node| node.kind() == Kind::Number)?;
        // The tokeniser has checked the number; were it wrong, the document must not pass.
        number(node).or_else(|| {
            self.reading.give_up();
            Some(Number::from(0))
        })
    }

    fn as_boolean(&self) -> Option<bool> {
        self.node()?.boolean()
    }

    fn is_null(&self) -> bool {
        self.node().is_some_and(|node| node.kind() == Kind::Null)
    }

    fn is_number(&self) -> bool {
        self.node().is_some_and(|node| node.kind() == Kind::Number)
    }

    fn json_type(&self) -> JsonType {
        match self.node().map(|node| node.kind()) {
            Some(Kind::Null) => JsonType::Null,
            Some(Kind::Bool) => JsonType::Boolean,
            Some(Kind::Number) => JsonType::Number,
            Some(Kind::Array) => JsonType::Array,
            Some(Kind::Object) => JsonType::Object,
            Some(Kind::String) | None => JsonType::String,
        }
    }

    fn string_length(&self) -> Option<u64> {
        match self.seen {
            Seen::Name(name) => Some(name.chars().count() as u64),
            Seen::Value(node) => node.text().map(|text| text.char_count() as u64),
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        match self.seen {
            Seen::Name(name) => expected.as_str() == Some(name),
            Seen::Value(node) => equals(node, expected),
        }
    }

    /// Called for every error (nothing reads it), so it is the value itself only where that is small.
    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(match self.seen {
            Seen::Name(name) => Value::from(name),
            Seen::Value(node) => {
                let mut left = LARGEST_VALUE_BYTES;
                build(node, &mut left).unwrap_or(Value::Null)
            }
        })
    }

    fn identity(&self) -> Option<NodeIdentity> {
        let node = self.node()?;
        Some(NodeIdentity::tagged(std::ptr::from_ref(node.document()).addr(), node.index()))
    }
}

impl<'a> Object<'a, Strict> for View<'a> {
    type Node = Self;
    type MemberName = Cow<'a, str>;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        self.node().map_or(0, |node| node.len())
    }

    fn get(&self, key: &Box<str>) -> Option<Self> {
        self.node()?.member(key).map(|node| self.with(node))
    }

    fn members(&self) -> Members<'a> {
        Members { rest: self.node().map(|node| node.members()), reading: self.reading }
    }
}

impl<'a> Array<'a, Strict> for View<'a> {
    type Node = Self;
    type ElementsIter = Elements<'a>;

    fn len(&self) -> usize {
        self.node().map_or(0, |node| node.len())
    }

    fn elements(&self) -> Elements<'a> {
        Elements { rest: self.node().map(|node| node.elements()), reading: self.reading }
    }

    fn is_unique(&self) -> bool {
        let Some(node) = self.node() else { return true };
        if node.len() > LONGEST_UNIQUE {
            self.reading.give_up();
            return false;
        }
        all_differ(node.elements())
    }
}

/// The members of an object, as far as the reading allows.
pub(super) struct Members<'a> {
    rest: Option<json::Members<'a>>,
    reading: &'a Reading,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, View<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, node) = self.rest.as_mut()?.next()?;
        self.reading.takes_child().then(|| (name.unescape(), View::new(node, self.reading)))
    }
}

/// The elements of an array, as far as the reading allows.
pub(super) struct Elements<'a> {
    rest: Option<json::Elements<'a>>,
    reading: &'a Reading,
}

impl<'a> Iterator for Elements<'a> {
    type Item = View<'a>;

    fn next(&mut self) -> Option<View<'a>> {
        let node = self.rest.as_mut()?.next()?;
        self.reading.takes_child().then(|| View::new(node, self.reading))
    }
}
