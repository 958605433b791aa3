//! How do diagnostics reach standard error without ever keeping a request, the audit or a stop waiting?

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait for a reader of standard error; more are dropped and counted.
const MOST_WAITING: usize = 16 << 10;
/// How long the end of the process waits for that reader.
const PATIENCE: Duration = Duration::from_secs(1);

/// Hands whole lines to the one thread that writes them.
#[derive(Clone)]
pub(super) struct Diagnostics {
    lines: Sender<Line>,
    dropped: Arc<AtomicU64>,
}

enum Line {
    Text(Vec<u8>),
    /// To be answered once all before it is written.
    Flush(std::sync::mpsc::Sender<()>),
}

impl Diagnostics {
    /// Starts the thread that writes to `sink`.
    pub(super) fn to(sink: impl Write + Send + 'static) -> io::Result<Self> {
        // One that grows: std's takes half a megabyte for this many before there is any.
        let (lines, receiver) = channel(MOST_WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("diagnostics".to_owned())
            .spawn(move || write_all(sink, receiver, &counted))?;
        Ok(Self { lines, dropped })
    }

    /// Waits until what was said so far is written, for a second at most.
    pub(super) fn flush(&self) {
        let (written, all) = std::sync::mpsc::channel();
        if self.lines.try_send(Line::Flush(written)).is_ok() {
            // A reader that stopped reading is not waited for any longer.
            let _ = all.recv_timeout(PATIENCE);
        }
    }
}

impl Write for &Diagnostics {
    /// Each call is one whole line: that is how `tracing_subscriber` writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Line::Text(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Diagnostics {
    type Writer = &'w Diagnostics;

    fn make_writer(&'w self) -> Self::Writer {
        self
    }
}

fn write_all(mut sink: impl Write, mut lines: Receiver<Line>, dropped: &AtomicU64) {
    while let Some(line) = lines.blocking_recv() {
        match line {
            // Where nobody reads, there is nobody to tell.
            Line::Text(text) => drop(sink.write_all(&text)),
            Line::Flush(written) => drop(written.send(())),
        }
        let missing = dropped.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let _ = writeln!(sink, "{missing} diagnostics were dropped: nobody read standard error");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn nobody_waits_for_a_reader_who_does_not_read() {
        let (mut reader, pipe) = io::pipe().unwrap();
        let diagnostics = Diagnostics::to(pipe).unwrap();
        let line = [[b'x'; 99].as_slice(), b"\n"].concat();
        for _ in 0..2 * MOST_WAITING {
            (&diagnostics).write_all(&line).unwrap();
        }
        diagnostics.flush();
        let mut text = String::new();
        let reading = std::thread::spawn(move || {
            reader.read_to_string(&mut text).unwrap();
            text
        });
        drop(diagnostics);
        let text = reading.join().unwrap();
        let told = text.lines().filter(|line| line.ends_with("nobody read standard error")).count();
        assert!(told > 0, "the dropped lines are told");
        assert!(text.lines().filter(|line| line.len() == 99).count() >= MOST_WAITING);
    }

    #[test]
    fn what_was_said_is_written_before_the_end() {
        let (mut reader, pipe) = io::pipe().unwrap();
        let diagnostics = Diagnostics::to(pipe).unwrap();
        (&diagnostics).write_all(b"stopped\n").unwrap();
        diagnostics.flush();
        let mut text = [0; 8];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"stopped\n");
    }
}
