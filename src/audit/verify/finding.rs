//! What is wrong with a log, where, and what would be right?

use std::fmt;

use uuid::Uuid;

use crate::audit::{LINE_BYTES, Segment, hex};

/// Findings beyond this number are counted only.
const MOST: usize = 1000;
/// What [`Findings::push_beginning`] gives.
const BEGINNING: usize = usize::MAX - 1;

/// A place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number in the segment's name.
    pub segment: u64,
    /// The line in that segment, from 1.
    pub line: u64,
    /// Where that line begins in the segment, bytes.
    pub offset: u64,
    /// The number that the line bears, where it could be read.
    pub seq: Option<u64>,
}

impl Place {
    /// The segment's name.
    #[must_use]
    pub fn segment_name(&self) -> String {
        Segment::name_of(self.segment)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, line {}, byte {}", self.segment_name(), self.line, self.offset)?;
        self.seq.map_or(Ok(()), |seq| write!(out, ", seq {seq}"))
    }
}

/// One thing that is wrong. Lines in a row with the same fault are one finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where; `None` where it concerns the log as a whole.
    pub place: Option<Place>,
    /// What.
    pub wrong: Wrong,
    /// In how many lines in a row.
    pub lines: u64,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The folder has no segment at all.
    NoSegments,
    /// A segment is a link, a pipe or a folder.
    NotAFile,
    /// A segment without a line that is not the last.
    EmptySegment,
    /// Longer than any line that is written.
    TooLong,
    /// No line feed at the end of a segment that others follow.
    Torn,
    /// Not of the form that every line has.
    NotALine,
    /// Not one strict JSON object; the offset in the line.
    NotJson(u32),
    /// A line of this kind has not the members that it must have.
    Members,
    /// The line bears another number than its place has.
    Number {
        /// What it would be.
        expected: u64,
    },
    /// The line is a repetition, or belongs elsewhere.
    OutOfPlace {
        /// The number that comes next here.
        expected: u64,
    },
    /// Lines are not there.
    Missing {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
        /// The gateway's own record that says so: its fault and its number.
        explained: Option<(&'static str, u64)>,
    },
    /// The segment's name has another number than its first line.
    Name,
    /// The first line of a segment is no `segment` line.
    NoHeader,
    /// A `segment` line stands inside a segment.
    HeaderInside,
    /// `previous` says there is no segment before, or that there is one, and the numbers say otherwise.
    Previous,
    /// `previous` names another range than the segment before has.
    PreviousRange {
        /// What the segment before has.
        expected: (u64, u64),
    },
    /// The segment before is not the one that this one was written after.
    PreviousDigest {
        /// The first and the last line that may have been changed.
        lines: (u64, u64),
        /// The gateway's own record that says so: its fault and its number.
        explained: Option<(&'static str, u64)>,
    },
    /// The line belongs to another chain.
    Chain {
        /// The chain of the lines before.
        expected: Uuid,
    },
    /// Another epoch than the checkpoints before make.
    Epoch {
        /// What it would be.
        expected: u64,
    },
    /// An epoch that cannot be.
    EpochImpossible,
    /// A checkpoint names another first line than its segment has.
    CheckpointFirst {
        /// What it would be.
        expected: u64,
    },
    /// Not the bytes that were signed.
    CheckpointDigest {
        /// The first and the last line that may have been changed.
        lines: (u64, u64),
    },
    /// A checkpoint of a key that was not given.
    UnknownKey([u8; 8]),
    /// A signature that the key did not make.
    Signature,
    /// A MAC that the chain key does not make.
    Mac,
    /// A second intent, or a second outcome, of the same request.
    Twice(&'static str, Uuid),
    /// The gateway itself found, when it started, that the log had been changed.
    ChainBroken {
        /// The last line that was as it left it.
        good: Option<u64>,
    },
    /// The beginning is missing, and nothing proves the record of retention that lists it.
    RetentionUnproven {
        /// The last line that is missing.
        last: u64,
        /// The number of the record.
        record: u64,
    },
    /// What the folder has removed by retention is not what the next segment was written after.
    RetentionDigest,
    /// A given checkpoint is none: not a line, or not signed by a given key.
    GivenInvalid {
        /// Which of them, from 1.
        number: usize,
    },
    /// All given checkpoints are of other chains: none of them says anything about this log.
    GivenOtherChain,
    /// At its number stands another line than the given checkpoint.
    GivenDiffers,
    /// The log ends before the given checkpoint.
    GivenBeyond {
        /// Its number.
        seq: u64,
        /// The last number of the log.
        last: u64,
    },
    /// The lines where the given checkpoint was are not there.
    GivenMissing {
        /// Its number.
        seq: u64,
    },
}

impl Wrong {
    /// A stable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSegments => "no_segments",
            Self::NotAFile => "not_a_file",
            Self::EmptySegment => "empty_segment",
            Self::TooLong => "too_long",
            Self::Torn => "torn",
            Self::NotALine => "not_a_line",
            Self::NotJson(_) => "not_json",
            Self::Members => "members",
            Self::Number { .. } => "number",
            Self::OutOfPlace { .. } => "out_of_place",
            Self::Missing { .. } => "missing",
            Self::Name => "name",
            Self::NoHeader => "no_header",
            Self::HeaderInside => "header_inside",
            Self::Previous => "previous",
            Self::PreviousRange { .. } => "previous_range",
            Self::PreviousDigest { .. } => "previous_digest",
            Self::Chain { .. } => "chain",
            Self::Epoch { .. } => "epoch",
            Self::EpochImpossible => "epoch_impossible",
            Self::CheckpointFirst { .. } => "checkpoint_first",
            Self::CheckpointDigest { .. } => "checkpoint_digest",
            Self::UnknownKey(_) => "unknown_key",
            Self::Signature => "signature",
            Self::Mac => "mac",
            Self::Twice(..) => "twice",
            Self::ChainBroken { .. } => "chain_broken",
            Self::RetentionUnproven { .. } => "retention_unproven",
            Self::RetentionDigest => "retention_digest",
            Self::GivenInvalid { .. } => "given_invalid",
            Self::GivenOtherChain => "given_other_chain",
            Self::GivenDiffers => "given_differs",
            Self::GivenBeyond { .. } => "given_beyond",
            Self::GivenMissing { .. } => "given_missing",
        }
    }

    /// Whether the same in the line before is the same finding.
    fn runs_on(&self) -> bool {
        matches!(
            self,
            Self::TooLong | Self::NotALine | Self::NotJson(_) | Self::OutOfPlace { .. } | Self::Mac
        )
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSegments => write!(out, "no segment is there: expected audit-….jsonl files"),
            Self::NotAFile => {
                write!(out, "the segment is a link or no regular file: expected the file itself")
            }
            Self::EmptySegment => write!(out, "the segment is empty, and others follow: expected its lines"),
            Self::TooLong => write!(out, "longer than any line that is written ({LINE_BYTES} bytes)"),
            Self::Torn => {
                write!(out, "the segment ends inside a line, and others follow: expected a line feed")
            }
            Self::NotALine => write!(
                out,
                "not a line of the log: expected {{\"seq\":N,\"v\":1,\"kind\":\"…\", …,\"mac\":\"64 hexadecimal digits\"}}"
            ),
            Self::NotJson(at) => {
                write!(out, "not one strict JSON object: stopped at byte {at} of the line")
            }
            Self::Members => {
                write!(out, "the members that a line of this kind must have are missing or wrong")
            }
            Self::Number { expected } => {
                write!(out, "the line bears a wrong number: expected seq {expected}")
            }
            Self::OutOfPlace { expected } => {
                write!(out, "a copy, or moved from elsewhere: expected the line with seq {expected}")
            }
            Self::Missing { first, last, explained } => {
                write!(out, "the lines {} are missing", range(*first, *last))?;
                explanation(out, *explained)
            }
            Self::Name => {
                write!(out, "the segment's name has another number than its first line: expected equal ones")
            }
            Self::NoHeader => write!(out, "the segment does not begin with a line of kind segment"),
            Self::HeaderInside => {
                write!(out, "a line of kind segment inside a segment: expected as a first line only")
            }
            Self::Previous => {
                write!(out, "`previous` is there if and only if the segment's first line is not seq 1")
            }
            Self::PreviousRange { expected: (first, last) } => {
                write!(
                    out,
                    "`previous` names other lines than the segment before has: expected {first} to {last}"
                )
            }
            Self::PreviousDigest { lines: (first, last), explained } => {
                write!(
                    out,
                    "the segment before was changed after this one was begun: not the SHA-256 of `previous`; \
                     changed somewhere in {}",
                    range(*first, *last)
                )?;
                explanation(out, *explained)
            }
            Self::Chain { expected } => write!(out, "of another chain: expected {expected}"),
            Self::Epoch { expected } => write!(out, "of another epoch: expected {expected}"),
            Self::EpochImpossible => {
                write!(out, "of an epoch that cannot be: more than there are lines before it")
            }
            Self::CheckpointFirst { expected } => {
                write!(out, "the checkpoint is of another segment: expected `first` {expected}")
            }
            Self::CheckpointDigest { lines: (first, last) } => write!(
                out,
                "the bytes before this checkpoint are not those that were signed: changed somewhere in {}",
                range(*first, *last)
            ),
            Self::UnknownKey(id) => {
                write!(out, "the checkpoint is of the key {}, which was not given", hex(id))
            }
            Self::Signature => write!(out, "the signature of the checkpoint is not one of its key"),
            Self::Mac => {
                write!(out, "the line or the one before was changed: not the MAC that the chain key makes")
            }
            Self::Twice(kind, id) => write!(out, "a second {kind} of the request {id}: expected one"),
            Self::ChainBroken { good } => {
                write!(out, "the gateway itself found the log changed when it started")?;
                good.map_or(Ok(()), |good| write!(out, ": as it left it up to seq {good} only"))
            }
            Self::RetentionUnproven { last, record } => write!(
                out,
                "the lines {} are missing, and nothing proves the record of retention at seq {record} that lists them: \
                 expected a good checkpoint after it, or its MAC with the chain key",
                range(1, *last)
            ),
            Self::RetentionDigest => write!(
                out,
                "the segment before was removed by retention, whose record has another SHA-256 or range than `previous`"
            ),
            Self::GivenInvalid { number } => {
                write!(out, "the given checkpoint number {number} is not a checkpoint signed by a given key")
            }
            Self::GivenOtherChain => write!(
                out,
                "all given checkpoints are of other chains, and none of this log: expected at least one of its chain"
            ),
            Self::GivenDiffers => {
                write!(
                    out,
                    "rewritten: at this number a checkpoint was taken off the machine with other bytes"
                )
            }
            Self::GivenBeyond { seq, last } => write!(
                out,
                "rolled back or cut: a checkpoint with seq {seq} was taken off the machine, the log ends with {last}"
            ),
            Self::GivenMissing { seq } => write!(
                out,
                "the line with seq {seq}, of which a checkpoint was taken off the machine, is not in the log: where retention \
                 removed it, give a later one"
            ),
        }
    }
}

