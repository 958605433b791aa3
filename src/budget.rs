//! How many bytes may be held in memory at once, and by whom?
//!
//! Bytes are reserved as they arrive, and never for a mere promise: who promises and sends nothing starves nobody.
//! But a large body of which a part came may also claim its rest. Else two hundred of them would fill the budget with
//! their beginnings, and none could end. A claim takes no memory; it keeps further large bodies from beginning.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::ids::CallerId;
use crate::stragglers::{Straggler, Stragglers};

/// A number of bytes that may be held at once, shared by everyone who holds some.
#[derive(Clone)]
pub struct Budget {
    limit: u64,
    shared: Arc<Shared>,
}

struct Shared {
    used: AtomicU64,
    /// Bytes that are on their way and claimed, beside those in use.
    claimed: AtomicU64,
    /// Those whose bytes others can have, whichever configuration they were received under.
    stragglers: Stragglers,
    freed: Notify,
    gauge: Option<Gauge>,
}

/// This part of a budget is left to small bodies: claims stay below it.
const FOR_SMALL: u64 = 8;

impl Budget {
    /// A budget of `limit` bytes, none of them in use; `gauge` follows what is.
    #[must_use]
    pub fn new(limit: u64, gauge: Option<Gauge>) -> Self {
        let (used, claimed) = (AtomicU64::new(0), AtomicU64::new(0));
        let (stragglers, freed) = (Stragglers::default(), Notify::new());
        Self { limit, shared: Arc::new(Shared { used, claimed, stragglers, freed, gauge }) }
    }

    /// A budget of `limit` bytes, among which are those that are in use of this one.
    #[must_use]
    pub fn succeeded_by(&self, limit: u64) -> Self {
        Self { limit, shared: Arc::clone(&self.shared) }
    }

    /// An empty reservation, which grows as bytes arrive.
    #[must_use]
    pub fn reserve_none(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0, claimed: 0 }
    }

    /// The most that can be in use, bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// What is in use, bytes.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.shared.used.load(Ordering::Acquire)
    }

    /// Whether a large body of so many bytes could begin beside what is in use and claimed; `free` of those in use
    /// can be had. One that is as large as all of the budget can, while little is.
    fn fits(&self, bytes: u64, claimed: u64, free: u64) -> bool {
        let small = self.limit / FOR_SMALL;
        self.used().saturating_sub(free).saturating_add(claimed)
            <= (self.limit - small).saturating_sub(bytes).max(small)
    }

    fn claim(&self, bytes: u64, free: u64) -> bool {
        let claim = |claimed: u64| claimed.checked_add(bytes).filter(|_| self.fits(bytes, claimed, free));
        self.shared.claimed.fetch_update(Ordering::AcqRel, Ordering::Acquire, claim).is_ok()
    }

    fn take(&self, bytes: u64) -> bool {
        let took = self.shared.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.limit)
        });
        if took.is_ok() {
            self.show();
        }
        took.is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.shared.used.fetch_sub(bytes, Ordering::AcqRel);
        self.show();
        self.shared.freed.notify_waiters();
    }

    fn show(&self) {
        if let Some(gauge) = &self.shared.gauge {
            gauge.set(i64::try_from(self.used()).unwrap_or(i64::MAX));
        }
    }
}

