//! What do the operators' counters say?
//!
//! Labels come from the configuration and from closed sets only, so no request can make a new series.

mod exposition;

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub use exposition::Format;

use crate::audit::AuditRecord;
use crate::config::Config;
use crate::ids::CallerId;
use crate::reject::Reject;
use crate::track::Step;

/// Seconds; from a refusal's tenth of a millisecond to a deadline's half minute.
const DURATION_BUCKETS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0];

/// Everything that `/metrics` shows.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram>,
    upstream: Family<EndpointLabels, Histogram>,
    attempts: Family<AttemptLabels, Counter>,
    /// Retries that the budget had no room for.
    pub retries_refused: Family<EndpointLabels, Counter>,
    /// Whether breakers are closed, half open or open.
    pub breaker_state: Family<BreakerLabels, Gauge>,
    limited: Family<LimitLabels, Counter>,
    swallowed: Counter,
    /// Bytes of bodies and answers in memory.
    pub memory: Family<MemoryLabels, Gauge>,
    /// Version of each credential pair in use.
    pub credential_version: Family<CredentialLabels, Gauge>,
    /// Seconds since that version was read.
    pub credential_age: Family<CredentialLabels, Gauge<f64, AtomicU64>>,
    /// Whether that version is suspended after a rejection.
    pub credential_suspended: Family<CredentialLabels, Gauge>,
    /// What happened to connections before or beside requests.
    pub connections: Family<ConnectionLabels, Counter>,
    /// Open connections.
    pub connections_open: Gauge,
    /// Requests in progress.
    pub requests_in_progress: Gauge,
    /// What became of configurations that were read again.
    pub reloads: ReloadMetrics,
    /// How the audit is written.
    pub audit: AuditMetrics,
}

/// What is shown of the configuration.
#[derive(Clone)]
pub struct ReloadMetrics {
    /// How often it was read again, by result.
    pub results: Family<ReloadLabels, Counter>,
    /// Whether the last one that was read is in force.
    pub last_successful: Gauge,
    /// Which one is in force.
    pub in_force: Family<ConfigLabels, Gauge>,
}

/// Labels of `config_reloads`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ReloadLabels {
    /// `applied`, `unchanged` or `refused`.
    pub result: &'static str,
}

/// Labels of `config_info`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ConfigLabels {
    /// The first 8 bytes of its digest, as in the audit record.
    pub digest: String,
}

/// What is shown of the audit's writer.
#[derive(Clone)]
pub struct AuditMetrics {
    /// Bytes that are not yet durable.
    pub pending: Gauge,
    /// Lines that are.
    pub written: Counter,
    /// Lines given up, by what they were about.
    pub lost: Family<LossLabels, Counter>,
    /// Faults of the output.
    pub faults: Counter,
    /// Whether required services are served.
    pub available: Gauge,
    /// Whether one commit takes too long.
    pub stalled: Gauge,
    /// Whether too little disk space is left for records of strangers.
    pub reserve_reached: Gauge,
    /// Number of the last durable line.
    pub last_seq: Gauge,
    /// How long commits took.
    pub commits: Histogram,
    /// Seconds since the last checkpoint; no number before the first.
    pub checkpoint_age: Gauge<f64, AtomicU64>,
}

/// Labels of `audit_lines_lost`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct LossLabels {
    /// `stranger`; or `best_effort`, which are refusals of callers too. What belongs to a forward of a required service is never given up.
    pub class: &'static str,
}

/// Labels of `requests`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    service: String,
    caller: String,
    outcome: &'static str,
    code: &'static str,
}

/// Labels of `request_duration`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DurationLabels {
    service: String,
    caller: String,
    outcome: &'static str,
}

/// Labels of `upstream_duration` and `upstream_retries_refused`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct EndpointLabels {
    /// The name in the configuration.
    pub endpoint: String,
}

/// Labels of `upstream_attempts`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AttemptLabels {
    endpoint: String,
    /// What ended it; empty where it was answered.
    code: &'static str,
}

/// Labels of `breaker_state`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct BreakerLabels {
    /// The name in the configuration.
    pub endpoint: String,
    /// `endpoint`: of all callers; `caller`: of the one that is named.
    pub scope: &'static str,
    /// Empty where it is everybody's.
    pub caller: String,
    /// `read` or `write`; empty where it is everybody's.
    pub effect: &'static str,
}

/// Labels of `limited`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LimitLabels {
    reason: &'static str,
}

/// Labels of `memory`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct MemoryLabels {
    /// `bodies` or `answers`.
    pub kind: &'static str,
}