pub(super) fn range(first: u64, last: u64) -> String {
    if first >= last { format!("seq {last}") } else { format!("seq {first} to {last}") }
}

fn explanation(out: &mut fmt::Formatter<'_>, explained: Option<(&'static str, u64)>) -> fmt::Result {
    match explained {
        Some((fault, seq)) => write!(out, " (the gateway saw it itself: fault {fault} at seq {seq})"),
        None => Ok(()),
    }
}

/// All that was found, in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    left_out: u64,
    /// That the beginning is missing, which may turn out to be explained, and how many findings stand before it. It
    /// takes no place from the others.
    beginning: Option<(usize, Finding)>,
}

impl Findings {
    /// Adds one, and gives its number.
    pub(super) fn push(&mut self, place: Option<Place>, wrong: Wrong) -> usize {
        if self.continues(place, &wrong) {
            if let Some(last) = self.list.last_mut() {
                last.lines = last.lines.saturating_add(1);
            }
        } else if self.list.len() < MOST {
            self.list.push(Finding { place, wrong, lines: 1 });
        } else {
            self.left_out = self.left_out.saturating_add(1);
            return usize::MAX;
        }
        self.list.len() - 1
    }

    fn continues(&self, place: Option<Place>, wrong: &Wrong) -> bool {
        let follows = |last: &Finding| {
            last.place.zip(place).is_some_and(|(last_place, place)| {
                last_place.segment == place.segment
                    && last_place.line.saturating_add(last.lines) == place.line
            })
        };
        wrong.runs_on()
            && self.list.last().is_some_and(|last| last.wrong.code() == wrong.code() && follows(last))
    }

