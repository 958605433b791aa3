//! `audit`: what does the log say, and is it whole?

mod checkpoint;
mod keygen;
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
}

pub(super) fn audit(audit: Audit) -> Exit {
    match audit.command {
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
