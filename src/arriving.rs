//! What is known of a body while it comes?
//!
//! Each piece is read while it is in the processor's cache, and while the next is on its way. So little is left to do
//! behind the last byte of a large body, and no step over all of it keeps others waiting. What was read is used only
//! when all is here: what is refused, and in which order, does not depend on how the body came in pieces.

use bytes::Bytes;

use crate::budget::Room;
use crate::json::{Ahead, Caps, Document, Malformed};
use crate::pages::Pages;

/// A body that is not whole yet.
pub struct Arriving {
    pages: Pages,
    promised: Option<u64>,
    ahead: Ahead,
    caps: Caps,
}

/// A body that is whole.
pub struct Arrived {
    bytes: Bytes,
    ahead: Ahead,
    caps: Caps,
}

impl Arriving {
    /// Of which nothing is here, and so many bytes are `promised`, or `most` are allowed. It is read within `caps`.
    #[must_use]
    pub fn new(promised: Option<u64>, most: u64, caps: &Caps) -> Self {
        let most = usize::try_from(promised.unwrap_or(most)).unwrap_or(usize::MAX);
        Self { pages: Pages::new(most), promised, ahead: Ahead::of_nothing(), caps: *caps }
    }

    /// How many bytes are here.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.pages.len() as u64
    }

    /// What is here.
    #[must_use]
    pub fn beginning(&self) -> &[u8] {
        self.pages.bytes()
    }

    /// Whether all that was promised is here.
    #[must_use]
    pub fn has_all(&self) -> bool {
        self.promised == Some(self.len_bytes())
    }

    /// Adds a piece.
    pub fn push(&mut self, piece: Bytes) {
        self.pages.push(piece);
        if !self.has_all() {
            self.ahead.read(self.pages.bytes(), &self.caps);
        }
    }

    /// It is whole, and holds the room that it takes.
    #[must_use]
    pub fn end(self, room: Room) -> Arrived {
        Arrived { bytes: self.pages.into_bytes(room), ahead: self.ahead, caps: self.caps }
    }
}

impl Arrived {
    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Parses it.
    ///
    /// # Errors
    ///
    /// As [`parse`](crate::json::parse).
    pub fn parse(self) -> Result<Document, Malformed> {
        self.ahead.parse(self.bytes, &self.caps)
    }
}
