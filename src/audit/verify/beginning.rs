//! Why is the beginning of the log missing?

use super::record::Range;

/// The lines from 1 on that are missing, if any, and what the records of retention say about them. Such a record is
/// as good as its proof: anybody can append a line that lists what they removed.
#[derive(Default)]
pub(super) struct Beginning {
    gap: Option<Gap>,
}

/// Lines are missing in front of the first segment.
struct Gap {
    last: u64,
    /// What the first segment was written after.
    previous: Option<Range>,
    /// Records that list `previous`, by their numbers.
    listed: Option<u64>,
    /// One lists another segment that ends where `previous` does.
    contradicted: bool,
    /// A record in the present segment that no checkpoint covers yet.
    present: Option<u64>,
    /// A record in the segments before, to which the present one was not linked yet.
    before: Option<u64>,
    proven: Option<Retired>,
}

/// Lines that are not there because a proven record says that retention removed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Retired {
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
    /// The number of the record.
    pub record: u64,
}

/// What is known of a missing beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Nothing is missing, or nothing explains it.
    Unexplained,
    /// A record explains it, and is proven.
    Retired(Retired),
    /// A record would explain it, and nothing proves the record.
    Unproven { last: u64, record: u64 },
    /// A record names another segment than was there.
    Other,
}

impl Beginning {
    /// The lines 1 to `last` are missing before a segment that was written after `previous`.
    pub(super) fn missing(&mut self, last: u64, previous: Option<Range>) {
        self.gap = Some(Gap {
            last,
            previous,
            listed: None,
            contradicted: false,
            present: None,
            before: None,
            proven: None,
        });
    }

    /// What seemed to be missing is not.
    pub(super) fn forget(&mut self) {
        self.gap = None;
    }

    /// Takes what the record `seq` of retention lists. Whether its MAC is right stands beside it.
    pub(super) fn removed(&mut self, ranges: &[Range], seq: u64, is_right: bool) {
        let Some(gap) = &mut self.gap else { return };
        let mut of_gap = ranges.iter().filter(|range| range.last == gap.last).peekable();
        if of_gap.peek().is_none() {
            return;
        }
        if !of_gap.any(|range| gap.previous == Some(*range)) {
            gap.contradicted = true;
            return;
        }
        gap.listed.get_or_insert(seq);
        gap.present.get_or_insert(seq);
        if is_right {
            gap.prove(seq);
        }
    }

    /// Another segment begins.
    pub(super) fn next_segment(&mut self) {
        if let Some(gap) = &mut self.gap {
            gap.before = gap.present.take();
        }
    }

    /// The present segment was written after the one before, as that is there: what proves it proves both.
    pub(super) fn link(&mut self) {
        if let Some(gap) = &mut self.gap {
            gap.present = gap.before.take();
        }
    }

    /// A good checkpoint signs all bytes of the segment before it.
    pub(super) fn sign(&mut self) {
        if let Some(gap) = &mut self.gap
            && let Some(record) = gap.present.take()
        {
            gap.prove(record);
        }
    }

    /// The present segment was changed.
    pub(super) fn spoil(&mut self) {
        if let Some(gap) = &mut self.gap {
            gap.present = None;
        }
    }

    /// What the log says in all.
    pub(super) fn judge(&self) -> Judged {
        match &self.gap {
            Some(Gap { proven: Some(retired), .. }) => Judged::Retired(*retired),
            Some(Gap { listed: Some(record), last, .. }) => Judged::Unproven { last: *last, record: *record },
            Some(Gap { contradicted: true, .. }) => Judged::Other,
            _ => Judged::Unexplained,
        }
    }
}

impl Gap {
    fn prove(&mut self, record: u64) {
        self.proven.get_or_insert(Retired { first: 1, last: self.last, record });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREVIOUS: Range = Range { first: 6, last: 10, sha256: [1; 32] };
    const RETIRED: Retired = Retired { first: 1, last: 10, record: 12 };
    const UNPROVEN: Judged = Judged::Unproven { last: 10, record: 12 };

    fn listed(range: Range, is_right: bool) -> Beginning {
        let mut beginning = Beginning::default();
        beginning.missing(10, Some(PREVIOUS));
        beginning.removed(&[Range { first: 1, last: 5, sha256: [0; 32] }, range], 12, is_right);
        beginning
    }

    #[test]
    fn a_record_explains_what_it_lists_once_its_mac_or_a_checkpoint_proves_it() {
        assert_eq!(listed(PREVIOUS, true).judge(), Judged::Retired(RETIRED));
        let mut beginning = listed(PREVIOUS, false);
        assert_eq!(beginning.judge(), UNPROVEN);
        beginning.sign();
        assert_eq!(beginning.judge(), Judged::Retired(RETIRED));
        assert_eq!(Beginning::default().judge(), Judged::Unexplained);
    }

    #[test]
    fn a_checkpoint_of_a_later_segment_proves_it_only_through_segments_that_are_linked() {
        let mut beginning = listed(PREVIOUS, false);
        beginning.next_segment();
        beginning.link();
        beginning.sign();
        assert_eq!(beginning.judge(), Judged::Retired(RETIRED));
        let mut beginning = listed(PREVIOUS, false);
        beginning.next_segment();
        beginning.sign();
        beginning.next_segment();
        beginning.link();
        beginning.sign();
        assert_eq!(beginning.judge(), UNPROVEN);
    }

    #[test]
    fn a_record_in_a_segment_that_was_changed_is_not_proven_by_its_checkpoints() {
        let mut beginning = listed(PREVIOUS, false);
        beginning.spoil();
        beginning.sign();
        assert_eq!(beginning.judge(), UNPROVEN);
    }

    #[test]
    fn a_record_of_another_segment_explains_nothing() {
        let other = Range { sha256: [2; 32], ..PREVIOUS };
        assert_eq!(listed(other, true).judge(), Judged::Other);
        let earlier = Range { first: 6, last: 9, sha256: [1; 32] };
        assert_eq!(listed(earlier, true).judge(), Judged::Unexplained);
    }
}
