//! `audit query`: what became of which requests?

use std::path::PathBuf;

use clap::Args;

use super::Exit;
use super::asked::{Answer, ask};
use super::filters::{Filters, Identities};

pub(super) const EXAMPLES: &str = "\
Examples:
  dcams-gateway audit query /var/lib/dcams-gateway/audit                        the newest 100 requests
  dcams-gateway audit query FOLDER --since 24h --outcome refused --by code,caller
  dcams-gateway audit query FOLDER --service getDocumentImages --since 7d --by caller,day
  dcams-gateway audit query FOLDER --outcome unknown,open                       what may or may not have happened
  dcams-gateway audit query FOLDER --caller '(none)' --since 2h --count         strangers
  dcams-gateway audit query FOLDER --id 019a5c1e-7d7e-7c3a-9d3f-2b1f0c9e8a71 --kind intent,outcome -o json
  dcams-gateway audit query FOLDER --kind loss,fault,repair,retention           what happened to the log itself
  dcams-gateway audit query FOLDER --status 5xx --since 2026-11-20 -o csv > failures.csv

Without --kind, a request is one row: its outcome, or its intent while it has none (open). The time is that of the
request's head. Exit codes: 0 answered, also with nothing; 2 usage, 74 input or output, 77 permission.";

#[derive(Args)]
pub(super) struct Query {
    /// The log's folder: audit.output of the configuration
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    identities: Identities,
    #[command(flatten)]
    answer: Answer,
}

pub(super) fn query(command: &Query) -> Exit {
    let filter = command.filters.read().and_then(|mut filter| {
        command.identities.add_to(&mut filter)?;
        Ok(filter)
    });
    match filter {
        Ok(filter) => ask(&command.folder, &filter, &command.answer, &|_| Ok(())).exit,
        Err(exit) => exit,
    }
}
