//! Who gives way when memory is short?
//!
//! A body that comes slowly is received as long as nobody else needs the memory that it holds. Else a few callers
//! who send just fast enough could keep all others out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The bodies that come slowly, in the order in which they were found to.
#[derive(Clone, Default)]
pub struct Stragglers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    list: Mutex<List>,
    /// That all of them hold.
    bytes: AtomicU64,
}

#[derive(Default)]
struct List {
    next: u64,
    waiting: BTreeMap<u64, Arc<Slow>>,
    /// Those that were sent away and are not gone.
    leaving: BTreeMap<u64, Arc<Slow>>,
}

#[derive(Default)]
struct Slow {
    bytes: AtomicU64,
    sent_away: Notify,
}

/// One of them; it is none any more when this is dropped.
pub struct Straggler {
    list: Stragglers,
    number: u64,
    slow: Arc<Slow>,
}

impl Stragglers {
    /// Adds one that holds so many bytes.
    #[must_use]
    pub fn add(&self, bytes: u64) -> Straggler {
        self.0.bytes.fetch_add(bytes, Ordering::AcqRel);
        let slow = Arc::new(Slow { bytes: AtomicU64::new(bytes), sent_away: Notify::new() });
        let mut list = self.lock();
        let number = list.next;
        list.next += 1;
        list.waiting.insert(number, Arc::clone(&slow));
        Straggler { list: self.clone(), number, slow }
    }

    /// Sends those away that were found first, until all that are leaving hold so many bytes together.
    pub fn send_away(&self, bytes: u64) {
        let mut list = self.lock();
        let mut freed = list.leaving.values().map(|slow| slow.bytes.load(Ordering::Relaxed)).sum::<u64>();
        while freed < bytes {
            let Some((number, slow)) = list.waiting.pop_first() else { return };
            freed = freed.saturating_add(slow.bytes.load(Ordering::Relaxed));
            slow.sent_away.notify_one();
            list.leaving.insert(number, slow);
        }
    }

    /// What all of them hold, bytes: others can have it.
    #[must_use]
    pub fn hold(&self) -> u64 {
        self.0.bytes.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Straggler {
    /// Notes how many bytes it holds.
    pub fn holds(&self, bytes: u64) {
        let before = self.slow.bytes.swap(bytes, Ordering::Relaxed);
        self.list.0.bytes.fetch_add(bytes.saturating_sub(before), Ordering::AcqRel);
        self.list.0.bytes.fetch_sub(before.saturating_sub(bytes), Ordering::AcqRel);
    }

    /// Ends when it must give way.
    pub async fn sent_away(&self) {
        self.slow.sent_away.notified().await;
    }
}

impl Drop for Straggler {
    fn drop(&mut self) {
        self.list.0.bytes.fetch_sub(self.slow.bytes.load(Ordering::Relaxed), Ordering::AcqRel);
        let mut list = self.list.lock();
        list.waiting.remove(&self.number);
        list.leaving.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn no_more_are_sent_away_than_is_needed() {
        let stragglers = Stragglers::default();
        let [first, second, third] = [4, 4, 4].map(|bytes| stragglers.add(bytes));
        second.holds(1);
        assert_eq!(stragglers.hold(), 9);
        stragglers.send_away(5);
        let away = |straggler: &Straggler| straggler.sent_away().now_or_never().is_some();
        assert_eq!([&first, &second, &third].map(away), [true, true, false]);
        stragglers.send_away(5);
        assert!(!away(&third), "what is needed is on its way");
        drop([first, second, third]);
        assert_eq!(stragglers.hold(), 0);
        stragglers.send_away(1);
    }
}
