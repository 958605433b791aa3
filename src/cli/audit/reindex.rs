//! `audit reindex`: what does the log hold, as the index is to know it?

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::notices::{Notices, failed};
use super::{Exit, print};
use crate::audit::Index;

pub(super) const EXAMPLES: &str = "\
Example:
  dcams-gateway audit reindex /var/lib/dcams-gateway/audit

The index is brought up to date by every question and made again where it does not fit the log. It is never the
record: delete it whenever you like; where it is, this command says. Do this before an answer is taken as evidence: what
was changed in an index by this user, and not in the log, is gone then.";

#[derive(Args)]
pub(super) struct Reindex {
    /// The log's folder: audit.output of the configuration
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Where the index is kept; without it in your private cache, never beside the log
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
}

pub(super) fn reindex(command: &Reindex) -> Exit {
    let start = Instant::now();
    let mut notices = Notices::new();
    let made = Index::make(&command.folder, command.index.as_deref(), &mut |notice| notices.tell(notice));
    drop(notices);
    match made.and_then(|index| Ok((index.size()?, index.path().to_owned()))) {
        Ok((size, path)) => print(&format!(
            "{}: {} requests and {} other lines, {} bytes, in {:.1} s\n",
            path.display(),
            size.requests,
            size.events,
            size.bytes,
            start.elapsed().as_secs_f64(),
        )),
        Err(fault) => failed(&fault),
    }
}
