//! Which versions do the sources of a pair hold, and is what was read of them whole?
//!
//! Two files that are written one after the other are a mixed pair in between, which no reader can tell from a new one.
//! Where only one of user and password changed, the other is therefore waited for: whoever reads them, and whatever
//! for.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::version::{Version, halves};
use crate::config::{Pair, SecretRef};
use crate::splice::NotText;

/// So long it is waited for the other half.
const OTHER_FOLLOWS: Duration = Duration::from_secs(1);

/// What is known of a pair; shared by all configurations that refer to the same sources.
pub(super) struct Held {
    /// What is used first.
    pub(super) first: Place,
    /// What is used while that is rejected, where there is such a source.
    pub(super) next: Option<Place>,
    /// The number of the newest version, whichever configuration read it.
    newest: Arc<AtomicU32>,
}

/// A source of user and password, with the version that is used of it.
pub(super) struct Place {
    source: [SecretRef; 2],
    version: ArcSwap<Version>,
    /// While the other half is waited for: what was read, and since when.
    half: Mutex<Option<Half>>,
}

type Half = ([[u8; 32]; 2], Instant);

/// A source, and what was read of it.
pub(super) type Read<'r> = ([SecretRef; 2], &'r Pair);

/// What becomes of a place after its source was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It holds what it held.
    Same,
    /// It holds a new version.
    Renewed,
    /// One of user and password changed, and the other is waited for.
    Half,
}

impl Held {
    /// The first versions.
    pub(super) fn new(first: Read<'_>, next: Option<Read<'_>>) -> Result<Self, NotText> {
        Self::of(first, next, &[], Arc::default())
    }

    /// With what was read for the next configuration; itself where that is what it holds. Not put in use here: until
    /// that configuration is in force, nothing may be sent with it.
    pub(super) fn succeeded_by(
        self: &Arc<Self>,
        first: Read<'_>,
        next: Option<Read<'_>>,
    ) -> Result<Arc<Self>, NotText> {
        let before: Vec<_> = self.places().collect();
        let new = Self::of(first, next, &before, Arc::clone(&self.newest))?;
        let same = new.places().count() == before.len()
            && new.places().zip(before).all(|(new, before)| new.is_same(before));
        Ok(if same { Arc::clone(self) } else { Arc::new(new) })
    }

    fn of(
        first: Read<'_>,
        next: Option<Read<'_>>,
        before: &[&Place],
        newest: Arc<AtomicU32>,
    ) -> Result<Self, NotText> {
        let mut known: Vec<_> = before.iter().map(|place| place.version()).collect();
        let first = Place::of(first, before, &known, &newest)?;
        known.push(first.version());
        let next = next.map(|next| Place::of(next, before, &known, &newest)).transpose()?;
        Ok(Self { first, next, newest })
    }

    /// The first and the second, where there is one.
    fn places(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.first).chain(&self.next)
    }

    /// Whether half of a pair was read, and its other half is waited for.
    pub(super) fn is_half_read(&self) -> bool {
        self.places().any(|place| place.half().is_some())
    }

    /// Reads the sources again and uses what is whole of them. A source that cannot be read, or used, leaves its version
    /// as it is, which is told with the pair's `name`.
    pub(super) fn read(&self, name: &str) -> [Reading; 2] {
        // Before the first changes: what is second now may have been the first.
        let mut known: Vec<_> = self.places().map(Place::version).collect();
        let mut readings = [Reading::Same; 2];
        for (place, reading) in self.places().zip(&mut readings) {
            let [user, pass] = &place.source;
            match Pair::read(user, pass) {
                Ok(pair) => match place.renew(&pair, &known, &self.newest) {
                    Ok(became) => *reading = became,
                    Err(fault) => {
                        tracing::error!(credential = name, %fault, "the credentials cannot be used");
                    }
                },
                Err(fault) => {
                    tracing::error!(credential = name, %fault, "the credentials cannot be read again");
                }
            }
            known.push(place.version());
        }
        readings
    }
}

impl Place {
    /// The version in use, suspended or not.
    pub(super) fn version(&self) -> Arc<Version> {
        self.version.load_full()
    }

    /// With what was `read`, after those `before`.
    fn of(
        (source, pair): Read<'_>,
        before: &[&Self],
        known: &[Arc<Version>],
        newest: &AtomicU32,
    ) -> Result<Self, NotText> {
        let before = before.iter().find(|place| place.source == source);
        let version = match before {
            Some(before) if before.judge(pair, known) != Reading::Renewed => before.version(),
            _ => version_of(pair, known, newest)?,
        };
        let half = before.filter(|before| Arc::ptr_eq(&before.version(), &version));
        let half = half.and_then(|before| *before.half());
        Ok(Self { source, version: ArcSwap::new(version), half: Mutex::new(half) })
    }

    /// Uses `pair` where it is new and whole.
    fn renew(&self, pair: &Pair, known: &[Arc<Version>], newest: &AtomicU32) -> Result<Reading, NotText> {
        let reading = self.judge(pair, known);
        if reading == Reading::Renewed {
            self.version.store(version_of(pair, known, newest)?);
            *self.half() = None;
        }
        Ok(reading)
    }