    /// Says it better, once more is known.
    pub(super) fn amend(&mut self, number: usize, better: impl FnOnce(&mut Wrong)) {
        let finding = if number == BEGINNING {
            self.beginning.as_mut().map(|(_, finding)| finding)
        } else {
            self.list.get_mut(number)
        };
        if let Some(finding) = finding {
            better(&mut finding.wrong);
        }
    }

    /// The beginning is missing: a finding like others, unless [`Self::explain_beginning`] follows.
    pub(super) fn push_beginning(&mut self, place: Place, wrong: Wrong) -> usize {
        self.beginning = Some((self.list.len(), Finding { place: Some(place), wrong, lines: 1 }));
        BEGINNING
    }

    /// Whether `number` is the finding that the beginning is missing.
    pub(super) fn is_beginning(number: usize) -> bool {
        number == BEGINNING
    }

    /// Says better why the beginning is missing.
    pub(super) fn amend_beginning(&mut self, better: Wrong) {
        self.amend(BEGINNING, |wrong| *wrong = better);
    }

    /// That the beginning is missing is as it should be.
    pub(super) fn explain_beginning(&mut self) {
        self.beginning = None;
    }

    /// All, and how many more there were.
    pub(super) fn end(mut self) -> (Vec<Finding>, u64) {
        if let Some((at, finding)) = self.beginning {
            self.list.insert(at.min(self.list.len()), finding);
        }
        (self.list, self.left_out)
    }
}
