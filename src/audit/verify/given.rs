//! Are the checkpoints that were taken off the machine still in the log?

use uuid::Uuid;

use super::record::{self, Record};
use crate::audit::chain::MAC_BYTES;
use crate::audit::{Ending, Line, PublicKey, Sealed};

/// The checkpoints that were given, by their numbers.
pub(super) struct Given {
    list: Vec<Checkpoint>,
    invalid: Vec<usize>,
}

struct Checkpoint {
    /// Which it was of those that were given, from 1.
    number: usize,
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
        let mut given = Self { list: Vec::new(), invalid: Vec::new() };
        for (at, line) in lines.iter().enumerate() {
            match Checkpoint::read(at + 1, line, keys) {
                Some(checkpoint) => given.list.push(checkpoint),
                None => given.invalid.push(at + 1),
            }
        }
        // Who fetches the last one each hour has some of them more than once.
        given.list.sort_by_key(|checkpoint| checkpoint.seq);
        given.list.dedup_by(|one, other| one.line == other.line);
        given
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

    /// Which of them are none of the chain `chain`.
    pub(super) fn invalid(&self, chain: Option<Uuid>) -> Vec<usize> {
        let strange =
            self.list.iter().filter(|checkpoint| chain.is_some_and(|chain| checkpoint.chain != chain));
        let mut invalid: Vec<usize> = strange.map(|checkpoint| checkpoint.number).collect();
        invalid.extend(&self.invalid);
        invalid.sort_unstable();
        invalid
    }

    /// The last one that the log holds unchanged.
    pub(super) fn confirmed(&self) -> Option<u64> {
        let equal = self.list.iter().filter(|checkpoint| checkpoint.place == Placed::Equal);
        equal.map(|checkpoint| checkpoint.seq).next_back()
    }

    /// How many the log holds unchanged.
    pub(super) fn confirmed_count(&self) -> usize {
        self.list.iter().filter(|checkpoint| checkpoint.place == Placed::Equal).count()
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
    fn read(number: usize, given: &[u8], keys: &[PublicKey]) -> Option<Self> {
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
        Some(Self { number, seq, chain, mac, line, place: Placed::Unseen })
    }
}

/// Whether `key` made the signature of a checkpoint.
pub(super) fn is_signed(sealed: &Sealed<'_>, key: &PublicKey) -> bool {
    sealed.signature().is_some_and(|(signed, signature)| key.vouches_for(signed, &signature))
}
