//! What does one value of a document hold?

use super::index::{Class, Document, Entry, Tag, names};
use super::text::Text;

/// One value of a document: a handle that is copied, not the value.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    document: &'a Document,
    index: u32,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl<'a> Node<'a> {
    pub(super) fn new(document: &'a Document, index: u32) -> Self {
        Self { document, index }
    }

    /// The type of this value.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.entry().tag.class() {
            Class::Null => Kind::Null,
            Class::False | Class::True => Kind::Bool,
            Class::Number => Kind::Number,
            Class::String => Kind::String,
            Class::Array => Kind::Array,
            Class::Object => Kind::Object,
        }
    }

    /// The members in document order; none where this is no object.
    #[must_use]
    pub fn members(&self) -> Members<'a> {
        self.children(Class::Object).map_or(Members(Children::none(self.document)), Members)
    }

    /// The elements in document order; none where this is no array.
    #[must_use]
    pub fn elements(&self) -> Elements<'a> {
        self.children(Class::Array).map_or(Elements(Children::none(self.document)), Elements)
    }

    /// How many members or elements there are; 0 for any other value.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.kind() {
            Kind::Array | Kind::Object => self.entry().tag.count() as usize,
            _ => 0,
        }
    }

    /// Whether there are no members or elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The member of that name, unescaped names compared; `None` also where this is no object.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Node<'a>> {
        if self.kind() != Kind::Object {
            return None;
        }
        let bytes = self.document.bytes();
        names(self.document.entries(), self.index)
            .find(|(_, entry)| entry.text(bytes).equals(name))
            .map(|(at, _)| Node::new(self.document, at.saturating_add(1)))
    }

    /// The string's text; `None` where this is no string.
    #[must_use]
    pub fn text(&self) -> Option<Text<'a>> {
        let entry = self.entry();
        (entry.tag.class() == Class::String).then(|| entry.text(self.document.bytes()))
    }

    /// The number as written, for example `-1.50e3`; `None` where this is no number.
    #[must_use]
    pub fn number_text(&self) -> Option<&'a str> {
        let entry = self.entry();
        if entry.tag.class() != Class::Number {
            return None;
        }
        std::str::from_utf8(entry.span(self.document.bytes())).ok()
    }

    /// The truth value; `None` where this is neither `true` nor `false`.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        match self.entry().tag.class() {
            Class::True => Some(true),
            Class::False => Some(false),
            _ => None,
        }
    }

    /// A number that no other value of this document has.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The document that this value is part of.
    #[must_use]
    pub fn document(&self) -> &'a Document {
        self.document
    }

    fn children(&self, class: Class) -> Option<Children<'a>> {
        let entry = self.entry();
        (entry.tag.class() == class).then(|| Children {
            document: self.document,
            next: self.index.saturating_add(1),
            left: entry.tag.count(),
        })
    }

    /// The entry exists: indices come from the index itself. An absent one would read as an empty `null`.
    fn entry(&self) -> Entry {
        self.document.entry(self.index).unwrap_or(Entry { start: 0, reach: 0, tag: Tag::of(Class::Null, 0) })
    }
}

/// The members of an object: names and values.
#[derive(Clone)]
pub struct Members<'a>(Children<'a>);

/// The elements of an array.
#[derive(Clone)]
pub struct Elements<'a>(Children<'a>);

#[derive(Clone)]
struct Children<'a> {
    document: &'a Document,
    next: u32,
    left: u32,
}

impl<'a> Children<'a> {
    fn none(document: &'a Document) -> Self {
        Self { document, next: 0, left: 0 }
    }

    /// The value at `at`, and steps behind it.
    fn take(&mut self, at: u32) -> Option<Node<'a>> {
        self.next = self.document.entry(at)?.next(at);
        self.left = self.left.saturating_sub(1);
        Some(Node::new(self.document, at))
    }

    fn size(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Text<'a>, Node<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.left == 0 {
            return None;
        }
        let name = self.0.document.entry(self.0.next)?.text(self.0.document.bytes());
        let value = self.0.take(self.0.next.saturating_add(1))?;
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size()
    }
}

impl ExactSizeIterator for Members<'_> {}

impl<'a> Iterator for Elements<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.left == 0 { None } else { self.0.take(self.0.next) }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size()
    }
}

impl ExactSizeIterator for Elements<'_> {}
