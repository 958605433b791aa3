//! How do audit lines reach their file without blocking a request, and what happens when they cannot?

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::AuditOutput;

/// Unwritten bytes from which on nothing is forwarded any more.
const REFUSE_FROM_BYTES: u64 = 8 << 20;
/// Unwritten bytes from which on lines are counted as lost instead of kept.
const LOSE_FROM_BYTES: u64 = 32 << 20;
/// How long a failed write waits before it is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// How long a stop waits for an output that takes nothing.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How much is written in one call at most.
const BATCH_BYTES: usize = 256 << 10;

/// Why no record could be written.
#[derive(Debug, thiserror::Error)]
pub enum AuditFault {
    /// The output cannot be opened for appending, or the writer's thread not be started.
    #[error("the audit output cannot be opened: {0}")]
    Open(#[from] io::Error),
}

/// Whether lines reach their output; shared between the writer's thread and the requests.
#[derive(Default)]
pub struct Health {
    failing: AtomicBool,
    closing: AtomicBool,
    taken_lines: AtomicU64,
    pending_bytes: AtomicU64,
    written_lines: AtomicU64,
    lost_lines: AtomicU64,
    faults: AtomicU64,
}

impl Health {
    /// Whether a record of a new forward would be written.
    #[must_use]
    pub fn available(&self) -> bool {
        !self.failing.load(Ordering::Relaxed) && self.pending_bytes() < REFUSE_FROM_BYTES
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        self.pending_bytes.load(Ordering::Relaxed)
    }

    /// Lines written since the start.
    #[must_use]
    pub fn written_lines(&self) -> u64 {
        self.written_lines.load(Ordering::Relaxed)
    }

    /// Lines given up because too many were waiting.
    #[must_use]
    pub fn lost_lines(&self) -> u64 {
        self.lost_lines.load(Ordering::Relaxed)
    }

    /// The thread is gone: nothing will be written any more.
    fn found_dead(&self) -> bool {
        self.failing.store(true, Ordering::Relaxed);
        true
    }

    /// Writes that failed.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }
}

/// The one thread that writes audit lines, in the order in which requests ended.
pub struct Writer {
    sender: Mutex<Option<Sender<Vec<u8>>>>,
    health: Arc<Health>,
    /// Tells, by being closed, that the thread has ended.
    ended: Mutex<Receiver<()>>,
}

impl Writer {
    /// Opens `output` and starts the thread.
    ///
    /// # Errors
    ///
    /// [`AuditFault`] when the file cannot be opened for appending.
    pub fn start(output: &AuditOutput) -> Result<Self, AuditFault> {
        let sink: Box<dyn Write + Send> = match output {
            AuditOutput::Stdout => Box::new(unbuffered_stdout()?),
            AuditOutput::Folder(folder) => Box::new(open(&folder.path)?),
        };
        let (sender, receiver) = channel();
        let (end, ended) = channel();
        let health = Arc::new(Health::default());
        let mut run =
            Run { sink, receiver, health: Arc::clone(&health), batch: Vec::new(), done: 0, lines: 0 };
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || {
            run.run();
            drop(end);
        })?;
        Ok(Self { sender: Mutex::new(Some(sender)), health, ended: Mutex::new(ended) })
    }

    /// Hands over one line, with its line feed. Never waits.
    pub fn send(&self, line: Vec<u8>) {
        let bytes = line.len() as u64;
        let pending = self.health.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = sender.as_ref().is_none_or(|sender| {
            pending < LOSE_FROM_BYTES && sender.send(line).is_err_and(|_| self.health.found_dead())
        });
        if gone || pending >= LOSE_FROM_BYTES {
            self.health.pending_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.health.lost_lines.fetch_add(1, Ordering::Relaxed);
        } else {
            self.health.taken_lines.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether lines reach their output.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Writes what is waiting and ends the thread; blocks until then. A failing output is tried once
    /// more and then given up, a blocked one after five seconds. Returns how many lines were not written.
    #[must_use]
    pub fn finish(&self) -> u64 {
        self.health.closing.store(true, Ordering::Release);
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Nothing is ever sent: the wait ends when the thread does, or with the patience.
        let _ = self.ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(STOP_PATIENCE);
        let written = self.health.written_lines();
        let unwritten = self.health.taken_lines.load(Ordering::Acquire).saturating_sub(written);
        self.health.lost_lines.fetch_add(unwritten, Ordering::Relaxed);
        self.health.lost_lines()
    }
}

/// Standard output without the line buffering of the standard library, which would copy every line
/// and could split it.
fn unbuffered_stdout() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o640).read(true).open(path)?;
    end_torn_line(&mut file)?;
    Ok(file)
}

