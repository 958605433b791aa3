//! Are these the bytes of the segment that were signed, and that the next one was written after?

use aws_lc_rs::digest::{Context, SHA256};

use super::finding::Place;
use super::record::Range;
use crate::digest::first;

/// The segment that is being read.
pub(super) struct Reading {
    name: u64,
    line: u64,
    offset: u64,
    digest: Context,
    first: Option<u64>,
    last: Option<u64>,
    /// The last line up to which a checkpoint says what the bytes are.
    good: Option<u64>,
    /// Whether its bytes were found not to be what they were; what follows from it is not told again.
    spoilt: bool,
    in_long: bool,
}

/// A segment that was read.
pub(super) struct Read {
    first: u64,
    last: u64,
    sha256: [u8; 32],
    good: Option<u64>,
    spoilt: bool,
}

/// How a segment stands to what the next one says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// As it says.
    Same,
    /// That it has other bytes was told.
    Told,
    /// It has other lines.
    OtherRange { expected: (u64, u64) },
    /// It has other bytes, somewhere in these lines.
    OtherBytes { lines: (u64, u64) },
}

impl Reading {
    pub(super) fn new(name: u64) -> Self {
        Self {
            name,
            line: 0,
            offset: 0,
            digest: Context::new(&SHA256),
            first: None,
            last: None,
            good: None,
            spoilt: false,
            in_long: false,
        }
    }

    /// The number in its name.
    pub(super) fn name(&self) -> u64 {
        self.name
    }

    /// Goes to the next line, or the next piece of one that is too long: then true.
    pub(super) fn advance(&mut self, offset: u64, is_long: bool) -> bool {
        let goes_on = is_long && self.in_long;
        if !goes_on {
            self.line += 1;
            self.offset = offset;
        }
        self.in_long = is_long;
        goes_on
    }

    /// Where the present line is.
    pub(super) fn place(&self, seq: Option<u64>) -> Place {
        Place { segment: self.name, line: self.line, offset: self.offset, seq }
    }

    /// Whether the present line is the first.
    pub(super) fn is_at_first(&self) -> bool {
        self.line <= 1
    }

    /// Whether it has no line.
    pub(super) fn is_empty(&self) -> bool {
        self.line == 0
    }

    /// The present line has the number `seq`.
    pub(super) fn numbered(&mut self, seq: u64) {
        self.first.get_or_insert(seq);
        self.last = Some(seq);
    }

    /// Takes the bytes of the present line.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// The number of its first line, or what its name says.
    pub(super) fn first(&self) -> u64 {
        self.first.unwrap_or(self.name)
    }

    /// Compares the bytes before the present line, the checkpoint `seq`, with what it says. `Err` has the lines
    /// of which one was changed; `None` where that was told.
    pub(super) fn judge(&mut self, seq: u64, sha256: &[u8; 32]) -> Result<(), Option<(u64, u64)>> {
        if first::<32>(self.digest.clone().finish().as_ref()) == *sha256 {
            self.good = Some(seq);
            return Ok(());
        }
        let from = self.good.map_or(self.first(), |good| good.saturating_add(1));
        let told = std::mem::replace(&mut self.spoilt, true);
        Err((!told).then_some((from, seq.saturating_sub(1))))
    }

    /// Ends it.
    pub(super) fn end(self) -> Read {
        Read {
            first: self.first(),
            last: self.last.unwrap_or(self.name),
            sha256: first(self.digest.finish().as_ref()),
            good: self.good,
            spoilt: self.spoilt,
        }
    }
}

impl Read {
    /// Compares it with what the segment says that follows it without a gap.
    pub(super) fn judge(&self, previous: &Range) -> Before {
        if (previous.first, previous.last) != (self.first, self.last) {
            return Before::OtherRange { expected: (self.first, self.last) };
        }
        if previous.sha256 == self.sha256 {
            return Before::Same;
        }
        if self.spoilt {
            return Before::Told;
        }
        let from = self.good.map_or(self.first, |good| good.saturating_add(1));
        Before::OtherBytes { lines: (from.min(self.last), self.last) }
    }
}
