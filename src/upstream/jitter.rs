//! How long is a pause, so that not everybody comes back at once?

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Random pauses. No secret depends on them: the generator is SplitMix64 (Steele, Lea and Flood, 2014), which
/// is small, shared without a lock, and repeats itself for a given seed.
pub struct Jitter {
    state: AtomicU64,
}

impl Default for Jitter {
    /// Another sequence for each process.
    fn default() -> Self {
        Self::seeded(RandomState::new().build_hasher().finish())
    }
}

impl Jitter {
    /// The sequence of `seed`.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// Goes on with the sequence of `seed`, for simulations that must go the same way each time.
    pub fn reseed(&self, seed: u64) {
        self.state.store(seed, Ordering::Relaxed);
    }

    /// From 0, included, to 1, excluded.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The 32 upper bits are enough for a pause, and exact in a float.
        f64::from(u32::try_from(mixed >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
    }
}

/// `base`, doubled `times` times, and at most `most`.
#[must_use]
pub fn doubled(base: Duration, times: u32, most: Duration) -> Duration {
    base.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX).max(1)).min(most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_seed_gives_one_sequence_and_another_seed_another() {
        let sequence = |seed| {
            let jitter = Jitter::seeded(seed);
            std::array::from_fn::<u64, 8, _>(|_| jitter.fraction().to_bits())
        };
        assert_eq!(sequence(7), sequence(7));
        assert_ne!(sequence(7), sequence(8));
        assert_ne!(Jitter::default().fraction().to_bits(), Jitter::default().fraction().to_bits());
    }

    #[test]
    fn fractions_fill_their_range_evenly() {
        let jitter = Jitter::seeded(1);
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let fraction = jitter.fraction();
            assert!((0.0..1.0).contains(&fraction));
            let tenth = (0..10).rev().find(|tenth| fraction >= f64::from(*tenth) / 10.0).unwrap();
            tenths[usize::try_from(tenth).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (850..1_150).contains(count)), "{tenths:?}");
    }

    proptest! {
        #[test]
        fn a_pause_never_shrinks_with_the_tries_nor_exceeds_its_limit(
            base_ms in 1_u64..10_000, most_ms in 1_u64..100_000, times in 0_u32..100
        ) {
            let (base, most) = (Duration::from_millis(base_ms), Duration::from_millis(most_ms));
            let (now, next) = (doubled(base, times, most), doubled(base, times + 1, most));
            prop_assert!(now <= next && next <= most);
            prop_assert_eq!(doubled(base, 0, Duration::MAX), base);
            if times < 20 {
                prop_assert_eq!(doubled(base, times, Duration::MAX), base * (1 << times));
            }
        }
    }
}
