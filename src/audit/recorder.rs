//! What happens when a request ends?

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use governor::RateLimiter;
use governor::clock::MonotonicClock;
use governor::state::InMemoryState;
use governor::state::direct::NotKeyed;

use super::encode::{Names, encode};
use super::health::Health;
use super::record::AuditRecord;
use super::writer::{Class, Writer};
use crate::config::{Config, Rate};
use crate::limits::limiter;
use crate::metrics::Metrics;

/// Counts requests in progress, and turns each that ends into one audit line and its metrics.
pub struct Recorder {
    config: Arc<Config>,
    names: Names,
    writer: Arc<Writer>,
    metrics: Arc<Metrics>,
    in_progress: AtomicU64,
    strangers: RateLimiter<NotKeyed, InMemoryState, MonotonicClock>,
    swallowed: AtomicU32,
}

impl Recorder {
    /// Records requests of `config` to `writer`.
    #[must_use]
    pub fn new(config: Arc<Config>, writer: Arc<Writer>, metrics: Arc<Metrics>) -> Self {
        let Rate { per_second, burst } = config.audit.stranger_rate;
        Self {
            names: Names::of(&config),
            strangers: limiter(Rate { per_second, burst }),
            config,
            writer,
            metrics,
            in_progress: AtomicU64::new(0),
            swallowed: AtomicU32::new(0),
        }
    }

    /// A request's head is complete.
    pub fn request_began(&self) {
        self.in_progress.fetch_add(1, Ordering::AcqRel);
    }

    /// A request is over: counts it and writes its line.
    pub fn request_ended(&self, mut record: AuditRecord) {
        self.metrics.request_ended(&self.config, &record);
        if self.is_recorded(&mut record) {
            let class = if record.caller.is_some() { Class::Required } else { Class::Stranger };
            let line = encode(&self.config, &self.names, &record);
            self.writer.send(class, line.strip_suffix(b"\n").unwrap_or(&line));
        }
        self.in_progress.fetch_sub(1, Ordering::AcqRel);
    }

    /// Requests whose record is not yet handed to the writer.
    #[must_use]
    pub fn in_progress(&self) -> u64 {
        self.in_progress.load(Ordering::Acquire)
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

    /// Nobody without a key fills the disk: what nobody identified as a caller sent is recorded at a
    /// capped rate, and the next record says how many were left out.
    fn is_recorded(&self, record: &mut AuditRecord) -> bool {
        if record.caller.is_none() {
            if self.strangers.check().is_err() {
                self.swallowed.fetch_add(1, Ordering::Relaxed);
                self.metrics.stranger_swallowed();
                return false;
            }
            record.swallowed = self.swallowed.swap(0, Ordering::Relaxed);
        }
        true
    }
}