/// Labels of the credential gauges.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct CredentialLabels {
    /// The name in the configuration.
    pub credential: String,
}

/// Labels of `build_info`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// Labels of `connections`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ConnectionLabels {
    /// `accepted`, `accept_failed`, `gave_way`, `refused_total`, `refused_peer`, `first_byte_timeout`,
    /// `header_timeout`, `idle_timeout`, `reader_timeout`, `tls_failed`, `bad_request_head`, `broken`.
    pub event: &'static str,
}

impl Metrics {
    /// Registers every metric.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("dcams_gateway");
        let durations = Family::new_with_constructor(duration_histogram as fn() -> Histogram);
        let upstream = Family::new_with_constructor(duration_histogram as fn() -> Histogram);
        let metrics = Self {
            requests: Family::default(),
            durations,
            upstream,
            attempts: Family::default(),
            retries_refused: Family::default(),
            breaker_state: Family::default(),
            limited: Family::default(),
            swallowed: Counter::default(),
            memory: Family::default(),
            credential_version: Family::default(),
            credential_age: Family::default(),
            credential_suspended: Family::default(),
            connections: Family::default(),
            connections_open: Gauge::default(),
            requests_in_progress: Gauge::default(),
            reloads: ReloadMetrics::register(&mut registry),
            audit: AuditMetrics::register(&mut registry),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests that ended, by outcome and code", metrics.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "From head to end",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        registry.register_with_unit(
            "upstream_duration",
            "Time spent in forward",
            Unit::Seconds,
            metrics.upstream.clone(),
        );
        registry.register(
            "upstream_attempts",
            "Attempts to send a request, by what ended them; no code: an answer",
            metrics.attempts.clone(),
        );
        registry.register(
            "upstream_retries_refused",
            "Retries that the budget had no room for",
            metrics.retries_refused.clone(),
        );
        registry.register(
            "breaker_state",
            "0 closed, 1 half open, 2 open; those of callers from the first change on",
            metrics.breaker_state.clone(),
        );
        registry.register(
            "limiter_refusals",
            "Requests refused by a limit, by its name, or because too much was in progress",
            metrics.limited.clone(),
        );
        registry.register(
            "audit_strangers_swallowed",
            "Refusals of strangers beyond the recorded rate",
            metrics.swallowed.clone(),
        );
        registry.register_with_unit(
            "memory",
            "Bodies and answers held in memory",
            Unit::Bytes,
            metrics.memory.clone(),
        );
        registry.register(
            "credential_version",
            "Version of the credentials in use",
            metrics.credential_version.clone(),
        );
        registry.register_with_unit(
            "credential_age",
            "Since this version of the credentials was read",
            Unit::Seconds,
            metrics.credential_age.clone(),
        );
        registry.register(
            "credential_suspended",
            "1 while DCAMS rejects these credentials",
            metrics.credential_suspended.clone(),
        );
        registry.register("connections", "Events of connections, by kind", metrics.connections.clone());
        registry.register("connections_open", "Connections that are open", metrics.connections_open.clone());
        registry.register(
            "requests_in_progress",
            "Requests in progress",
            metrics.requests_in_progress.clone(),
        );
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        // A gauge, because the classic text format knows no type for it.
        registry.register("build_info", "The running version", build);
        Self { registry, ..metrics }
    }

    /// Counts a request that ended.
    pub fn request_ended(&self, config: &Config, record: &AuditRecord) {
        let service = record.service.and_then(|id| config.services.get(usize::from(id.0)));
        let service = service.map_or("", |service| &service.name).to_owned();
        let caller = record.caller.map_or_else(|| "none".to_owned(), |id| self.caller_label(config, id));
        let outcome = record.outcome.name();
        let code = record.reject.as_ref().map_or("", Reject::code);
        let labels = DurationLabels { service: service.clone(), caller: caller.clone(), outcome };
        self.durations.get_or_create(&labels).observe(seconds(record.total_us));
        self.requests.get_or_create(&RequestLabels { service, caller, outcome, code }).inc();
        let reason = match record.reject {
            Some(Reject::RateLimited(exceeded)) => Some(exceeded.limit.name()),
            Some(Reject::Overloaded) => Some("overloaded"),
            _ => None,
        };
        if let Some(reason) = reason {
            self.limited.get_or_create(&LimitLabels { reason }).inc();
        }
        if let Some(endpoint) = record.endpoint.and_then(|id| config.endpoints.get(usize::from(id.0))) {
            self.exchange_ended(&endpoint.name, record);
        }
    }

    fn exchange_ended(&self, endpoint: &str, record: &AuditRecord) {
        for attempt in record.tried.iter().flatten() {
            let code = attempt.reject.as_ref().map_or("", Reject::code);
            self.attempts.get_or_create(&AttemptLabels { endpoint: endpoint.to_owned(), code }).inc();
        }
        // Of an exchange that was dropped half-way no duration is known.
        let spent = record.step_us.get(Step::Forward as usize).copied().filter(|spent| *spent > 0);
        if let Some(spent) = spent.filter(|_| record.upstream.attempts > 0) {
            let labels = EndpointLabels { endpoint: endpoint.to_owned() };
            self.upstream.get_or_create(&labels).observe(seconds(u64::from(spent)));
        }
    }

    /// Counts a stranger's refusal that was not recorded.
    pub fn stranger_swallowed(&self) {
        self.swallowed.inc();
    }

    /// Counts an event of a connection.
    pub fn connection(&self, event: &'static str) {
        self.connections.get_or_create(&ConnectionLabels { event }).inc();
    }

    /// Everything, as OpenMetrics.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Everything, in a format of the asker's choice.
    #[must_use]
    pub fn render_as(&self, format: Format) -> String {
        match format {
            Format::OpenMetrics => self.render(),
            Format::Classic => exposition::classic(&self.render()),
        }
    }

    /// What metrics call a caller.
    #[must_use]
    pub fn caller_label(&self, config: &Config, caller: CallerId) -> String {
        if !config.ops.caller_names {
            return format!("caller-{}", caller.0);
        }
        config.callers.get(usize::from(caller.0)).map_or_else(String::new, |caller| caller.name.to_string())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl ReloadMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            results: Family::default(),
            last_successful: Gauge::default(),
            in_force: Family::default(),
        };
        registry.register(
            "config_reloads",
            "How often the configuration was read again, by what became of it",
            metrics.results.clone(),
        );
        registry.register(
            "config_last_reload_successful",
            "0 while the configuration that was written last is not in force, because it has faults",
            metrics.last_successful.clone(),
        );
        registry.register(
            "config_info",
            "The configuration in force: the first 8 bytes of its digest, as in audit records",
            metrics.in_force.clone(),
        );
        metrics.last_successful.set(1);
        metrics
    }

    /// Counts one, and shows what is in force since.
    pub fn reloaded(&self, result: &'static str, successful: bool, digest: &[u8; 32]) {
        self.results.get_or_create(&ReloadLabels { result }).inc();
        self.last_successful.set(i64::from(successful));
        self.show(digest);
    }

    /// Shows what is in force.
    pub fn show(&self, digest: &[u8; 32]) {
        self.in_force.clear();
        let digest = crate::audit::hex(digest.get(..8).unwrap_or_default());
        self.in_force.get_or_create(&ConfigLabels { digest }).set(1);
    }
}

