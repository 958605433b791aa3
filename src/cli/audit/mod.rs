//! `audit`: what does the log say, and is it whole?

mod asked;
mod checkpoint;
mod export;
mod filters;
mod find;
mod keygen;
mod notices;
mod printable;
mod query;
mod reindex;
mod rows;
mod tail;
mod times;
mod verify;

use clap::{Args, Subcommand};

use super::{Exit, print, tell};

#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prove that a log is whole and unchanged, or name the first record that is not
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::Verify),
    /// Print the last checkpoint, to be kept off the machine
    #[command(after_help = checkpoint::EXAMPLES)]
    Checkpoint(checkpoint::Checkpoint),
    /// Make the keys that a log needs: to sign checkpoints, to check them, and to chain lines
    #[command(after_help = keygen::EXAMPLES)]
    Keygen(keygen::Keygen),
    /// Show the last lines, and follow the log as it grows
    #[command(after_help = tail::EXAMPLES)]
    Tail(tail::Tail),
    /// List or count requests, by time, caller, service, outcome, code, status, id or person
    #[command(after_help = query::EXAMPLES)]
    Query(query::Query),
    /// Find the requests about one person, by an e-mail or a reference that is never on the command line
    #[command(after_help = find::EXAMPLES)]
    Find(find::Find),
    /// Write the log as events that security tools know
    #[command(after_help = export::EXAMPLES)]
    Export(export::Export),
    /// Make the index again that answers questions
    #[command(after_help = reindex::EXAMPLES)]
    Reindex(reindex::Reindex),
}

pub(super) fn audit(audit: Audit) -> Exit {
    match audit.command {
        Command::Tail(tail) => tail::tail(&tail),
        Command::Query(query) => query::query(&query),
        Command::Find(find) => find::find(&find),
        Command::Export(export) => export::export(&export),
        Command::Reindex(reindex) => reindex::reindex(&reindex),
        Command::Verify(verify) => verify::run(&verify),
        Command::Checkpoint(checkpoint) => checkpoint::run(&checkpoint),
        Command::Keygen(keygen) => keygen::run(&keygen),
    }
}

/// Tells what failed, without quoting anything but a path from the command line.
fn failed(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Exit {
    tell(&format!("{doing} {}: {error}", path.display()));
    if error.kind() == std::io::ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Io }
}
