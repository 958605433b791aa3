//! What does a line say that the proof depends on?

use bytes::Bytes;
use uuid::Uuid;

use super::finding::Wrong;
use crate::audit::chain::MAC_BYTES;
use crate::audit::sealed::unhex;
use crate::audit::{Ending, Line, Sealed};
use crate::json::{self, Caps, Escapes, Malformed, Node};

/// A `segment` line may list every open request, a `retention` line every removed segment.
const CAPS: Caps = Caps {
    depth: 16,
    nodes: 500_000,
    members: 1024,
    name_bytes: 128,
    string_bytes: u32::MAX,
    number_bytes: 32,
    interoperable: true,
};

/// The faults that a gateway records.
const FAULTS: [&str; 9] = [
    "write_failed",
    "sync_failed",
    "segment_gone",
    "segment_replaced",
    "segment_truncated",
    "segment_altered",
    "chain_broken",
    "folder_gone",
    "stalled",
];

/// What one line tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    Segment(Header),
    Checkpoint(Checkpoint),
    Start,
    Stop,
    Intent(u128),
    /// `None`: the record could not be encoded. Whether the request was sent upstream stands beside the id.
    Outcome(Option<u128>, Sent),
    Fault {
        fault: &'static str,
        good: Option<u64>,
    },
    Repair {
        torn_bytes: u64,
    },
    Loss {
        strangers: u64,
        best_effort: u64,
    },
    Retention(Vec<Range>),
    /// A kind that proves nothing.
    Other,
    /// A kind of a later version.
    Unknown,
}

/// Whether an outcome tells that an attempt was made upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent(pub(super) bool);

/// What the first line of a segment says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) chain: Uuid,
    pub(super) epoch: u64,
    pub(super) previous: Option<Range>,
    pub(super) open: Vec<u128>,
}

/// A segment, by its first and last line and the digest of all its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) sha256: [u8; 32],
}

/// What a checkpoint says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) chain: Uuid,
    pub(super) epoch: u64,
    pub(super) first: u64,
    pub(super) sha256: [u8; MAC_BYTES],
    pub(super) key: [u8; 8],
}

/// Reads `line`.
///
/// # Errors
///
/// The first of its faults: too long, not of the form, not JSON, or without the members of its kind.
pub(super) fn read<'a>(line: &Line<'a>) -> Result<(Sealed<'a>, Record), Wrong> {
    if line.ending != Ending::LineFeed {
        return Err(if line.ending == Ending::TooLong { Wrong::TooLong } else { Wrong::Torn });
    }
    let sealed = Sealed::read(line.bytes).ok_or(Wrong::NotALine)?;
    let object = Bytes::copy_from_slice(line.bytes.strip_suffix(b"\n").unwrap_or(line.bytes));
    let document = json::parse(object, &CAPS).map_err(|malformed| match malformed {
        Malformed::Syntax { offset } | Malformed::Duplicate { offset } | Malformed::TooComplex { offset } => {
            Wrong::NotJson(offset)
        }
    })?;
    let record = of_kind(sealed.kind, document.root()).ok_or(Wrong::Members)?;
    let signed = sealed.signature().is_some();
    if matches!(record, Record::Checkpoint(_)) != signed {
        return Err(Wrong::Members);
    }
    Ok((sealed, record))
}

fn of_kind(kind: &str, root: Node<'_>) -> Option<Record> {
    Some(match kind {
        "segment" => Record::Segment(header(root)?),
        "checkpoint" => Record::Checkpoint(checkpoint(root)?),
        "start" => Record::Start,
        "stop" => Record::Stop,
        "intent" => Record::Intent(id(root.member("id")?)?),
        "outcome" => outcome(root)?,
        "fault" => fault(root)?,
        "repair" => Record::Repair { torn_bytes: number(root.member("torn_bytes")?)? },
        "loss" => Record::Loss {
            strangers: number(root.member("strangers")?)?,
            best_effort: number(root.member("best_effort")?)?,
        },
        "retention" => Record::Retention(ranges(root.member("removed")?)?),
        "credentials" | "breaker" | "reload" => Record::Other,
        _ => Record::Unknown,
    })
}

fn header(root: Node<'_>) -> Option<Header> {
    let previous = match root.member("previous") {
        Some(previous) => Some(range(previous)?),
        None => None,
    };
    let open = root.member("open")?.elements().map(id).collect::<Option<_>>()?;
    Some(Header { chain: chain(root)?, epoch: number(root.member("epoch")?)?, previous, open })
}

fn checkpoint(root: Node<'_>) -> Option<Checkpoint> {
    Some(Checkpoint {
        chain: chain(root)?,
        epoch: number(root.member("epoch")?)?,
        first: number(root.member("first")?)?,
        sha256: unhex(text(root.member("sha256")?)?)?,
        key: unhex(text(root.member("key")?)?)?,
    })
}

fn outcome(root: Node<'_>) -> Option<Record> {
    let outcome = text(root.member("outcome")?)?;
    if outcome == b"unencodable" {
        return Some(Record::Outcome(None, Sent(false)));
    }
    let sent = root.member("upstream").is_some();
    Some(Record::Outcome(Some(id(root.member("id")?)?), Sent(sent)))
}

fn fault(root: Node<'_>) -> Option<Record> {
    let named = text(root.member("fault")?)?;
    let fault = FAULTS.iter().find(|fault| fault.as_bytes() == named).copied().unwrap_or("another one");
    let good = match root.member("good") {
        Some(seq) => Some(number(seq)?),
        None => None,
    };
    Some(Record::Fault { fault, good })
}

fn ranges(node: Node<'_>) -> Option<Vec<Range>> {
    node.elements().map(range).collect()
}

fn range(node: Node<'_>) -> Option<Range> {
    let (first, last) = (number(node.member("first")?)?, number(node.member("last")?)?);
    let sha256 = unhex(text(node.member("sha256")?)?)?;
    (first <= last).then_some(Range { first, last, sha256 })
}

fn chain(root: Node<'_>) -> Option<Uuid> {
    id(root.member("chain")?).map(Uuid::from_u128)
}

fn id(node: Node<'_>) -> Option<u128> {
    let text = std::str::from_utf8(text(node)?).ok().filter(|text| text.len() == 36)?;
    Uuid::try_parse(text).ok().map(|id| id.as_u128())
}

fn number(node: Node<'_>) -> Option<u64> {
    node.number_text()?.parse().ok()
}

/// The gateway escapes nothing in what is read here.
fn text(node: Node<'_>) -> Option<&[u8]> {
    let text = node.text()?;
    (text.escapes() == Escapes::None).then(|| text.raw())
}
