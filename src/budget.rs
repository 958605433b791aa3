//! How many bytes may be held in memory at once, and by whom?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use crate::ids::CallerId;

/// A number of bytes that may be held at once, shared by everyone who holds some.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    limit: u64,
    used: AtomicU64,
    freed: Notify,
    gauge: Option<Gauge>,
}

impl Budget {
    /// A budget of `limit` bytes, none of them in use; `gauge` follows what is.
    #[must_use]
    pub fn new(limit: u64, gauge: Option<Gauge>) -> Self {
        Self(Arc::new(Shared { limit, used: AtomicU64::new(0), freed: Notify::new(), gauge }))
    }

    /// An empty reservation, which grows as bytes arrive.
    #[must_use]
    pub fn reserve_none(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }

    /// The most that can be in use, bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// What is in use, bytes.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Acquire)
    }

    fn take(&self, bytes: u64) -> bool {
        let took = self.0.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.0.limit)
        });
        if took.is_ok() {
            self.show();
        }
        took.is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.0.used.fetch_sub(bytes, Ordering::AcqRel);
        self.show();
        self.0.freed.notify_waiters();
    }

    fn show(&self) {
        if let Some(gauge) = &self.0.gauge {
            gauge.set(i64::try_from(self.used()).unwrap_or(i64::MAX));
        }
    }
}

/// Bytes of a [`Budget`] that belong to one body; given back when dropped.
pub struct Reservation {
    budget: Budget,
    bytes: u64,
}

/// The budget stayed full for as long as it was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Reservation {
    /// Reserves `bytes` more, waiting up to `patience` for others to give some back.
    ///
    /// # Errors
    ///
    /// [`Full`]; what was reserved before stays reserved.
    pub async fn grow(&mut self, bytes: u64, patience: Duration) -> Result<(), Full> {
        if self.try_grow(bytes) {
            return Ok(());
        }
        if bytes > self.budget.limit() {
            return Err(Full);
        }
        let budget = self.budget.clone();
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            // Registered before the second look, so that what is given back in between is seen.
            let freed = budget.0.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.try_grow(bytes) {
                return Ok(());
            }
            tokio::time::timeout_at(deadline, freed).await.map_err(|_| Full)?;
        }
    }

    fn try_grow(&mut self, bytes: u64) -> bool {
        let took = self.budget.take(bytes);
        if took {
            self.bytes += bytes;
        }
        took
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.bytes);
        }
    }
}

/// A budget of which each caller may use a share at most.
#[derive(Clone)]
pub struct Shares {
    all: Budget,
    callers: Arc<[Budget]>,
}

/// Bytes of one body or answer: of its caller's share and of the whole.
pub struct Room {
    of_caller: Reservation,
    of_all: Reservation,
}

/// What stayed full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// The caller's share, of so many bytes.
    OfCaller(u64),
    /// The whole.
    OfAll,
}

impl Shares {
    /// Shares of `all`, bytes each, in the order of [`CallerId`].
    #[must_use]
    pub fn new(all: Budget, shares: impl Iterator<Item = u64>) -> Self {
        Self { all, callers: shares.map(|bytes| Budget::new(bytes, None)).collect() }
    }

    /// Empty room of `caller`, which grows as bytes arrive; `None` when there is no such caller.
    #[must_use]
    pub fn room(&self, caller: CallerId) -> Option<Room> {
        let of_caller = self.callers.get(usize::from(caller.0))?.reserve_none();
        Some(Room { of_caller, of_all: self.all.reserve_none() })
    }
}

impl Room {
    /// Makes room for `bytes` more, waiting up to `patience` for the caller's share and for the whole each.
    ///
    /// # Errors
    ///
    /// [`Short`]; what was reserved before stays reserved.
    pub async fn grow(&mut self, bytes: u64, patience: Duration) -> Result<(), Short> {
        let share = self.of_caller.budget.limit();
        self.of_caller.grow(bytes, patience).await.map_err(|Full| Short::OfCaller(share))?;
        self.of_all.grow(bytes, patience).await.map_err(|Full| Short::OfAll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_budget_is_waited_for_and_then_refused() {
        let budget = Budget::new(10, None);
        let mut first = budget.reserve_none();
        assert_eq!(first.grow(10, Duration::ZERO).await, Ok(()));
        let mut second = budget.reserve_none();
        assert_eq!(second.grow(1, Duration::from_secs(1)).await, Err(Full));
        assert_eq!(budget.used(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn one_caller_cannot_use_more_than_its_share() {
        let shares = Shares::new(Budget::new(10, None), [6, 6].into_iter());
        let (mut greedy, mut other) = (shares.room(CallerId(0)).unwrap(), shares.room(CallerId(1)).unwrap());
        assert_eq!(greedy.grow(7, Duration::ZERO).await, Err(Short::OfCaller(6)));
        assert_eq!(greedy.grow(6, Duration::ZERO).await, Ok(()));
        assert_eq!(other.grow(5, Duration::ZERO).await, Err(Short::OfAll));
        drop(greedy);
        assert!(shares.room(CallerId(2)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_never_fit_is_not_waited_for() {
        let budget = Budget::new(10, None);
        let before = tokio::time::Instant::now();
        assert_eq!(budget.reserve_none().grow(11, Duration::from_secs(9)).await, Err(Full));
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_given_back_wake_who_waits() {
        let budget = Budget::new(10, None);
        let mut first = budget.reserve_none();
        assert_eq!(first.grow(10, Duration::ZERO).await, Ok(()));
        let mut second = budget.reserve_none();
        let (grown, ()) = tokio::join!(second.grow(4, Duration::from_secs(1)), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        assert_eq!((grown, budget.used()), (Ok(()), 4));
    }
}