/// A process that died while it wrote leaves half a line: the next line must not be glued to it.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.read_exact_at(&mut last, metadata.len() - 1)?;
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
}

/// What the writer's thread owns.
struct Run {
    sink: Box<dyn Write + Send>,
    receiver: Receiver<Vec<u8>>,
    health: Arc<Health>,
    /// Whole lines, of which the first `done` bytes are written.
    batch: Vec<u8>,
    done: usize,
    lines: u64,
}

impl Run {
    fn run(&mut self) {
        loop {
            let open = if self.batch.is_empty() { self.wait() } else { self.gather() };
            let written = self.write();
            let closing = !open || self.health.closing.load(Ordering::Acquire);
            if (closing && !written) || (!open && self.batch.is_empty()) {
                return;
            }
        }
    }

    /// Waits for a line; `false` when there will be none.
    fn wait(&mut self) -> bool {
        match self.receiver.recv() {
            Ok(line) => {
                self.push(&line);
                self.gather()
            }
            Err(_) => false,
        }
    }

    /// Takes what is there, up to a batch. After a failure it waits first.
    fn gather(&mut self) -> bool {
        if self.health.failing.load(Ordering::Relaxed) {
            std::thread::sleep(RETRY);
        }
        while self.batch.len() < BATCH_BYTES {
            match self.receiver.try_recv() {
                Ok(line) => self.push(&line),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    fn push(&mut self, line: &[u8]) {
        self.batch.extend_from_slice(line);
        self.lines += 1;
    }

    /// Writes the batch, from where the last attempt ended, so that no line is torn or doubled.
    fn write(&mut self) -> bool {
        while let Some(rest) = self.batch.get(self.done..).filter(|rest| !rest.is_empty()) {
            match self.sink.write(rest) {
                Ok(0) => return self.failed(&io::Error::from(io::ErrorKind::WriteZero)),
                Ok(written) => {
                    self.done += written;
                    self.health.pending_bytes.fetch_sub(written as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.failed(&error),
            }
        }
        if self.health.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("audit records are written again");
        }
        self.health.written_lines.fetch_add(self.lines, Ordering::Relaxed);
        self.batch.clear();
        self.done = 0;
        self.lines = 0;
        true
    }

    fn failed(&self, error: &io::Error) -> bool {
        self.health.faults.fetch_add(1, Ordering::Relaxed);
        if !self.health.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(kind = ?error.kind(), os = error.raw_os_error(), "audit records cannot be written: forwarding stops");
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_arrive_whole_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let writer = Writer::start(&AuditOutput::File(path.clone())).unwrap();
        let expected: String = (0..1_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        for n in 0..1_000 {
            writer.send(format!("{{\"n\":{n}}}\n").into_bytes());
        }
        assert_eq!(writer.finish(), 0);
        assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
        assert_eq!(writer.health().written_lines(), 1_000);
    }

    #[test]
    fn a_torn_last_line_is_not_glued_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::fs::write(&path, "{\"whole\":1}\n{\"to").unwrap();
        let writer = Writer::start(&AuditOutput::File(path.clone())).unwrap();
        writer.send(b"{\"next\":1}\n".to_vec());
        assert_eq!(writer.finish(), 0);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "{\"whole\":1}\n{\"to\n{\"next\":1}\n");
    }

    #[test]
    fn a_full_disk_makes_the_audit_unavailable() {
        let writer = Writer::start(&AuditOutput::File("/dev/full".into())).unwrap();
        writer.send(b"{}\n".to_vec());
        while writer.health().faults() == 0 {
            std::thread::yield_now();
        }
        assert!(!writer.health().available());
        assert_eq!(writer.finish(), 1);
    }

    #[test]
    fn a_stop_ends_however_much_is_waiting_for_a_full_disk_and_says_what_was_lost() {
        let writer = Writer::start(&AuditOutput::File("/dev/full".into())).unwrap();
        let line = vec![b'x'; 1_000];
        for _ in 0..2_000 {
            writer.send(line.clone());
        }
        assert_eq!(writer.finish(), 2_000);
    }
}
