//! Where does a chain stand that was left, perhaps in the middle of a line?
//!
//! From the durable point that the state names, every line is checked with its MAC. What a crash can leave is cut
//! off: a last line without its end, or bytes that were never written. Anything else that is not as it was left is
//! kept as evidence, and the chain goes on in a new segment.

use std::collections::HashMap;
use std::io;

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;

use super::state::Slot;
use crate::audit::event::SegmentFacts;
use crate::audit::{Chain, ChainKey, Ending, MAC_BYTES, Sealed, Segment, Segments, hex};
use crate::digest::first;

/// Where the chain stands.
pub(super) struct Standing {
    pub(super) chain: Chain,
    pub(super) end: End,
    /// Requests with an intent and no outcome; the intent, where its line is still there.
    pub(super) open: Vec<(u128, Option<Vec<u8>>)>,
}

/// What the chain goes on in.
pub(super) enum End {
    /// The last segment.
    Segment {
        first: u64,
        /// Bytes of its whole lines, and their digest.
        whole_bytes: u64,
        digest: Context,
        /// What comes behind them and is cut off.
        torn_bytes: u64,
        began: Timestamp,
    },
    /// A new one.
    New {
        previous: Option<SegmentFacts>,
        /// The last segment has no whole line: so many bytes, which are cut off with all of it.
        torn: Option<(u64, u64)>,
        /// Something was changed; the last line known good, 0 for none.
        broken: Option<u64>,
    },
}

impl Standing {
    /// Reads `segments` from the place on that `slot` names.
    pub(super) fn find(slot: &Slot, segments: &Segments) -> io::Result<Self> {
        let bytes: u64 = segments.bytes();
        let mut replay = Replay::new(slot, slot.next_seq.saturating_add(bytes));
        // Nobody writes as many lines as there are bytes: such a name is not ours.
        let (known, foreign): (Vec<_>, Vec<_>) =
            segments.iter().partition(|segment| segment.first_seq <= replay.most);
        if !foreign.is_empty() {
            replay.break_off();
        }
        let holder = known.iter().position(|segment| segment.first_seq == slot.segment);
        let next = known.iter().position(|segment| segment.first_seq == slot.next_seq);
        // A segment that ended where the slot is may have been removed by retention.
        let (start, from) = match (holder, next) {
            (Some(holder), _) => (holder, slot.offset),
            (None, Some(next)) => (next, 0),
            (None, None) => (known.len().saturating_sub(1), 0),
        };
        let fresh = known.is_empty() && slot.offset == 0 && slot.segment == slot.next_seq;
        if holder.is_none() && next.is_none() && !fresh {
            replay.break_off();
        }
        let mut read: Option<Read> = None;
        let mut before = None;
        for (at, segment) in known.iter().enumerate().skip(start) {
            let last = at + 1 == known.len();
            if at > start && segment.first_seq != replay.next_seq {
                replay.break_off();
            }
            before = read.take().map(|read| read.facts());
            read = match replay.read(segment, if at == start { from } else { 0 }, last) {
                Ok(read) => Some(read),
                // In place of a segment something else: whoever did that, it ends no record.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    replay.break_off();
                    None
                }
                Err(error) => return Err(error),
            };
        }
        let open = replay.open_requests(known.get(..start).unwrap_or_default())?;
        let end = replay.end(read, before);
        let chain = Chain::resume(replay.key, replay.epoch, replay.next_seq, replay.previous);
        Ok(Self { chain, end, open })
    }
}

/// The chain while it is read.
struct Replay<'s> {
    slot: &'s Slot,
    /// Higher numbers are not believed.
    most: u64,
    key: ChainKey,
    epoch: u64,
    next_seq: u64,
    previous: [u8; MAC_BYTES],
    broken: Option<u64>,
    open: HashMap<u128, Option<(u64, Vec<u8>)>>,
}

/// One segment as it was read.
struct Read {
    first: u64,
    last: u64,
    whole_bytes: u64,
    torn_bytes: u64,
    digest: Context,
    began: Option<Timestamp>,
}

impl Read {
    fn facts(&self) -> SegmentFacts {
        let sha256 = first(self.digest.clone().finish().as_ref());
        SegmentFacts { first: self.first, last: self.last.max(self.first), sha256 }
    }
}

impl<'s> Replay<'s> {
    fn new(slot: &'s Slot, most: u64) -> Self {
        Self {
            slot,
            most,
            key: ChainKey::of_raw(&slot.key),
            epoch: slot.epoch,
            next_seq: slot.next_seq,
            previous: slot.previous,
            broken: None,
            open: HashMap::new(),
        }
    }

    fn break_off(&mut self) {
        self.broken.get_or_insert(self.next_seq.saturating_sub(1));
    }

    /// Reads a segment; lines from the byte `from` on are checked.
    fn read(&mut self, segment: &Segment, from: u64, is_last: bool) -> io::Result<Read> {
        let first = segment.first_seq;
        let digest = Context::new(&SHA256);
        let mut read = Read { first, last: 0, whole_bytes: 0, torn_bytes: 0, digest, began: None };
        let mut lines = segment.lines()?;
        while let Some(line) = lines.read_line()? {
            let whole = line.ending == Ending::LineFeed;
            let end = line.offset + line.bytes.len() as u64;
            let Some(sealed) = Some(line.bytes).filter(|_| whole).and_then(Sealed::read) else {
                let unwritten = line.ending == Ending::Torn || line.bytes.contains(&0);
                if is_last && unwritten && line.offset >= from && self.broken.is_none() {
                    read.torn_bytes = segment.bytes.saturating_sub(line.offset);
                    break;
                }
                self.break_off();
                read.digest.update(line.bytes);
                continue;
            };
            if line.offset == 0 {
                read.began = text_member(sealed.covered, "time").and_then(|time| time.parse().ok());
            }
            if end == from {
                self.arrive(&sealed, &read.digest);
            } else if line.offset >= from {
                self.check(&sealed);
            } else if end > from {
                self.break_off();
            }
            self.follow(&sealed, line.bytes);
            read.last = sealed.seq;
            read.digest.update(line.bytes);
            read.whole_bytes = end;
        }
        if read.whole_bytes < from {
            self.break_off();
        }
        Ok(read)
    }

