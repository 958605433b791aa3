//! How is an index asked, and what if it does not fit after all?

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::Exit;
use super::filters::known_names;
use super::notices::{Notices, failed};
use super::rows::{Form, Rows};
use super::tell;
use crate::audit::{Filter, Group, Index, IndexFault, Order};

/// Lines of a table where no limit is given: more would scroll away.
const TABLE_LIMIT: u64 = 100;

/// How an answer is to be given.
#[derive(Args)]
pub(super) struct Answer {
    /// Only how many there are
    #[arg(long, help_heading = "Answer")]
    count: bool,
    /// How many there are of each; several, separated by commas
    #[arg(long, value_name = "GROUP", value_enum, value_delimiter = ',', help_heading = "Answer")]
    by: Vec<By>,
    /// At most so many lines, or groups with --by; 0: all. Without it, 100 lines in a table, else all
    #[arg(long, value_name = "LINES", help_heading = "Answer")]
    limit: Option<u64>,
    /// Which lines come first
    #[arg(long, value_enum, default_value = "newest", help_heading = "Answer")]
    order: First,
    /// How the answer is written
    #[arg(long, short, value_name = "FORM", value_enum, default_value = "table", help_heading = "Answer")]
    output: Form,
    /// Where the index is kept; without it in your private cache, never beside the log
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum First {
    /// The newest
    Newest,
    /// The oldest
    Oldest,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// Caller
    Caller,
    /// Service
    Service,
    /// Outcome
    Outcome,
    /// Code of the refusal
    Code,
    /// HTTP status
    Status,
    /// Credentials that were injected
    Credential,
    /// Hour in which the request began, UTC
    Hour,
    /// Day on which the request began, UTC
    Day,
}

impl From<By> for Group {
    fn from(by: By) -> Self {
        match by {
            By::Caller => Self::Caller,
            By::Service => Self::Service,
            By::Outcome => Self::Outcome,
            By::Code => Self::Code,
            By::Status => Self::Status,
            By::Credential => Self::Credential,
            By::Hour => Self::Hour,
            By::Day => Self::Day,
        }
    }
}

/// What was answered.
pub(super) struct Answered {
    pub(super) exit: Exit,
    /// Whether there was anything.
    pub(super) any: bool,
}

/// Answers what `filter` asks of the log in `folder`. `beforehand` sees the index first, and may tell something of it.
pub(super) fn ask(
    folder: &Path,
    filter: &Filter,
    answer: &Answer,
    beforehand: &dyn Fn(&Index) -> Result<(), IndexFault>,
) -> Answered {
    let failure = |exit| Answered { exit, any: false };
    let mut notices = Notices::new();
    let file = answer.index.as_deref();
    let mut index = match Index::open(folder, file, &mut |notice| notices.tell(notice)) {
        Ok(index) => index,
        Err(fault) => return failure(failed(&fault)),
    };
    let mut rows = Rows::new(answer.output);
    for attempt in 0..2 {
        let answered = match known_names(filter, &index) {
            Ok(Err(exit)) => return failure(exit),
            Ok(Ok(())) => beforehand(&index).and_then(|()| show(&index, filter, answer, &mut rows)),
            Err(fault) => Err(fault),
        };
        match answered {
            Ok((any, written)) => return Answered { exit: rows.end(written), any },
            Err(IndexFault::Unfit(reason)) if attempt == 0 && !rows.begun() => {
                tell(&format!("the index is made again: {reason}"));
                drop(index);
                index = match Index::make(folder, file, &mut |notice| notices.tell(notice)) {
                    Ok(index) => index,
                    Err(fault) => return failure(failed(&fault)),
                };
            }
            Err(fault) => return failure(failed(&fault)),
        }
    }
    failure(Exit::Io)
}

fn show(
    index: &Index,
    filter: &Filter,
    answer: &Answer,
    rows: &mut Rows,
) -> Result<(bool, io::Result<()>), IndexFault> {
    if answer.count || !answer.by.is_empty() {
        let by: Vec<Group> = answer.by.iter().copied().map(Group::from).collect();
        let mut counts = index.count(filter, &by)?;
        let any = counts.iter().any(|(_, count)| *count > 0);
        let groups = counts.len();
        if let Some(limit @ 1..) = answer.limit {
            counts.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        let mut written = rows.counts(&by, &counts);
        if counts.len() < groups {
            written = written.and_then(|()| rows.flush());
            tell(&format!("these are {} of {groups} groups: --limit 0 shows all", counts.len()));
        }
        return Ok((any, written));
    }
    let limit = match (answer.limit, answer.output) {
        (Some(0), _) | (None, Form::Json | Form::Csv) => u64::MAX - 1,
        (Some(limit), _) => limit.min(u64::MAX - 1),
        (None, Form::Table) => TABLE_LIMIT,
    };
    let order = match answer.order {
        First::Newest => Order::Newest,
        First::Oldest => Order::Oldest,
    };
    let (mut shown, mut more, mut written) = (0, false, Ok(()));
    // One more than is shown tells whether there are more.
    index.list(filter, order, limit + 1, &mut |found| {
        if shown == limit {
            more = true;
            return ControlFlow::Break(());
        }
        shown += 1;
        written = rows.found(found);
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if more {
        let which = if order == Order::Newest { "newest" } else { "oldest" };
        written = written.and_then(|()| rows.flush());
        tell(&format!("these are the {shown} {which}: --limit 0 shows all, --count counts them"));
    }
    Ok((shown > 0, written))
}
