//! How much may a caller ask for, per second, at once, and in bytes?

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use governor::clock::{Clock, MonotonicClock};
use governor::state::InMemoryState;
use governor::state::direct::NotKeyed;
use governor::{Quota, RateLimiter};

use crate::config::Rate;
use crate::reject::{Exceeded, Limit, Reject};

/// One GCRA limiter. Its clock is the monotonic one: governor's default calibrates for up to 200 ms.
pub type Limiter = RateLimiter<NotKeyed, InMemoryState, MonotonicClock>;

/// The limiter of a configured rate.
#[must_use]
pub fn limiter(rate: Rate) -> Limiter {
    let per_second = NonZeroU32::new(rate.per_second).unwrap_or(NonZeroU32::MIN);
    let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
    RateLimiter::direct_with_clock(Quota::per_second(per_second).allow_burst(burst), MonotonicClock)
}

/// A limiter that knows whose it is, so that its refusal can say so.
pub struct NamedLimiter {
    limit: Limit,
    rate: Rate,
    limiter: Limiter,
}

impl NamedLimiter {
    /// The limiter of `rate`, which refuses in the name of `limit`.
    #[must_use]
    pub fn new(limit: Limit, rate: Rate) -> Self {
        Self { limit, rate, limiter: limiter(rate) }
    }

    /// Charges one request.
    ///
    /// # Errors
    ///
    /// [`Reject::RateLimited`], with the time after which a request will pass.
    pub fn charge(&self) -> Result<(), Reject> {
        self.limiter.check().map_err(|until| {
            let wait = until.wait_time_from(MonotonicClock.now());
            Reject::RateLimited(Exceeded {
                limit: self.limit,
                quota: u64::from(self.rate.burst),
                window_s: self.rate.burst.div_ceil(self.rate.per_second.max(1)),
                // Rounded up: a retry after a whole number of seconds must not come too early.
                retry_after_s: u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1),
            })
        })
    }
}

/// A caller's requests in progress.
pub struct Slots {
    used: Arc<AtomicUsize>,
    most: usize,
}

impl Slots {
    /// `most` requests at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { used: Arc::new(AtomicUsize::new(0)), most }
    }

    /// Takes a slot, which is free again when the [`Slot`] is dropped.
    ///
    /// # Errors
    ///
    /// [`Reject::RateLimited`] when all are taken.
    pub fn take(&self) -> Result<Slot, Reject> {
        // Not added and then taken back: for that moment the attempt would be in the way of others.
        let took = self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| (used < self.most).then_some(used + 1));
        if took.is_err() {
            return Err(Reject::RateLimited(Exceeded {
                limit: Limit::CallerRequests,
                quota: self.most as u64,
                window_s: 0,
                retry_after_s: 1,
            }));
        }
        Ok(Slot { used: Arc::clone(&self.used) })
    }
}

/// One of a caller's requests in progress.
pub struct Slot {
    used: Arc<AtomicUsize>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.used.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_next_request_is_told_when_to_come_back() {
        let limiter = NamedLimiter::new(Limit::Account, Rate { per_second: 1, burst: 3 });
        assert!((0..3).all(|_| limiter.charge().is_ok()));
        let expected = Exceeded { limit: Limit::Account, quota: 3, window_s: 3, retry_after_s: 1 };
        assert_eq!(limiter.charge(), Err(Reject::RateLimited(expected)));
    }

    #[test]
    fn a_slot_is_free_again_when_its_request_ends() {
        let slots = Slots::new(1);
        let held = slots.take();
        assert!(held.is_ok());
        assert!(slots.take().is_err());
        drop(held);
        assert!(slots.take().is_ok());
    }
}
