//! `audit checkpoint`: which line, kept elsewhere, pins the log as it is now?

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, failed, print, tell};
use crate::audit::{Ending, Sealed, Segment, Segments};

pub(super) const EXAMPLES: &str = "\
Examples:
  dcams-gateway audit checkpoint /var/lib/dcams-gateway/audit
  ssh gateway dcams-gateway audit checkpoint /var/lib/dcams-gateway/audit >> checkpoints.jsonl

It prints the last checkpoint, one line, as it stands and without judging it. Keep it where nobody
who can change the log can change it too: `audit verify --checkpoint` then finds any change before it.";

#[derive(Args)]
pub(super) struct Checkpoint {
    /// The audit folder
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(super) fn run(command: &Checkpoint) -> Exit {
    match last(&command.folder) {
        Ok(Some(line)) => print(&String::from_utf8_lossy(&line)),
        Ok(None) => {
            tell(&format!("{} holds no checkpoint yet", command.folder.display()));
            Exit::Negative
        }
        Err(error) => failed("cannot read", &command.folder, &error),
    }
}

/// The last checkpoint line, from the newest segment that has one.
fn last(folder: &Path) -> io::Result<Option<Vec<u8>>> {
    for segment in Segments::open(folder)?.iter().rev() {
        if let Some(line) = last_of(segment)? {
            return Ok(Some(line));
        }
    }
    Ok(None)
}

fn last_of(segment: &Segment) -> io::Result<Option<Vec<u8>>> {
    let (mut lines, mut last) = (segment.lines()?, None);
    while let Some(line) = lines.read_line()? {
        let is_checkpoint = line.ending == Ending::LineFeed
            && Sealed::read(line.bytes).is_some_and(|sealed| sealed.kind == "checkpoint");
        if is_checkpoint {
            last = Some(line.bytes.to_vec());
        }
    }
    Ok(last)
}
