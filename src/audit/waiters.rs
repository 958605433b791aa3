//! Who waits until a line is durable?

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

/// A place in the order of lines: durable once every line up to it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// The requests of one runtime that wait. However many they are, the writer wakes the runtime once for each batch;
/// a task on it wakes them.
pub struct Waiters {
    durable: AtomicU64,
    notify: Notify,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    /// In the order of their keys.
    waiting: Vec<Waiting>,
    next_key: u64,
    relayed: bool,
}

struct Waiting {
    key: u64,
    ticket: Ticket,
    waker: Waker,
}

impl Waiters {
    /// Nobody waits yet. [`Writer::follow`](super::Writer::follow) connects it.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            durable: AtomicU64::new(0),
            notify: Notify::new(),
            list: Mutex::new(List::default()),
        })
    }

    /// Waits until the line of `ticket` is durable; for ever, where it never will be. To be awaited on one runtime
    /// only.
    pub fn wait(self: &Arc<Self>, ticket: Ticket) -> Wait {
        Wait { waiters: Arc::clone(self), ticket, key: None }
    }

    /// Every line up to `durable` is durable. Called by the writer, once for each batch.
    pub(super) fn advance(&self, durable: u64) {
        self.durable.store(durable, Ordering::SeqCst);
        self.notify.notify_one();
    }

    fn is_durable(&self, ticket: Ticket) -> bool {
        self.durable.load(Ordering::SeqCst) >= ticket.0
    }

    fn register(self: &Arc<Self>, ticket: Ticket, waker: &Waker) -> u64 {
        let mut list = self.lock();
        let key = list.next_key;
        list.next_key += 1;
        list.waiting.push(Waiting { key, ticket, waker: waker.clone() });
        let first = !std::mem::replace(&mut list.relayed, true);
        drop(list);
        if first {
            tokio::spawn(relay(Relayed(Arc::clone(self))));
        }
        key
    }

    /// Keeps the newest waker; registers anew what the relay has woken already.
    fn renew(&self, key: u64, waker: &Waker) -> bool {
        let mut list = self.lock();
        let Ok(place) = list.waiting.binary_search_by_key(&key, |waiting| waiting.key) else { return false };
        if let Some(waiting) = list.waiting.get_mut(place) {
            waiting.waker.clone_from(waker);
        }
        true
    }

    fn forget(&self, key: u64) {
        let mut list = self.lock();
        if let Ok(place) = list.waiting.binary_search_by_key(&key, |waiting| waiting.key) {
            list.waiting.remove(place);
        }
    }

    /// Wakes those whose line is durable. `false` when nobody is left; the relay then ends.
    fn wake(&self) -> bool {
        let mut list = self.lock();
        let woken: Vec<_> = list.waiting.extract_if(.., |waiting| self.is_durable(waiting.ticket)).collect();
        let left = !list.waiting.is_empty();
        list.relayed = left;
        drop(list);
        woken.into_iter().for_each(|waiting| waiting.waker.wake());
        left
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn relay(relayed: Relayed) {
    loop {
        relayed.0.notify.notified().await;
        if !relayed.0.wake() {
            return;
        }
    }
}

/// A relay that is dropped with its runtime makes room for another.
struct Relayed(Arc<Waiters>);

impl Drop for Relayed {
    fn drop(&mut self) {
        let mut list = self.0.lock();
        if !list.waiting.is_empty() {
            list.relayed = false;
        }
    }
}

/// See [`Waiters::wait`].
#[must_use = "futures do nothing unless polled"]
pub struct Wait {
    waiters: Arc<Waiters>,
    ticket: Ticket,
    key: Option<u64>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let wait = &mut *self;
        if !wait.waiters.is_durable(wait.ticket) {
            let known = wait.key.is_some_and(|key| wait.waiters.renew(key, context.waker()));
            if !known {
                wait.key = Some(wait.waiters.register(wait.ticket, context.waker()));
            }
            // What became durable before it was registered is not woken.
            if !wait.waiters.is_durable(wait.ticket) {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.waiters.forget(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use futures_util::FutureExt;
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    fn waiting(waiters: &Waiters) -> usize {
        waiters.lock().waiting.len()
    }

    #[test]
    fn those_whose_line_is_durable_are_woken_and_the_others_wait_on() {
        let waiters = Waiters::new();
        runtime().block_on(async {
            let waits: Vec<_> = (1..=4).map(|line| tokio::spawn(waiters.wait(Ticket(line)))).collect();
            tokio::task::yield_now().await;
            assert_eq!(waiting(&waiters), 4);
            let advance = Arc::clone(&waiters);
            std::thread::spawn(move || advance.advance(3)).join().unwrap();
            let mut waits = waits.into_iter();
            for wait in waits.by_ref().take(3) {
                wait.await.unwrap();
            }
            assert_eq!(waiting(&waiters), 1);
            waits.next().unwrap().abort();
            tokio::task::yield_now().await;
            assert_eq!(waiting(&waiters), 0, "who left is forgotten");
        });
    }

    #[test]
    fn what_is_durable_already_is_not_waited_for() {
        let waiters = Waiters::new();
        waiters.advance(7);
        // Outside of any runtime.
        assert_eq!(waiters.wait(Ticket(7)).now_or_never(), Some(()));
    }

    #[test]
    fn a_runtime_that_ends_takes_no_later_waiter_with_it() {
        let waiters = Waiters::new();
        let (first, second) = (runtime(), runtime());
        let mut lasting = Box::pin(waiters.wait(Ticket(9)));
        first.block_on(async {
            assert!(lasting.poll_unpin(&mut Context::from_waker(Waker::noop())).is_pending());
        });
        drop(first);
        let advance = Arc::clone(&waiters);
        second.block_on(async move {
            let wait = tokio::spawn(advance.wait(Ticket(1)));
            tokio::task::yield_now().await;
            advance.advance(1);
            wait.await.unwrap();
        });
        drop(lasting);
        assert_eq!(waiting(&waiters), 0);
    }
}
