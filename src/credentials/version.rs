//! What is one version of a pair?

use std::sync::Arc;
use std::time::Instant;

use super::suspension::Suspension;
use crate::config::Pair;
use crate::digest::sha256;
use crate::splice::{NotText, Prefix};
use crate::upstream::Needles;

/// `user` and `pass` as they were read together, and what follows from them.
pub struct Version {
    /// From 1, counted per pair.
    pub number: u32,
    /// When it was read.
    pub since: Instant,
    /// What is put in front of a body.
    pub prefix: Prefix,
    /// What no answer may hold.
    pub needles: Arc<Needles>,
    /// Of user and password each.
    halves: [[u8; 32]; 2],
    pub(super) suspension: Suspension,
}

impl Version {
    pub(super) fn new(number: u32, pair: &Pair) -> Result<Self, NotText> {
        Ok(Self {
            number,
            since: Instant::now(),
            prefix: Prefix::new(&pair.user, &pair.pass)?,
            needles: Arc::new(Needles::of(&pair.pass)),
            halves: halves(pair),
            suspension: Suspension::none(),
        })
    }

    /// Whether it is held back.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.suspension.is_on()
    }

    /// How often it was rejected so far. To be asked before a request is sent, and given back with its answer.
    #[must_use]
    pub fn rejections(&self) -> u64 {
        self.suspension.rejections()
    }

    /// Whether it was made of the pair with these halves.
    pub(super) fn is_of(&self, halves: &[[u8; 32]; 2]) -> bool {
        self.halves == *halves
    }

    /// Whether one of user and password is another in the pair with these halves, and one the same.
    pub(super) fn shares_a_half_with(&self, halves: &[[u8; 32]; 2]) -> bool {
        self.halves.iter().zip(halves).filter(|(own, other)| own != other).count() == 1
    }
}

/// SHA-256 of user and password each, by which a pair is known again.
pub(super) fn halves(Pair { user, pass }: &Pair) -> [[u8; 32]; 2] {
    [user, pass].map(|secret| sha256([secret.expose()]))
}
