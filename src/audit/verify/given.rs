//! Are the checkpoints that were taken off the machine still in the log?

use std::collections::BTreeMap;

use uuid::Uuid;

use super::record::{self, Record};
use crate::audit::chain::MAC_BYTES;
use crate::audit::{Ending, Line, PublicKey, Sealed};

/// The checkpoints that were given, by their numbers.
pub(super) struct Given {
    list: Vec<Checkpoint>,
    invalid: Vec<usize>,
    strange: Strange,
}

/// Checkpoints of other chains: how many of each, and the number of the last. Who kept them since before the chain key
/// was replaced has both kinds.
pub(super) type Strange = BTreeMap<Uuid, (usize, u64)>;

struct Checkpoint {
    seq: u64,
    chain: Uuid,
    mac: [u8; MAC_BYTES],
    line: Vec<u8>,
    place: Placed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Placed {
    Unseen,
    Equal,
    Different,
}

/// What is known of a checkpoint that the log does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unseen {
    pub(super) seq: u64,
    /// Whether a later one was found.
    pub(super) is_last: bool,
}

impl Given {
    /// Reads `lines`; one that is no checkpoint, or not signed by one of `keys`, is invalid.
    pub(super) fn read(lines: &[Vec<u8>], keys: &[PublicKey]) -> Self {
        let mut given = Self { list: Vec::new(), invalid: Vec::new(), strange: Strange::new() };
        for (at, line) in lines.iter().enumerate() {
            match Checkpoint::read(line, keys) {
                Some(checkpoint) => given.list.push(checkpoint),
                None => given.invalid.push(at + 1),
            }
        }
        // Who fetches the last one each hour has some of them more than once.
        given.list.sort_by_key(|checkpoint| checkpoint.seq);
        given.list.dedup_by(|one, other| one.line == other.line);
        given
    }

    /// The log is of the chain `chain`: those of others are compared with nothing.
    pub(super) fn of_chain(&mut self, chain: Uuid) {
        for checkpoint in self.list.extract_if(.., |checkpoint| checkpoint.chain != chain) {
            let (count, last) = self.strange.entry(checkpoint.chain).or_default();
            *count += 1;
            *last = checkpoint.seq.max(*last);
        }
    }

    /// Takes the log's line numbered `seq`; false where a checkpoint was given that is another.
    pub(super) fn take(&mut self, seq: u64, line: &[u8]) -> bool {
        let mut all = true;
        let from = self.list.partition_point(|checkpoint| checkpoint.seq < seq);
        for checkpoint in self.list.iter_mut().skip(from).take_while(|checkpoint| checkpoint.seq == seq) {
            let equal = checkpoint.line == line;
            checkpoint.place = if equal { Placed::Equal } else { Placed::Different };
            all &= equal;
        }
        all
    }

    /// The MAC of the line `seq`, if a checkpoint with that number was given.
    pub(super) fn mac_of(&self, seq: u64) -> Option<[u8; MAC_BYTES]> {
        let at = self.list.binary_search_by_key(&seq, |checkpoint| checkpoint.seq).ok()?;
        self.list.get(at).map(|checkpoint| checkpoint.mac)
    }

    /// Which of them are none, from 1.
    pub(super) fn invalid(&self) -> Vec<usize> {
        self.invalid.clone()
    }

    /// Those of other chains.
    pub(super) fn strange(&self) -> Strange {
        self.strange.clone()
    }

    /// Whether all are of other chains.
    pub(super) fn is_of_others(&self) -> bool {
        self.list.is_empty() && !self.strange.is_empty()
    }

    /// Whether the line `seq` of the log is one of them, unchanged.
    pub(super) fn holds(&self, seq: u64) -> bool {
        let at = self.list.partition_point(|checkpoint| checkpoint.seq < seq);
        let mut of_seq = self.list.iter().skip(at).take_while(|checkpoint| checkpoint.seq == seq);
        of_seq.any(|checkpoint| checkpoint.place == Placed::Equal)
    }

    /// Those whose numbers no line has.
    pub(super) fn unseen(&self) -> Vec<Unseen> {
        let last = self.list.last().map(|checkpoint| checkpoint.seq);
        let unseen = self.list.iter().filter(|checkpoint| checkpoint.place == Placed::Unseen);
        unseen
            .map(|checkpoint| Unseen { seq: checkpoint.seq, is_last: Some(checkpoint.seq) == last })
            .collect()
    }
}

impl Checkpoint {
    fn read(given: &[u8], keys: &[PublicKey]) -> Option<Self> {
        let mut line = given.trim_ascii().to_vec();
        line.push(b'\n');
        let whole = Line { offset: 0, bytes: &line, ending: Ending::LineFeed };
        let (sealed, record) = record::read(&whole).ok()?;
        let Record::Checkpoint(checkpoint) = record else { return None };
        let key = keys.iter().find(|key| key.id() == checkpoint.key)?;
        if !is_signed(&sealed, key) {
            return None;
        }
        let (seq, chain, mac) = (sealed.seq, checkpoint.chain, sealed.mac);
        Some(Self { seq, chain, mac, line, place: Placed::Unseen })
    }
}

/// Whether `key` made the signature of a checkpoint.
pub(super) fn is_signed(sealed: &Sealed<'_>, key: &PublicKey) -> bool {
    sealed.signature().is_some_and(|(signed, signature)| key.vouches_for(signed, &signature))
}