/// Bytes of a [`Budget`] that belong to one body; given back when dropped.
pub struct Reservation {
    budget: Budget,
    bytes: u64,
    claimed: u64,
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
        self.grow_asking(bytes, patience, || ()).await
    }

    /// As [`Self::grow`]; `ask` is called whenever there is too little, and what was given back may have gone to others.
    async fn grow_asking(&mut self, bytes: u64, patience: Duration, ask: impl Fn()) -> Result<(), Full> {
        if self.try_grow(bytes) {
            return Ok(());
        }
        if bytes > self.budget.limit() {
            return Err(Full);
        }
        // Boxed, because few bodies wait and all would carry the room for it.
        Box::pin(self.grow_by(Instant::now() + patience, bytes, ask)).await
    }

    async fn grow_by(&mut self, deadline: Instant, bytes: u64, ask: impl Fn()) -> Result<(), Full> {
        let budget = self.budget.clone();
        loop {
            // Registered before the second look, so that what is given back in between is seen.
            let freed = budget.shared.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.try_grow(bytes) {
                return Ok(());
            }
            ask();
            timeout_at(deadline, freed).await.map_err(|_| Full)?;
        }
    }

    fn try_grow(&mut self, bytes: u64) -> bool {
        let took = self.budget.take(bytes);
        if took {
            self.bytes += bytes;
            self.give_up(bytes);
        }
        took
    }

    fn claim(&mut self, bytes: u64, free: u64) -> bool {
        let claimed = self.budget.claim(bytes, free);
        if claimed {
            self.claimed += bytes;
        }
        claimed
    }

    /// Gives up so many bytes of its claim, or as many as it has.
    fn give_up(&mut self, bytes: u64) {
        let less = self.claimed.min(bytes);
        self.claimed -= less;
        self.budget.shared.claimed.fetch_sub(less, Ordering::AcqRel);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.give_up(u64::MAX);
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
    /// That it is slow, while it is. Dropped before its bytes are given back: they must not count as still to be had.
    straggler: Option<Straggler>,
    of_caller: Reservation,
    of_all: Reservation,
    stragglers: Stragglers,
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
    /// Shares of `all`, in the order of [`CallerId`].
    #[must_use]
    pub fn new(all: Budget, shares: impl Iterator<Item = Budget>) -> Self {
        Self { all, callers: shares.collect() }
    }

    /// Empty room of `caller`, which grows as bytes arrive; `None` when there is no such caller.
    #[must_use]
    pub fn room(&self, caller: CallerId) -> Option<Room> {
        let of_caller = self.callers.get(usize::from(caller.0))?.reserve_none();
        let (of_all, stragglers) = (self.all.reserve_none(), self.all.shared.stragglers.clone());
        Some(Room { straggler: None, of_caller, of_all, stragglers })
    }
}

impl Room {
    /// Makes room for `bytes` more, waiting up to `patience` for the caller's share and for the whole each; a straggler
    /// waits no longer than until others need what it holds.
    ///
    /// # Errors
    ///
    /// [`Short`]; what was reserved before stays reserved.
    pub async fn grow(&mut self, bytes: u64, patience: Duration) -> Result<(), Short> {
        let Self { straggler, of_caller, of_all, stragglers } = self;
        let share = of_caller.budget.limit();
        let growing = async {
            of_caller.grow(bytes, patience).await.map_err(|Full| Short::OfCaller(share))?;
            // One straggler does not send another away.
            let ask = || {
                if straggler.is_none() {
                    stragglers.send_away(bytes)
                }
            };
            of_all.grow_asking(bytes, patience, ask).await.map_err(|Full| Short::OfAll)
        };
        let Some(straggler) = &*straggler else { return growing.await };
        tokio::select! {
            biased;
            grown = growing => grown?,
            () = straggler.sent_away() => return Err(Short::OfAll),
        }
        straggler.holds(of_all.bytes);
        Ok(())
    }

    /// Whether a large body of so many bytes could begin now.
    ///
    /// # Errors
    ///
    /// [`Short`].
    pub fn fits(&self, bytes: u64) -> Result<(), Short> {
        let fits = |reservation: &Reservation, free| {
            let budget = &reservation.budget;
            budget.fits(bytes, budget.shared.claimed.load(Ordering::Acquire), free)
        };
        if !fits(&self.of_caller, 0) {
            return Err(Short::OfCaller(self.of_caller.budget.limit()));
        }
        if fits(&self.of_all, self.stragglers.hold()) { Ok(()) } else { Err(Short::OfAll) }
    }

    /// Claims the `bytes` that are still to come of a large body.
    ///
    /// # Errors
    ///
    /// [`Short`], when it must not go on.
    pub fn claim(&mut self, bytes: u64) -> Result<(), Short> {
        if !self.of_caller.claim(bytes, 0) {
            return Err(Short::OfCaller(self.of_caller.budget.limit()));
        }
        if self.of_all.claim(bytes, self.stragglers.hold()) {
            return Ok(());
        }
        self.of_caller.give_up(u64::MAX);
        Err(Short::OfAll)
    }

    /// From now on it is a straggler: it has no claim any more, and others may need what it holds.
    pub fn straggle(&mut self) {
        self.of_caller.give_up(u64::MAX);
        self.of_all.give_up(u64::MAX);
        self.straggler.get_or_insert_with(|| self.stragglers.add(self.of_all.bytes));
        // Those who wait already may ask for what it holds.
        self.of_all.budget.shared.freed.notify_waiters();
    }

