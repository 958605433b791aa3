//! What does the writer ask of an output, and how can that fail?

use std::io;

use tokio::time::Instant;

use super::queue::Change;

/// How far a commit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// The kernel has it: it outlives this process.
    Written,
    /// The disk has it: it outlives the machine's power.
    Durable,
}

/// What kept lines from their output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    WriteFailed,
    SyncFailed,
    SegmentGone,
    SegmentReplaced,
    SegmentTruncated,
    SegmentAltered,
    ChainBroken,
    FolderGone,
    Stalled,
}

impl Fault {
    /// The name in the record.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::WriteFailed => "write_failed",
            Self::SyncFailed => "sync_failed",
            Self::SegmentGone => "segment_gone",
            Self::SegmentReplaced => "segment_replaced",
            Self::SegmentTruncated => "segment_truncated",
            Self::SegmentAltered => "segment_altered",
            Self::ChainBroken => "chain_broken",
            Self::FolderGone => "folder_gone",
            Self::Stalled => "stalled",
        }
    }
}

/// A fault with the number of its error, where the system gave one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    pub(super) os: Option<i32>,
}

impl Failure {
    pub(super) fn write(error: &io::Error) -> Self {
        Self { fault: Fault::WriteFailed, os: error.raw_os_error() }
    }

    pub(super) fn sync(error: &io::Error) -> Self {
        Self { fault: Fault::SyncFailed, os: error.raw_os_error() }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { fault, os: None }
    }
}

/// Where lines go: a chain of segments in a folder, or a stream.
pub(super) trait Trail: Send {
    /// Takes one more line, `object` without its number; only into memory.
    fn append(&mut self, object: &[u8], change: Change);

    /// Hands over all that was appended.
    fn commit(&mut self, depth: Depth) -> Result<(), Failure>;

    /// After a failure: looks at the output anew and makes all durable. `news` tell of the failure, as early in the
    /// output as possible; those that were appended are taken out.
    fn recover(&mut self, news: &mut Vec<Vec<u8>>) -> Result<(), Failure>;

    /// What is to be done from time to time, after a commit.
    fn keep_up(&mut self, now: Instant) -> Result<(), Failure>;

    /// The last lines were appended: makes all durable and ends the output as it should be found.
    fn close(&mut self) -> Result<(), Failure>;

    /// Number of the last line that is durable; 0 where there is none.
    fn durable_seq(&self) -> u64;

    /// The newest checkpoint that is durable, once: the whole line.
    fn take_checkpoint(&mut self) -> Option<String> {
        None
    }

    /// Bytes of lines that are not durable; what was never appended is not among them.
    fn waiting_bytes(&self) -> usize;

    /// Whether too little space is left for lines that need not be.
    fn short_of_space(&self) -> bool {
        false
    }
}
