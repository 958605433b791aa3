//! How is a running gateway watched, and tampered with, where it enters the kernel?

mod trace;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use trace::{Call, Event, read};

/// strace, attached to all threads of a running process. What it injects ends when it lets go.
pub struct Strace {
    child: Child,
    folder: TempDir,
}

impl Strace {
    /// Attaches with `expressions` of `-e`, for example `trace=fdatasync` and `inject=fdatasync:error=EIO`, and
    /// returns when every thread is held.
    pub fn attach(pid: u32, expressions: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("strace");
        // Descriptors with paths and addresses, nothing abbreviated.
        command.args(["-f", "-yy", "-v", "-s", "16777216", "-o"]).arg(folder.path().join("trace"));
        command.args(expressions.iter().flat_map(|expression| ["-e", expression]));
        command.args(["-p", &pid.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("strace cannot be started ({error}): these tests need it, and .ci/deps installs it")
        });
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains(" attached") {
            let count = stderr.read_line(&mut said).unwrap();
            assert!(count > 0, "strace cannot trace the gateway, which needs root: {said}");
        }
        // Read on, so that it never waits for its messages to be taken.
        std::thread::spawn(move || stderr.read_to_string(&mut String::new()));
        Self { child, folder }
    }

    /// Lets go of the gateway and gives what was seen.
    pub fn detach(mut self) -> Vec<Event> {
        self.let_go();
        read(&std::fs::read_to_string(self.folder.path().join("trace")).unwrap())
    }

    fn let_go(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
            kill_process(pid, Signal::TERM).unwrap();
            self.child.wait().unwrap();
        }
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.let_go();
    }
}
