//! Is this one strict JSON object that every parser reads the same way, and where are its parts?
//!
//! [`parse`] takes the received bytes and gives a [`Document`]: the same bytes and an index of 12 bytes per
//! value and per member name. No string is copied; what a [`Node`] or a [`Text`] says is read from the bytes.
//!
//! | accepted | refused |
//! |---|---|
//! | RFC 8259 text in UTF-8 | a byte order mark, other encodings, invalid UTF-8, lone surrogates |
//! | one object | any other root, anything but white space around it |
//! | distinct names in each object | names that are equal after unescaping, at any depth |
//! | numbers as written | magnitudes of 1e308 and more: some parsers refuse them, others read infinity |
//! | what stays within [`Caps`] | the rest, found while parsing |
//!
//! With [`Caps::interoperable`], which requests are read with, two more things are refused as [`Malformed::Syntax`]:
//! integers beyond ±(2^53 − 1) (RFC 8259, section 6; Node reads 9007199254740993 as …992, PHP as …993) and names
//! with a NUL (PHP cannot make an object of a name that begins with one, a reader in C ends the name there).
//!
//! What stays open: numbers with a fraction or an exponent are forwarded as written, and readers round them as they
//! do (`1e-999` is 0 to most, `9007199254740993.0` loses its last digit in a double); an integer may be read as
//! a float and `-0` as 0. `__proto__` is a name like any other: every `JSON.parse` keeps it as a member of
//! its own, and a closed schema refuses it.

mod duplicates;
mod index;
mod letters;
mod lookalike;
mod node;
mod number;
mod string;
mod text;
mod tokenise;

use bytes::Bytes;

pub use index::Document;
pub(crate) use letters::are_letters;
pub use node::{Elements, Kind, Members, Node};
pub use text::{Characters, Escapes, Text};
use tokenise::Progress;

/// What a document may cost at most; checked while parsing.
///
/// Whatever the caps, a body is under 4 GiB, and a string has at most 67,108,863 escapes.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Nesting of objects and arrays; the root counts as 1.
    pub depth: u8,
    /// Values of any kind, in total; the root counts, member names do not.
    pub nodes: u32,
    /// Members of one object.
    pub members: u32,
    /// Bytes of one member name, as written.
    pub name_bytes: u32,
    /// Bytes of one string, as written.
    pub string_bytes: u32,
    /// Bytes of one number, as written: to know its value, readers copy its digits.
    pub number_bytes: u32,
    /// Whether names with a NUL and integers beyond ±(2^53 − 1) are refused: parsers differ on them.
    pub interoperable: bool,
}

impl Caps {
    /// For what callers send: small structures around long strings, whose length the body limit rules.
    pub const REQUEST: Self = Self {
        depth: 16,
        nodes: 1024,
        members: 128,
        name_bytes: 128,
        string_bytes: u32::MAX,
        number_bytes: 128,
        interoperable: true,
    };

    /// For what the upstream answers; the index takes 384 KiB at most. Identifiers may be large integers there, and
    /// PHP writes the private members of an object with a NUL in their names.
    pub const ANSWER: Self = Self {
        depth: 64,
        nodes: 16_384,
        members: 4096,
        name_bytes: 1024,
        string_bytes: u32::MAX,
        number_bytes: u32::MAX,
        interoperable: false,
    };
}

/// Why a document was refused. Positions are byte offsets; no text of the document is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not RFC 8259 JSON in UTF-8, not one object, or what the table above refuses beside that.
    Syntax {
        /// Where parsing stopped.
        offset: u32,
    },
    /// Two members of one object have the same name after unescaping.
    Duplicate {
        /// Where the second name starts.
        offset: u32,
    },
    /// A cap of [`Caps`] was exceeded.
    TooComplex {
        /// Where the cap was exceeded.
        offset: u32,
    },
}

/// Parses `bytes` as one strict JSON object.
///
/// Time grows linearly with the body. Beside the body it needs the index: at most 24 bytes for each of the
/// values that [`Caps::nodes`] allows.
///
/// # Errors
///
/// [`Malformed`].
pub fn parse(bytes: Bytes, caps: &Caps) -> Result<Document, Malformed> {
    Ahead::of_nothing().parse(bytes, caps)
}

/// What was read of a body while it came. The caller sees to it that all that it is given is the beginning of one body,
/// and is read within the same [`Caps`].
pub(crate) struct Ahead(Progress);

impl Ahead {
    /// Nothing yet.
    pub(crate) fn of_nothing() -> Self {
        Self(Progress::none())
    }

    /// Reads on in `beginning`, which goes on with what it was before. Together, all calls take about as long as
    /// [`parse`] of the last.
    pub(crate) fn read(&mut self, beginning: &[u8], caps: &Caps) {
        self.0.read_ahead(beginning, caps);
    }

    /// As [`parse`], with less left to do.
    pub(crate) fn parse(self, bytes: Bytes, caps: &Caps) -> Result<Document, Malformed> {
        let entries = self.0.finish(&bytes, caps)?;
        Ok(Document::new(bytes, entries))
    }
}

#[cfg(test)]
mod tests;
