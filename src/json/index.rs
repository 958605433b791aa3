//! Where in the received bytes are the values and the names of a document?
//!
//! Entries stand in document order. A container's entry is followed by those of its children; in an object
//! each value's entry follows the entry of its name.

use bytes::Bytes;

use super::lookalike;
use super::node::Node;
use super::text::{Escapes, Text};

/// The members that the gateway injects.
const CREDENTIALS: [&str; 2] = ["user", "pass"];

/// A strict JSON object: the received bytes and a compact index over them. Made by [`parse`](super::parse) only.
pub struct Document {
    bytes: Bytes,
    entries: Box<[Entry]>,
}

/// One value or one member name.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// Offset of the first byte; of a string, after its quote.
    pub(super) start: u32,
    /// Of a scalar or string: offset after its last byte. Of a container: the entry after its last child.
    pub(super) reach: u32,
    pub(super) tag: Tag,
}

/// Kind, string flags and a count, in 32 bits.
///
/// The count is that of the escapes of a string, of the members of an object, or of the elements of an array.
#[derive(Clone, Copy)]
pub(super) struct Tag(u32);

/// What an entry stands for. Member names are strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Null,
    False,
    True,
    Number,
    String,
    Array,
    Object,
}

impl Tag {
    /// The largest count that fits beside the six flag bits.
    pub(super) const COUNT_MAX: u32 = (1 << Self::COUNT_BITS) - 1;

    const COUNT_BITS: u32 = 26;
    const NON_ASCII: u32 = 1 << 26;
    const LETTERS: u32 = 1 << 27;
    /// Among the escapes are others than `\/`.
    const ANY: u32 = 1 << 28;
    const CLASS_SHIFT: u32 = 29;

    /// A tag without string flags; `count` is at most [`Self::COUNT_MAX`].
    pub(super) const fn of(class: Class, count: u32) -> Self {
        Self((class as u32) << Self::CLASS_SHIFT | count & Self::COUNT_MAX)
    }

    /// The tag of a string with `count` escapes, at most [`Self::COUNT_MAX`]; without escapes it is 0.
    pub(super) fn of_string(escapes: Escapes, count: u32, non_ascii: bool, letters: bool) -> Self {
        let any = if escapes == Escapes::Any { Self::ANY } else { 0 };
        let non_ascii = if non_ascii { Self::NON_ASCII } else { 0 };
        let letters = if letters { Self::LETTERS } else { 0 };
        Self(Self::of(Class::String, count).0 | any | non_ascii | letters)
    }

    pub(super) const fn class(self) -> Class {
        match self.0 >> Self::CLASS_SHIFT {
            0 => Class::Null,
            1 => Class::False,
            2 => Class::True,
            3 => Class::Number,
            4 => Class::String,
            5 => Class::Array,
            _ => Class::Object,
        }
    }

    pub(super) const fn count(self) -> u32 {
        self.0 & Self::COUNT_MAX
    }

    /// The escapes of a string.
    pub(super) const fn escapes(self) -> Escapes {
        if self.0 & Self::ANY != 0 {
            Escapes::Any
        } else if self.count() > 0 {
            Escapes::Solidus
        } else {
            Escapes::None
        }
    }

    /// Whether the string as written has bytes beyond ASCII.
    pub(super) const fn has_non_ascii(self) -> bool {
        self.0 & Self::NON_ASCII != 0
    }

    /// Whether the string is long, and was found to be letters of base64.
    pub(super) const fn has_letters(self) -> bool {
        self.0 & Self::LETTERS != 0
    }
}

impl Entry {
    /// The entry of the next sibling, given that this one stands at `at`.
    pub(super) fn next(self, at: u32) -> u32 {
        match self.tag.class() {
            Class::Array | Class::Object => self.reach,
            _ => at.saturating_add(1),
        }
    }

    /// The bytes of a scalar, or of a string between its quotes.
    pub(super) fn span(self, input: &[u8]) -> &[u8] {
        input.get(self.start as usize..self.reach as usize).unwrap_or_default()
    }

    pub(super) fn text(self, input: &[u8]) -> Text<'_> {
        Text::new(self.span(input), self.tag)
    }
}

