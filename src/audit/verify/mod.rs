//! Is this log what the gateway wrote, all of it and nothing else?
//!
//! [`Verifier`] takes the segments of a log line by line, in constant memory, and knows nothing of folders;
//! [`verify`] reads a folder. What is checked, and how to write another verifier: `docs/audit-chain.md`.

mod beginning;
mod finding;
mod given;
mod judge;
mod macs;
mod notes;
mod record;
mod report;
mod requests;
mod segment;
mod sequence;

use std::io::{self, Read};
use std::path::Path;

use uuid::Uuid;

use self::beginning::{Beginning, Judged};
use self::finding::Findings;
use self::given::Given;
use self::macs::{Checked, Macs};
use self::notes::Notes;
use self::requests::Requests;
use self::segment::Reading;
use self::sequence::Sequence;
use super::segments::{Ending, Line, Lines, Segments};
use super::{PublicKey, Sealed};
use crate::secret::Secret;

pub use beginning::Retired;
pub use finding::{Finding, Place, Wrong};
pub use notes::Note;
pub use report::{Key, Proven, Report, Verdict};

/// How often progress is told, bytes.
const TOLD_BYTES: u64 = 1 << 20;

/// How often a folder is read anew whose segments vanish meanwhile.
const ATTEMPTS: usize = 5;

/// What a log is judged by.
pub struct Evidence {
    /// The keys that may have signed its checkpoints.
    pub keys: Vec<PublicKey>,
    /// The secret that the chain's keys come from.
    pub chain_key: Option<Secret>,
    /// Checkpoint lines that were taken off the machine.
    pub checkpoints: Vec<Vec<u8>>,
}

/// Verifies the log in `folder`. `progress` is told the bytes done and all, now and then.
///
/// # Errors
///
/// The folder or a segment cannot be read.
pub fn verify(folder: &Path, evidence: &Evidence, progress: &mut dyn FnMut(u64, u64)) -> io::Result<Report> {
    for _ in 1..ATTEMPTS {
        let (report, vanished) = attempt(folder, evidence, progress)?;
        if !vanished {
            return Ok(report);
        }
    }
    attempt(folder, evidence, progress).map(|(report, _)| report)
}

/// Whether a segment vanished meanwhile stands beside the verdict: retention may have removed it, and recorded that in
/// a segment that had not been listed.
fn attempt(
    folder: &Path,
    evidence: &Evidence,
    progress: &mut dyn FnMut(u64, u64),
) -> io::Result<(Report, bool)> {
    let segments = Segments::open(folder)?;
    let (mut verifier, mut done, mut vanished) = (Verifier::new(evidence), 0, false);
    for segment in &*segments {
        match segment.lines() {
            Ok(lines) => verifier.segment(segment.first_seq, lines, &mut |bytes| {
                done = u64::saturating_add(done, bytes);
                progress(done, segments.bytes());
            })?,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => verifier.no_file(segment.first_seq),
            Err(error) if error.kind() == io::ErrorKind::NotFound => vanished = true,
            Err(error) => return Err(error),
        }
    }
    verifier.passed_over(segments.lookalikes());
    Ok((verifier.end(), vanished))
}

/// Judges a log while it is read.
pub struct Verifier {
    keys: Vec<PublicKey>,
    given: Given,
    chain: Option<Uuid>,
    sequence: Sequence,
    macs: Macs,
    /// How many checkpoints came before; `None` until a segment tells it.
    epoch: Option<u64>,
    before: Option<segment::Read>,
    /// A segment that ended without a line feed, or without a line: a fault if another follows.
    unended: Option<(Place, Unended)>,
    /// Findings at the beginning of the present segment that a record of a fault in it explains.
    explainable: Vec<usize>,
    requests: Requests,
    beginning: Beginning,
    findings: Findings,
    notes: Notes,
    proven: Proven,
    /// Whether nothing was wrong so far.
    sound: bool,
    first: Option<u64>,
    last: Option<u64>,
    lines: u64,
    segments: u64,
    bytes: u64,
    lookalikes: usize,
    /// Whether the last line of the present segment is a checkpoint, or there is none.
    ended_signed: bool,
}

#[derive(Clone, Copy)]
enum Unended {
    Torn(u64),
    Empty,
}

