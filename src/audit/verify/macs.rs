//! Did the holder of the chain key write this line, after the line before it?

use uuid::Uuid;

use crate::audit::chain::{ChainKey, MAC_BYTES};
use crate::audit::sealed::Sealed;
use crate::secret::Secret;

/// More epochs than a checkpoint each minute makes in 38 years. To derive a key costs time for each, and an edited
/// log may name any epoch.
const MOST_STEPS: u64 = 20_000_000;
/// A wrong MAC says nothing: only where the fuzz targets must find a bug.
const LENIENT: bool = cfg!(feature = "planted-bug");
/// After a line that is wrong, the MAC before the next is one of so many.
const MOST_CANDIDATES: usize = 4;

/// What a MAC says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// The line was written after the line before it.
    Right,
    /// It, or the line before it, was changed.
    Wrong,
    /// Nothing: no chain key was given, or the line before is not there.
    Unknown,
}

/// The chain as it is recomputed.
pub(super) struct Macs {
    secret: Option<Secret>,
    key: Option<Keyed>,
    /// What the MAC of the line before can be: one, unless something was wrong.
    candidates: Vec<[u8; MAC_BYTES]>,
    /// The line before is not there or could not be read.
    unknown: bool,
    /// A checkpoint may have been missed.
    epoch_unsure: bool,
    /// Steps of the key that may still be taken at once.
    steps: u64,
}

struct Keyed {
    key: ChainKey,
    epoch: u64,
}

impl Macs {
    pub(super) fn new(secret: Option<Secret>) -> Self {
        let candidates = vec![[0; MAC_BYTES]];
        Self { secret, key: None, candidates, unknown: false, epoch_unsure: false, steps: MOST_STEPS }
    }

    /// Whether a chain key was given.
    pub(super) fn is_keyed(&self) -> bool {
        self.secret.is_some()
    }

    /// The chain `id` is in `epoch` from this line on. False where that is too far to derive a key.
    pub(super) fn enter(&mut self, id: Uuid, epoch: u64) -> bool {
        let Some(secret) = &self.secret else { return true };
        let kept = self.key.take_if(|keyed| keyed.epoch <= epoch);
        let mut keyed = kept.unwrap_or_else(|| Keyed { key: ChainKey::of_chain(secret, id), epoch: 0 });
        let steps = epoch.saturating_sub(keyed.epoch);
        let Some(left) = self.steps.checked_sub(steps) else { return false };
        self.steps = left;
        for _ in 0..steps {
            keyed.ratchet();
        }
        self.key = Some(keyed);
        self.epoch_unsure = false;
        true
    }

    /// After a checkpoint the next epoch begins.
    pub(super) fn ratchet(&mut self) {
        if let Some(keyed) = &mut self.key {
            keyed.ratchet();
        }
    }

    /// The line before is not in the log, but was taken off the machine.
    pub(super) fn follow(&mut self, previous: [u8; MAC_BYTES]) {
        self.candidates = vec![previous];
        self.unknown = false;
    }

    /// Lines are missing, or one could not be read.
    pub(super) fn lose(&mut self) {
        self.unknown = true;
        self.epoch_unsure = true;
    }

    /// A line that does not belong here may be one that does, with a wrong number.
    pub(super) fn pass_over(&mut self, sealed: &Sealed<'_>) {
        self.add(sealed.mac);
    }

    /// Checks the MAC of the line that comes next.
    pub(super) fn check(&mut self, sealed: &Sealed<'_>) -> Checked {
        let checked = self.judge(sealed);
        match checked {
            Checked::Right => {
                self.candidates.clear();
                self.epoch_unsure = false;
            }
            Checked::Wrong => {
                let computed = self.key.as_ref().zip(self.candidates.first());
                let computed = computed.map(|(keyed, previous)| keyed.key.mac(previous, sealed.covered));
                self.candidates.clear();
                self.candidates.extend(computed);
            }
            Checked::Unknown => {}
        }
        self.unknown = false;
        self.add(sealed.mac);
        checked
    }

    fn judge(&mut self, sealed: &Sealed<'_>) -> Checked {
        let Some(keyed) = &mut self.key else { return Checked::Unknown };
        if keyed.made(sealed, &self.candidates) {
            return Checked::Right;
        }
        if self.epoch_unsure {
            let next = Keyed { key: keyed.key.ratcheted(), epoch: keyed.epoch.saturating_add(1) };
            if next.made(sealed, &self.candidates) {
                *keyed = next;
                return Checked::Right;
            }
        }
        if self.unknown || LENIENT { Checked::Unknown } else { Checked::Wrong }
    }

    fn add(&mut self, candidate: [u8; MAC_BYTES]) {
        if self.candidates.len() == MOST_CANDIDATES {
            self.candidates.remove(0);
        }
        self.candidates.push(candidate);
    }
}

impl Keyed {
    fn ratchet(&mut self) {
        self.key = self.key.ratcheted();
        self.epoch = self.epoch.saturating_add(1);
    }

    fn made(&self, sealed: &Sealed<'_>, candidates: &[[u8; MAC_BYTES]]) -> bool {
        candidates.iter().any(|previous| self.key.mac(previous, sealed.covered) == sealed.mac)
    }
}
