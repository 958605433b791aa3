//! `audit tail`: what was written last, and what comes next?

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::filters::{Filters, Identities};
use super::notices::passed_over;
use super::rows::{Form, Rows};
use super::{Exit, failed, tell};
use crate::audit::{Filter, Follower, Segment, Segments, last_lines, regular};

pub(super) const EXAMPLES: &str = "\
Examples:
  dcams-gateway audit tail /var/lib/dcams-gateway/audit              the last 10 lines
  dcams-gateway audit tail -f FOLDER --kind outcome --outcome refused
  dcams-gateway audit tail -f FOLDER -n 0 -o json | jq .us.total     as they are written, also into new segments
  dcams-gateway audit tail FOLDER -n 3 --kind fault,loss

Every line is shown, of any kind, as it stands in the log; no index is needed. Colours on a terminal only, and not
where NO_COLOR is set.";

/// Between two looks at the folder: nobody reads faster.
const INTERVAL: Duration = Duration::from_millis(200);

#[derive(Args)]
pub(super) struct Tail {
    /// The log's folder: audit.output of the configuration
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// How many lines
    #[arg(long, short = 'n', value_name = "LINES", default_value_t = 10)]
    lines: usize,
    /// Show what is written from now on, too
    #[arg(long, short)]
    follow: bool,
    /// How lines are written
    #[arg(long, short, value_name = "FORM", value_enum, default_value = "text")]
    output: TailForm,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    identities: Identities,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TailForm {
    /// To be read
    Text,
    /// As they stand in the log
    Json,
}

pub(super) fn tail(command: &Tail) -> Exit {
    let filter = match filter(command) {
        Ok(filter) => filter,
        Err(exit) => return exit,
    };
    let segments = match Segments::open(&command.folder) {
        Ok(segments) => segments,
        Err(error) => return failed("cannot read", &command.folder, &error),
    };
    let mut told = BTreeSet::new();
    let segments = regular(&segments, &mut |other| tell_once(other, &mut told));
    if segments.is_empty() && !command.follow {
        tell(&format!("{}: no audit-….jsonl stands here", command.folder.display()));
        return Exit::Io;
    }
    let last = match last_lines(&segments, &filter, command.lines) {
        Ok(last) => last,
        Err(error) => return failed("cannot read", &command.folder, &error),
    };
    let mut rows = Rows::new(match command.output {
        TailForm::Text => Form::Table,
        TailForm::Json => Form::Json,
    });
    let written = last.iter().try_for_each(|line| rows.line(line)).and_then(|()| rows.flush());
    match written {
        Ok(()) if command.follow => follow(command, &segments, &filter, rows, &mut told),
        written => rows.end(written),
    }
}

fn filter(command: &Tail) -> Result<Filter, Exit> {
    let mut filter = command.filters.read()?;
    command.identities.add_to(&mut filter)?;
    if filter.outcomes.iter().any(|outcome| outcome == "open") {
        tell("error: --outcome: no line says that a request is open: ask audit query");
        return Err(Exit::Usage);
    }
    Ok(filter)
}

/// The folder is looked at again and again.
fn tell_once(other: &Segment, told: &mut BTreeSet<u64>) {
    if told.insert(other.first_seq) {
        tell(&passed_over(&other.path));
    }
}

/// Until it is interrupted, or nobody reads any more.
fn follow(
    command: &Tail,
    segments: &[Segment],
    filter: &Filter,
    mut rows: Rows,
    told: &mut BTreeSet<u64>,
) -> Exit {
    let mut follower = Follower::behind(&command.folder, segments);
    loop {
        let mut written = Ok(());
        let mut show = |line: &[u8]| {
            written = rows.line(line);
            match &written {
                Ok(()) => Ok(()),
                Err(_) => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
            }
        };
        let read = follower.new_lines(filter, &mut |other| tell_once(other, told), &mut show);
        let written = written.and_then(|()| rows.flush());
        if written.is_err() {
            return rows.end(written);
        }
        if let Err(error) = read {
            return failed("cannot read", &command.folder, &error);
        }
        std::thread::sleep(INTERVAL);
    }
}
