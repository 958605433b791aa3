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

/// Requests in progress beyond those that each caller has for itself.
pub struct Common {
    used: AtomicUsize,
    most: usize,
}

impl Common {
    /// Shares out `total` places: half of them in equal parts among `callers`, which are theirs alone, so that however
    /// many others hold theirs, each has some. Gives one such part, and the rest.
    #[must_use]
    pub fn share_out(total: usize, callers: usize) -> (usize, Arc<Self>) {
        let own = (total / 2).checked_div(callers).unwrap_or(0);
        (own, Arc::new(Self { used: AtomicUsize::new(0), most: total - own * callers }))
    }

    fn take(&self) -> bool {
        let one_more = |used: usize| (used < self.most).then_some(used + 1);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_ok()
    }

    fn give_back(&self) {
        self.used.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A caller's requests in progress: its own first, and then of those that all have in common.
pub struct Slots(Arc<Places>);

struct Places {
    used: AtomicUsize,
    own: usize,
    most: usize,
    common: Arc<Common>,
}

impl Slots {
    /// `most` requests at once, `own` of them whatever others do.
    #[must_use]
    pub fn new(most: usize, own: usize, common: Arc<Common>) -> Self {
        Self(Arc::new(Places { used: AtomicUsize::new(0), own, most, common }))
    }

    /// Takes a slot, which is free again when the [`Slot`] is dropped.
    ///
    /// # Errors
    ///
    /// [`Reject::RateLimited`] when all are taken, [`Reject::Overloaded`] when others have those in common.
    pub fn take(&self) -> Result<Slot, Reject> {
        let places = &*self.0;
        let mut used = places.used.load(Ordering::Acquire);
        loop {
            if used >= places.most {
                return Err(Reject::RateLimited(Exceeded {
                    limit: Limit::CallerRequests,
                    quota: places.most as u64,
                    window_s: 0,
                    retry_after_s: 1,
                }));
            }
            let common = used >= places.own;
            if common && !places.common.take() {
                return Err(Reject::Overloaded);
            }
            // Not added and then taken back: for that moment the attempt would be in the way of others.
            match places.used.compare_exchange(used, used + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(Slot(Arc::clone(&self.0))),
                Err(now) => {
                    if common {
                        places.common.give_back();
                    }
                    used = now;
                }
            }
        }
    }
}

/// One of a caller's requests in progress.
pub struct Slot(Arc<Places>);

impl Drop for Slot {
    fn drop(&mut self) {
        if self.0.used.fetch_sub(1, Ordering::AcqRel) > self.0.own {
            self.0.common.give_back();
        }
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
        let slots = Slots::new(1, 0, Common::share_out(1, 1).1);
        let held = slots.take();
        assert!(held.is_ok());
        assert!(slots.take().is_err());
        drop(held);
        assert!(slots.take().is_ok());
    }

    #[test]
    fn each_caller_has_slots_that_others_cannot_take() {
        let (own, common) = Common::share_out(8, 2);
        let [greedy, other] = [8, 8].map(|most| Slots::new(most, own, Arc::clone(&common)));
        let mut held: Vec<_> = (0..6).map(|_| greedy.take().unwrap()).collect();
        assert_eq!(greedy.take().err(), Some(Reject::Overloaded));
        let mut others: Vec<_> = (0..2).map(|_| other.take().unwrap()).collect();
        assert_eq!(other.take().err(), Some(Reject::Overloaded));
        held.pop();
        others.push(other.take().unwrap());
        assert_eq!(greedy.take().err(), Some(Reject::Overloaded));
        drop((held, others));
        assert_eq!((0..6).filter_map(|_| greedy.take().ok()).collect::<Vec<_>>().len(), 6);
    }
}
