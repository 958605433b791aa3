//! What is left of the audit's folder when the host dies?

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, MutexGuard};

use dcams_gateway::audit::Medium;
use serde_json::Value;

use crate::flaw::Flaw;
use crate::random::Random;
use crate::witness::{Witness, attempt_of};

/// The disk of the gateway's host. What was written and not synced is lost when the power fails, in part or whole.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

struct State {
    witness: Witness,
    random: Random,
    flaw: Option<Flaw>,
    powered: bool,
    /// Syncs fail.
    sick: bool,
    unsynced: Vec<Written>,
}

struct Written {
    file: File,
    inode: u64,
    offset: u64,
    bytes: Vec<u8>,
    /// What stood there, and how long the file was.
    before: Vec<u8>,
    size_before: u64,
}

impl Disk {
    pub fn new(witness: Witness, random: Random, flaw: Option<Flaw>) -> Self {
        let state = State { witness, random, flaw, powered: true, sick: false, unsynced: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// From now on nothing is written.
    pub fn cut(&self) {
        self.lock().powered = false;
    }

    /// The process died; what it had written is still in the kernel.
    pub fn survive(&self) {
        self.lock().unsynced.clear();
    }

    /// The machine died; of what was not synced each file has a beginning, and of its next piece a part.
    pub fn lose(&self) {
        let mut state = self.lock();
        let mut by_file: BTreeMap<u64, Vec<Written>> = BTreeMap::new();
        for written in std::mem::take(&mut state.unsynced) {
            by_file.entry(written.inode).or_default().push(written);
        }
        for mut pieces in by_file.into_values() {
            let kept = state.random.index(pieces.len() + 1);
            for lost in pieces.drain(kept..).rev() {
                let part = state.random.index(lost.bytes.len());
                lost.undo_but(part);
            }
        }
    }

    /// What is on it now is durable.
    pub fn power(&self) {
        let mut state = self.lock();
        (state.powered, state.sick) = (true, false);
    }

    pub fn set_sick(&self, sick: bool) {
        self.lock().sick = sick;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Written {
    /// Only `part` of its first bytes are there; behind the end of the file nothing is.
    fn undo_but(&self, part: usize) {
        self.file.set_len(self.size_before.max(self.offset + part as u64)).unwrap();
        if let Some(rest) = self.before.get(part..) {
            self.file.write_all_at(rest, self.offset + part as u64).unwrap();
        }
    }
}

impl Medium for Disk {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.lock();
        if !state.powered {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let metadata = file.metadata()?;
        let there = metadata.len().saturating_sub(offset).min(bytes.len() as u64);
        let mut before = vec![0; usize::try_from(there).unwrap()];
        file.read_exact_at(&mut before, offset)?;
        let altered = (state.flaw == Some(Flaw::RecordsUnsent)).then(|| as_unsent(bytes));
        let bytes = altered.as_deref().unwrap_or(bytes);
        file.write_all_at(bytes, offset)?;
        let (inode, size_before) = (metadata.ino(), metadata.len());
        let (file, bytes) = (file.try_clone()?, bytes.to_vec());
        let length = bytes.len();
        state.unsynced.push(Written { file, inode, offset, bytes, before, size_before });
        Ok(length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let mut state = self.lock();
        if !state.powered {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if state.sick {
            state.witness.tell("sync failed", "");
            return Err(io::Error::from_raw_os_error(5));
        }
        if state.flaw == Some(Flaw::DurableTooEarly) {
            return Ok(());
        }
        let inode = file.metadata()?.ino();
        let synced: Vec<_> = state.unsynced.extract_if(.., |written| written.inode == inode).collect();
        let lines = synced.iter().flat_map(|written| written.bytes.split(|byte| *byte == b'\n'));
        for attempt in lines.filter_map(intended) {
            let mut facts = state.witness.facts();
            let now_ms = facts.now_ms;
            facts.durable_ms.entry(attempt).or_insert(now_ms);
        }
        Ok(())
    }

    fn sync_folder(&self, _: &File) -> io::Result<()> {
        if self.lock().powered { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }
}

/// The planted fault of a recorder that says of what was forwarded that it was not.
fn as_unsent(bytes: &[u8]) -> Vec<u8> {
    // Of the journal's state not all is text.
    let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
    text.replace(r#""outcome":"forwarded""#, r#""outcome":"not_sent" "#).into_bytes()
}

/// Whose intent this line is.
fn intended(line: &[u8]) -> Option<u64> {
    let line: Value = serde_json::from_slice(line).ok()?;
    (line["kind"] == "intent").then_some(())?;
    attempt_of(line["caller_request_id"].as_str()?)
}