    /// What `pair`, which was read of the source, is beside the version in use.
    fn judge(&self, pair: &Pair, known: &[Arc<Version>]) -> Reading {
        let (read, current) = (halves(pair), self.version());
        // What is known was found whole.
        let mixed = current.shares_a_half_with(&read) && !known.iter().any(|version| version.is_of(&read));
        let mut half = self.half();
        let since = half.filter(|(before, _)| *before == read).map_or_else(Instant::now, |(_, since)| since);
        *half = mixed.then_some((read, since));
        match mixed && since.elapsed() < OTHER_FOLLOWS {
            true => Reading::Half,
            false if current.is_of(&read) => Reading::Same,
            false => Reading::Renewed,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.source == other.source && Arc::ptr_eq(&self.version(), &other.version())
    }

    fn half(&self) -> MutexGuard<'_, Option<Half>> {
        self.half.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of those `known` the one that `pair` is, suspended or not; else a new one.
fn version_of(pair: &Pair, known: &[Arc<Version>], newest: &AtomicU32) -> Result<Arc<Version>, NotText> {
    let read = halves(pair);
    if let Some(version) = known.iter().find(|version| version.is_of(&read)) {
        return Ok(Arc::clone(version));
    }
    let number = newest.fetch_add(1, Ordering::AcqRel).saturating_add(1);
    Version::new(number, pair).map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn pair(user: &str, pass: &str) -> Pair {
        Pair { user: Secret::new(user.as_bytes().to_vec()), pass: Secret::new(pass.as_bytes().to_vec()) }
    }

    fn source(folder: &str) -> [SecretRef; 2] {
        ["user", "pass"].map(|name| SecretRef::File(format!("{folder}/{name}").into()))
    }

    fn held(first: &Pair, next: Option<&Pair>) -> Arc<Held> {
        Arc::new(Held::new((source("/a"), first), next.map(|next| (source("/b"), next))).unwrap())
    }

    fn numbers(held: &Held) -> Vec<u32> {
        held.places().map(|place| place.version().number).collect()
    }

    impl Held {
        fn renew(&self, place: &Place, pair: &Pair) -> Reading {
            let known: Vec<_> = self.places().map(Place::version).collect();
            place.renew(pair, &known, &self.newest).unwrap()
        }
    }

    impl Place {
        /// As if what is waited for had been read long ago.
        pub(in crate::credentials) fn have_waited(&self) {
            let long_ago = Instant::now().checked_sub(OTHER_FOLLOWS).unwrap();
            let half = self.half().take().map(|(read, _)| (read, long_ago));
            *self.half() = half;
        }
    }

    #[test]
    fn the_same_secrets_read_again_are_no_new_version() {
        let held = held(&pair("user", "pass"), None);
        assert_eq!(held.renew(&held.first, &pair("user", "pass")), Reading::Same);
        assert_eq!(held.renew(&held.first, &pair("other", "other")), Reading::Renewed);
        assert_eq!(numbers(&held), [2]);
    }

    #[test]
    fn half_of_a_new_pair_is_not_used_before_the_other_half_had_its_time() {
        let held = held(&pair("user", "pass"), Some(&pair("next", "pass of next")));
        for (place, pass) in [(&held.first, "pass"), (held.next.as_ref().unwrap(), "pass of next")] {
            assert_eq!(held.renew(place, &pair("other", pass)), Reading::Half);
            assert_eq!(held.renew(place, &pair("other", &format!("other {pass}"))), Reading::Renewed);
            assert_eq!(held.renew(place, &pair("other", &format!("third {pass}"))), Reading::Half);
            place.have_waited();
            assert_eq!(
                held.renew(place, &pair("another", &format!("other {pass}"))),
                Reading::Half,
                "of this"
            );
            assert_eq!(held.renew(place, &pair("other", &format!("third {pass}"))), Reading::Half, "anew");
            place.have_waited();
            assert_eq!(held.renew(place, &pair("other", &format!("third {pass}"))), Reading::Renewed);
            assert!(!held.is_half_read(), "nothing is waited for any more");
        }
        assert_eq!(numbers(&held), [4, 6]);
    }

    #[test]
    fn half_of_a_new_pair_is_not_used_with_the_next_configuration_either() {
        let (first, next) = (pair("user", "pass"), pair("next", "pass of next"));
        let held = held(&first, Some(&next));
        let half = pair("other", "pass");
        let same = held.succeeded_by((source("/a"), &half), Some((source("/b"), &next))).unwrap();
        assert!(Arc::ptr_eq(&same, &held), "it waits");
        let whole = pair("other next", "other pass of next");
        let other = held.succeeded_by((source("/a"), &half), Some((source("/b"), &whole))).unwrap();
        assert_eq!(numbers(&other), [1, 3], "each for itself");
        held.first.have_waited();
        let other = held.succeeded_by((source("/a"), &half), Some((source("/b"), &next))).unwrap();
        assert_eq!((numbers(&other), numbers(&held)), (vec![4, 2], vec![1, 2]));
        let moved = held.succeeded_by((source("/c"), &pair("user", "another")), None).unwrap();
        assert_eq!(numbers(&moved), [5], "of another source nothing is known");
    }

    #[test]
    fn a_pair_that_was_found_whole_is_used_at_once_where_it_comes_first() {
        let (first, next) = (pair("user", "pass"), pair("user", "pass of next"));
        let held = held(&first, Some(&next));
        assert_eq!(held.renew(&held.first, &next), Reading::Renewed);
        assert_eq!(numbers(&held), [2, 2], "and is the same version");
    }
}
