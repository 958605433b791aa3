//! What is a connection doing that others may need the place of?

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ids::CallerId;

/// What is known of one connection, for those who look for room.
pub(crate) struct Seat {
    since: Instant,
    /// Who asked first on it and was identified.
    holder: OnceLock<CallerId>,
    /// Requests that are not over, and those of them that have no answer yet.
    requests: AtomicUsize,
    undecided: AtomicUsize,
    /// A part of a request's head is here, or a part of an answer waits to be written.
    half_way: [AtomicBool; 2],
    /// Milliseconds from `since`.
    idle_since: AtomicU64,
    leaving: AtomicBool,
    told: Notify,
}

/// A request that is not over.
pub(crate) struct Asking(Arc<Seat>);

/// A request without an answer.
pub(crate) struct Undecided(Arc<Seat>);

impl Default for Seat {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            holder: OnceLock::new(),
            requests: AtomicUsize::new(0),
            undecided: AtomicUsize::new(0),
            half_way: Default::default(),
            idle_since: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            told: Notify::new(),
        }
    }
}

impl Seat {
    /// A request has begun.
    pub(crate) fn request(self: &Arc<Self>) -> Asking {
        self.requests.fetch_add(1, Ordering::AcqRel);
        Asking(Arc::clone(self))
    }

    /// It is being decided about: what it was sent by is not yet known.
    pub(crate) fn undecided(self: &Arc<Self>) -> Undecided {
        self.undecided.fetch_add(1, Ordering::AcqRel);
        Undecided(Arc::clone(self))
    }

    /// It was asked by this caller.
    pub(crate) fn identified(&self, caller: CallerId) {
        // Only the first matters.
        let _ = self.holder.set(caller);
    }

    /// Who was identified on it.
    pub(crate) fn holder(&self) -> Option<CallerId> {
        self.holder.get().copied()
    }

    /// Since when a connection without a request has none, milliseconds of the clock that all share.
    pub(crate) fn idle_since(&self) -> Instant {
        self.since + std::time::Duration::from_millis(self.idle_since.load(Ordering::Acquire))
    }

    /// Whether nothing would be lost: a stranger's answer counts for nothing.
    pub(crate) fn may_leave(&self) -> bool {
        match self.holder() {
            Some(_) => {
                let half_way = self.half_way.iter().any(|half| half.load(Ordering::Acquire));
                self.requests.load(Ordering::Acquire) == 0 && !half_way
            }
            None => self.undecided.load(Ordering::Acquire) == 0,
        }
    }

    /// Whether a part of a request's head is here.
    pub(crate) fn has_part_of_a_head(&self, has: bool) {
        self.half_way[0].store(has, Ordering::Release);
    }

    /// Whether a part of an answer waits to be written.
    pub(crate) fn has_part_of_an_answer(&self, has: bool) {
        self.half_way[1].store(has, Ordering::Release);
    }

    /// It must make room for another.
    pub(crate) fn send_away(&self) {
        self.leaving.store(true, Ordering::Release);
        self.told.notify_one();
    }

    /// Whether it was told so.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Ends when it was told so.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }

    /// Whether it still can; asked on the thread that would begin a request.
    pub(crate) fn leaves(&self) -> bool {
        let leaves = self.may_leave();
        if !leaves {
            self.leaving.store(false, Ordering::Release);
        }
        leaves
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let seat = &self.0;
        let since = u64::try_from(seat.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        seat.idle_since.store(since, Ordering::Release);
        seat.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Undecided {
    fn drop(&mut self) {
        self.0.undecided.fetch_sub(1, Ordering::AcqRel);
    }
}