impl Verifier {
    /// Judges by `evidence`.
    #[must_use]
    pub fn new(evidence: &Evidence) -> Self {
        let Evidence { keys, chain_key, checkpoints } = evidence;
        let chain_key = chain_key.as_ref().map(|key| Secret::new(key.expose().to_vec()));
        Self {
            given: Given::read(checkpoints, keys),
            keys: keys.clone(),
            chain: None,
            sequence: Sequence::new(),
            macs: Macs::new(chain_key),
            epoch: None,
            before: None,
            unended: None,
            explainable: Vec::new(),
            requests: Requests::default(),
            beginning: Beginning::default(),
            findings: Findings::default(),
            notes: Notes::default(),
            proven: Proven::default(),
            sound: true,
            first: None,
            last: None,
            lines: 0,
            segments: 0,
            bytes: 0,
            lookalikes: 0,
            ended_signed: true,
        }
    }

    /// Takes the next segment, whose name has the number `name`. `progress` is told how many bytes more were read.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn segment<R: Read>(
        &mut self,
        name: u64,
        mut lines: Lines<R>,
        progress: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        self.begin();
        let (mut reading, mut untold) = (Reading::new(name), 0);
        while let Some(line) = lines.read_line()? {
            self.line(&mut reading, &line);
            untold += line.bytes.len() as u64;
            if untold >= TOLD_BYTES {
                progress(std::mem::take(&mut untold));
            }
        }
        progress(untold);
        if reading.is_empty() {
            self.unended = Some((Place { segment: name, line: 0, offset: 0, seq: None }, Unended::Empty));
        } else {
            self.before = Some(reading.end());
        }
        Ok(())
    }

    /// In the place of the segment whose name has the number `name` is something that is no file.
    pub fn no_file(&mut self, name: u64) {
        self.begin();
        self.wrong(Some(Place { segment: name, line: 0, offset: 0, seq: None }), Wrong::NotAFile);
    }

    /// So many files were named much like segments.
    pub fn passed_over(&mut self, lookalikes: usize) {
        self.lookalikes = lookalikes;
    }

    /// The verdict.
    #[must_use]
    pub fn end(mut self) -> Report {
        match self.unended.take() {
            Some((place, Unended::Torn(bytes))) => self.notes.torn(place, bytes),
            Some((place, Unended::Empty)) => self.notes.empty(place.segment),
            None => {}
        }
        if self.segments == 0 {
            self.wrong(None, Wrong::NoSegments);
        }
        match self.beginning.judge() {
            Judged::Unexplained => {}
            Judged::Retired(retired) => {
                self.findings.explain_beginning();
                self.proven.retired = Some(retired);
            }
            Judged::Unproven { last, record } => {
                self.findings.amend_beginning(Wrong::RetentionUnproven { last, record });
            }
            Judged::Other => self.findings.amend_beginning(Wrong::RetentionDigest),
        }
        self.judge_given();
        let notes = self.notes.told(self.requests.left(), &self.given.strange(), self.lookalikes);
        let (findings, findings_left_out) = self.findings.end();
        self.proven.chain_key = self.macs.is_keyed();
        let verdict = if !findings.is_empty() || findings_left_out > 0 {
            Verdict::NotClean
        } else if self.proven.is_nothing() {
            Verdict::NothingProven
        } else {
            Verdict::Clean
        };
        Report {
            verdict,
            clean: verdict == Verdict::Clean,
            chain: self.chain,
            first: self.first,
            last: self.last,
            lines: self.lines,
            segments: self.segments,
            bytes: self.bytes,
            proven: self.proven,
            findings,
            findings_left_out,
            notes,
        }
    }

    /// The last checkpoint that was given must be there; earlier ones may have been removed by retention.
    fn judge_given(&mut self) {
        for number in self.given.invalid() {
            self.wrong(None, Wrong::GivenInvalid { number });
        }
        if self.given.is_of_others() {
            self.wrong(None, Wrong::GivenOtherChain);
        }
        let retired = self.proven.retired.map_or(0, |retired| retired.last);
        let last = self.last.unwrap_or_default();
        for unseen in self.given.unseen() {
            let seq = unseen.seq;
            if seq > last {
                self.wrong(None, Wrong::GivenBeyond { seq, last });
            } else if unseen.is_last || seq > retired {
                self.wrong(None, Wrong::GivenMissing { seq });
            }
        }
    }
}
