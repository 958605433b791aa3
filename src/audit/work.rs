//! What does the writer's thread do, over and over?

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use super::event;
use super::health::{Health, STALLED_AFTER};
use super::queue::{Batch, Change, Queue};
use super::trail::{Depth, Failure, Fault, Trail};
use super::waiters::Waiters;

/// How long after a failure the output is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// How long lines that nobody waits for may stay in the kernel's memory only.
const SYNC_WITHIN: Duration = Duration::from_secs(1);
/// How many bytes may stay there.
const SYNC_FROM_BYTES: usize = 512 << 10;
/// How often the output is looked at when there is nothing to write.
const TICK: Duration = Duration::from_millis(500);
/// How often losses are recorded while there are more of them.
const LOSSES_EVERY: Duration = Duration::from_secs(10);

/// Those that are woken once for each batch.
pub(super) type Followers = Arc<Mutex<Vec<Weak<Waiters>>>>;

/// What the thread owns.
pub(super) struct Work {
    trail: Box<dyn Trail>,
    queue: Arc<Queue>,
    health: Arc<Health>,
    followers: Followers,
    batch: Batch,
    /// How many of the lines ever taken are in the trail.
    appended: u64,
    /// How many of their bytes are not durable.
    pending_bytes: u64,
    /// Number of the last line before the start, and of the last that was announced as durable.
    first_seq: u64,
    announced_seq: u64,
    sync_due: Option<Instant>,
    next_tick: Instant,
    outage: Option<Outage>,
    was_stalled: bool,
    losses: Losses,
}

/// From the first failure until all is durable again.
struct Outage {
    /// Each is recorded once.
    faults: Vec<Fault>,
    /// Lines that tell of them and are not yet in the trail.
    news: Vec<Vec<u8>>,
}

/// What was recorded of lines that were given up, and when more may be.
struct Losses {
    strangers: u64,
    best_effort: u64,
    next: Instant,
}

impl Work {
    pub(super) fn new(
        trail: Box<dyn Trail>,
        queue: Arc<Queue>,
        health: Arc<Health>,
        followers: Followers,
    ) -> Self {
        let now = Instant::now();
        let first_seq = trail.durable_seq();
        Self {
            trail,
            queue,
            health,
            followers,
            batch: Batch::default(),
            appended: 0,
            pending_bytes: 0,
            first_seq,
            announced_seq: first_seq,
            // What the trail holds already tells of the start.
            sync_due: Some(now),
            next_tick: now,
            outage: None,
            was_stalled: false,
            losses: Losses { strangers: 0, best_effort: 0, next: now },
        }
    }

    /// Until the writer is finished.
    pub(super) fn run(mut self) {
        loop {
            let closing = match &self.outage {
                Some(_) => self.queue.pause(RETRY),
                None => self.take(),
            };
            if let Some(in_progress) = closing {
                return self.end(in_progress);
            }
            self.attempt(Self::turn);
        }
    }

    /// Waits for lines, and appends them.
    fn take(&mut self) -> Option<u64> {
        let until = self.sync_due.map_or(self.next_tick, |due| due.min(self.next_tick));
        let taken = self.queue.next(&mut self.batch, until);
        for (object, change) in self.batch.lines() {
            self.trail.append(object, change);
        }
        if !self.batch.is_empty() || self.batch.awaited {
            let now = Instant::now();
            let within = if self.batch.awaited { Duration::ZERO } else { SYNC_WITHIN };
            let due = now + within;
            self.sync_due = Some(self.sync_due.map_or(due, |earlier| earlier.min(due)));
        }
        self.pending_bytes += self.batch.len_bytes() as u64;
        self.appended = taken.up_to;
        self.batch.clear();
        taken.closing
    }

