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

    /// The limiter of `rate` that follows this one: itself, with all that it has counted, where nothing changed.
    #[must_use]
    pub fn succeeded_by(self: &Arc<Self>, rate: Rate) -> Arc<Self> {
        if self.rate == rate { Arc::clone(self) } else { Arc::new(Self::new(self.limit, rate)) }
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
    used: Arc<AtomicUsize>,
    most: usize,
}

impl Common {
    /// Shares out `total` places: half of them in equal parts among `callers`, which are theirs alone, so that however
    /// many others hold theirs, each has some. Gives one such part, and the rest.
    #[must_use]
    pub fn share_out(total: usize, callers: usize) -> (usize, Arc<Self>) {
        Self { used: Arc::default(), most: 0 }.share_out_again(total, callers)
    }

    /// Shares out anew; what is held of the rest is held on.
    #[must_use]
    pub fn share_out_again(&self, total: usize, callers: usize) -> (usize, Arc<Self>) {
        let own = (total / 2).checked_div(callers).unwrap_or(0);
        (own, Arc::new(Self { used: Arc::clone(&self.used), most: total - own * callers }))
    }

    fn take(&self) -> bool {
        one_more(&self.used, self.most)
    }

    fn give_back(&self) {
        self.used.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Not added and then taken back: for that moment the attempt would be in the way of others.
fn one_more(used: &AtomicUsize, most: usize) -> bool {
    let one_more = |used: usize| (used < most).then_some(used + 1);
    used.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_ok()
}

/// A caller's requests in progress: its own first, and then of those that all have in common.
#[derive(Clone)]
pub struct Slots(Arc<Places>);

struct Places {
    used: Arc<Used>,
    own: usize,
    most: usize,
    common: Arc<Common>,
}

/// Goes over to the next configuration.
#[derive(Default)]
struct Used {
    all: AtomicUsize,
    own: AtomicUsize,
}

impl Slots {
    /// `most` requests at once, `own` of them whatever others do.
    #[must_use]
    pub fn new(most: usize, own: usize, common: Arc<Common>) -> Self {
        Self(Arc::new(Places { used: Arc::default(), own, most, common }))
    }

    /// As [`new`](Self::new), among which are those that hold a slot of these.
    #[must_use]
    pub fn succeeded_by(&self, most: usize, own: usize, common: Arc<Common>) -> Self {
        Self(Arc::new(Places { used: Arc::clone(&self.0.used), own, most, common }))
    }

    /// Takes a slot, which is free again when the [`Slot`] is dropped.
    ///
    /// # Errors
    ///
    /// [`Reject::RateLimited`] when all are taken, [`Reject::Overloaded`] when others have those in common.
    pub fn take(&self) -> Result<Slot, Reject> {
        let Places { used, own, most, common } = &*self.0;
        if !one_more(&used.all, *most) {
            return Err(Reject::RateLimited(Exceeded {
                limit: Limit::CallerRequests,
                quota: *most as u64,
                window_s: 0,
                retry_after_s: 1,
            }));
        }
        let of_common = !one_more(&used.own, *own);
        if of_common && !common.take() {
            used.all.fetch_sub(1, Ordering::AcqRel);
            return Err(Reject::Overloaded);
        }
        Ok(Slot { places: Arc::clone(&self.0), of_common })
    }
}

/// One of a caller's requests in progress.
pub struct Slot {
    places: Arc<Places>,
    of_common: bool,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Places { used, common, .. } = &*self.places;
        if self.of_common {
            common.give_back();
        } else {
            used.own.fetch_sub(1, Ordering::AcqRel);
        }
        used.all.fetch_sub(1, Ordering::AcqRel);
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
    fn a_limiter_that_did_not_change_keeps_what_it_counted() {
        let rate = Rate { per_second: 1, burst: 1 };
        let limiter = Arc::new(NamedLimiter::new(Limit::Caller, rate));
        assert!(limiter.charge().is_ok());
        assert!(limiter.succeeded_by(rate).charge().is_err());
        assert!(limiter.succeeded_by(Rate { per_second: 1, burst: 2 }).charge().is_ok());
    }

    #[test]
    fn slots_that_are_held_count_after_their_number_changed() {
        let (own, common) = Common::share_out(4, 2);
        let slots = Slots::new(4, own, Arc::clone(&common));
        let held = [slots.take(), slots.take(), slots.take()];
        let (own, fewer) = common.share_out_again(2, 1);
        let after = slots.succeeded_by(2, own, fewer);
        assert!(after.take().is_err(), "three are held");
        drop(held);
        let held = [after.take(), after.take()];
        assert!(held.iter().all(Result::is_ok));
        assert!(after.take().is_err());
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
