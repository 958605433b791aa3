//! What does the writer's thread do, over and over?

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::event;
use super::health::Health;
use super::queue::{Batch, Change, Queue, Taken};
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
    /// How many waited together lately: half as many for each batch that fewer wait for.
    company: usize,
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
            company: 0,
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

    /// One round of [`run`](Self::run) with the lines that are here; waits for nothing. `false` when the writer is
    /// finished.
    pub(super) fn round(&mut self) -> bool {
        let closing = match &self.outage {
            Some(_) => self.queue.pause(Duration::ZERO),
            None => {
                let taken = self.queue.take(&mut self.batch);
                self.append_batch(taken)
            }
        };
        match closing {
            Some(in_progress) => self.end(in_progress),
            None => drop(self.attempt(Self::turn)),
        }
        closing.is_none()
    }

    /// Waits for lines, and appends them.
    fn take(&mut self) -> Option<u64> {
        let until = self.sync_due.map_or(self.next_tick, |due| due.min(self.next_tick));
        let taken = self.queue.next(&mut self.batch, until, self.company);
        self.append_batch(taken)
    }

    fn append_batch(&mut self, taken: Taken) -> Option<u64> {
        self.company = (self.company / 2).max(self.batch.awaited);
        for (object, change) in self.batch.lines() {
            self.trail.append(object, change);
        }
        if !self.batch.is_empty() || self.batch.awaited > 0 {
            let now = Instant::now();
            let within = if self.batch.awaited > 0 { Duration::ZERO } else { SYNC_WITHIN };
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
        let since = SystemTime::now();
        self.health.commit_begins();
        let result = step(self);
        // Whatever a request was refused for is recorded: both ask the same clock.
        let stalled = self.health.stalled();
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
            if due {
                self.health.committed(now.elapsed());
            }
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
        self.show_checkpoint();
        if self.outage.take().is_some() {
            self.health.set_failing(false);
            tracing::info!("audit records are written again");
        }
        // Only now: who is woken by it may ask again at once.
        self.announce();
        if stalled && !self.was_stalled {
            self.health.fault();
            tracing::error!("audit records were written too slowly: nothing was forwarded meanwhile");
            self.append(&event::fault(Fault::Stalled.into(), since, self.trail.durable_seq()));
        }
        self.was_stalled = stalled;
        self.look_at_space();
    }

    fn look_at_space(&mut self) {
        let short = self.trail.short_of_space();
        if self.health.set_short_of_space(short) != short {
            match short {
                true => {
                    tracing::error!("disk space is short: records of strangers are counted and not written")
                }
                false => tracing::info!("disk space suffices again: records of strangers are written"),
            }
        }
    }

    fn failed(&mut self, failure: Failure, since: SystemTime) {
        let was_failing = self.health.set_failing(true);
        self.health.fault();
        if !was_failing {
            let fault = failure.fault.name();
            tracing::error!(fault, os = failure.os, "audit records cannot be written: forwarding stops");
        }
        self.look_at_space();
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
        self.health.reached(durable_seq);
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

    /// A checkpoint vouches for what is before it only to those who have it: it is logged, so that whoever ships the
    /// log takes it off the machine.
    fn show_checkpoint(&mut self) {
        if let Some(line) = self.trail.take_checkpoint() {
            let line = line.trim_end();
            tracing::info!(target: "dcams_gateway::checkpoint", line, "audit checkpoint");
            self.health.checkpointed(line);
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Condvar;

    use super::super::writer::{Class, Writer};
    use super::*;

    /// An output that does as it is told.
    #[derive(Clone, Default)]
    struct Fake(Arc<(Mutex<Told>, Condvar)>);

    #[derive(Default)]
    struct Told {
        lines: Vec<String>,
        durable: usize,
        blocked: bool,
        failure: Option<Failure>,
        short_of_space: bool,
    }

    impl Fake {
        fn tell(&self, change: impl FnOnce(&mut Told)) {
            change(&mut self.0.0.lock().unwrap());
            self.0.1.notify_all();
        }

        fn writer(&self) -> Writer {
            Writer::drive(Box::new(self.clone())).unwrap()
        }

        fn kinds(&self) -> Vec<String> {
            let kind = |line: &String| line.split('"').nth(5).unwrap_or_default().to_owned();
            self.0.0.lock().unwrap().lines.iter().map(kind).collect()
        }
    }

    impl Trail for Fake {
        fn append(&mut self, object: &[u8], _: Change) {
            self.tell(|told| told.lines.push(String::from_utf8_lossy(object).into_owned()));
        }

        fn commit(&mut self, depth: Depth) -> Result<(), Failure> {
            let mut told = self.0.1.wait_while(self.0.0.lock().unwrap(), |told| told.blocked).unwrap();
            if depth == Depth::Durable && told.failure.is_none() {
                told.durable = told.lines.len();
            }
            told.failure.map_or(Ok(()), Err)
        }

        fn recover(&mut self, news: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
            news.drain(..).for_each(|object| self.append(&object, Change::None));
            self.commit(Depth::Durable)
        }

        fn keep_up(&mut self, _: Instant) -> Result<(), Failure> {
            Ok(())
        }

        fn close(&mut self) -> Result<(), Failure> {
            self.commit(Depth::Durable)
        }

        fn durable_seq(&self) -> u64 {
            self.0.0.lock().unwrap().durable as u64
        }

        fn waiting_bytes(&self) -> usize {
            let told = self.0.0.lock().unwrap();
            told.lines.len() - told.durable
        }

        fn short_of_space(&self) -> bool {
            self.0.0.lock().unwrap().short_of_space
        }
    }

    fn line(kind: &str) -> Vec<u8> {
        format!(r#"{{"v":1,"kind":"{kind}"}}"#).into_bytes()
    }

    fn until(mut is_true: impl FnMut() -> bool) {
        let limit = Instant::now() + Duration::from_secs(60);
        while !is_true() {
            assert!(Instant::now() < limit, "waited for too long");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn lines_that_arrive_during_a_commit_become_durable_together() {
        let fake = Fake::default();
        fake.tell(|told| told.blocked = true);
        let writer = fake.writer();
        let first = writer.intend(Class::Required, &line("intent"), 0).unwrap();
        until(|| fake.kinds().len() == 1);
        let tickets: Vec<_> =
            (1..=100).map(|id| writer.intend(Class::Required, &line("intent"), id).unwrap()).collect();
        assert!(writer.health().durable() < first.0);
        fake.tell(|told| told.blocked = false);
        until(|| writer.health().durable() >= tickets[99].0);
        assert_eq!(writer.health().syncs(), 2);
        assert_eq!(writer.health().pending_bytes(), 0);
    }

    #[test]
    fn an_output_that_takes_nothing_is_unavailable_after_a_moment_and_the_stall_is_recorded() {
        let fake = Fake::default();
        let writer = fake.writer();
        fake.tell(|told| told.blocked = true);
        let ticket = writer.intend(Class::Required, &line("intent"), 1).unwrap();
        until(|| !writer.health().available());
        assert!(writer.health().stalled() && !writer.health().failing());
        assert_eq!(writer.intend(Class::Required, &line("intent"), 2), None);
        fake.tell(|told| told.blocked = false);
        until(|| writer.health().available());
        until(|| writer.health().durable() >= ticket.0);
        assert_eq!(writer.finish(0), 0);
        assert_eq!(fake.kinds(), ["intent", "fault", "stop"]);
    }

    #[test]
    fn after_a_failure_it_is_tried_again_until_it_works_and_each_fault_is_recorded_once() {
        let fake = Fake::default();
        let writer = fake.writer();
        fake.tell(|told| told.failure = Some(Fault::SyncFailed.into()));
        let ticket = writer.intend(Class::Required, &line("intent"), 1).unwrap();
        until(|| writer.health().faults() >= 2);
        fake.tell(|told| told.failure = Some(Fault::FolderGone.into()));
        until(|| writer.health().faults() >= 5);
        assert!(!writer.health().available());
        assert!(writer.health().durable() < ticket.0);
        fake.tell(|told| told.failure = None);
        until(|| writer.health().available());
        assert!(writer.health().durable() >= ticket.0);
        assert_eq!(writer.finish(0), 0);
        assert_eq!(fake.kinds(), ["intent", "fault", "fault", "stop"]);
    }

    #[test]
    fn what_is_given_up_is_counted_and_recorded() {
        let fake = Fake::default();
        fake.tell(|told| told.short_of_space = true);
        let writer = fake.writer();
        until(|| writer.health().short_of_space());
        writer.send(Class::Stranger, &line("outcome"));
        writer.send(Class::Stranger, &line("outcome"));
        writer.send(Class::BestEffort, &line("outcome"));
        assert_eq!((writer.health().lost_strangers(), writer.health().lost_best_effort()), (2, 0));
        until(|| fake.kinds().contains(&"loss".to_owned()));
        assert_eq!(writer.finish(0), 0, "what lines tell of is not missing");
        let told = fake.0.0.lock().unwrap();
        let loss = told.lines.iter().find(|line| line.contains("loss")).unwrap();
        assert!(loss.ends_with(r#""strangers":2,"best_effort":0}"#), "{loss}");
    }

    #[test]
    fn a_stop_ends_with_an_output_that_fails_and_says_what_was_lost() {
        let fake = Fake::default();
        fake.tell(|told| told.failure = Some(Fault::WriteFailed.into()));
        let writer = fake.writer();
        for _ in 0..2_000 {
            writer.send(Class::Required, &line("outcome"));
        }
        assert_eq!(writer.finish(0), 2_000);
        assert!(!writer.health().available());
    }
}