    /// Takes one step under watch. `false` where it failed.
    fn attempt(&mut self, step: fn(&mut Self) -> Result<(), Failure>) -> bool {
        let (began, since) = (Instant::now(), SystemTime::now());
        self.health.commit_begins();
        let result = step(self);
        let stalled = began.elapsed() > STALLED_AFTER;
        match result {
            Ok(()) => self.worked(stalled, since),
            Err(failure) => self.failed(failure, since),
        }
        // Only now: between the end of a commit and the news of its failure nothing is available.
        self.health.commit_ends();
        result.is_ok()
    }

    fn turn(&mut self) -> Result<(), Failure> {
        if let Some(outage) = &mut self.outage {
            return self.trail.recover(&mut outage.news);
        }
        let now = Instant::now();
        let due =
            self.sync_due.is_some_and(|due| due <= now) || self.trail.waiting_bytes() >= SYNC_FROM_BYTES;
        let depth = if due { Depth::Durable } else { Depth::Written };
        if self.trail.waiting_bytes() > 0 {
            self.trail.commit(depth)?;
        }
        if due {
            self.announce();
        }
        self.trail.keep_up(now)?;
        if self.next_tick <= now {
            self.next_tick = now + TICK;
            self.tell_losses(now);
        }
        Ok(())
    }

    fn worked(&mut self, stalled: bool, since: SystemTime) {
        self.announce();
        if self.outage.take().is_some() {
            self.health.set_failing(false);
            tracing::info!("audit records are written again");
        }
        if stalled && !self.was_stalled {
            self.health.fault();
            tracing::error!("audit records were written too slowly: nothing was forwarded meanwhile");
            self.append(&event::fault(Fault::Stalled.into(), since, self.trail.durable_seq()));
        }
        self.was_stalled = stalled;
        self.health.set_short_of_space(self.trail.short_of_space());
    }

    fn failed(&mut self, failure: Failure, since: SystemTime) {
        self.health.fault();
        if !self.health.set_failing(true) {
            let fault = failure.fault.name();
            tracing::error!(fault, os = failure.os, "audit records cannot be written: forwarding stops");
        }
        let outage = self.outage.get_or_insert(Outage { faults: Vec::new(), news: Vec::new() });
        if !outage.faults.contains(&failure.fault) {
            outage.faults.push(failure.fault);
            outage.news.push(event::fault(failure, since, self.trail.durable_seq()));
        }
    }

    /// Tells the requests what became durable.
    fn announce(&mut self) {
        let durable_seq = self.trail.durable_seq();
        if self.trail.waiting_bytes() > 0 || durable_seq == self.announced_seq {
            return;
        }
        self.announced_seq = durable_seq;
        self.sync_due = None;
        self.health.became_durable(self.appended, self.pending_bytes, durable_seq - self.first_seq);
        self.pending_bytes = 0;
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.retain(|follower| {
            let follower = follower.upgrade();
            follower.iter().for_each(|waiters| waiters.advance(self.appended));
            follower.is_some()
        });
    }

    fn tell_losses(&mut self, now: Instant) {
        let (strangers, best_effort) = (self.health.lost_strangers(), self.health.lost_best_effort());
        let losses = &mut self.losses;
        if (strangers, best_effort) == (losses.strangers, losses.best_effort) || now < losses.next {
            return;
        }
        let line = event::loss(strangers - losses.strangers, best_effort - losses.best_effort);
        self.losses = Losses { strangers, best_effort, next: now + LOSSES_EVERY };
        self.append(&line);
    }

    /// Appends a line of the writer's own.
    fn append(&mut self, object: &[u8]) {
        self.trail.append(object, Change::None);
        self.sync_due.get_or_insert(Instant::now() + SYNC_WITHIN);
    }

    /// What is still waiting, and the last lines. An output that failed is tried once more.
    fn end(&mut self, in_progress: u64) {
        self.take();
        if self.outage.is_some() && !self.attempt(Self::turn) {
            return;
        }
        self.losses.next = Instant::now();
        self.tell_losses(self.losses.next);
        self.append(&event::stop(in_progress));
        if !self.attempt(|work| work.trail.close()) {
            self.attempt(Self::turn);
        }
    }
}
