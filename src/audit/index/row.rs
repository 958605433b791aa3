//! What is kept of a line?

use std::collections::HashMap;

use super::super::entry::{Entry, hex_to};
use crate::digest::first;

/// Of what a name is the name. Stored: do not renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A caller.
    Caller = 1,
    /// A service.
    Service = 2,
    /// An outcome.
    Outcome = 3,
    /// A code of a refusal.
    Code = 4,
    /// A pair of credentials.
    Credential = 5,
    /// A key of fingerprints, by its id.
    FingerprintKey = 6,
    /// A kind of line.
    Kind = 7,
}

/// The numbers that stand for names.
#[derive(Default)]
pub(super) struct Names {
    numbers: [HashMap<Box<str>, i64>; 8],
    last: i64,
    /// Those that the index does not have yet.
    pub(super) new: Vec<(i64, Role, Box<str>)>,
}

impl Names {
    pub(super) fn known(&mut self, number: i64, role: i64, text: &str) {
        self.last = self.last.max(number);
        if let Some(names) = usize::try_from(role).ok().and_then(|role| self.numbers.get_mut(role)) {
            names.insert(text.into(), number);
        }
    }

    /// The number of `text`; 0 where there is none.
    fn number(&mut self, role: Role, text: Option<&str>) -> i64 {
        let Some(text) = text else { return 0 };
        let Some(names) = self.numbers.get_mut(role as usize) else { return 0 };
        if let Some(number) = names.get(text) {
            return *number;
        }
        self.last += 1;
        names.insert(text.into(), self.last);
        self.new.push((self.last, role, text.into()));
        self.last
    }
}

/// A line, as the index knows it.
pub(super) enum Row {
    /// What became of a request.
    Outcome(Request),
    /// A request that is going to be forwarded.
    Intent(Request),
    /// Anything else.
    Event { seq: i64, time: i64, offset: i64, kind: i64 },
}

/// A line of a request.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) seq: i64,
    pub(super) time: i64,
    pub(super) offset: i64,
    /// In the order of [`DIMENSIONS`](super::tables::DIMENSIONS).
    pub(super) dimensions: [i64; 7],
    pub(super) id: Option<u128>,
    pub(super) email: Option<i64>,
    pub(super) reference: Option<i64>,
}

impl Row {
    pub(super) fn time(&self) -> i64 {
        match self {
            Self::Outcome(request) | Self::Intent(request) => request.time,
            Self::Event { time, .. } => *time,
        }
    }

    /// The row of `entry`, whose line begins at `offset`. `time` is that of the line before, for a line without one.
    pub(super) fn of(entry: &Entry<'_>, offset: u64, time: i64, names: &mut Names) -> Option<Self> {
        let seq = i64::try_from(entry.seq).ok()?;
        let offset = i64::try_from(offset).ok()?;
        let time = entry.time_us().unwrap_or(time);
        let request = match entry.kind {
            "outcome" => entry.outcome?,
            "intent" => "open",
            kind => {
                return Some(Self::Event { seq, time, offset, kind: names.number(Role::Kind, Some(kind)) });
            }
        };
        let fingerprints = entry.fingerprints.unwrap_or_default();
        let key = entry.fingerprints.map(|fingerprints| fingerprints.key);
        let row = Request {
            seq,
            time,
            offset,
            dimensions: [
                names.number(Role::Caller, entry.caller),
                names.number(Role::Service, entry.service),
                names.number(Role::Outcome, Some(request)),
                names.number(Role::Code, entry.code),
                i64::from(entry.status.unwrap_or(0)),
                names.number(Role::Credential, entry.credential.map(|credential| credential.0)),
                names.number(Role::FingerprintKey, key),
            ],
            id: entry.request_id(),
            email: fingerprints.email.and_then(fingerprint_part),
            reference: fingerprints.reference.and_then(fingerprint_part),
        };
        Some(if entry.kind == "intent" { Self::Intent(row) } else { Self::Outcome(row) })
    }
}

/// What is kept of an id. UUIDv7 begins with its time: neighbours in the log are neighbours in the index.
pub(super) fn id_part(id: u128) -> i64 {
    i64::from_be_bytes(first(&id.to_be_bytes()))
}

/// What is kept of a fingerprint.
pub(super) fn part(fingerprint: &[u8; 16]) -> i64 {
    i64::from_be_bytes(first(fingerprint))
}

fn fingerprint_part(digits: &str) -> Option<i64> {
    let mut bytes = [0; 16];
    hex_to(digits, &mut bytes).then(|| part(&bytes))
}
