//! What happens when a request ends?

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::encode;
use super::health::Health;
use super::names::Names;
use super::record::AuditRecord;
use super::waiters::{Ticket, Waiters};
use super::writer::{Class, Writer};
use crate::config::{Config, Recording};
use crate::limits::{Limiter, limiter};
use crate::metrics::Metrics;
use crate::track::Track;

/// Turns each request of one configuration that ends into one audit line and its metrics.
pub struct Recorder {
    config: Arc<Config>,
    names: Names,
    writer: Arc<Writer>,
    metrics: Arc<Metrics>,
    strangers: Arc<Limiter>,
    counts: Arc<Counts>,
}

/// What is counted over all configurations.
#[derive(Default)]
struct Counts {
    in_progress: AtomicU64,
    swallowed: AtomicU32,
}

impl Recorder {
    /// Records requests of `config` to `writer`.
    #[must_use]
    pub fn new(config: Arc<Config>, writer: Arc<Writer>, metrics: Arc<Metrics>) -> Self {
        let strangers = Arc::new(limiter(config.audit.stranger_rate));
        Self { names: Names::of(&config), config, writer, metrics, strangers, counts: Arc::default() }
    }

    /// Records requests of `config`, which follows, and goes on counting.
    #[must_use]
    pub fn succeeded_by(&self, config: Arc<Config>) -> Self {
        let rate = config.audit.stranger_rate;
        let same = rate == self.config.audit.stranger_rate;
        Self {
            names: Names::of(&config),
            config,
            writer: Arc::clone(&self.writer),
            metrics: Arc::clone(&self.metrics),
            strangers: if same { Arc::clone(&self.strangers) } else { Arc::new(limiter(rate)) },
            counts: Arc::clone(&self.counts),
        }
    }

    /// A request's head is complete.
    pub fn request_began(&self) {
        self.counts.in_progress.fetch_add(1, Ordering::AcqRel);
    }

    /// Writes down that a request is about to be forwarded, and says whether that must be durable first. No ticket:
    /// it was not taken.
    pub fn intend(&self, track: &Track) -> (Option<Ticket>, Recording) {
        track.note(|record| {
            let recording = self.recording(record);
            let write = |buffer: &mut Vec<u8>| encode::intent(&self.names, record, buffer);
            let ticket = encoded(write, |line| self.writer.intend(class(recording), line, record.id));
            record.intended = ticket.is_some();
            (ticket, recording)
        })
    }

    /// Those who wait for their intents on one runtime.
    #[must_use]
    pub fn waiters(&self) -> Arc<Waiters> {
        let waiters = Waiters::new();
        self.writer.follow(&waiters);
        waiters
    }

    /// A request is over: counts it and writes its line.
    pub fn request_ended(&self, record: &mut AuditRecord) {
        self.metrics.request_ended(&self.config, record);
        if self.is_recorded(record) {
            let write = |buffer: &mut Vec<u8>| encode::outcome(&self.names, record, buffer);
            encoded(write, |line| match (record.intended, record.caller) {
                (true, _) => self.writer.close(line, record.id),
                (false, Some(_)) => self.writer.send(Class::BestEffort, line),
                (false, None) => self.writer.send(Class::Stranger, line),
            });
        }
        self.counts.in_progress.fetch_sub(1, Ordering::AcqRel);
    }

    /// Requests of all configurations whose record is not yet handed to the writer.
    #[must_use]
    pub fn in_progress(&self) -> u64 {
        self.counts.in_progress.load(Ordering::Acquire)
    }

    /// The configuration that names what records hold as numbers.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The metrics that go with the records.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether records reach their output.
    #[must_use]
    pub fn health(&self) -> &Health {
        self.writer.health()
    }

    fn recording(&self, record: &AuditRecord) -> Recording {
        let service = record.service.and_then(|id| self.config.services.get(usize::from(id.0)));
        service.map_or(Recording::Required, |service| service.audit)
    }

    /// Nobody without a key fills the disk: what nobody identified as a caller sent is recorded at a
    /// capped rate, and the next record says how many were left out.
    fn is_recorded(&self, record: &mut AuditRecord) -> bool {
        if record.caller.is_none() {
            if self.strangers.check().is_err() {
                self.counts.swallowed.fetch_add(1, Ordering::Relaxed);
                self.metrics.stranger_swallowed();
                return false;
            }
            record.swallowed = self.counts.swallowed.swap(0, Ordering::Relaxed);
        }
        true
    }
}

/// What may be given up of a request that is forwarded.
fn class(recording: Recording) -> Class {
    match recording {
        Recording::Required => Class::Required,
        Recording::BestEffort => Class::BestEffort,
    }
}

thread_local! {
    /// Lines are made one after the other, and copied by the writer: each thread needs room for one.
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What `take` makes of the line that `write` writes.
fn encoded<T>(write: impl FnOnce(&mut Vec<u8>), take: impl FnOnce(&[u8]) -> T) -> T {
    let mut line = LINE.take();
    line.clear();
    write(&mut line);
    let taken = take(&line);
    LINE.set(line);
    taken
}
