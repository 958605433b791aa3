//! What is on a disk when the power fails, or the process is killed, at a given call?

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::medium::Medium;

/// A disk of which the test can tell which calls fail, and take a picture at any of them.
#[derive(Clone, Default)]
pub(super) struct TestDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    folder: PathBuf,
    calls: u64,
    /// Take a picture at this call.
    crash_at: Option<u64>,
    /// Contents at their last sync, and names at the last sync of the folder.
    contents: HashMap<u64, Vec<u8>>,
    names: BTreeMap<String, u64>,
    durable_seq: u64,
    picture: Option<Picture>,
    write_error: Option<i32>,
    sync_error: Option<i32>,
    /// Bytes that may be written before `write_error`.
    room: usize,
}

/// All that a crash may leave.
pub(super) struct Picture {
    /// Contents of each file now, and when it was last synced.
    files: HashMap<u64, (Vec<u8>, Vec<u8>)>,
    names_now: BTreeMap<String, u64>,
    names_then: BTreeMap<String, u64>,
    /// The last line that was told to be durable.
    pub(super) durable_seq: u64,
}

impl TestDisk {
    /// What is in `folder` already is durable.
    pub(super) fn new(folder: &Path) -> Self {
        let mut state = State { folder: folder.to_owned(), ..State::default() };
        if folder.exists() {
            state.names = names(folder);
            let contents = |(name, inode): (&String, &u64)| (*inode, fs::read(folder.join(name)).unwrap());
            state.contents = state.names.iter().map(contents).collect();
        }
        Self(Arc::new(Mutex::new(state)))
    }

    /// The picture is taken when so many calls were made.
    pub(super) fn crash_at(&self, call: u64) {
        self.lock().crash_at = Some(call);
    }

    pub(super) fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// What was told so far.
    pub(super) fn told_durable(&self, seq: u64) {
        self.lock().durable_seq = seq;
    }

    pub(super) fn take_picture(&self) -> Option<Picture> {
        self.lock().picture.take()
    }

    pub(super) fn fail_writes(&self, error: Option<i32>, room: usize) {
        let mut state = self.lock();
        (state.write_error, state.room) = (error, room);
    }

    pub(super) fn fail_syncs(&self, error: Option<i32>) {
        self.lock().sync_error = error;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn call(&mut self) {
        if self.crash_at == Some(self.calls) {
            self.picture = Some(self.take_picture());
        }
        self.calls += 1;
    }

    fn take_picture(&self) -> Picture {
        let names_now = names(&self.folder);
        let mut files: HashMap<u64, (Vec<u8>, Vec<u8>)> =
            self.contents.iter().map(|(inode, then)| (*inode, (then.clone(), then.clone()))).collect();
        for (name, inode) in &names_now {
            let now = fs::read(self.folder.join(name)).unwrap();
            files.entry(*inode).or_default().0 = now;
        }
        Picture { files, names_now, names_then: self.names.clone(), durable_seq: self.durable_seq }
    }
}

fn names(folder: &Path) -> BTreeMap<String, u64> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().ino())).collect()
}

impl Medium for TestDisk {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.lock();
        state.call();
        let metadata = file.metadata()?;
        if metadata.len() == 0 {
            // New, or with the number of a file that is gone.
            state.contents.insert(metadata.ino(), Vec::new());
        }
        let room = if state.write_error.is_some() { state.room.min(bytes.len()) } else { bytes.len() };
        if room == 0 {
            return Err(io::Error::from_raw_os_error(state.write_error.unwrap_or_default()));
        }
        if state.write_error.is_some() {
            state.room -= room;
        }
        // In two pieces, so that a picture may show the first alone.
        let (one, two) = bytes[..room].split_at(room / 2);
        file.write_all_at(one, offset)?;
        state.call();
        file.write_all_at(two, offset + one.len() as u64)?;
        Ok(room)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let mut state = self.lock();
        state.call();
        if let Some(error) = state.sync_error {
            return Err(io::Error::from_raw_os_error(error));
        }
        file.sync_data()?;
        let metadata = file.metadata()?;
        let mut bytes = vec![0; usize::try_from(metadata.len()).unwrap()];
        file.read_exact_at(&mut bytes, 0)?;
        state.contents.insert(metadata.ino(), bytes);
        Ok(())
    }

    fn sync_folder(&self, _: &File) -> io::Result<()> {
        let mut state = self.lock();
        state.call();
        if let Some(error) = state.sync_error {
            return Err(io::Error::from_raw_os_error(error));
        }
        state.names = names(&state.folder);
        Ok(())
    }
}

/// How much of what was not synced is on the disk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    /// All of it: the process was killed, and the machine lives.
    Nothing,
    /// None of it.
    Everything,
    /// Chosen by these bits.
    Some(u64),
}

impl Picture {
    /// Writes what was left into `folder`, which is empty.
    pub(super) fn restore(&self, folder: &Path, loss: Loss) {
        let mut bits = match loss {
            Loss::Nothing => Bits(0),
            Loss::Everything => Bits(u64::MAX),
            Loss::Some(seed) => Bits(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        };
        let chosen = matches!(loss, Loss::Some(_));
        let then = matches!(loss, Loss::Everything) || (chosen && bits.next(2) == 1);
        let names = if then { &self.names_then } else { &self.names_now };
        for (name, inode) in names {
            let Some((now, then)) = self.files.get(inode) else { continue };
            let bytes = match loss {
                Loss::Nothing => now.clone(),
                Loss::Everything => then.clone(),
                Loss::Some(_) => bits.mixed(now, then),
            };
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
}

struct Bits(u64);

impl Bits {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % below
    }

    /// Sectors of what is there now in what was there at the last sync, and a size in between; what was allocated
    /// and not written is zeros. The writer appends, or overwrites whole sectors.
    fn mixed(&mut self, now: &[u8], then: &[u8]) -> Vec<u8> {
        const SECTOR: usize = 512;
        let grown = now.len().max(then.len()) - then.len();
        let length = then.len() + self.next(grown + 1);
        let mut bytes = then.to_vec();
        bytes.resize(length, 0);
        let written = self.next(length / SECTOR + 2);
        for (at, sector) in bytes.chunks_mut(SECTOR).enumerate() {
            // Pages of one file reach the disk in order when they are appended; of a file that is overwritten in
            // any order.
            let is_new = if grown > 0 { at < written } else { self.next(2) == 1 };
            if is_new {
                let new = now.get(at * SECTOR..).unwrap_or_default();
                let length = sector.len().min(new.len());
                sector[..length].copy_from_slice(&new[..length]);
            }
        }
        bytes
    }
}
