//! What does the writer tell of itself?

use std::time::SystemTime;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::hex;
use super::trail::{Failure, Fault};

/// Who writes: what every start, and every segment, tells.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Name of this gateway.
    pub instance: String,
    /// Version of this program.
    pub version: String,
    /// Digest of the whole configuration.
    pub config: [u8; 32],
    /// Each service's name and the digest of its schema.
    pub services: Vec<(String, [u8; 32])>,
}

/// Whether a version of a pair of credentials is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialState {
    /// It is the one that is injected from now on.
    Current,
    /// DCAMS rejected it: nothing is sent with it.
    Suspended,
    /// DCAMS took it again.
    Accepted,
}

/// One of the lines `segment` tells of: its first and last number, and the SHA-256 of all its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentFacts {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) sha256: [u8; 32],
}

/// What the first line of a segment tells.
pub(super) struct SegmentHead<'a> {
    pub(super) chain: Uuid,
    pub(super) epoch: u64,
    pub(super) origin: &'a Origin,
    pub(super) previous: Option<SegmentFacts>,
    pub(super) open: &'a [u128],
}

/// What a checkpoint vouches for.
pub(super) struct Checkpoint {
    pub(super) chain: Uuid,
    pub(super) epoch: u64,
    pub(super) first: u64,
    pub(super) sha256: [u8; 32],
    pub(super) key: [u8; 8],
}

/// A version of a pair of credentials came into use, was suspended or accepted again.
#[must_use]
pub fn credentials(name: &str, version: u32, state: CredentialState) -> Vec<u8> {
    #[derive(Serialize)]
    struct Members<'a> {
        credential: &'a str,
        version: u32,
        state: &'static str,
    }
    let state = match state {
        CredentialState::Current => "current",
        CredentialState::Suspended => "suspended",
        CredentialState::Accepted => "accepted",
    };
    object("credentials", &Members { credential: name, version, state })
}

/// Why a configuration was read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadCause {
    /// SIGHUP.
    Signal,
    /// One of its files changed.
    Change,
}

/// What became of a configuration that was read again; digests of whole configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadResult {
    /// It is in force.
    Applied {
        /// What was in force before.
        previous: [u8; 32],
        /// What is in force now.
        config: [u8; 32],
    },
    /// It is what was in force already.
    Unchanged {
        /// What is in force.
        config: [u8; 32],
    },
    /// It has faults.
    Refused {
        /// What stays in force.
        config: [u8; 32],
        /// What was refused, where it was sound in itself.
        refused: Option<[u8; 32]>,
        /// How many.
        faults: usize,
    },
}

impl ReloadResult {
    /// The name in records and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Applied { .. } => "applied",
            Self::Unchanged { .. } => "unchanged",
            Self::Refused { .. } => "refused",
        }
    }
}

/// The configuration was read again.
#[must_use]
pub fn reload(cause: ReloadCause, result: &ReloadResult) -> Vec<u8> {
    #[derive(Serialize)]
    struct Members {
        cause: &'static str,
        result: &'static str,
        config: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        previous: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        faults: Option<usize>,
    }
    let (config, previous, refused, faults) = match *result {
        ReloadResult::Applied { previous, config } => (config, Some(previous), None, None),
        ReloadResult::Unchanged { config } => (config, None, None, None),
        ReloadResult::Refused { config, refused, faults } => (config, None, refused, Some(faults)),
    };
    let shown = |digest: Option<[u8; 32]>| digest.map(|digest| hex(&digest));
    let members = Members {
        cause: match cause {
            ReloadCause::Signal => "signal",
            ReloadCause::Change => "change",
        },
        result: result.name(),
        config: hex(&config),
        previous: shown(previous),
        refused: shown(refused),
        faults,
    };
    object("reload", &members)
}

/// A breaker opened or closed: that of an endpoint, or one of a caller's own, for its reads or its writes.
#[must_use]
pub fn breaker(endpoint: &str, own: Option<(&str, &'static str)>, state: &'static str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Members<'a> {
        endpoint: &'a str,
        scope: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        caller: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        effect: Option<&'static str>,
        state: &'static str,
    }
    let scope = if own.is_some() { "caller" } else { "endpoint" };
    let (caller, effect) = own.unzip();
    object("breaker", &Members { endpoint, scope, caller, effect, state })
}

