//! Is anything happening on this connection, and until when may it stay?

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::delivery::Deliveries;
use super::last_call::Readable;
use super::seat::{Asking, Seat};
use crate::turns;

/// What a connection may take its time for.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    pub(super) first_byte: Duration,
    pub(super) head: Duration,
    pub(super) idle: Duration,
    /// The slowest at which an answer may be read, after `idle`.
    pub(super) min_rate_bytes_per_s: u64,
}

/// What a connection is doing; shared by its bytes, its requests and its watchdog. Times are
/// milliseconds since `epoch`, 0 for never.
pub(super) struct Activity {
    epoch: Instant,
    requests: AtomicUsize,
    served: AtomicBool,
    quiet_since: AtomicU64,
    head_since: AtomicU64,
    blocked_since: AtomicU64,
    multiplexed: bool,
    left_unread: AtomicBool,
    /// The socket is to be asked for arrivals at the next read.
    looking: AtomicBool,
    silent: AtomicBool,
    asked: AtomicBool,
    gone: Notify,
    deliveries: Deliveries,
    seat: Arc<Seat>,
}

/// Why a connection must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    FirstByte,
    Head,
    Idle,
    Reader,
}

impl Patience {
    /// A deadline that begins while the last one is slept through is noticed after this at the latest.
    pub(super) fn shortest(&self) -> Duration {
        self.first_byte.min(self.head).min(self.idle)
    }
}

impl Overdue {
    /// The name of the event in the metrics.
    pub(super) fn event(self) -> &'static str {
        match self {
            Self::FirstByte => "first_byte_timeout",
            Self::Head => "header_timeout",
            Self::Idle => "idle_timeout",
            Self::Reader => "reader_timeout",
        }
    }
}

impl Activity {
    /// A connection that was just accepted. On a `multiplexed` one (HTTP/2) bytes are no sign of a head.
    pub(super) fn new(multiplexed: bool, seat: Arc<Seat>) -> Arc<Self> {
        Arc::new(Self {
            epoch: Instant::now(),
            requests: AtomicUsize::new(0),
            served: AtomicBool::new(multiplexed),
            quiet_since: AtomicU64::new(1),
            head_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            multiplexed,
            left_unread: AtomicBool::new(false),
            looking: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            gone: Notify::new(),
            deliveries: Deliveries::default(),
            seat,
        })
    }

