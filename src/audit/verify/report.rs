//! What exactly was proven?

use serde::ser::{Serialize, SerializeStruct, Serializer};
use uuid::Uuid;

use super::finding::Finding;
use super::notes::Note;
use crate::audit::hex;

/// The verdict about a log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Whether nothing is wrong.
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

/// How far each proof reaches; all of them end before the first finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Proven {
    /// The last checkpoint whose signature covers all bytes up to it.
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
        let mut said = vec![self.by_signature(), self.by_chain_key(), self.by_checkpoints()];
        said.extend(self.unproven());
        said.push(self.limit());
        said
    }

    fn by_signature(&self) -> String {
        let Some(through) = self.proven.signed_through else {
            return "by signature: nothing (no good checkpoint before the end or the first finding)"
                .to_owned();
        };
        let keys: Vec<String> = self.proven.keys.iter().map(|key| key.id.clone()).collect();
        let first = self.first.unwrap_or_default();
        format!("by signature: every byte of seq {first} to {through} (key {})", keys.join(", "))
    }

    fn by_chain_key(&self) -> String {
        match (self.proven.chain_key, self.proven.macs_from, self.proven.macs_through) {
            (false, ..) => "by the chain key: nothing (none was given)".to_owned(),
            (true, Some(from), Some(through)) => {
                format!(
                    "by the chain key: every line of seq {from} to {through}, each after the one before it"
                )
            }
            (true, ..) => "by the chain key: nothing".to_owned(),
        }
    }

    fn by_checkpoints(&self) -> String {
        match self.proven.checkpoint {
            None => {
                "by checkpoints kept elsewhere: nothing (none was given, or none is in the log)".to_owned()
            }
            Some(seq) => format!(
                "by checkpoints kept elsewhere: {} unchanged, the last at seq {seq}: up to there, nothing was \
                 changed or removed since it was taken, whoever holds the gateway's host and keys",
                self.proven.checkpoints
            ),
        }
    }

    fn unproven(&self) -> Option<String> {
        let (last, signed) = (self.last?, self.proven.signed_through.unwrap_or_default());
        if !self.clean || last <= signed {
            return None;
        }
        let from = self.first.unwrap_or_default().max(signed.saturating_add(1));
        let range = if from == last { format!("seq {last}") } else { format!("seq {from} to {last}") };
        Some(if self.proven.macs_through == Some(last) {
            format!(
                "after the last checkpoint: {range} by the chain key alone, whose present key is on the gateway's host"
            )
        } else {
            format!("not proven: {range}, after the last checkpoint, without the chain key")
        })
    }

    fn limit(&self) -> String {
        let from = match self.proven.checkpoint {
            Some(seq) => format!("after seq {seq}"),
            None => "at the end, however many (no checkpoint kept elsewhere was found)".to_owned(),
        };
        format!("cannot be seen here: whether lines were cut off {from}")
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
