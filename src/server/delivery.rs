//! Does the one who asked read the answer?
//!
//! An answer that nobody reads holds memory of a budget that all callers share. A socket that takes no bytes
//! shows that, but not on HTTP/2, where each stream has a window of its own, and not where bytes trickle.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::activity::{Activity, InProgress, Patience};
use crate::stages::Reply;

/// The answers of one connection that are being handed over.
#[derive(Default)]
pub(super) struct Deliveries(Mutex<Vec<Arc<Progress>>>);

struct Progress {
    begun: Instant,
    handed_bytes: AtomicU64,
}

impl Deliveries {
    /// The instant at which the first of them is too slow: each may take its time once, and as long again
    /// as its bytes may take at the slowest rate.
    pub(super) fn due(&self, patience: &Patience) -> Option<Instant> {
        let rate = patience.min_rate_bytes_per_s.max(1);
        let due = |progress: &Arc<Progress>| {
            let handed = progress.handed_bytes.load(Ordering::Relaxed);
            progress.begun + patience.idle + Duration::from_millis(handed.saturating_mul(1_000) / rate)
        };
        self.lock().iter().map(due).min()
    }

    fn begin(&self) -> Arc<Progress> {
        let progress = Arc::new(Progress { begun: Instant::now(), handed_bytes: AtomicU64::new(0) });
        self.lock().push(Arc::clone(&progress));
        progress
    }

    fn end(&self, progress: &Arc<Progress>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, progress));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Progress>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body whose request is in progress until its last byte was sent.
pub(super) struct Delivered {
    reply: Reply,
    progress: Arc<Progress>,
}

/// Kept by the bytes of an answer.
struct Delivery {
    progress: Arc<Progress>,
    activity: Arc<Activity>,
    _in_progress: InProgress,
}

impl Delivered {
    pub(super) fn new(mut reply: Reply, activity: Arc<Activity>, in_progress: InProgress) -> Self {
        let progress = activity.deliveries().begin();
        reply.held_with(Delivery { progress: Arc::clone(&progress), activity, _in_progress: in_progress });
        Self { reply, progress }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.activity.deliveries().end(&self.progress);
    }
}

impl Body for Delivered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.reply).poll_frame(task);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            this.progress.handed_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.reply.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.reply.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        first_byte: Duration::from_secs(1),
        head: Duration::from_secs(2),
        idle: Duration::from_secs(3),
        min_rate_bytes_per_s: 1_000,
    };

    #[tokio::test(start_paused = true)]
    async fn the_slowest_answer_decides_and_bytes_earn_time() {
        let deliveries = Deliveries::default();
        let begun = Instant::now();
        assert_eq!(deliveries.due(&PATIENCE), None);
        let (fast, slow) = (deliveries.begin(), deliveries.begin());
        fast.handed_bytes.store(5_000, Ordering::Relaxed);
        slow.handed_bytes.store(1_000, Ordering::Relaxed);
        assert_eq!(deliveries.due(&PATIENCE), Some(begun + Duration::from_secs(4)));
        deliveries.end(&slow);
        assert_eq!(deliveries.due(&PATIENCE), Some(begun + Duration::from_secs(8)));
    }
}