    /// Ends when others need what this straggler holds.
    pub async fn sent_away(&self) {
        match &self.straggler {
            Some(straggler) => straggler.sent_away().await,
            None => std::future::pending().await,
        }
    }

    /// The body is whole: nobody waits for its sender any more.
    pub fn settle(&mut self) {
        self.of_caller.give_up(u64::MAX);
        self.of_all.give_up(u64::MAX);
        if self.straggler.take().is_some() {
            // Was it sent away a moment ago, then others must give way in its place.
            self.of_all.budget.shared.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

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
    async fn bytes_in_use_count_after_the_budget_changed() {
        let budget = Budget::new(10, None);
        let mut before = budget.reserve_none();
        assert_eq!(before.grow(8, Duration::ZERO).await, Ok(()));
        let mut after = budget.succeeded_by(9).reserve_none();
        assert_eq!(after.grow(2, Duration::ZERO).await, Err(Full));
        assert_eq!(after.grow(1, Duration::ZERO).await, Ok(()));
        drop(before);
        assert_eq!(after.grow(8, Duration::ZERO).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn one_caller_cannot_use_more_than_its_share() {
        let shares =
            Shares::new(Budget::new(10, None), [6, 6].map(|bytes| Budget::new(bytes, None)).into_iter());
        let (mut greedy, mut other) = (shares.room(CallerId(0)).unwrap(), shares.room(CallerId(1)).unwrap());
        assert_eq!(greedy.grow(7, Duration::ZERO).await, Err(Short::OfCaller(6)));
        assert_eq!(greedy.grow(6, Duration::ZERO).await, Ok(()));
        assert_eq!(other.grow(5, Duration::ZERO).await, Err(Short::OfAll));
        drop(greedy);
        assert!(shares.room(CallerId(2)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_keeps_others_from_beginning_and_ends_with_its_bytes() {
        let shares =
            Shares::new(Budget::new(80, None), [80, 80].map(|bytes| Budget::new(bytes, None)).into_iter());
        let (mut first, mut second) = (shares.room(CallerId(0)).unwrap(), shares.room(CallerId(1)).unwrap());
        assert_eq!(first.claim(50), Ok(()));
        assert_eq!(second.fits(21), Err(Short::OfAll));
        assert_eq!(second.claim(21), Err(Short::OfAll));
        assert_eq!(second.claim(20), Ok(()), "an eighth is for small ones");
        assert_eq!(second.grow(30, Duration::ZERO).await, Ok(()), "a claim takes no memory");
        assert_eq!(first.grow(50, Duration::ZERO).await, Ok(()));
        drop((first, second));
        let mut third = shares.room(CallerId(0)).unwrap();
        assert_eq!((shares.all.used(), third.claim(70)), (0, Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn stragglers_of_the_configuration_before_make_room_too() {
        let (all, share) = (Budget::new(10, None), Budget::new(10, None));
        let before = Shares::new(all.clone(), std::iter::once(share.clone()));
        let after = [share.succeeded_by(10), Budget::new(10, None)].into_iter();
        let after = Shares::new(all.succeeded_by(10), after);
        let (mut slow, mut other) = (before.room(CallerId(0)).unwrap(), after.room(CallerId(1)).unwrap());
        assert_eq!(slow.grow(9, Duration::ZERO).await, Ok(()));
        slow.straggle();
        assert_eq!(other.fits(4), Ok(()));
        let giving_way = async {
            slow.sent_away().await;
            drop(slow);
        };
        let (grown, ()) = tokio::join!(other.grow(4, Duration::from_secs(1)), giving_way);
        assert_eq!((grown, all.used()), (Ok(()), 4));
    }

    #[tokio::test(start_paused = true)]
    async fn stragglers_make_room_for_others() {
        let shares =
            Shares::new(Budget::new(10, None), [10, 10].map(|bytes| Budget::new(bytes, None)).into_iter());
        let (mut slow, mut other) = (shares.room(CallerId(0)).unwrap(), shares.room(CallerId(1)).unwrap());
        assert_eq!(slow.grow(9, Duration::ZERO).await, Ok(()));
        assert_eq!(other.fits(4), Err(Short::OfAll));
        slow.straggle();
        assert_eq!(other.fits(4), Ok(()));
        let giving_way = async {
            slow.sent_away().await;
            drop(slow);
        };
        let (grown, ()) = tokio::join!(other.grow(4, Duration::from_secs(1)), giving_way);
        assert_eq!((grown, shares.all.used()), (Ok(()), 4));
    }

    /// Room for one caller each, of ten bytes.
    fn rooms<const N: usize>() -> (Budget, [Room; N]) {
        let all = Budget::new(10, None);
        let shares = Shares::new(all.clone(), (0..N).map(|_| Budget::new(10, None)));
        let room = |caller| shares.room(CallerId(u16::try_from(caller).unwrap())).unwrap();
        (all, std::array::from_fn(room))
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// Makes each a straggler that holds so many bytes.
    async fn straggle_with<const N: usize>(bytes: u64, rooms: [&mut Room; N]) {
        for slow in rooms {
            assert_eq!(slow.grow(bytes, Duration::ZERO).await, Ok(()));
            slow.straggle();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_already_is_given_way_by_what_becomes_a_straggler_later() {
        let (all, [mut slow, mut other]) = rooms();
        assert_eq!(slow.grow(9, Duration::ZERO).await, Ok(()));
        let giving_way = async {
            tokio::task::yield_now().await;
            slow.straggle();
            slow.sent_away().await;
            drop(slow);
        };
        let (grown, _) = tokio::join!(other.grow(4, SECOND), timeout(9 * SECOND, giving_way));
        assert_eq!((grown, all.used()), (Ok(()), 4));
    }

    #[tokio::test(start_paused = true)]
    async fn another_straggler_gives_way_where_others_took_what_the_first_gave_back() {
        let (all, [mut first, mut second, mut other, mut quick]) = rooms();
        straggle_with(5, [&mut first, &mut second]).await;
        let giving_way = async {
            first.sent_away().await;
            drop(first);
            assert_eq!(quick.grow(5, Duration::ZERO).await, Ok(()));
            second.sent_away().await;
            drop(second);
        };
        let (grown, _) = tokio::join!(other.grow(5, SECOND), timeout(9 * SECOND, giving_way));
        assert_eq!((grown, all.used()), (Ok(()), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn another_straggler_gives_way_where_the_first_was_whole_after_all() {
        let (all, [mut first, mut second, mut other]) = rooms();
        straggle_with(5, [&mut first, &mut second]).await;
        let giving_way = async {
            first.sent_away().await;
            first.settle();
            second.sent_away().await;
            drop(second);
        };
        let (grown, _) = tokio::join!(other.grow(5, SECOND), timeout(9 * SECOND, giving_way));
        assert_eq!((grown, all.used()), (Ok(()), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_straggler_that_waits_for_more_gives_way_too() {
        for of_share in [false, true] {
            let all = Budget::new(10, None);
            let callers = [5, 10, 10].map(|bytes| Budget::new(if of_share { bytes } else { 10 }, None));
            let shares = Shares::new(all.clone(), callers.into_iter());
            let [mut slow, mut kept, mut other] = [0, 1, 2].map(|id| shares.room(CallerId(id)).unwrap());
            assert_eq!(slow.grow(5, Duration::ZERO).await, Ok(()));
            assert_eq!(kept.grow(5, Duration::ZERO).await, Ok(()));
            slow.straggle();
            let giving_way = async {
                let grown = slow.grow(1, 9 * SECOND).await;
                drop(slow);
                grown
            };
            let (gave_way, grown) = tokio::join!(giving_way, other.grow(4, SECOND));
            assert_eq!((gave_way, grown, all.used()), (Err(Short::OfAll), Ok(()), 9), "{of_share}");
        }
    }

    /// Notes what can be had of stragglers when it is woken.
    struct Woken(Stragglers, AtomicU64);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.1.store(self.0.hold(), Ordering::Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_straggler_gave_back_does_not_count_as_still_to_be_had() {
        let (all, [mut slow, mut other]) = rooms();
        assert_eq!(slow.grow(9, Duration::ZERO).await, Ok(()));
        slow.straggle();
        let woken = Arc::new(Woken(all.shared.stragglers.clone(), AtomicU64::new(u64::MAX)));
        let waker = std::task::Waker::from(Arc::clone(&woken));
        let mut growing = std::pin::pin!(other.grow(4, SECOND));
        assert!(growing.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
        drop(slow);
        assert_eq!(woken.1.load(Ordering::Relaxed), 0);
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
