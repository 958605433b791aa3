//! What do the commands say that read the records of a folder?

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// As many lines as there can be in a run.
const ALL: &str = "1000000000";

/// What stands before the folder, and what behind it.
const READERS: [(&str, &[&str]); 7] = [
    ("query", &["--limit", "0"]),
    ("query", &["--limit", "0", "-o", "json"]),
    ("query", &["--limit", "0", "-o", "csv"]),
    ("tail", &["-n", ALL]),
    ("tail", &["-n", ALL, "-o", "json"]),
    ("export", &["--format", "ocsf"]),
    ("export", &["--format", "ecs"]),
];

/// What one command said.
pub(super) struct Reading {
    /// The command, without the folder.
    pub(super) command: String,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) exit: ExitStatus,
}

/// Runs each command of `binary` on the records in `folder`, one after the other.
pub(super) fn readings(binary: &Path, folder: &Path) -> io::Result<Vec<Reading>> {
    let each = |(name, options): &(&str, &[&str])| {
        let mut command = Command::new(binary);
        command.args(["audit", name]).arg(folder).args(*options).env_clear().stdin(Stdio::null());
        if *name == "query" {
            // Beside the records, where it is searched, and not in the operator's own cache.
            command.arg("--index").arg(folder.join("index.sqlite"));
        }
        let output = command.output()?;
        let (stdout, stderr, exit) = (output.stdout, output.stderr, output.status);
        Ok(Reading { command: format!("audit {name} {}", options.join(" ")), stdout, stderr, exit })
    };
    READERS.iter().map(each).collect()
}
