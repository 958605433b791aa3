//! What does the gateway run on, once a configuration was found good?
//!
//! Everything here is resolved: names became indices, units became numbers, references were
//! followed and schemas compiled. No value here is a secret: secrets stay in [`SecretRef`]s.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::fixed::FixedKeys;
use super::secrets::SecretUses;
use crate::audit::Retention;
use crate::ids::{CredentialId, EndpointId, ServiceId};
use crate::schema::Schema;

/// One immutable snapshot of the configuration. A request holds one from beginning to end.
pub struct Config {
    /// SHA-256 of the effective configuration (file and overrides) and the schemas; no secret enters it.
    pub digest: [u8; 32],
    /// Name of this instance in the audit record; default: the host's name.
    pub instance: Box<str>,
    /// The listener of the callers.
    pub data: Data,
    /// The listener of the operators.
    pub ops: Ops,
    /// Where audit records go.
    pub audit: Audit,
    /// How diagnostics are written to stderr.
    pub log: Log,
    /// How the upstream is spoken to.
    pub upstream: Upstream,
    /// Indexed by [`EndpointId`], in order of name.
    pub endpoints: Box<[Endpoint]>,
    /// Indexed by [`CredentialId`], in order of name.
    pub credentials: Box<[Credential]>,
    /// Indexed by [`ServiceId`], in order of name.
    pub services: Box<[Service]>,
    /// Indexed by [`CallerId`](crate::ids::CallerId), in order of the file.
    pub callers: Box<[Caller]>,
    /// The folder of the schema files; `None`: those that are built in.
    pub schemas_dir: Option<PathBuf>,
    /// What cannot be changed while the gateway runs, for [`judge_fixed`](super::judge_fixed).
    pub fixed: FixedKeys,
    /// Where the file refers to secrets, for the reports of [`read_secrets`](super::read_secrets).
    pub secret_uses: SecretUses,
}

/// `[data]`.
pub struct Data {
    /// At least one.
    pub listen: Box<[Listen]>,
    /// Served on the TCP listeners when present.
    pub tls: Option<TlsFiles>,
    /// Worker threads, at least 1; default: one per core.
    pub workers: usize,
    /// All request bodies in memory at once, bytes.
    pub body_budget_bytes: u64,
    /// All upstream answers in memory at once, bytes.
    pub answer_budget_bytes: u64,
    /// How much of `body_budget_bytes` one caller may hold, bytes (written in percent).
    pub caller_share_bytes: u64,
    /// How long a body waits for a full budget before 503 `overloaded`.
    pub budget_wait: Duration,
    /// A body slower than this, averaged since its request head and after `min_body_rate_grace`, is 408;
    /// 0: none is.
    pub min_body_rate_bytes_per_s: u64,
    /// How long a body may be slower than the minimum rate.
    pub min_body_rate_grace: Duration,
    /// From accept to the first byte (of TLS or HTTP).
    pub first_byte_timeout: Duration,
    /// From the first byte of a head to its last.
    pub header_timeout: Duration,
    /// From the head to the last byte of the body.
    pub body_timeout: Duration,
    /// A kept-alive connection without a request, or whose caller reads nothing of an answer, is closed after
    /// this.
    pub idle_timeout: Duration,
    /// Open connections in total.
    pub max_connections: usize,
    /// Open connections per peer (IP address, or uid on a unix socket).
    pub max_connections_per_peer: usize,
    /// Requests in progress in total; more are 503 `overloaded`.
    pub max_requests: usize,
    /// Largest request head, bytes.
    pub max_head_bytes: usize,
    /// `Host` values (without port, lower case) accepted on loopback TCP listeners, of the operators too.
    pub hosts: Box<[Box<str>]>,
    /// How long SIGTERM waits for requests in flight.
    pub drain_timeout: Duration,
    /// How long after SIGTERM requests on open connections are still served; later ones are 503 `draining`.
    pub drain_grace: Duration,
}

/// One address of `data.listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `"127.0.0.1:3226"`; not loopback only with TLS.
    Tcp(SocketAddr),
    /// `"unix:/run/dcams-gateway/data.sock"`.
    Unix(PathBuf),
}

/// Certificate chain and key in PEM files; read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM, leaf first.
    pub cert: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// `[ops]`.
pub struct Ops {
    /// `None` when `listen = "off"`.
    pub listen: Option<SocketAddr>,
    /// Whether callers' names appear as labels in `/metrics`; default: only when `listen` is loopback.
    pub caller_names: bool,
}