/// The entries of the names of the object at `object`, in document order.
pub(super) fn names(entries: &[Entry], object: u32) -> impl Iterator<Item = (u32, Entry)> + '_ {
    let count = entries.get(object as usize).map_or(0, |object| object.tag.count());
    let mut at = object.saturating_add(1);
    (0..count).map_while(move |_| {
        let name = at;
        let value = name.saturating_add(1);
        at = entries.get(value as usize)?.next(value);
        Some((name, *entries.get(name as usize)?))
    })
}

impl Document {
    pub(super) fn new(bytes: Bytes, entries: Box<[Entry]>) -> Self {
        Self { bytes, entries }
    }

    /// The bytes as received.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The root object.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node::new(self, 0)
    }

    /// Every string, names included, in document order.
    pub fn strings(&self) -> impl Iterator<Item = Text<'_>> {
        let strings = self.entries.iter().filter(|entry| entry.tag.class() == Class::String);
        strings.map(|entry| entry.text(&self.bytes))
    }

    /// What follows the root's opening brace, up to the end: shares the buffer.
    #[must_use]
    pub fn after_opening_brace(&self) -> Bytes {
        let root = self.entries.first().map_or(0, |root| root.start as usize);
        self.bytes.slice(self.bytes.len().min(root.saturating_add(1))..)
    }

    /// Whether the root has no members.
    #[must_use]
    pub fn is_empty_object(&self) -> bool {
        self.entries.first().is_none_or(|root| root.tag.count() == 0)
    }

    /// Whether a top-level name could be read as `user` or `pass` by any parser.
    ///
    /// True for a name that equals one of the two after unescaping, Unicode compatibility normalisation and
    /// case folding (`U+017F ſ` folds to `s`), without the white space around it, with control and
    /// invisible characters left out, or cut at a NUL. `username` and `passport` are neither.
    #[must_use]
    pub fn names_credentials(&self) -> bool {
        self.top_level_names().any(|(_, name)| lookalike::reads_as(name, &CREDENTIALS))
    }

    /// Where the first top-level name starts that is not `name`, but that some parser could read as it; offset in
    /// bytes. What counts is said at [`Document::names_credentials`].
    #[must_use]
    pub fn look_alike(&self, name: &str) -> Option<u32> {
        self.top_level_names()
            .find(|(_, other)| !other.equals(name) && lookalike::reads_as(*other, &[name]))
            .map(|(start, _)| start)
    }

    /// Bytes of memory that the index takes beside [`Document::bytes`].
    #[must_use]
    pub fn index_bytes(&self) -> usize {
        size_of_val(&*self.entries)
    }

    /// The names of the root's members, and where each starts.
    fn top_level_names(&self) -> impl Iterator<Item = (u32, Text<'_>)> {
        names(&self.entries, 0).map(|(_, entry)| (entry.start, entry.text(&self.bytes)))
    }

    pub(super) fn entry(&self, at: u32) -> Option<Entry> {
        self.entries.get(at as usize).copied()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_twelve_bytes() {
        assert_eq!(size_of::<Entry>(), 12);
    }

    #[test]
    fn a_tag_keeps_its_parts_apart() {
        for class in [
            Class::Null,
            Class::False,
            Class::True,
            Class::Number,
            Class::String,
            Class::Array,
            Class::Object,
        ] {
            let tag = Tag::of(class, Tag::COUNT_MAX);
            assert_eq!((tag.class(), tag.count()), (class, Tag::COUNT_MAX));
            assert_eq!((tag.has_non_ascii(), tag.has_letters()), (false, false));
        }
        for (escapes, count) in
            [(Escapes::None, 0), (Escapes::Solidus, Tag::COUNT_MAX), (Escapes::Any, Tag::COUNT_MAX)]
        {
            for (non_ascii, letters) in [(false, false), (false, true), (true, false), (true, true)] {
                let tag = Tag::of_string(escapes, count, non_ascii, letters);
                assert_eq!((tag.class(), tag.count(), tag.escapes()), (Class::String, count, escapes));
                assert_eq!((tag.has_non_ascii(), tag.has_letters()), (non_ascii, letters));
            }
        }
    }
}
