//! How is memory let go of that held a person's data?

use std::hint::black_box;

use bytes::Bytes;

/// A body that arrives in pieces. Its memory is cleared before it is given back: a document of five megabytes
/// would else stay readable in the heap until something else happens to need its place.
///
/// It has no `Debug`: it holds what people sent.
#[derive(Default)]
pub struct Wiped(Vec<u8>);

impl Wiped {
    /// Empty, with room for so many bytes. Room costs addresses, not memory, until it is written to.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes `piece` at its end. Where the room ends, there is room for a quarter more, and not for twice as
    /// much: a body may cost half of its size on top.
    pub fn push(&mut self, piece: &[u8]) {
        let together = self.0.len().saturating_add(piece.len());
        if together > self.0.capacity() {
            let room = together.max(self.0.len().saturating_add(self.0.len() / 4));
            // Not by growing in place, which would leave the old bytes where they were.
            let mut moved = Self::with_room(room);
            moved.0.extend_from_slice(&self.0);
            *self = moved;
        }
        self.0.extend_from_slice(piece);
    }

    /// The same memory, to be shared; cleared when the last who shares it lets go.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        clear(&mut self.0);
    }
}

/// Clears what a body lay in, at the speed of the memory: `zeroize` writes byte by byte, which takes several times as
/// long, and is kept for secrets. That somebody may look at it keeps the compiler from leaving the writing out.
pub fn clear(bytes: &mut [u8]) {
    bytes.fill(0);
    black_box(bytes);
}

/// Deeper than a request goes; unoptimised, it goes to 150 KiB.
const STACK_BYTES: usize = if cfg!(debug_assertions) { 512 << 10 } else { 128 << 10 };

/// Clears what functions that have returned left on this thread's stack: ciphers and parsers work there on what
/// passes through them.
#[inline(never)]
pub fn wipe_stack() {
    let mut below = [0_u8; STACK_BYTES];
    black_box(&mut below);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_stand_one_after_the_other_however_often_the_room_ends() {
        let text: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        for piece in [1, 7, 4096] {
            let mut wiped = Wiped::with_room(10);
            text.chunks(piece).for_each(|piece| wiped.push(piece));
            assert_eq!(wiped.len(), text.len());
            assert_eq!(wiped.into_bytes(), text);
        }
    }

    #[test]
    fn room_grows_by_a_quarter() {
        let mut wiped = Wiped::with_room(0);
        wiped.push(&[1; 1000]);
        wiped.push(&[2; 1]);
        assert_eq!(wiped.0.capacity(), 1250);
    }
}