    /// Whether it is HTTP/2.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed
    }

    /// Its answers.
    pub(super) fn deliveries(&self) -> &Deliveries {
        &self.deliveries
    }

    /// A body will not be read to its end: the connection cannot serve another request.
    pub(super) fn leave_unread(&self) {
        self.left_unread.store(true, Ordering::Release);
    }

    /// Whether a body was left unread.
    pub(super) fn left_unread(&self) -> bool {
        self.left_unread.load(Ordering::Acquire)
    }

    /// The connection ended within a request's body.
    pub(super) fn caller_left(&self) {
        self.gone.notify_one();
    }

    /// Ends when [`caller_left`](Self::caller_left) was called.
    pub(super) async fn gone(&self) {
        self.gone.notified().await;
    }

    /// A request's head is complete; it is over when what is returned is dropped.
    pub(super) fn request(self: &Arc<Self>) -> InProgress {
        self.served.store(true, Ordering::Release);
        self.asked.store(true, Ordering::Release);
        self.begin(Some(self.seat.request()))
    }

    /// The rest of a body is read that nobody wants: its request is answered, and the connection may make room.
    pub(super) fn unwanted(self: &Arc<Self>) -> InProgress {
        self.begin(None)
    }

    fn begin(self: &Arc<Self>, asking: Option<Asking>) -> InProgress {
        self.requests.fetch_add(1, Ordering::AcqRel);
        InProgress { activity: Arc::clone(self), _asking: asking }
    }

    /// The place that the connection takes.
    pub(super) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Whether a request has ever come.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Since when nothing is in progress and nothing arrives, if so.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        let busy = self.requests.load(Ordering::Acquire) > 0 || self.head_since.load(Ordering::Acquire) > 0;
        let quiet = Duration::from_millis(self.quiet_since.load(Ordering::Acquire));
        (!busy).then(|| self.epoch + quiet)
    }

    /// Since when nobody waits for anything but the next request, if so: all that was answered was written, too.
    pub(super) fn at_rest_since(&self) -> Option<Instant> {
        self.quiet_since().filter(|_| self.blocked_since.load(Ordering::Acquire) == 0)
    }

    /// Lets the next read that finds nothing ask the socket itself.
    pub(super) fn look(&self) {
        self.silent.store(false, Ordering::Release);
        self.looking.store(true, Ordering::Release);
    }

    /// Whether that read found nothing, and the socket had nothing either.
    pub(super) fn is_silent(&self) -> bool {
        self.looking.store(false, Ordering::Release);
        self.silent.load(Ordering::Acquire)
    }

    /// Until when nothing needs to be done, or why the connection must end now.
    pub(super) fn judge(&self, patience: &Patience) -> Result<Instant, Overdue> {
        let since = |time: &AtomicU64| Some(time.load(Ordering::Acquire)).filter(|time| *time > 0);
        let (begun, allowed, overdue) = if let Some(blocked) = since(&self.blocked_since) {
            (blocked, patience.idle, Overdue::Reader)
        } else if let Some(due) = self.deliveries.due(patience) {
            return if due <= Instant::now() { Err(Overdue::Reader) } else { Ok(due) };
        } else if self.requests.load(Ordering::Acquire) > 0 {
            return Ok(Instant::now() + patience.head);
        } else if let Some(head) = since(&self.head_since) {
            (head, patience.head, Overdue::Head)
        } else {
            let quiet = self.quiet_since.load(Ordering::Acquire);
            if self.served.load(Ordering::Acquire) {
                (quiet, patience.idle, Overdue::Idle)
            } else {
                (quiet, patience.first_byte, Overdue::FirstByte)
            }
        };
        let until = self.epoch + Duration::from_millis(begun) + allowed;
        if until <= Instant::now() { Err(overdue) } else { Ok(until) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn bytes_came(&self) {
        let waiting =
            self.requests.load(Ordering::Acquire) == 0 && self.head_since.load(Ordering::Acquire) == 0;
        if waiting && !self.multiplexed {
            self.head_since.store(self.now(), Ordering::Release);
            self.seat.has_part_of_a_head(true);
        }
    }

    fn write_ended(&self, blocked: bool) {
        self.seat.has_part_of_an_answer(blocked);
        if !blocked {
            self.blocked_since.store(0, Ordering::Release);
        } else if self.blocked_since.load(Ordering::Acquire) == 0 {
            self.blocked_since.store(self.now(), Ordering::Release);
        }
    }
}

/// A request in progress on a connection.
pub(super) struct InProgress {
    activity: Arc<Activity>,
    _asking: Option<Asking>,
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let activity = &self.activity;
        activity.quiet_since.store(activity.now(), Ordering::Release);
        activity.head_since.store(0, Ordering::Release);
        activity.seat.has_part_of_a_head(false);
        activity.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A stream whose bytes are noted.
pub(super) struct Noted<S> {
    stream: S,
    activity: Arc<Activity>,
    /// Was read from the stream, and comes before what is read next.
    before: Bytes,
}

impl<S> Noted<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity, before: Bytes::new() }
    }

    /// With `before`, which was read and not used, in front of what is read next.
    pub(super) fn behind(self, before: Bytes) -> Self {
        // Bytes without any still hold the buffer that they were in.
        let before = if before.is_empty() { Bytes::new() } else { before };
        Self { before, ..self }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    fn wrote(&self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.activity.write_ended(written.is_pending());
        written.map_ok(|bytes| {
            turns::spend(context, bytes);
            bytes
        })
    }
}