    /// The line before the slot's place: what stands before it is vouched for by the slot, and by the digest in
    /// the checkpoint that made it.
    fn arrive(&mut self, sealed: &Sealed<'_>, before: &Context) {
        let digest = before.clone().finish();
        let altered = sealed.kind == "checkpoint"
            && text_member(sealed.covered, "sha256") != Some(&hex(digest.as_ref()));
        if altered || sealed.mac != self.slot.previous || sealed.seq.saturating_add(1) != self.slot.next_seq {
            self.break_off();
        }
    }

    /// A line behind the slot's place. After one that is wrong the next is checked against what that one says, so
    /// that the chain goes on with the key it had.
    fn check(&mut self, sealed: &Sealed<'_>) {
        let made_by = |key: &ChainKey| key.mac(&self.previous, sealed.covered) == sealed.mac;
        let mut made = made_by(&self.key);
        if !made {
            let next = self.key.ratcheted();
            // The checkpoint before it was changed.
            if made_by(&next) {
                (self.key, self.epoch, made) = (next, self.epoch + 1, true);
            }
            self.break_off();
        }
        if sealed.seq != self.next_seq {
            self.break_off();
        }
        if sealed.seq <= self.most {
            self.next_seq = self.next_seq.max(sealed.seq + 1);
        }
        self.previous = sealed.mac;
        if made && sealed.kind == "checkpoint" {
            (self.key, self.epoch) = (self.key.ratcheted(), self.epoch + 1);
        }
    }

    /// Which requests are open after this line?
    fn follow(&mut self, sealed: &Sealed<'_>, line: &[u8]) {
        match sealed.kind {
            "segment" => {
                for id in open_ids(line) {
                    self.open.entry(id).or_insert(None);
                }
            }
            "intent" => {
                if let Some(id) = id_of(sealed) {
                    self.open.insert(id, Some((sealed.seq, line.to_vec())));
                }
            }
            "outcome" => {
                if let Some(id) = id_of(sealed) {
                    self.open.remove(&id);
                }
            }
            _ => {}
        }
    }

    /// The open requests in the order of their intents, which are looked for in `earlier` segments too.
    fn open_requests(&mut self, earlier: &[&Segment]) -> io::Result<Vec<(u128, Option<Vec<u8>>)>> {
        for segment in earlier.iter().rev() {
            if self.open.values().all(Option::is_some) {
                break;
            }
            let mut lines = match segment.lines() {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
                lines => lines?,
            };
            while let Some(line) = lines.read_line()? {
                let intent = Sealed::read(line.bytes).filter(|line| line.kind == "intent");
                let Some((intent, id)) = intent.and_then(|intent| Some((intent, id_of(&intent)?))) else {
                    continue;
                };
                if let Some(found @ None) = self.open.get_mut(&id) {
                    *found = Some((intent.seq, line.bytes.to_vec()));
                }
            }
        }
        let mut open: Vec<_> = std::mem::take(&mut self.open).into_iter().collect();
        open.sort_unstable_by_key(|(id, intent)| (intent.as_ref().map(|(seq, _)| *seq), *id));
        Ok(open.into_iter().map(|(id, intent)| (id, intent.map(|(_, line)| line))).collect())
    }

    fn end(&mut self, read: Option<Read>, before: Option<SegmentFacts>) -> End {
        let Some(read) = read else { return End::New { previous: None, torn: None, broken: self.broken } };
        if self.broken.is_some() {
            self.next_seq = self.next_seq.max(read.first + 1);
            return End::New { previous: Some(read.facts()), torn: None, broken: self.broken };
        }
        if read.whole_bytes == 0 {
            let torn = Some((read.first, read.torn_bytes));
            return End::New { previous: before, torn, broken: None };
        }
        End::Segment {
            first: read.first,
            whole_bytes: read.whole_bytes,
            digest: read.digest,
            torn_bytes: read.torn_bytes,
            began: read.began.unwrap_or_else(Timestamp::now),
        }
    }
}

fn id_of(line: &Sealed<'_>) -> Option<u128> {
    let id = text_member(line.covered, "id")?;
    uuid::Uuid::try_parse(id).ok().map(|id| id.as_u128())
}

/// The first member of that name whose value is a text without escapes.
fn text_member<'l>(line: &'l [u8], name: &str) -> Option<&'l str> {
    let name = format!("\"{name}\":\"");
    let start = memchr::memmem::find(line, name.as_bytes())? + name.len();
    let rest = line.get(start..)?;
    std::str::from_utf8(rest.get(..memchr::memchr(b'"', rest)?)?).ok()
}

fn open_ids(line: &[u8]) -> Vec<u128> {
    #[derive(serde::Deserialize)]
    struct Open {
        open: Vec<String>,
    }
    let text = std::str::from_utf8(line).unwrap_or_default();
    let open = serde_json::from_str(text).map_or(Vec::new(), |head: Open| head.open);
    open.iter().filter_map(|id| uuid::Uuid::try_parse(id).ok()).map(|id| id.as_u128()).collect()
}
