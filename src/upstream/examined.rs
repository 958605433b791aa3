//! What was found in the body of an answer, before anybody decides what that means?

use std::sync::Arc;

use bytes::Bytes;

use super::needles::{Needles, Search};
use crate::arriving::Arriving;
use crate::budget::Room;
use crate::json::{self, Caps, Document, Malformed};

/// The body of an answer, examined.
pub struct Examined {
    bytes: Bytes,
    document: Result<Document, Malformed>,
    shows_password: bool,
}

/// The body of an answer that still comes, and is examined meanwhile.
pub struct Examining {
    arriving: Arriving,
    search: Search,
    needles: Arc<Needles>,
}

impl Examining {
    /// Of which nothing is here, and so many bytes are `promised`, or `most` are allowed.
    #[must_use]
    pub fn new(promised: Option<u64>, most: u64, needles: Arc<Needles>) -> Self {
        let arriving = Arriving::new(promised, most, &Caps::ANSWER);
        Self { arriving, search: Search::default(), needles }
    }

    /// How many bytes are here.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.arriving.len_bytes()
    }

    /// Adds a piece.
    pub fn push(&mut self, piece: Bytes) {
        self.arriving.push(piece);
        if !self.arriving.has_all() {
            self.search.look(&self.needles, self.arriving.beginning());
        }
    }

    /// It is whole, and holds the room that it takes.
    #[must_use]
    pub fn end(self, room: Room) -> Examined {
        let arrived = self.arriving.end(room);
        let bytes = arrived.bytes().clone();
        let shows_password = self.search.finish(&self.needles, &bytes);
        Examined { bytes, document: arrived.parse(), shows_password }
    }
}

impl Examined {
    /// Of an answer that is all here.
    #[must_use]
    pub fn of(bytes: Bytes, needles: &Needles) -> Self {
        let document = json::parse(bytes.clone(), &Caps::ANSWER);
        let shows_password = needles.found_in(&bytes);
        Self { bytes, document, shows_password }
    }

    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// All of it, and nothing else.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// What it is as JSON.
    pub(super) fn document(&self) -> Result<&Document, &Malformed> {
        self.document.as_ref()
    }

    /// Whether the password stands in it, in any form but behind JSON's escapes: those are for who has the document.
    pub(super) fn shows_password(&self) -> bool {
        self.shows_password
    }
}
