//! What exactly was proven?

use serde::ser::{Serialize, SerializeStruct, Serializer};
use uuid::Uuid;

use super::beginning::Retired;
use super::finding::{Finding, range};
use super::notes::Note;
use crate::audit::hex;

/// The verdict about a log, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is wrong, and something was proven.
    Clean,
    /// Something is wrong.
    NotClean,
    /// Nothing is wrong, and nothing proves that: anybody could have written the log.
    NothingProven,
}

/// What was found out about a log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// In a word.
    pub verdict: Verdict,
    /// Whether the verdict is [`Verdict::Clean`].
    pub clean: bool,
    /// The chain, as its first readable segment names it.
    #[serde(serialize_with = "as_text")]
    pub chain: Option<Uuid>,
    /// The number of the first line.
    pub first: Option<u64>,
    /// The number of the last line.
    pub last: Option<u64>,
    /// How many lines were read.
    pub lines: u64,
    /// How many segments were read.
    pub segments: u64,
    /// How many bytes were read.
    pub bytes: u64,
    /// What was proven.
    pub proven: Proven,
    /// What is wrong, in the order of the log: the first is the first bad record.
    pub findings: Vec<Finding>,
    /// How many more there were.
    pub findings_left_out: u64,
    /// What else a reader should know.
    pub notes: Vec<Note>,
}

/// How far each proof reaches; all of them end before the first finding inside the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Proven {
    /// The lines that are not there, as a proven record of retention says.
    pub retired: Option<Retired>,
    /// The last checkpoint whose signature covers all bytes before that signature.
    pub signed_through: Option<u64>,
    /// The keys of those signatures.
    pub keys: Vec<Key>,
    /// Whether a chain key was given.
    pub chain_key: bool,
    /// The first line whose MAC was checked.
    pub macs_from: Option<u64>,
    /// The last line up to which all MACs are right.
    pub macs_through: Option<u64>,
    /// How many of the given checkpoints are in the log, unchanged.
    pub checkpoints: usize,
    /// The last of them.
    pub checkpoint: Option<u64>,
}

/// A key that signed checkpoints of the log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Key {
    /// Its id, as checkpoints name it.
    pub id: String,
    /// Its first checkpoint.
    pub first: u64,
    /// Its last checkpoint.
    pub last: u64,
}

impl Proven {
    /// Whether no line was proven by anything.
    pub(super) fn is_nothing(&self) -> bool {
        self.signed_through.is_none() && self.macs_through.is_none()
    }

    /// Notes that a given checkpoint is in the log, and all right before it.
    pub(super) fn kept(&mut self, seq: u64) {
        self.checkpoints += 1;
        self.checkpoint = Some(seq);
    }

    /// Notes a good checkpoint.
    pub(super) fn signed(&mut self, id: [u8; 8], seq: u64) {
        self.signed_through = Some(seq);
        let id = hex(&id);
        match self.keys.iter_mut().find(|key| key.id == id) {
            Some(key) => key.last = seq,
            None => self.keys.push(Key { id, first: seq, last: seq }),
        }
    }

    /// Notes a right MAC.
    pub(super) fn chained(&mut self, seq: u64) {
        self.macs_from.get_or_insert(seq);
        self.macs_through = Some(seq);
    }
}

impl Report {
    /// What was proven and what was not, one statement each, for people.
    #[must_use]
    pub fn statements(&self) -> Vec<String> {
        let mut said = vec![self.in_all(), self.by_signature()];
        if self.proven.keys.len() > 1 {
            said.extend(self.proven.keys.iter().map(Key::statement));
        }
        said.extend([self.by_chain_key(), self.by_checkpoints()]);
        said.extend(self.unproven());
        said.push(self.limit());
        said
    }

    /// The first and the last line that any proof reaches.
    fn reach(&self) -> Option<(u64, u64)> {
        let signed = self.first.zip(self.proven.signed_through);
        let chained = self.proven.macs_from.zip(self.proven.macs_through);
        match (signed, chained) {
            (Some((first, signed)), Some((_, chained))) => Some((first, signed.max(chained))),
            (signed, chained) => signed.or(chained),
        }
    }

    fn in_all(&self) -> String {
        let Some((first, last)) = self.reach() else {
            return if self.verdict == Verdict::NothingProven {
                "nothing: no checkpoint proves a line yet, and no MAC was checked: give the chain key, or wait for the \
                 first checkpoint"
                    .to_owned()
            } else {
                "nothing before the first bad record".to_owned()
            };
        };
        let lines = range(first, last);
        let before = self.first.map_or(0, |first| first.saturating_sub(1));
        match self.proven.retired {
            Some(Retired { first, last, record }) => format!(
                "the lines {lines} that are here are unchanged; removed in the name of retention: {}, says the record at \
                 seq {record}: compare it with what was decided",
                range(first, last)
            ),
            None if before > 0 => {
                format!("the lines {lines} that are here are unchanged; {} are not here", range(1, before))
            }
            None => format!("the lines {lines} are all here, unchanged"),
        }
    }