impl AuditMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            pending: Gauge::default(),
            written: Counter::default(),
            lost: Family::default(),
            faults: Counter::default(),
            available: Gauge::default(),
            stalled: Gauge::default(),
            reserve_reached: Gauge::default(),
            last_seq: Gauge::default(),
            commits: duration_histogram(),
            checkpoint_age: Gauge::default(),
        };
        registry.register_with_unit(
            "audit_pending",
            "Audit lines that are not yet durable",
            Unit::Bytes,
            metrics.pending.clone(),
        );
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("audit_available", "0 while required services are refused for the audit", &metrics.available);
        gauge("audit_stalled", "1 while a commit of the audit takes too long", &metrics.stalled);
        gauge(
            "audit_reserve_reached",
            "1 while so little disk space is left that records of strangers are only counted",
            &metrics.reserve_reached,
        );
        gauge("audit_last_seq", "Number of the last durable audit line", &metrics.last_seq);
        registry.register("audit_lines_written", "Audit lines that are durable", metrics.written.clone());
        registry.register(
            "audit_write_faults",
            "Attempts to write audit lines that failed or stalled",
            metrics.faults.clone(),
        );
        registry.register(
            "audit_lines_lost",
            "Audit lines given up because too many waited, or too little disk space was left",
            metrics.lost.clone(),
        );
        registry.register_with_unit(
            "audit_commit_duration",
            "Until a batch of audit lines is durable",
            Unit::Seconds,
            metrics.commits.clone(),
        );
        registry.register_with_unit(
            "audit_checkpoint_age",
            "Since the last signed checkpoint; NaN before the first",
            Unit::Seconds,
            metrics.checkpoint_age.clone(),
        );
        metrics
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a request are far below 2^52")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn duration_histogram() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}
