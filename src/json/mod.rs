//! Is this one strict JSON object that every parser reads the same way, and where are its parts?

use bytes::Bytes;

/// What a document may cost at most; checked while parsing.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Nesting of objects and arrays; the root counts as 1.
    pub depth: u8,
    /// Values of any kind, in total.
    pub nodes: u32,
    /// Members of one object.
    pub members: u32,
    /// Bytes of one member name, as written.
    pub name_bytes: u32,
    /// Bytes of one string, as written.
    pub string_bytes: u32,
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

/// A strict JSON object: the received bytes and a compact index over them.
pub struct Document {
    bytes: Bytes,
}

/// Parses `bytes` as one strict JSON object.
///
/// # Errors
///
/// [`Malformed`].
pub fn parse(bytes: Bytes, caps: &Caps) -> Result<Document, Malformed> {
    let _ = caps;
    Ok(Document { bytes })
}

impl Document {
    /// The bytes as received.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The root object.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node { document: self, index: 0 }
    }

    /// What follows the root's opening brace, up to the end: shares the buffer.
    #[must_use]
    pub fn after_opening_brace(&self) -> Bytes {
        self.bytes.slice(1..)
    }

    /// Whether a top-level name could be read as `user` or `pass` by any parser.
    #[must_use]
    pub fn names_credentials(&self) -> bool {
        false
    }
}

/// One value of a document.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    #[expect(dead_code, reason = "filled in with the tokeniser")]
    document: &'a Document,
    #[expect(dead_code, reason = "filled in with the tokeniser")]
    index: u32,
}

impl<'a> Node<'a> {
    /// The member of that name, unescaped names compared; `None` also where this is no object.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Node<'a>> {
        let _ = name;
        None
    }

    /// The string's text; `None` where this is no string.
    #[must_use]
    pub fn text(&self) -> Option<Text<'a>> {
        None
    }
}

/// A string as written, between its quotes.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    raw: &'a [u8],
}

impl<'a> Text<'a> {
    /// The bytes between the quotes, escapes and all.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Length in bytes after unescaping.
    #[must_use]
    pub fn unescaped_len(&self) -> usize {
        0
    }

    /// Whether the unescaped text equals `other`.
    #[must_use]
    pub fn equals(&self, other: &str) -> bool {
        let _ = other;
        false
    }

    /// The unescaped characters, in order, without a copy.
    pub fn chars(&self) -> impl Iterator<Item = char> + 'a {
        std::iter::empty()
    }
}
