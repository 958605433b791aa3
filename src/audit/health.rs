//! Do lines reach their output, and what was given up?

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::histogram::Histogram;

/// Bytes that wait from which on no intent is taken any more.
const REFUSE_FROM_BYTES: u64 = 8 << 20;
/// How long one commit may take before the output counts as stalled.
const STALLED_AFTER: Duration = Duration::from_millis(750);

/// Whether lines reach their output; shared between the writer's thread and the requests.
pub struct Health {
    born: Instant,
    failing: AtomicBool,
    ended: AtomicBool,
    short_of_space: AtomicBool,
    /// When the commit in progress began, in milliseconds since `born`, plus 1; 0 between commits.
    committing_since: AtomicU64,
    pending_bytes: AtomicU64,
    durable: AtomicU64,
    written_lines: AtomicU64,
    lost_strangers: AtomicU64,
    lost_best_effort: AtomicU64,
    lost_at_end: AtomicU64,
    faults: AtomicU64,
    syncs: AtomicU64,
    last_seq: AtomicU64,
    stall_told: AtomicBool,
    commits: OnceLock<Histogram>,
    checkpoint: Mutex<Option<LastCheckpoint>>,
}

/// The last signed checkpoint.
#[derive(Clone)]
pub struct LastCheckpoint {
    /// The whole line.
    pub line: Arc<str>,
    /// When it became durable.
    pub since: Instant,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            born: Instant::now(),
            failing: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            short_of_space: AtomicBool::new(false),
            committing_since: AtomicU64::new(0),
            pending_bytes: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            written_lines: AtomicU64::new(0),
            lost_strangers: AtomicU64::new(0),
            lost_best_effort: AtomicU64::new(0),
            lost_at_end: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            last_seq: AtomicU64::new(0),
            stall_told: AtomicBool::new(false),
            commits: OnceLock::new(),
            checkpoint: Mutex::new(None),
        }
    }

    /// Whether an intent would become durable soon: the output neither fails nor stalls, the thread lives, and not
    /// too much is waiting.
    #[must_use]
    pub fn available(&self) -> bool {
        !self.failing.load(Ordering::Relaxed)
            && !self.ended.load(Ordering::Relaxed)
            && self.pending_bytes() < REFUSE_FROM_BYTES
            && !self.stalled()
    }

    /// Whether the last attempt to write or sync failed.
    #[must_use]
    pub fn failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Whether one commit has been taking longer than 750 ms.
    #[must_use]
    pub fn stalled(&self) -> bool {
        let since = self.committing_since.load(Ordering::Relaxed);
        since != 0 && self.born.elapsed() > Duration::from_millis(since - 1) + STALLED_AFTER
    }

    /// Whether so little disk space is left that records of strangers are counted instead of written.
    #[must_use]
    pub fn short_of_space(&self) -> bool {
        self.short_of_space.load(Ordering::Relaxed)
    }

    /// Bytes that were taken and are not yet durable.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        self.pending_bytes.load(Ordering::Relaxed)
    }

    /// Lines durable since the start, the writer's own included.
    #[must_use]
    pub fn written_lines(&self) -> u64 {
        self.written_lines.load(Ordering::Relaxed)
    }

    /// Lines given up, for whatever reason.
    #[must_use]
    pub fn lost_lines(&self) -> u64 {
        self.lost_strangers() + self.lost_best_effort() + self.lost_lines_at_end()
    }

    /// Lines that were not written when the writer ended, or came after it.
    pub(super) fn lost_lines_at_end(&self) -> u64 {
        self.lost_at_end.load(Ordering::Relaxed)
    }

    /// Lines about strangers that were given up.
    #[must_use]
    pub fn lost_strangers(&self) -> u64 {
        self.lost_strangers.load(Ordering::Relaxed)
    }

    /// Lines of the class `BestEffort` that were given up.
    #[must_use]
    pub fn lost_best_effort(&self) -> u64 {
        self.lost_best_effort.load(Ordering::Relaxed)
    }

    /// Faults of the output since the start.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// Commits that were made durable since the start.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Number of the last line that is durable; 0 before the first.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.last_seq.load(Ordering::Relaxed)
    }

    /// The last checkpoint of this start; `None` before it, and always on a stream.
    #[must_use]
    pub fn last_checkpoint(&self) -> Option<LastCheckpoint> {
        self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on the times that commits take are observed by `histogram`. The first one counts.
    pub fn measure_commits(&self, histogram: Histogram) {
        let _ = self.commits.set(histogram);
    }

    /// Every line up to this one of those taken is durable.
    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn took(&self, bytes: usize) {
        self.pending_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What was counted by [`Self::took`] was not taken after all.
    pub(super) fn gave_back(&self, bytes: usize) {
        self.pending_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn lost_stranger(&self) {
        self.lost_strangers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost_best_effort_line(&self) {
        self.lost_best_effort.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost_at_end(&self, lines: u64) {
        self.lost_at_end.fetch_add(lines, Ordering::Relaxed);
    }

    pub(super) fn commit_begins(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.committing_since.store(now + 1, Ordering::Relaxed);
    }

    /// Says, once for each stall, that there is one: the thread that stalls cannot.
    pub(super) fn tell_stall(&self) {
        if self.stalled() && !self.stall_told.swap(true, Ordering::Relaxed) {
            tracing::error!("the audit's output takes nothing: forwarding stops");
        }
    }

    pub(super) fn commit_ends(&self) {
        self.stall_told.store(false, Ordering::Relaxed);
        self.committing_since.store(0, Ordering::Relaxed);
    }

    /// What was taken up to the line `durable` is durable: `bytes` fewer are pending.
    pub(super) fn became_durable(&self, durable: u64, bytes: u64, written_lines: u64) {
        self.pending_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.written_lines.store(written_lines, Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.durable.store(durable, Ordering::Release);
    }

    pub(super) fn reached(&self, seq: u64) {
        self.last_seq.store(seq, Ordering::Relaxed);
    }

    pub(super) fn committed(&self, took: Duration) {
        if let Some(commits) = self.commits.get() {
            commits.observe(took.as_secs_f64());
        }
    }

    pub(super) fn checkpointed(&self, line: &str) {
        let checkpoint = LastCheckpoint { line: line.into(), since: Instant::now() };
        *self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(checkpoint);
    }

    pub(super) fn fault(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns what it was before.
    pub(super) fn set_failing(&self, failing: bool) -> bool {
        self.failing.swap(failing, Ordering::Relaxed)
    }

    /// Returns what it was before.
    pub(super) fn set_short_of_space(&self, short: bool) -> bool {
        self.short_of_space.swap(short, Ordering::Relaxed)
    }

    pub(super) fn set_ended(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