pub(super) fn start(origin: &Origin) -> Vec<u8> {
    #[derive(Serialize)]
    struct Service<'a> {
        name: &'a str,
        schema: String,
    }
    #[derive(Serialize)]
    struct Members<'a> {
        instance: &'a str,
        version: &'a str,
        config: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        services: Vec<Service<'a>>,
    }
    let services =
        origin.services.iter().map(|(name, schema)| Service { name, schema: hex(schema) }).collect();
    let (instance, version) = (&origin.instance, &origin.version);
    object("start", &Members { instance, version, config: hex(&origin.config), services })
}

pub(super) fn stop(in_progress: u64) -> Vec<u8> {
    #[derive(Serialize)]
    struct Members {
        in_progress: u64,
    }
    object("stop", &Members { in_progress })
}

pub(super) fn loss(strangers: u64, best_effort: u64) -> Vec<u8> {
    #[derive(Serialize)]
    struct Members {
        strangers: u64,
        best_effort: u64,
    }
    object("loss", &Members { strangers, best_effort })
}

pub(super) fn repair(torn_bytes: u64) -> Vec<u8> {
    #[derive(Serialize)]
    struct Members {
        torn_bytes: u64,
    }
    object("repair", &Members { torn_bytes })
}

/// `good`: number of the last line that is durable, 0 for none.
pub(super) fn fault(failure: Failure, since: SystemTime, good: u64) -> Vec<u8> {
    #[derive(Serialize)]
    struct Members {
        fault: &'static str,
        since: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        os: Option<i32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        good: Option<u64>,
    }
    let Failure { fault, os } = failure;
    let since = time(Timestamp::try_from(since).unwrap_or(Timestamp::UNIX_EPOCH));
    object("fault", &Members { fault: Fault::name(fault), since, os, good: (good > 0).then_some(good) })
}

pub(super) fn segment(head: &SegmentHead<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Members<'a> {
        chain: String,
        epoch: u64,
        instance: &'a str,
        version: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        previous: Option<Facts>,
        open: Vec<String>,
    }
    let members = Members {
        chain: head.chain.to_string(),
        epoch: head.epoch,
        instance: &head.origin.instance,
        version: &head.origin.version,
        previous: head.previous.map(Facts::of),
        open: head.open.iter().map(|id| Uuid::from_u128(*id).to_string()).collect(),
    };
    object("segment", &members)
}

pub(super) fn retention(removed: &[SegmentFacts]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Members {
        removed: Vec<Facts>,
    }
    object("retention", &Members { removed: removed.iter().copied().map(Facts::of).collect() })
}

pub(super) fn checkpoint(checkpoint: &Checkpoint) -> Vec<u8> {
    #[derive(Serialize)]
    struct Members {
        chain: String,
        epoch: u64,
        first: u64,
        sha256: String,
        key: String,
    }
    let members = Members {
        chain: checkpoint.chain.to_string(),
        epoch: checkpoint.epoch,
        first: checkpoint.first,
        sha256: hex(&checkpoint.sha256),
        key: hex(&checkpoint.key),
    };
    object("checkpoint", &members)
}

/// The outcome of a request that was in progress when the gateway died: what the line of its intent told. `None` where
/// that is no line.
pub(super) fn unknown(intent: &[u8]) -> Option<Vec<u8>> {
    #[derive(Serialize)]
    struct Unknown {
        v: u8,
        kind: &'static str,
        time: Value,
        id: Value,
        outcome: &'static str,
        #[serde(flatten)]
        members: Map<String, Value>,
    }
    let mut members: Map<String, Value> = serde_json::from_str(std::str::from_utf8(intent).ok()?).ok()?;
    for left_out in ["seq", "v", "kind", "bytes", "mac"] {
        members.remove(left_out);
    }
    let (time, id) = (members.remove("time")?, members.remove("id")?);
    serde_json::to_vec(&Unknown { v: 1, kind: "outcome", time, id, outcome: "unknown", members }).ok()
}

#[derive(Serialize)]
struct Facts {
    first: u64,
    last: u64,
    sha256: String,
}

impl Facts {
    fn of(facts: SegmentFacts) -> Self {
        Self { first: facts.first, last: facts.last, sha256: hex(&facts.sha256) }
    }
}

/// `{"v":1,"kind":…,"time":…` and the members.
fn object(kind: &'static str, members: &impl Serialize) -> Vec<u8> {
    #[derive(Serialize)]
    struct Event<'a, M> {
        v: u8,
        kind: &'static str,
        time: String,
        #[serde(flatten)]
        members: &'a M,
    }
    // Serialising numbers and names into memory cannot fail.
    serde_json::to_vec(&Event { v: 1, kind, time: time(Timestamp::now()), members }).unwrap_or_default()
}

fn time(time: Timestamp) -> String {
    format!("{time:.6}")
}
