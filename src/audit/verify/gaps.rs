//! Why are lines missing?

use std::collections::BTreeMap;

use super::record::Range;

/// Removed segments that are remembered, of all gaps together.
const MOST_REMOVED: usize = 100_000;

/// Lines that are missing.
struct Gap {
    first: u64,
    last: u64,
    /// What the segment behind it was written after.
    previous: Option<Range>,
    /// The finding that told it.
    finding: usize,
    /// Segments in it that a record of retention lists, by their last lines.
    removed: BTreeMap<u64, Range>,
}

/// All gaps of a log.
#[derive(Default)]
pub(super) struct Gaps {
    list: Vec<Gap>,
    remembered: usize,
}

/// What the records of retention say about the gaps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Explained {
    /// The findings that are none.
    pub(super) findings: Vec<usize>,
    /// The lines that were removed.
    pub(super) retired: Vec<(u64, u64)>,
    /// The findings of gaps whose record of retention names another segment than was there.
    pub(super) other: Vec<usize>,
}

impl Gaps {
    /// Lines are missing before a segment that was written after `previous`.
    pub(super) fn add(&mut self, (first, last): (u64, u64), previous: Option<Range>, finding: usize) {
        self.list.push(Gap { first, last, previous, finding, removed: BTreeMap::new() });
    }

    /// What the finding told was no gap.
    pub(super) fn forget(&mut self, finding: usize) {
        self.list.retain(|gap| gap.finding != finding);
    }

    /// Takes what a record of retention lists.
    pub(super) fn removed(&mut self, ranges: &[Range]) {
        for gap in &mut self.list {
            let within = ranges.iter().filter(|range| gap.first <= range.first && range.last <= gap.last);
            let room = MOST_REMOVED.saturating_sub(self.remembered);
            let before = gap.removed.len();
            gap.removed.extend(within.take(room).map(|range| (range.last, *range)));
            self.remembered += gap.removed.len() - before;
        }
    }

    /// Judges each gap.
    pub(super) fn explain(&self) -> Explained {
        let mut explained = Explained::default();
        for gap in &self.list {
            let Some(newest) = gap.removed.get(&gap.last) else { continue };
            if gap.previous.is_some_and(|previous| previous != *newest) {
                explained.other.push(gap.finding);
            } else if gap.is_covered() {
                explained.findings.push(gap.finding);
                explained.retired.push((gap.first, gap.last));
            }
        }
        explained
    }
}

impl Gap {
    /// Of the oldest lines, the records of retention may be gone with what they removed.
    fn is_covered(&self) -> bool {
        if self.first == 1 {
            return true;
        }
        let mut open = self.last;
        loop {
            match self.removed.get(&open) {
                Some(range) if range.first <= self.first => return true,
                Some(range) => open = range.first.saturating_sub(1),
                None => return false,
            }
        }
    }
}
