//! What did everybody see?
//!
//! Times are milliseconds since the beginning of the run, and the same for all hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use dcams_gateway::digest::sha256;
use uuid::Uuid;

use crate::rules::InForce;

/// One attempt of one caller: the caller's number times [`ATTEMPTS`], plus a counter.
pub type Attempt = u64;

/// More than any caller makes.
pub const ATTEMPTS: u64 = 10_000;

/// Shared by everybody in one run.
#[derive(Clone, Default)]
pub struct Witness(Arc<Mutex<Facts>>);

#[derive(Default)]
pub struct Facts {
    pub now_ms: u64,
    /// By callers.
    pub sent: BTreeMap<Attempt, Sent>,
    /// At the upstream, in the order of their first byte.
    pub received: Vec<Received>,
    /// Since when the intent of an attempt is durable.
    pub durable_ms: BTreeMap<Attempt, u64>,
    /// When and what the gateway began to write to the upstream.
    pub written: Vec<(u64, Attempt)>,
    /// When the gateway was killed.
    pub crashes_ms: Vec<u64>,
    pub stops: Vec<Stop>,
    /// The configurations in their order.
    pub in_force: Vec<InForce>,
    /// Callers whose link to the gateway failed, or was slow, at any time.
    pub rough: BTreeSet<u64>,
    pub events: BTreeMap<&'static str, u64>,
    trace: Vec<String>,
}

/// What one caller sent, and what came of it.
pub struct Sent {
    /// Since when its connection was known to be open and had nothing to do.
    pub open_ms: u64,
    pub at_ms: u64,
    pub ended_ms: u64,
    pub service: &'static str,
    /// With a key that nobody has.
    pub stranger: bool,
    /// So slowly that the time for its head may have been up.
    pub dawdles: bool,
    pub end: End,
}

/// The gateway was told to stop, and did.
pub struct Stop {
    pub begun_ms: u64,
    pub ended_ms: u64,
    /// Its time was up before all was done.
    pub cut: bool,
}

#[derive(Debug)]
pub enum End {
    /// Not yet.
    Open,
    /// The caller left first.
    Left,
    /// The connection broke before there was an answer.
    Broken,
    Answered(Answered),
}

#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    /// The member `code` of a problem.
    pub code: Option<String>,
    /// Whether the problem says that nobody knows the outcome.
    pub unknown: bool,
    /// Whose answer it is.
    pub of: Option<Attempt>,
}

/// One request at the upstream, perhaps a part of it.
#[derive(Clone)]
pub struct Received {
    /// When its first byte came.
    pub at_ms: u64,
    /// `None` where too little of it came.
    pub attempt: Option<Attempt>,
    /// The versions that its `user` and `pass` belong to.
    pub user: Option<u64>,
    pub pass: Option<u64>,
    pub whole: bool,
    /// It was carried out.
    pub executed: bool,
    /// It was answered that its credentials are wrong.
    pub rejected: bool,
    /// On its connection an earlier request was answered twice: its answer may be another one's, of the same caller.
    pub behind_extra: bool,
}

impl Sent {
    pub fn is_write(&self) -> bool {
        self.service != "getStatus"
    }
}

impl Witness {
    pub fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap()
    }

    pub fn now_ms(&self) -> u64 {
        self.facts().now_ms
    }

    /// Something that may be counted, and a detail that is the same for the same seed.
    pub fn tell(&self, event: &'static str, detail: impl std::fmt::Display) {
        self.facts().tell(event, detail);
    }
}

impl Facts {
    pub fn tell(&mut self, event: &'static str, detail: impl std::fmt::Display) {
        *self.events.entry(event).or_default() += 1;
        self.trace.push(format!("{:>6} {event} {detail}", self.now_ms));
    }

    /// All that was told, in order.
    pub fn trace(&self) -> String {
        self.trace.join("\n")
    }

    /// The same for the same course of events.
    pub fn digest(&self) -> String {
        sha256([self.trace().as_bytes()]).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The id that a caller gives an attempt, which the gateway records.
pub fn id_of(attempt: Attempt) -> Uuid {
    Uuid::from_u128(0x5151_0000_0000_7000_8000_0000_0000_0000 | u128::from(attempt))
}

/// The attempt with that id.
pub fn attempt_of(id: &str) -> Option<Attempt> {
    let number = Uuid::parse_str(id).ok()?.as_u128();
    let attempt = Attempt::try_from(number & u128::from(u64::MAX >> 16)).ok()?;
    (id_of(attempt).as_u128() == number).then_some(attempt)
}

/// The e-mail address that stands in every body of an attempt, and in its answer.
pub fn email_of(attempt: Attempt) -> String {
    format!("attempt-{attempt}@example.com")
}

/// Whose e-mail address is in `text`.
pub fn attempt_in(text: &[u8]) -> Option<Attempt> {
    let text = String::from_utf8_lossy(text);
    let (_, rest) = text.split_once("attempt-")?;
    rest.split_once('@')?.0.parse().ok()
}
