//! `audit export`: how do security tools read the log?

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};

use super::filters::{Filters, Identities};
use super::notices::{Notices, passed_over};
use super::printable::printable_json;
use super::rows::{Form, Rows};
use super::{Exit, failed, tell};
use crate::audit::{Ending, Entry, Exporter, Filter, Format, Progress, Segment, Segments, regular};

pub(super) const EXAMPLES: &str = "\
Examples:
  dcams-gateway audit export FOLDER --format ocsf > events.jsonl
  dcams-gateway audit export FOLDER --format ecs --from-seq 48211        go on after the line 48210
  dcams-gateway audit export FOLDER --format ecs --since 24h --outcome refused

One event for each request, at its end, also for those whose outcome is unknown or that were not sent; and for starts,
stops, losses, faults, repairs, retention and changes of credentials. Intents, segments and checkpoints are left out.
Events come in the order of the log; the number for the next --from-seq is told at the end.";

#[derive(Args)]
pub(super) struct Export {
    /// The log's folder: audit.output of the configuration
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// ocsf: Open Cybersecurity Schema Framework 1.5; ecs: Elastic Common Schema 8.17
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Wanted,
    /// From the line with this number on
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    from_seq: u64,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    identities: Identities,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wanted {
    /// Open Cybersecurity Schema Framework
    Ocsf,
    /// Elastic Common Schema
    Ecs,
}

impl From<Wanted> for Format {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Ocsf => Self::Ocsf,
            Wanted::Ecs => Self::Ecs,
        }
    }
}

pub(super) fn export(command: &Export) -> Exit {
    let filter = command.filters.read().and_then(|mut filter| {
        command.identities.add_to(&mut filter)?;
        if filter.outcomes.iter().any(|outcome| outcome == "open") {
            tell("error: --outcome: what is open is exported when it ends: ask audit query");
            return Err(Exit::Usage);
        }
        Ok(filter)
    });
    let filter = match filter {
        Ok(filter) => filter,
        Err(exit) => return exit,
    };
    let segments = match Segments::open(&command.folder) {
        Ok(segments) => segments,
        Err(error) => return failed("cannot read", &command.folder, &error),
    };
    let segments = regular(&segments, &mut |other| tell(&passed_over(&other.path)));
    let Some(first) = segments.first() else {
        tell(&format!("{}: no audit-….jsonl stands here", command.folder.display()));
        return Exit::Io;
    };
    if command.from_seq < first.first_seq && command.from_seq > 1 {
        tell(&format!(
            "warning: lines {} to {} are not here any more",
            command.from_seq,
            first.first_seq - 1
        ));
    }
    let mut writing = Writing {
        rows: Rows::new(Form::Json),
        exporter: Exporter::to(command.format.into()),
        filter,
        from_seq: command.from_seq,
        next_seq: command.from_seq,
        events: 0,
    };
    match writing.write_all(&segments) {
        Ok(written) => {
            let (events, next_seq) = (writing.events, writing.next_seq);
            let exit = writing.rows.end(written);
            if exit == Exit::Ok {
                tell(&format!("{events} events; go on with --from-seq {next_seq}"));
            }
            exit
        }
        Err(error) => failed("cannot read", &command.folder, &error),
    }
}

struct Writing {
    rows: Rows,
    exporter: Exporter,
    filter: Filter,
    from_seq: u64,
    next_seq: u64,
    events: u64,
}

impl Writing {
    /// The outer error is of the log, the inner one of the output.
    fn write_all(&mut self, segments: &[Segment]) -> io::Result<io::Result<()>> {
        let begin = segments.partition_point(|segment| segment.first_seq <= self.from_seq).saturating_sub(1);
        let segments = segments.get(begin..).unwrap_or_default();
        let of_bytes = segments.iter().map(|segment| segment.bytes).sum();
        let (start, mut notices, mut bytes) = (Instant::now(), Notices::new(), 0);
        let mut lines = 0;
        for segment in segments {
            let written = self.write_segment(segment, &mut lines)?;
            if written.is_err() {
                return Ok(written);
            }
            bytes += segment.bytes;
            notices.progress(&Progress { lines, bytes, of_bytes, elapsed: start.elapsed() });
        }
        Ok(Ok(()))
    }

    fn write_segment(&mut self, segment: &Segment, count: &mut u64) -> io::Result<io::Result<()>> {
        let mut lines = match segment.lines() {
            // Retention removes segments at any time.
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tell(&passed_over(&segment.path));
                return Ok(Ok(()));
            }
            lines => lines?,
        };
        // What was written since it was listed is for the next time.
        while let Some(line) = lines.read_line()?.filter(|line| line.offset < segment.bytes) {
            *count += 1;
            let entry = Entry::read(line.bytes).filter(|_| line.ending == Ending::LineFeed);
            let Some(entry) = entry else { continue };
            // Also of lines that are not asked for: they say who wrote those that are.
            self.exporter.learn(&entry, line.bytes);
            if entry.seq < self.from_seq {
                continue;
            }
            self.next_seq = self.next_seq.max(entry.seq.saturating_add(1));
            if !self.filter.accepts(&entry) {
                continue;
            }
            if let Some(event) = self.exporter.event(line.bytes) {
                self.events += 1;
                let written = self.rows.text(&printable_json(event.to_string().as_bytes()));
                if written.is_err() {
                    return Ok(written);
                }
            }
        }
        Ok(Ok(()))
    }
}