/// `[audit]`.
pub struct Audit {
    /// Where the lines go.
    pub output: AuditOutput,
    /// Key of the fingerprints (HMAC-SHA-256), 32 bytes or more.
    pub fingerprint_key: SecretRef,
    /// Name of that key in the records, 1 to 32 of `[a-z0-9-]`.
    pub fingerprint_key_id: Box<str>,
    /// At which rate is recorded what nobody identified as a caller sent; the rest is counted.
    pub stranger_rate: Rate,
}

/// `audit.output`: `"stdout"` or `{ folder = "…" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditOutput {
    /// Standard output: numbered lines, as durable as what reads them.
    Stdout,
    /// A chain of segments.
    Folder(AuditFolder),
}

/// A folder of audit segments, and the keys of `[audit]` that have a meaning only there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFolder {
    /// Where the segments are; made 0750 where there is none.
    pub path: PathBuf,
    /// Ed25519 key of the checkpoints, PKCS#8 in PEM.
    pub signing_key: SecretRef,
    /// The secret that a new chain begins with; `None` where the folder holds a chain and it was taken away.
    pub chain_key: Option<SecretRef>,
    /// A segment that has this many bytes is ended.
    pub segment_bytes: u64,
    /// A segment that is this old is ended.
    pub segment_age: Duration,
    /// How often a checkpoint is written while there are lines.
    pub checkpoint_interval: Duration,
    /// Which ended segments are kept.
    pub retention: Retention,
    /// With less free disk space, records of strangers are counted and not written, bytes; 0: they always are.
    pub reserve_bytes: u64,
}

/// `[log]`.
pub struct Log {
    /// A `tracing` filter, for example `"info"` or `"dcams_gateway=debug"`.
    pub filter: Box<str>,
    /// JSON lines or text.
    pub format: LogFormat,
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// `[upstream]`: what all endpoints share.
pub struct Upstream {
    /// HTTP/1.1 (default) or HTTP/2.
    pub http: HttpVersion,
    /// Which certificate authorities are trusted.
    pub roots: Roots,
    /// TCP and TLS handshakes together.
    pub connect_timeout: Duration,
    /// Idle upstream connections are closed after this.
    pub idle_timeout: Duration,
    /// Idle connections that each worker keeps per caller and endpoint.
    pub max_idle_per_caller: usize,
    /// Idle connections that all workers together keep: no key of its own, but what the callers could need, or what
    /// the descriptors of the process allow.
    pub max_idle: usize,
    /// Largest answer, bytes.
    pub answer_limit_bytes: u64,
    /// What is sent again, and how often.
    pub retry: Retry,
    /// When nothing is sent.
    pub breaker: Breaker,
    /// The loud opt-in `plain_http_to_loopback = true`: an `http://` URL is accepted for loopback hosts.
    pub plain_http_to_loopback: bool,
}

/// `[upstream.retry]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts of one request at most, at least 1.
    pub attempts: u32,
    /// After this a read is tried again rather than waited for; `None`: half of the endpoint's deadline.
    pub attempt_timeout: Option<Duration>,
    /// The longest pause before the second attempt; it doubles with each further one.
    pub backoff_base: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// So many retries per hundred requests of a caller.
    pub budget_percent: u8,
    /// So many more a second.
    pub budget_min_per_s: u32,
    /// How long a request counts; 1 to 60 seconds.
    pub budget_window: Duration,
}

impl Retry {
    /// Nothing is sent a second time.
    #[must_use]
    pub fn once() -> Self {
        Self {
            attempts: 1,
            attempt_timeout: None,
            backoff_base: Duration::from_millis(50),
            backoff_max: Duration::from_secs(1),
            budget_percent: 20,
            budget_min_per_s: 1,
            budget_window: Duration::from_secs(10),
        }
    }

    /// Retries per request, as tower's budget takes them: it cuts the inverse to a whole number of requests for each
    /// retry, which must not be fewer than was configured.
    #[must_use]
    pub fn budget_share(&self) -> f32 {
        match self.budget_percent {
            0 => 0.0,
            percent => 1.0 / (f32::from(100_u8.div_ceil(percent)) + 0.5),
        }
    }
}

/// `[upstream.breaker]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Failures within the window that open it; 0: it never opens.
    pub failures: u32,
    /// Which part of all attempts they must be, percent.
    pub share_percent: u8,
    /// How long an attempt counts.
    pub window: Duration,
    /// An answer that takes longer counts as a failure.
    pub slow: Duration,
    /// How long it stays open for the first time, at most.
    pub open_for: Duration,
    /// How long it stays open when probes keep failing, at most.
    pub open_max: Duration,
    /// Attempts at once that probe it, and how many of them must be fine to close it; at least 1.
    pub probes: usize,
}

impl Breaker {
    /// One that never opens.
    #[must_use]
    pub fn never() -> Self {
        Self {
            failures: 0,
            share_percent: 50,
            window: Duration::from_secs(10),
            slow: Duration::from_secs(15),
            open_for: Duration::from_secs(5),
            open_max: Duration::from_secs(60),
            probes: 3,
        }
    }
}

