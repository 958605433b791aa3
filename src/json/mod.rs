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
//! | numbers of any length and precision, as written | magnitudes of 1e308 and more: some parsers refuse them, others read infinity |
//! | what stays within [`Caps`] | the rest, found while parsing |

mod duplicates;
mod index;
mod lookalike;
mod node;
mod number;
mod string;
mod text;
mod tokenise;

use bytes::Bytes;

pub use index::Document;
pub use node::{Elements, Kind, Members, Node};
pub use text::{Characters, Escapes, Text};

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
}

impl Caps {
    /// For what callers send: small structures around long strings, whose length the body limit rules.
    pub const REQUEST: Self =
        Self { depth: 16, nodes: 1024, members: 128, name_bytes: 128, string_bytes: u32::MAX };

    /// For what the upstream answers.
    pub const ANSWER: Self =
        Self { depth: 64, nodes: 65_536, members: 4096, name_bytes: 1024, string_bytes: u32::MAX };
}

/// Why a document was refused. Positions are byte offsets; no text of the document is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not RFC 8259 JSON in UTF-8, or not one object.
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
    let entries = tokenise::tokenise(&bytes, caps)?;
    Ok(Document::new(bytes, entries))
}

#[cfg(test)]
mod tests;
