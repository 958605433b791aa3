//! What should somebody know who waits for an answer?

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Exit, tell};
use crate::audit::{IndexFault, Notice, Progress};

/// What takes less is not worth a line.
const QUIET: Duration = Duration::from_secs(1);
/// Between two lines where they stay, as in a log.
const APART: Duration = Duration::from_secs(5);

/// Tells notices on standard error. Progress overwrites itself on a terminal.
pub(super) struct Notices {
    terminal: bool,
    last: Option<Instant>,
    line_open: bool,
}

impl Notices {
    pub(super) fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), last: None, line_open: false }
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        let text = match notice {
            Notice::Progress(progress) => return self.progress(&progress),
            Notice::Temporary(path) => format!(
                "there is no private cache to keep the index in (XDG_CACHE_HOME, HOME): it is made as {}, for this \
                 time only; --index FILE keeps it",
                path.display()
            ),
            Notice::PassedOver(path) => passed_over(&path),
            Notice::Waiting => "another process brings the index up to date: waiting for it".to_owned(),
            Notice::MadeAgain(reason) => format!("the index is made again: {reason}"),
            Notice::Sorting => "sorting".to_owned(),
            Notice::Unreadable { lines, segment, offset } => format!(
                "warning: {lines} lines are none of this log's form, or out of their order, and left out (the first \
                 in {segment} at byte {offset}): run audit verify"
            ),
        };
        self.end_line();
        tell(&text);
    }

    /// How far it is, at what rate, and how long it will take.
    pub(super) fn progress(&mut self, progress: &Progress) {
        let due = match self.last {
            _ if progress.elapsed < QUIET => false,
            None => true,
            Some(last) => self.terminal || last.elapsed() >= APART,
        };
        if !due {
            return;
        }
        self.last = Some(Instant::now());
        let text = shown(progress);
        if self.terminal {
            // To the end of the line: the text before may have been longer.
            let _ = write!(io::stderr().lock(), "\r{text}\u{1b}[K");
            self.line_open = true;
        } else {
            tell(&text);
        }
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.line_open) {
            let _ = writeln!(io::stderr().lock());
        }
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.end_line();
    }
}

fn shown(progress: &Progress) -> String {
    let seconds = progress.elapsed.as_secs_f64();
    let rate = progress.lines as f64 / seconds;
    let done = progress.bytes as f64 / (progress.of_bytes.max(1)) as f64;
    let left = if done > 0.0 { (seconds / done - seconds).max(0.0) } else { 0.0 };
    format!("{} records read, {rate:.0}/s, {:.0} %, about {left:.0} s left", progress.lines, done * 100.0)
}

/// That `path` is left out of the answer.
pub(super) fn passed_over(path: &Path) -> String {
    format!(
        "warning: {}: named as a segment, but no regular file; left out: run audit verify",
        path.display()
    )
}

/// Tells why there is no answer.
pub(super) fn failed(fault: &IndexFault) -> Exit {
    tell(&format!("error: {fault}"));
    match fault {
        IndexFault::Log { error, .. } | IndexFault::Place { error, .. }
            if error.kind() == io::ErrorKind::PermissionDenied =>
        {
            Exit::Permission
        }
        IndexFault::Unfit(_) => {
            tell("the log was changed while it was read: run audit verify, then ask again");
            Exit::Io
        }
        _ => Exit::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_the_rate_and_an_estimate() {
        let progress =
            Progress { lines: 500_000, bytes: 250, of_bytes: 1000, elapsed: Duration::from_secs(2) };
        assert_eq!(shown(&progress), "500000 records read, 250000/s, 25 %, about 6 s left");
    }
}
