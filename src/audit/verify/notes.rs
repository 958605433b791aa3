//! What should a reader of the log know that is no fault of it?

use std::collections::BTreeMap;

use super::finding::Place;
use super::given::Strange;
use super::record::Range;
use super::requests::Left;

/// Other chains that are named one by one.
const MOST_CHAINS: usize = 16;

/// One remark about a log that may be as it should be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Note {
    /// A stable name.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// What is counted while a log is read.
#[derive(Debug, Default)]
pub(super) struct Notes {
    torn: Option<(Place, u64)>,
    empty: Option<u64>,
    running: bool,
    crashes: Sum,
    faults: BTreeMap<&'static str, Sum>,
    repairs: Sum,
    torn_bytes: u64,
    losses: Sum,
    strangers: u64,
    best_effort: u64,
    retentions: Sum,
    removed: u64,
    unknown: Sum,
    unsigned: Sum,
}

/// How many, and where.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    count: u64,
    first: u64,
    last: u64,
}

impl Sum {
    fn add(&mut self, seq: u64) {
        if self.count == 0 {
            self.first = seq;
        }
        self.count = self.count.saturating_add(1);
        self.last = seq;
    }

    fn at(self) -> String {
        if self.count == 1 {
            format!("at seq {}", self.first)
        } else {
            format!("{} times, first at seq {}, last at seq {}", self.count, self.first, self.last)
        }
    }
}

impl Notes {
    pub(super) fn torn(&mut self, place: Place, bytes: u64) {
        self.torn = Some((place, bytes));
    }

    pub(super) fn empty(&mut self, segment: u64) {
        self.empty = Some(segment);
    }

    pub(super) fn start(&mut self, seq: u64) {
        if std::mem::replace(&mut self.running, true) {
            self.crashes.add(seq);
        }
    }

    pub(super) fn stop(&mut self) {
        self.running = false;
    }

    pub(super) fn fault(&mut self, fault: &'static str, seq: u64) {
        self.faults.entry(fault).or_default().add(seq);
    }

    pub(super) fn repair(&mut self, torn_bytes: u64, seq: u64) {
        self.repairs.add(seq);
        self.torn_bytes = self.torn_bytes.saturating_add(torn_bytes);
    }

    pub(super) fn loss(&mut self, strangers: u64, best_effort: u64, seq: u64) {
        self.losses.add(seq);
        self.strangers = self.strangers.saturating_add(strangers);
        self.best_effort = self.best_effort.saturating_add(best_effort);
    }

    pub(super) fn retention(&mut self, removed: &[Range], seq: u64) {
        self.retentions.add(seq);
        self.removed = self.removed.max(removed.iter().map(|range| range.last).max().unwrap_or_default());
    }

    pub(super) fn unknown(&mut self, seq: u64) {
        self.unknown.add(seq);
    }

    /// A segment ended with the line `seq`, which is no checkpoint.
    pub(super) fn ended_unsigned(&mut self, seq: u64) {
        self.unsigned.add(seq);
    }

    /// All notes, with those that only the end of the log tells.
    pub(super) fn told(&self, left: Left, strange: &Strange, lookalikes: usize) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut note = |code, message| notes.push(Note { code, message });
        if let Some((place, bytes)) = self.torn {
            note(
                "torn",
                format!(
                    "the log ends inside a line ({bytes} bytes at {place}): being written, or cut by a crash; the next start repairs it"
                ),
            );
        }
        if let Some(segment) = self.empty {
            let name = crate::audit::Segment::name_of(segment);
            note("empty", format!("the last segment, {name}, has no line yet"));
        }
        if left.open > 0 {
            let from =
                if left.first == 0 { String::new() } else { format!(", the first at seq {}", left.first) };
            note(
                "open",
                format!(
                    "intents without an outcome: {}{from}: the gateway runs, or was killed; its next start closes them as unknown",
                    left.open
                ),
            );
        }
        if left.sent_without_intent > 0 {
            note(
                "no_intent",
                format!(
                    "requests that were sent and have no intent in this log: {} (intents of best_effort services may be given up)",
                    left.sent_without_intent
                ),
            );
        }
        if self.crashes.count > 0 {
            note(
                "crash",
                format!(
                    "a start without a stop before it, {}: the gateway had been killed",
                    self.crashes.at()
                ),
            );
        }
        for (fault, sum) in &self.faults {
            note("fault", format!("the gateway recorded the fault {fault} {}", sum.at()));
        }
        if self.repairs.count > 0 {
            note(
                "repair",
                format!("{} bytes of a torn line were cut off {}", self.torn_bytes, self.repairs.at()),
            );
        }
        if self.losses.count > 0 {
            note(
                "loss",
                format!(
                    "records were given up and counted, {}: {} of strangers, {} of best_effort services",
                    self.losses.at(),
                    self.strangers,
                    self.best_effort
                ),
            );
        }
        if self.retentions.count > 0 {
            note(
                "retention",
                format!(
                    "segments up to seq {} were removed in the name of retention, recorded {}: compare with what was decided",
                    self.removed,
                    self.retentions.at()
                ),
            );
        }
        if self.unsigned.count > 0 {
            note(
                "unsigned_end",
                format!(
                    "a segment ended without a checkpoint, {}: the gateway had been killed, or went on in a new one after a fault",
                    self.unsigned.at()
                ),
            );
        }
        for (chain, (count, last)) in strange.iter().take(MOST_CHAINS) {
            note(
                "other_chain",
                format!(
                    "given checkpoints of another chain, {chain}: {count}, the last at seq {last}; compared with nothing here: \
                     verify that chain's log with them"
                ),
            );
        }
        if self.unknown.count > 0 {
            note(
                "unknown_kind",
                format!("lines of a kind that this version does not know, {}", self.unknown.at()),
            );
        }
        if lookalikes > 0 {
            note(
                "lookalikes",
                format!("{lookalikes} files are named much like segments and were passed over"),
            );
        }
        notes
    }
}
