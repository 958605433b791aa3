//! Where does a body lie in memory, and when is that memory given back?
//!
//! The bytes own their room in the budget, so that it is given back when the last slice of them is gone, and no
//! sooner: a piece that still waits for a slow reader keeps all of its answer in memory.
//!
//! Large bodies lie in pages of their own, which serve the next one or go back to the system at once. Freed memory of
//! that size stays with glibc's allocator: after 400 uploads of 20 MiB, a budget of 128 MiB had become 830 MiB of
//! process, for ever. What the system takes back is gone from this process; all else is cleared.

use bytes::Bytes;
use memmap2::MmapMut;

use crate::budget::Room;
use crate::spares;
use crate::wiped::Wiped;

/// Up to this size bytes lie on the heap, where page faults cost more than they save.
const SMALL_BYTES: usize = 64 << 10;

/// Up to this size a body that came in one piece is not copied: it lies in the connection's buffer, which is not cleared.
const PIECE_BYTES: usize = 16 << 10;

/// The bytes that came so far.
pub struct Pages {
    kept: Kept,
    most: usize,
}

enum Kept {
    Nothing,
    /// A small body that came in one piece.
    Piece(Bytes),
    Heap(Wiped),
    Mapped(Mapped),
}

/// Pages of their own.
struct Mapped {
    /// `None` only while it is dropped.
    pages: Option<MmapMut>,
    len: usize,
}

/// What a [`Bytes`] owns: memory, and the room that it takes.
struct Owned {
    kept: Kept,
    _room: Room,
}

impl Pages {
    /// None yet, and at most `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { kept: Kept::Nothing, most }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.bytes().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.kept.bytes()
    }

    /// Adds a piece.
    pub fn push(&mut self, piece: Bytes) {
        self.kept = match std::mem::replace(&mut self.kept, Kept::Nothing) {
            Kept::Nothing if piece.len() <= PIECE_BYTES => Kept::Piece(piece),
            kept => kept.with(&piece, self.most),
        };
    }

    /// All of them, with the room that they take.
    #[must_use]
    pub fn into_bytes(self, room: Room) -> Bytes {
        match self.kept {
            Kept::Nothing => Bytes::new(),
            kept => Bytes::from_owner(Owned { kept, _room: room }),
        }
    }
}

impl Kept {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Nothing => &[],
            Self::Piece(bytes) => bytes,
            Self::Heap(bytes) => bytes.as_ref(),
            Self::Mapped(mapped) => mapped.bytes(),
        }
    }

    fn with(self, piece: &[u8], most: usize) -> Self {
        let together = self.bytes().len() + piece.len();
        match self {
            Self::Heap(mut bytes) if together <= SMALL_BYTES => {
                bytes.push(piece);
                Self::Heap(bytes)
            }
            Self::Mapped(mut mapped) if together <= mapped.room() => {
                mapped.push(piece);
                Self::Mapped(mapped)
            }
            before => before.moved(piece, together, most),
        }
    }

    fn moved(self, piece: &[u8], together: usize, most: usize) -> Self {
        if together > SMALL_BYTES
            && let Some(pages) = spares::take(most.max(together))
        {
            let mut mapped = Mapped { pages: Some(pages), len: 0 };
            mapped.push(self.bytes());
            mapped.push(piece);
            return Self::Mapped(mapped);
        }
        let mut bytes = match self {
            Self::Heap(bytes) => bytes,
            other => {
                let mut bytes = Wiped::with_room(together);
                bytes.push(other.bytes());
                bytes
            }
        };
        bytes.push(piece);
        Self::Heap(bytes)
    }
}

impl Mapped {
    fn bytes(&self) -> &[u8] {
        self.pages.as_ref().and_then(|pages| pages.get(..self.len)).unwrap_or_default()
    }

    fn room(&self) -> usize {
        self.pages.as_ref().map_or(0, |pages| pages.len())
    }

    /// Where there is room for it.
    fn push(&mut self, piece: &[u8]) {
        let end = self.len + piece.len();
        if let Some(place) = self.pages.as_mut().and_then(|pages| pages.get_mut(self.len..end)) {
            place.copy_from_slice(piece);
            self.len = end;
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if let Some(pages) = self.pages.take() {
            spares::give_back(pages, self.len);
        }
    }
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        self.kept.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::budget::{Budget, Shares};
    use crate::ids::CallerId;

    fn pieces(sizes: &[usize], most: usize) -> (Pages, Vec<u8>) {
        let (mut pages, mut expected) = (Pages::new(most), Vec::new());
        for (number, size) in (1_u8..).zip(sizes) {
            let piece = vec![number; *size];
            expected.extend_from_slice(&piece);
            pages.push(Bytes::from(piece));
        }
        (pages, expected)
    }

    #[test]
    fn pieces_of_every_size_are_joined() {
        for (sizes, most) in [
            (&[][..], 0),
            (&[10], 10),
            (&[10, 20], 30),
            (&[60_000, 5_000, 5_000, 60_000], 130_000),
            (&[100_000, 100_000, 1], 200_001),
            // More than was said.
            (&[70_000, 70_000, 70_000], 100_000),
        ] {
            let (pages, expected) = pieces(sizes, most);
            assert_eq!(pages.len(), expected.len());
            assert!(pages.kept.bytes() == expected, "{sizes:?}");
        }
    }

    #[test]
    fn large_ones_lie_in_pages_of_their_own() {
        assert!(matches!(pieces(&[60_000, 5_000], 20 << 20).0.kept, Kept::Heap(_)));
        assert!(matches!(pieces(&[60_000, 6_000], 20 << 20).0.kept, Kept::Mapped(_)));
    }

    #[tokio::test]
    async fn the_last_slice_holds_the_room_of_all() {
        let budget = Budget::new(10, None);
        let shares = Shares::new(budget.clone(), std::iter::once(Budget::new(10, None)));
        let mut room = shares.room(CallerId(0)).unwrap();
        room.grow(10, Duration::ZERO).await.unwrap();
        let mut pages = Pages::new(10);
        pages.push(Bytes::from_static(b"0123456789"));
        let mut rest = pages.into_bytes(room);
        let first = rest.split_to(1);
        drop(rest);
        assert_eq!((&first[..], budget.used()), (&b"0"[..], 10));
        drop(first);
        assert_eq!(budget.used(), 0);
    }
}