/// `upstream.http`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// `"1.1"`
    Http1,
    /// `"2"`
    Http2,
}

/// `upstream.roots`: `"native"`, `"webpki"` or `{ file = "…" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The operating system's store.
    Native,
    /// Mozilla's roots, built in.
    Webpki,
    /// A PEM file.
    File(PathBuf),
}

/// `[endpoints.NAME]`.
pub struct Endpoint {
    /// The name in the configuration.
    pub name: Box<str>,
    /// What callers post to: starts with `/`, no query.
    pub path: Box<str>,
    /// Where it is forwarded to.
    pub url: UpstreamUrl,
    /// The top-level body member that names the service; `None`: the endpoint has exactly one service.
    pub service_member: Option<Box<str>>,
    /// From the start of the forward to the last byte of the answer; a write that was begun is seen through for
    /// up to twice as long.
    pub deadline: Duration,
    /// The services of this endpoint.
    pub services: Box<[ServiceId]>,
}

/// An absolute URL without user info, query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// `https`, else plain HTTP to loopback.
    pub tls: bool,
    /// Host name or IP literal (without brackets).
    pub host: Box<str>,
    /// Default 443 or 80.
    pub port: u16,
    /// Starts with `/`.
    pub path: Box<str>,
    /// What the `Host` header says.
    pub authority: Box<str>,
}

/// `[credentials.NAME]`.
pub struct Credential {
    /// The name in the configuration.
    pub name: Box<str>,
    /// API user name.
    pub user: SecretRef,
    /// API password.
    pub pass: SecretRef,
    /// User name and password that are used while the first are rejected.
    pub next: Option<[SecretRef; 2]>,
    /// A limit for the account as a whole.
    pub rate: Option<Rate>,
}

/// Where a secret is read from; never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// `{ file = "…" }`
    File(PathBuf),
    /// `{ env = "…" }`
    Env(Box<str>),
    /// `{ credential = "…" }`: a file of that name in `$CREDENTIALS_DIRECTORY` (systemd).
    Credential(Box<str>),
}

/// `[services.NAME]`; the name is the value of the endpoint's service member.
pub struct Service {
    /// The name in the configuration.
    pub name: Box<str>,
    /// Where it belongs.
    pub endpoint: EndpointId,
    /// Whether the schema's verdict is enforced.
    pub validate: Validate,
    /// Compiled.
    pub schema: Arc<Schema>,
    /// Decides the retry rule and what happens when a caller leaves.
    pub effect: Effect,
    /// Largest body, bytes.
    pub body_limit_bytes: u64,
    /// What a request waits for before it is forwarded.
    pub audit: Recording,
}

/// `services.NAME.audit`: both write the same records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Nothing is forwarded before its intent is durable.
    Required,
    /// The intent is written, and not waited for.
    BestEffort,
}

/// `services.NAME.validate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validate {
    /// A violation is refused.
    Enforce,
    /// A violation is recorded and forwarded.
    Report,
}

/// `services.NAME.effect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing upstream.
    Read,
    /// May change something upstream: sent at most once.
    Write,
}

impl Effect {
    /// The name in the configuration, in records and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// `[[callers]]`.
pub struct Caller {
    /// The name in the configuration.
    pub name: Box<str>,
    /// How the caller is known; at least one way.
    pub known_by: KnownBy,
    /// The pair injected for this caller.
    pub credentials: CredentialId,
    /// All requests of this caller.
    pub rate: Rate,
    /// Further limits per service.
    pub service_rates: BTreeMap<ServiceId, Rate>,
    /// Requests in progress.
    pub max_requests: usize,
    /// Body bytes in memory; at most `data.caller_share_bytes`.
    pub max_body_bytes: u64,
    /// The services this caller may use.
    pub services: Box<[ServiceId]>,
}

/// The ways in which a caller is known.
#[derive(Default)]
pub struct KnownBy {
    /// Bearer keys.
    pub keys: Box<[KeyHash]>,
    /// User id of a peer on a unix socket.
    pub uid: Option<u32>,
    /// Everybody without a key, on loopback only; for first steps.
    pub anonymous: bool,
}

/// A stored bearer key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHash {
    /// SHA-256 of the key's text.
    pub sha256: [u8; 32],
    /// The key is refused from this instant on.
    pub expires: Option<jiff::Timestamp>,
}

/// A quota: `{ per_second = 50, burst = 100 }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// 1 to 1,000,000.
    pub per_second: u32,
    /// 1 to 1,000,000; default: `per_second`.
    pub burst: u32,
}
