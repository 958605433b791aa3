//! How do lines get into a pipe?

use std::fs::File;
use std::io::{self, Write};

use tokio::time::Instant;

use super::queue::Change;
use super::trail::{Depth, Failure, Trail};

/// A pipe, a terminal or a file that somebody else rotates. Lines are numbered from 1 at each start; they have no
/// MACs, and are durable as far as their reader makes them so.
pub(super) struct Stream {
    sink: File,
    next_seq: u64,
    durable_seq: u64,
    waiting: Vec<u8>,
    /// How much of `waiting` was taken.
    written: usize,
}

impl Stream {
    pub(super) fn new(sink: File) -> Self {
        Self { sink, next_seq: 1, durable_seq: 0, waiting: Vec::new(), written: 0 }
    }

    /// From where the last attempt ended, so that no line is torn or doubled.
    fn write(&mut self) -> io::Result<()> {
        while let Some(rest) = self.waiting.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.sink.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.waiting.clear();
        self.written = 0;
        self.durable_seq = self.next_seq - 1;
        Ok(())
    }
}

impl Trail for Stream {
    fn append(&mut self, object: &[u8], _change: Change) {
        self.waiting.extend_from_slice(b"{\"seq\":");
        self.waiting.extend_from_slice(self.next_seq.to_string().as_bytes());
        self.waiting.push(b',');
        self.waiting.extend_from_slice(object.get(1..).unwrap_or_default());
        self.waiting.push(b'\n');
        self.next_seq += 1;
    }

    fn commit(&mut self, _depth: Depth) -> Result<(), Failure> {
        self.write().map_err(|error| Failure::write(&error))
    }

    fn recover(&mut self, news: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
        for object in news.drain(..) {
            self.append(&object, Change::None);
        }
        self.commit(Depth::Durable)
    }

    fn keep_up(&mut self, _now: Instant) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self) -> Result<(), Failure> {
        self.commit(Depth::Durable)
    }

    fn durable_seq(&self) -> u64 {
        self.durable_seq
    }

    fn waiting_bytes(&self) -> usize {
        self.waiting.len()
    }
}
