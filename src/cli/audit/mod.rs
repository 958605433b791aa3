//! `audit`: what does the log say, and is it whole?

mod keygen;

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
    /// Make the keys that a log needs: to sign checkpoints, to check them, and to chain lines
    #[command(after_help = keygen::EXAMPLES)]
    Keygen(keygen::Keygen),
}

pub(super) fn audit(audit: Audit) -> Exit {
    match audit.command {
        Command::Keygen(keygen) => keygen::keygen(&keygen),
    }
}

/// Tells what failed, without quoting anything but a path from the command line.
fn failed(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Exit {
    tell(&format!("{doing} {}: {error}", path.display()));
    if error.kind() == std::io::ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Io }
}
