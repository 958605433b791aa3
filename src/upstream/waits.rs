//! How long did an attempt wait for our own memory?

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Time of an attempt that says nothing of the upstream.
#[derive(Default)]
pub struct Waits(Mutex<Spans>);

#[derive(Default)]
struct Spans {
    before: Duration,
    since: Option<Instant>,
}

impl Waits {
    /// Awaits `room`; the time for which that is not there at once counts.
    pub async fn during<F: Future>(&self, room: F) -> F::Output {
        let mut room = pin!(room);
        poll_fn(|context| {
            let polled = room.as_mut().poll(context);
            if polled.is_pending() {
                self.lock().since.get_or_insert_with(Instant::now);
            } else {
                let spans = &mut *self.lock();
                spans.before += spans.since.take().map_or(Duration::ZERO, |since| since.elapsed());
            }
            polled
        })
        .await
    }

    /// Whether it waits now, or did when it was given up.
    pub fn is_waiting(&self) -> bool {
        self.lock().since.is_some()
    }

    /// All of it until now.
    pub fn so_far(&self) -> Duration {
        let spans = self.lock();
        spans.before + spans.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Spans> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::{advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_was_waited_for_counts() {
        let waits = Waits::default();
        waits.during(std::future::ready(())).await;
        advance(Duration::from_secs(1)).await;
        assert_eq!(waits.so_far(), Duration::ZERO);
        waits.during(sleep(Duration::from_secs(2))).await;
        advance(Duration::from_secs(4)).await;
        assert_eq!((waits.so_far(), waits.is_waiting()), (Duration::from_secs(2), false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_counts_before_it_is_over() {
        let waits = Waits::default();
        assert!(waits.during(std::future::pending::<()>()).now_or_never().is_none());
        advance(Duration::from_secs(3)).await;
        assert_eq!((waits.so_far(), waits.is_waiting()), (Duration::from_secs(3), true));
    }
}
