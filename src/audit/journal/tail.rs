//! Which lines are not durable yet?

use crate::audit::queue::Change;
use crate::audit::{Chain, ChainKey, MAC_BYTES, Sealed};
use crate::digest::first;

/// A place between two lines of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) epoch: u64,
    pub(super) next_seq: u64,
    pub(super) previous: [u8; MAC_BYTES],
}

impl Position {
    pub(super) fn of(chain: &Chain) -> Self {
        Self { epoch: chain.epoch(), next_seq: chain.next_seq(), previous: *chain.previous() }
    }
}

/// Lines that are sealed and not durable. Their bytes never change, unless they move to another segment.
pub(super) struct Tail {
    bytes: Vec<u8>,
    /// Where each line ends, and what it changed.
    ends: Vec<(usize, Change)>,
    /// How many bytes are in the segment.
    pub(super) written: usize,
    /// A write or a sync failed: any part of the bytes may be in the segment.
    pub(super) unsure: bool,
    /// Where the durable part of the chain ends.
    durable: Position,
    /// The key there, if a checkpoint is among the lines.
    old_key: Option<ChainKey>,
}

impl Tail {
    pub(super) fn of(chain: &Chain) -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            written: 0,
            unsure: false,
            durable: Position::of(chain),
            old_key: None,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn durable(&self) -> Position {
        self.durable
    }

    /// Seals one more line.
    pub(super) fn seal(&mut self, chain: &mut Chain, object: &[u8], change: Change) {
        chain.seal(object, &mut self.bytes);
        self.ends.push((self.bytes.len(), change));
    }

    /// Has `seal` append a checkpoint, and moves the key on.
    pub(super) fn seal_checkpoint(&mut self, chain: &mut Chain, seal: impl FnOnce(&mut Chain, &mut Vec<u8>)) {
        seal(chain, &mut self.bytes);
        self.ends.push((self.bytes.len(), Change::None));
        self.old_key.get_or_insert_with(|| ChainKey::of_raw(&first(chain.key().raw())));
        chain.ratchet();
    }

    /// All is durable.
    pub(super) fn settle(&mut self, chain: &Chain) {
        /// Room that is kept.
        const KEPT_BYTES: usize = 1 << 20;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.ends.clear();
        self.written = 0;
        self.unsure = false;
        self.durable = Position::of(chain);
        self.old_key = None;
    }

    /// The chain as it was where its durable part ends.
    pub(super) fn durable_chain(&self, chain: &Chain) -> Chain {
        let key = self.old_key.as_ref().unwrap_or(chain.key());
        let Position { epoch, next_seq, previous } = self.durable;
        Chain::resume(ChainKey::of_raw(&first(key.raw())), epoch, next_seq, previous)
    }

    /// The lines as they were before they were sealed. Checkpoints are left out: they vouch for another segment.
    pub(super) fn objects(&self) -> impl Iterator<Item = Vec<u8>> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        let lines = self.ends.iter().zip(starts).map(|((end, _), start)| self.bytes.get(start..*end));
        lines.flatten().filter_map(Sealed::read).filter(|line| line.kind != "checkpoint").map(|line| {
            let comma = line.covered.iter().position(|byte| *byte == b',').unwrap_or_default();
            [b"{", line.covered.get(comma + 1..).unwrap_or_default(), b"}"].concat()
        })
    }

    /// What the lines changed, the last first.
    pub(super) fn changes_backwards(&self) -> impl Iterator<Item = Change> {
        self.ends.iter().rev().map(|(_, change)| *change)
    }

    /// Of the first `length` bytes, how many are of a line that is not whole.
    pub(super) fn torn_bytes(&self, length: usize) -> usize {
        let whole = self.ends.iter().map(|(end, _)| *end).take_while(|end| *end <= length).last();
        length - whole.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::secret::Secret;

    #[test]
    fn lines_are_taken_back_up_to_the_durable_end_whatever_the_key_is_by_now() {
        let mut chain = Chain::begin(ChainKey::of_chain(&Secret::new(vec![7; 32]), Uuid::from_u128(1)));
        let mut tail = Tail::of(&chain);
        tail.seal(&mut chain, br#"{"v":1,"kind":"start"}"#, Change::None);
        tail.settle(&chain);
        let (durable, key) = (Position::of(&chain), chain.key().raw().to_vec());
        tail.seal(&mut chain, br#"{"v":1,"kind":"intent"}"#, Change::Opens(7));
        let length = tail.bytes().len();
        tail.seal_checkpoint(&mut chain, |chain, lines| chain.seal(br#"{"v":1,"kind":"checkpoint"}"#, lines));
        tail.seal(&mut chain, br#"{"v":1,"kind":"outcome","n":1}"#, Change::Closes(7));
        let back = tail.durable_chain(&chain);
        assert_eq!((Position::of(&back), back.key().raw()), (durable, &*key));
        let objects: Vec<_> = tail.objects().map(|object| String::from_utf8(object).unwrap()).collect();
        assert_eq!(objects, [r#"{"v":1,"kind":"intent"}"#, r#"{"v":1,"kind":"outcome","n":1}"#]);
        assert_eq!([0, length - 1, length, length + 3].map(|n| tail.torn_bytes(n)), [0, length - 1, 0, 3]);
    }
}
