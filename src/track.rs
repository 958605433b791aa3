//! Who owns the record of a request, and when is it written?
//!
//! Every holder of a request (the stack's future, the answer's body, a task that finishes a write
//! after its caller left) holds a [`Track`]. When the last of them lets go, however that came about,
//! the record is written: once, for every way in which a request can end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::HeaderValue;

use crate::audit::{AuditRecord, IdentifiedBy, Outcome, PeerKind, Recorder};
use crate::ids::CallerId;
use crate::reject::{Fate, Reject};

/// The steps whose time is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Who is calling?
    Identify,
    /// Is this our path, method, media type?
    Route,
    /// Has this caller quota and a free slot?
    Admit,
    /// Is the whole body here? It is parsed while it comes.
    Receive,
    /// Is it strict JSON?
    Parse,
    /// May this caller use this service?
    Authorize,
    /// Does it obey the schema?
    Validate,
    /// Is the intent durable?
    Record,
    /// Are the credentials in?
    Inject,
    /// What did the upstream answer?
    Forward,
}

impl Step {
    /// How many steps there are.
    pub const COUNT: usize = 10;

    /// Every step, in order, with its name in the record.
    pub const ALL: [(Self, &'static str); Self::COUNT] = [
        (Self::Identify, "identify"),
        (Self::Route, "route"),
        (Self::Admit, "admit"),
        (Self::Receive, "receive"),
        (Self::Parse, "parse"),
        (Self::Authorize, "authorize"),
        (Self::Validate, "validate"),
        (Self::Record, "record"),
        (Self::Inject, "inject"),
        (Self::Forward, "forward"),
    ];

    /// The name in the record and in diagnostics.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.get(self as usize).map_or("", |(_, name)| name)
    }
}

/// What can name its [`Track`]: everything that a stage makes.
pub trait Tracks {
    /// The track of this request.
    fn track(&self) -> &Track;
}

/// A shared hold on the record of one request.
#[derive(Clone)]
pub struct Track(Arc<Held>);

struct Held {
    recorder: Arc<Recorder>,
    started: Instant,
    /// What `X-Request-Id` of the answer says. It is never recorded.
    request_id: HeaderValue,
    http1: bool,
    state: Mutex<State>,
}

struct State {
    record: AuditRecord,
    lap: Instant,
}

impl Track {
    /// Begins the record of a request.
    pub fn begin(
        recorder: Arc<Recorder>,
        id: uuid::Uuid,
        echo: Option<HeaderValue>,
        peer: PeerKind,
        http1: bool,
    ) -> Self {
        let now = Instant::now();
        let request_id = echo.unwrap_or_else(|| id_header(id));
        recorder.request_began();
        tracing::trace!(request = %id, "began");
        let state = Mutex::new(State { record: AuditRecord::begin(id.as_u128(), peer), lap: now });
        Self(Arc::new(Held { recorder, started: now, request_id, http1, state }))
    }

    /// Writes facts into the record.
    pub fn note<T>(&self, facts: impl FnOnce(&mut AuditRecord) -> T) -> T {
        facts(&mut self.0.state().record)
    }

    /// Who asked, and by what that was known, where it was found out.
    pub fn identity(&self) -> (Option<CallerId>, Option<IdentifiedBy>) {
        self.note(|record| (record.caller, record.identified_by))
    }

    /// Reads the record as it stands.
    pub fn record(&self) -> AuditRecord {
        self.0.state().record
    }

    /// Ends the time of `step`.
    pub fn lap(&self, step: Step) {
        let mut state = self.0.state();
        let now = Instant::now();
        let spent = micros(now.duration_since(state.lap));
        state.lap = now;
        if let Some(slot) = state.record.step_us.get_mut(step as usize) {
            *slot = slot.saturating_add(spent);
        }
        tracing::trace!(request = %uuid::Uuid::from_u128(state.record.id), step = step.name(), spent_us = spent, "passed");
    }

    /// Notes that the gateway answers with `reject`.
    pub fn refused(&self, reject: &Reject) {
        self.note(|record| {
            // After its intent nothing else refuses a request for the sake of its record.
            let late = record.intended && *reject == Reject::AuditUnavailable;
            record.outcome = if late { Outcome::NotSent } else { Outcome::Refused };
            record.reject = Some(*reject);
            record.status = reject.status().as_u16();
            record.upstream.fate_unknown |= reject.fate() == Fate::Unknown;
            tracing::debug!(request = %uuid::Uuid::from_u128(record.id), code = reject.code(), "refused");
        });
    }

    /// Notes that `bytes` of the answer were handed to the caller's connection.
    pub fn returned(&self, bytes: usize) {
        self.note(|record| {
            record.returned_bytes += bytes as u64;
            if record.outcome == Outcome::Abandoned {
                record.outcome = Outcome::Truncated;
            }
        });
    }

    /// Notes that the whole answer was handed to the caller's connection.
    pub fn delivered(&self) {
        self.note(|record| {
            if !matches!(record.outcome, Outcome::Refused | Outcome::NotSent) {
                record.outcome = Outcome::Forwarded;
            }
        });
    }

    /// What `X-Request-Id` of the answer says.
    #[must_use]
    pub fn request_id(&self) -> &HeaderValue {
        &self.0.request_id
    }

    /// Whether the caller speaks HTTP/1, where a connection can be closed by a header.
    #[must_use]
    pub fn http1(&self) -> bool {
        self.0.http1
    }

    /// The configuration's names for what the record holds as numbers.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.0.recorder
    }
}

impl Held {
    /// A panic elsewhere in this request must not lose its record, so a poisoned lock is entered.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let record = &mut self.state.get_mut().unwrap_or_else(PoisonError::into_inner).record;
        record.total_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let (id, outcome) = (uuid::Uuid::from_u128(record.id), record.outcome.name());
        tracing::debug!(request = %id, outcome, status = record.status, total_us = record.total_us, "ended");
        self.recorder.request_ended(record);
    }
}

fn micros(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn id_header(id: uuid::Uuid) -> HeaderValue {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}
