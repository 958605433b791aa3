//! Is this the line that comes next?

/// How a line stands to the lines before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It comes next.
    Next,
    /// It comes next, and what was doubtful before it is told by the finding about that.
    Settled(usize, Told),
    /// Lines are missing in front of it.
    Jump { first: u64, last: u64 },
    /// Its number was over already.
    OutOfPlace { expected: u64 },
}

/// What a finding should have said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The line before bears a wrong number.
    Number { expected: u64 },
    /// The line before does not belong there.
    OutOfPlace { expected: u64 },
}

/// Which number comes next.
pub(super) struct Sequence {
    expected: u64,
    doubt: Option<Doubt>,
}

/// The line before was not the one that comes next: it may stand in its place, or be there in addition.
struct Doubt {
    /// What came next before it.
    before: u64,
    /// How many such lines there are in a row.
    lines: u64,
    kind: Doubtful,
    /// The finding that told it.
    finding: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubtful {
    Jump,
    OutOfPlace,
    Unreadable,
}

impl Sequence {
    /// A log begins with 1.
    pub(super) fn new() -> Self {
        Self { expected: 1, doubt: None }
    }

    /// Takes the line numbered `seq`. What is a [`Step::Jump`] or [`Step::OutOfPlace`] is told by the finding
    /// that [`Self::told`] takes next.
    pub(super) fn take(&mut self, seq: u64) -> Step {
        let next = seq.saturating_add(1);
        let Some(doubt) = self.doubt.take() else { return self.take_sure(seq, self.expected) };
        let Doubt { before, lines, kind, finding } = doubt;
        let in_its_place = seq == before.saturating_add(1) && lines == 1;
        let settled = match kind {
            Doubtful::Jump if seq == self.expected => Step::Next,
            Doubtful::Jump if in_its_place => Step::Settled(finding, Told::Number { expected: before }),
            Doubtful::Jump if seq == before => Step::Settled(finding, Told::OutOfPlace { expected: before }),
            Doubtful::Jump => return self.take_sure(seq, self.expected),
            Doubtful::OutOfPlace if seq == before => Step::Next,
            Doubtful::OutOfPlace if in_its_place => Step::Settled(finding, Told::Number { expected: before }),
            Doubtful::OutOfPlace if seq < before => {
                self.doubt = Some(Doubt { lines: lines.saturating_add(1), ..doubt });
                return Step::OutOfPlace { expected: before };
            }
            Doubtful::OutOfPlace => return self.take_sure(seq, before),
            Doubtful::Unreadable if (before..=before.saturating_add(lines)).contains(&seq) => Step::Next,
            Doubtful::Unreadable if seq < before => return self.take_sure(seq, before),
            Doubtful::Unreadable => return self.take_sure(seq, before.saturating_add(lines)),
        };
        self.expected = next;
        settled
    }

    fn take_sure(&mut self, seq: u64, expected: u64) -> Step {
        let (kind, step) = match seq.cmp(&expected) {
            std::cmp::Ordering::Equal => {
                self.expected = seq.saturating_add(1);
                return Step::Next;
            }
            std::cmp::Ordering::Greater => {
                self.expected = seq.saturating_add(1);
                (Doubtful::Jump, Step::Jump { first: expected, last: seq.saturating_sub(1) })
            }
            std::cmp::Ordering::Less => {
                self.expected = expected;
                (Doubtful::OutOfPlace, Step::OutOfPlace { expected })
            }
        };
        self.doubt = Some(Doubt { before: expected, lines: 1, kind, finding: usize::MAX });
        step
    }

    /// By which finding the last step was told.
    pub(super) fn told(&mut self, finding: usize) {
        if let Some(doubt) = &mut self.doubt {
            doubt.finding = finding;
        }
    }

    /// Takes a line whose number could not be read.
    pub(super) fn take_unreadable(&mut self) {
        let doubt = match self.doubt.take() {
            Some(doubt) if doubt.kind == Doubtful::Unreadable => {
                Doubt { lines: doubt.lines.saturating_add(1), ..doubt }
            }
            _ => Doubt { before: self.expected, lines: 1, kind: Doubtful::Unreadable, finding: usize::MAX },
        };
        self.doubt = Some(doubt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steps of lines, 0 for one that cannot be read, after the lines 1 to 9.
    fn steps(lines: &[u64]) -> Vec<Step> {
        let mut sequence = Sequence::new();
        for seq in 1..10 {
            assert_eq!(sequence.take(seq), Step::Next);
        }
        let mut steps = Vec::new();
        for (at, seq) in lines.iter().enumerate() {
            if *seq == 0 {
                sequence.take_unreadable();
            } else {
                steps.push(sequence.take(*seq));
                sequence.told(at);
            }
        }
        steps
    }

    #[test]
    fn missing_lines_are_told_once() {
        let expected = [Step::Next, Step::Jump { first: 11, last: 14 }, Step::Next, Step::Next];
        assert_eq!(steps(&[10, 15, 16, 17]), expected);
    }

    #[test]
    fn a_wrong_number_is_told_as_one() {
        let jump = Step::Jump { first: 10, last: 89 };
        let settled = Step::Settled(0, Told::Number { expected: 10 });
        assert_eq!(steps(&[90, 11, 12]), [jump, settled, Step::Next]);
        let lower = Step::OutOfPlace { expected: 10 };
        assert_eq!(steps(&[2, 11, 12]), [lower, settled, Step::Next]);
    }

    #[test]
    fn copies_and_moved_lines_do_not_make_the_others_wrong() {
        let copy = Step::OutOfPlace { expected: 10 };
        assert_eq!(steps(&[5, 6, 7, 10, 11]), [copy, copy, copy, Step::Next, Step::Next]);
        let early = Step::Jump { first: 10, last: 19 };
        let settled = Step::Settled(0, Told::OutOfPlace { expected: 10 });
        assert_eq!(steps(&[20, 10, 11]), [early, settled, Step::Next]);
    }

    #[test]
    fn an_unreadable_line_stands_in_the_place_of_one_or_of_none() {
        assert_eq!(steps(&[0, 11, 12]), [Step::Next, Step::Next]);
        assert_eq!(steps(&[0, 10, 11]), [Step::Next, Step::Next]);
        assert_eq!(steps(&[0, 0, 12, 13]), [Step::Next, Step::Next]);
        assert_eq!(steps(&[0, 15]), [Step::Jump { first: 11, last: 14 }]);
    }
}