impl<S: AsyncRead + Readable + Unpin> Noted<S> {
    /// Moves what was read before to `buffer`, and says how much. More is read into the same buffer: hyper takes a
    /// larger one for a head that comes in two pieces.
    fn take_before(&mut self, buffer: &mut ReadBuf<'_>) -> usize {
        let bytes = self.before.len().min(buffer.remaining());
        if bytes > 0 {
            buffer.put_slice(&self.before.split_to(bytes));
            self.activity.bytes_came();
        }
        bytes
    }

    /// Whether there is something to read, or the end has come. Takes one byte at most out of the stream, so that
    /// nothing of what a caller sends lies here.
    pub(super) fn poll_first(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.before.is_empty() {
            let mut byte = [0; 1];
            let mut buffer = ReadBuf::new(&mut byte);
            ready!(Pin::new(&mut *self).poll_read(context, &mut buffer))?;
            self.before = Bytes::copy_from_slice(buffer.filled());
        } else {
            self.activity.bytes_came();
        }
        Poll::Ready(Ok(!self.before.is_empty()))
    }
}

impl<S: AsyncRead + Readable + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let known = this.take_before(buffer);
        if known > 0 && buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let filled = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_pending() && this.activity.looking.load(Ordering::Acquire) {
            this.activity.silent.store(!this.stream.has_arrivals(), Ordering::Release);
        }
        match read {
            // The next read tells what is wrong with the stream, or that it has ended.
            Poll::Pending | Poll::Ready(Err(_)) if known > 0 => {}
            read => ready!(read)?,
        }
        let bytes = buffer.filled().len() - filled;
        if bytes > 0 {
            this.activity.bytes_came();
            turns::spend(context, bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.wrote(context, written)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        this.activity.write_ended(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.wrote(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
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
    async fn a_silent_connection_ends_at_the_first_byte_deadline() {
        let activity = Activity::new(false, Arc::default());
        assert!(activity.judge(&PATIENCE).is_ok());
        tokio::time::advance(Duration::from_millis(1_100)).await;
        assert_eq!(activity.judge(&PATIENCE), Err(Overdue::FirstByte));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_ends_at_the_header_deadline() {
        let activity = Activity::new(false, Arc::default());
        activity.bytes_came();
        tokio::time::advance(Duration::from_millis(1_500)).await;
        activity.bytes_came();
        assert!(activity.judge(&PATIENCE).is_ok());
        tokio::time::advance(Duration::from_millis(600)).await;
        assert_eq!(activity.judge(&PATIENCE), Err(Overdue::Head));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_served_may_be_idle_for_longer() {
        let activity = Activity::new(false, Arc::default());
        activity.bytes_came();
        let request = activity.request();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(activity.judge(&PATIENCE).is_ok(), "a request in progress has deadlines of its own");
        drop(request);
        tokio::time::advance(Duration::from_millis(2_900)).await;
        assert!(activity.judge(&PATIENCE).is_ok());
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(activity.judge(&PATIENCE), Err(Overdue::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_reading_is_given_up() {
        let activity = Activity::new(false, Arc::default());
        let _request = activity.request();
        activity.write_ended(true);
        tokio::time::advance(Duration::from_millis(3_100)).await;
        assert_eq!(activity.judge(&PATIENCE), Err(Overdue::Reader));
        activity.write_ended(false);
        assert!(activity.judge(&PATIENCE).is_ok());
    }

    #[test]
    fn a_connection_is_at_rest_when_all_is_answered_and_written() {
        let activity = Activity::new(false, Arc::default());
        assert!(activity.at_rest_since().is_some());
        activity.bytes_came();
        assert!(activity.at_rest_since().is_none(), "a head has begun");
        let request = activity.request();
        assert!(activity.at_rest_since().is_none());
        // TLS takes the last bytes of an answer before the socket does.
        activity.write_ended(true);
        drop(request);
        assert!(activity.quiet_since().is_some() && activity.at_rest_since().is_none());
        activity.write_ended(false);
        assert!(activity.at_rest_since().is_some());
    }
}