    fn by_signature(&self) -> String {
        let Some((first, through)) = self.first.zip(self.proven.signed_through) else {
            return "by signature: nothing (no good checkpoint before the end or the first finding)"
                .to_owned();
        };
        let keys: Vec<String> = self.proven.keys.iter().map(|key| key.id.clone()).collect();
        format!(
            "by signature: every byte from seq {first} on that stands before the signature of the checkpoint seq {through} \
             (key {})",
            keys.join(", ")
        )
    }

    fn by_chain_key(&self) -> String {
        match (self.proven.chain_key, self.proven.macs_from, self.proven.macs_through) {
            (false, ..) => "by the chain key: nothing (none was given)".to_owned(),
            (true, Some(from), Some(through)) => {
                format!(
                    "by the chain key: every line of {}, each after the one before it",
                    range(from, through)
                )
            }
            (true, ..) => "by the chain key: nothing".to_owned(),
        }
    }

    fn by_checkpoints(&self) -> String {
        let Some((first, seq)) = self.first.zip(self.proven.checkpoint) else {
            return "by checkpoints kept elsewhere: nothing (none was given, or none is in the log before the first finding)"
                .to_owned();
        };
        format!(
            "by checkpoints kept elsewhere: {} unchanged, the last at seq {seq}: since it was taken, none of the lines {} was \
             changed or removed, whoever holds the gateway's host and keys",
            self.proven.checkpoints,
            range(first, seq)
        )
    }

    /// What no signature reaches: the chain key may.
    fn unproven(&self) -> Vec<String> {
        let Some((first, last)) = self.first.zip(self.last).filter(|_| self.findings.is_empty()) else {
            return Vec::new();
        };
        let from = self.proven.signed_through.map_or(first, |signed| first.max(signed.saturating_add(1)));
        if from > last {
            return Vec::new();
        }
        let after = if self.proven.signed_through.is_some() {
            "after the last checkpoint"
        } else {
            "without a checkpoint"
        };
        let chained = self.proven.macs_from.zip(self.proven.macs_through);
        let Some((chained_from, chained_through)) = chained.filter(|(_, through)| *through >= from) else {
            let key = if self.proven.chain_key {
                "and the chain key does not reach it"
            } else {
                "without the chain key"
            };
            return vec![format!("not proven: {}, {after}, {key}", range(from, last))];
        };
        let mut said = vec![format!(
            "{after}: {} by the chain key alone, whose present key is on the gateway's host",
            range(from.max(chained_from), chained_through)
        )];
        if chained_from > from {
            // The MAC of the first line that is here follows a line that is not.
            let unreached = range(from, chained_from.saturating_sub(1));
            said.push(format!(
                "not proven: {unreached}, whose MAC follows a line that is not here, before a checkpoint"
            ));
        }
        if chained_through < last {
            let unreached = range(chained_through.saturating_add(1), last);
            said.push(format!("not proven: {unreached}, {after}, and the chain key does not reach it"));
        }
        said
    }

    fn limit(&self) -> String {
        let from = match self.proven.checkpoint {
            Some(seq) => format!("after seq {seq}"),
            None => "at the end, however many (no checkpoint kept elsewhere tells)".to_owned(),
        };
        format!("cannot be seen here: whether lines were cut off {from}")
    }
}

impl Key {
    fn statement(&self) -> String {
        format!("  key {}: the checkpoints of {}", self.id, range(self.first, self.last))
    }
}

fn as_text<S: Serializer>(chain: &Option<Uuid>, serializer: S) -> Result<S::Ok, S::Error> {
    chain.map(|chain| chain.to_string()).serialize(serializer)
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Finding", 7)?;
        object.serialize_field("code", self.wrong.code())?;
        object.serialize_field("segment", &self.place.map(|place| place.segment_name()))?;
        object.serialize_field("line", &self.place.map(|place| place.line))?;
        object.serialize_field("offset", &self.place.map(|place| place.offset))?;
        object.serialize_field("seq", &self.place.and_then(|place| place.seq))?;
        object.serialize_field("lines", &self.lines)?;
        object.serialize_field("message", &self.wrong.to_string())?;
        object.end()
    }
}
