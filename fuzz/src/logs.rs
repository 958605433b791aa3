//! Is no changed log called clean, and no log accused that nobody changed?
//!
//! An input is a list of edits of a log that is always the same; or, where its first byte says so, a segment of its
//! own.

use std::sync::LazyLock;

use dcams_gateway::audit::Lines;
use dcams_gateway::audit::verify::{Report, Verifier};

use crate::log::{Author, Folder, evidence, is_checkpoint};

/// What the verifier said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The log is as it was up to its last checkpoint, and is called clean.
    Clean,
    /// It is not as it was, and not called clean.
    Found,
    /// A segment of nobody, which is not called clean.
    Strange,
}

struct Genuine {
    folder: Folder,
    last_checkpoint: Vec<u8>,
}

/// Three segments, a crash, a retention, and lines behind the last checkpoint.
static GENUINE: LazyLock<Genuine> = LazyLock::new(|| {
    let mut author = Author::begin(7);
    author.request();
    author.rotate();
    author.intent();
    author.crash();
    author.rotate();
    author.retain(2);
    author.refusal();
    author.checkpoint();
    author.rotate();
    author.request();
    author.checkpoint();
    author.refusal();
    let last_checkpoint = author.folder.last_checkpoint().unwrap();
    Genuine { folder: author.folder, last_checkpoint }
});

/// An input that begins so is a segment itself.
pub const SEGMENT: u8 = b'!';

/// Judges what `input` stands for, and panics where the verdict is not what it must be.
pub fn check(input: &[u8]) -> Option<Verdict> {
    let (first, rest) = input.split_first()?;
    if *first == SEGMENT {
        for keyed in [true, false] {
            let report = judge_alone(rest, keyed);
            assert!(!report.clean, "a segment of nobody is clean");
        }
        return Some(Verdict::Strange);
    }
    let edited = edited(input)?;
    let unchanged = is_genuine(&edited);
    let report = edited.verify(evidence(true, std::slice::from_ref(&GENUINE.last_checkpoint)));
    assert_eq!(report.clean, unchanged, "{report:?}");
    // Without the chain's key, and without what was kept elsewhere, less is proven, and nothing must break.
    let _ = edited.verify(evidence(false, &[]));
    Some(if unchanged { Verdict::Clean } else { Verdict::Found })
}

fn judge_alone(bytes: &[u8], keyed: bool) -> Report {
    let mut verifier = Verifier::new(&evidence(keyed, &[]));
    verifier.segment(1, Lines::new(bytes, 0), &mut |_| {}).unwrap();
    verifier.end()
}

/// The genuine log after the edits: for each, in which segment, which part of it stands before the edit (of 65,535),
/// how many bytes are removed, and which are put in their place.
fn edited(mut input: &[u8]) -> Option<Folder> {
    let mut folder = GENUINE.folder.clone();
    while let Some((&[segment, high, low, removed, inserted], rest)) = input.split_first_chunk() {
        let segments = folder.0.len();
        let bytes = &mut folder.0[usize::from(segment) % segments].bytes;
        let at = bytes.len() * usize::from(u16::from_be_bytes([high, low])) / usize::from(u16::MAX);
        let end = (at + usize::from(removed)).min(bytes.len());
        let inserted = rest.get(..usize::from(inserted) % 64)?;
        bytes.splice(at..end, inserted.iter().copied());
        input = &rest[inserted.len()..];
    }
    Some(folder)
}

/// Whether all whole lines are those that were written, up to the last checkpoint at least, and what stands behind it
/// is no whole line that was not: a crash tears the last one.
fn is_genuine(edited: &Folder) -> bool {
    let (last, before) = GENUINE.folder.0.split_last().unwrap();
    let (edited_last, edited_before) = edited.0.split_last().unwrap();
    if before != edited_before {
        return false;
    }
    let genuine: Vec<_> = last.bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let least = 1 + genuine.iter().rposition(|line| is_checkpoint(line)).unwrap();
    let lines: Vec<_> = edited_last.bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let whole = lines.iter().take_while(|line| line.ends_with(b"\n")).count();
    whole >= least && whole <= genuine.len() && lines[..whole] == genuine[..whole]
}
