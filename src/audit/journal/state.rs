//! Where does the chain go on after a crash, and with which key?
//!
//! Two slots of 512 bytes. A new epoch is written into the slot that is not in use, made durable, and then the other
//! is overwritten with zeros: at every instant one slot is whole, and no key outlives its epoch.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::folder::{Folder, Place};
use super::medium::{Medium, write_all_at};
use crate::audit::MAC_BYTES;
use crate::digest::{first, sha256};

/// The name of the file.
pub(super) const NAME: &str = "chain";
const NEW_NAME: &str = "chain.new";
const MAGIC: &[u8; 8] = b"DCAMSCHN";
const VERSION: u32 = 1;
const SLOT_BYTES: usize = 512;
/// What the digest of a slot covers.
const COVERED_BYTES: usize = 8 + 4 + 16 + 4 * 8 + 2 * MAC_BYTES;

/// A point of the chain up to which all is durable.
pub(super) struct Slot {
    pub(super) chain: Uuid,
    pub(super) epoch: u64,
    pub(super) next_seq: u64,
    /// Number of the first line of the segment that holds the point.
    pub(super) segment: u64,
    /// Where in that segment, bytes.
    pub(super) offset: u64,
    /// The MAC of the line before.
    pub(super) previous: [u8; MAC_BYTES],
    pub(super) key: Zeroizing<[u8; MAC_BYTES]>,
}

impl Slot {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(SLOT_BYTES));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(self.chain.as_bytes());
        for number in [self.epoch, self.next_seq, self.segment, self.offset] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.previous);
        bytes.extend_from_slice(&*self.key);
        let digest = sha256([&*bytes]);
        bytes.extend_from_slice(&digest);
        bytes.resize(SLOT_BYTES, 0);
        bytes
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (covered, rest) = bytes.split_at_checked(COVERED_BYTES)?;
        let mut parts = Parts(covered);
        let known = parts.take()? == *MAGIC && parts.take()? == VERSION.to_le_bytes();
        let whole = rest.starts_with(&sha256([covered]));
        (known && whole).then_some(())?;
        Some(Self {
            chain: Uuid::from_bytes(parts.take()?),
            epoch: u64::from_le_bytes(parts.take()?),
            next_seq: u64::from_le_bytes(parts.take()?),
            segment: u64::from_le_bytes(parts.take()?),
            offset: u64::from_le_bytes(parts.take()?),
            previous: parts.take()?,
            key: Zeroizing::new(parts.take()?),
        })
    }
}

struct Parts<'a>(&'a [u8]);

impl Parts<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (part, rest) = self.0.split_at_checked(N)?;
        self.0 = rest;
        Some(first(part))
    }
}

/// The file with the slots.
pub(super) struct StateFile {
    file: File,
    place: Place,
    /// Where the slot in use is, bytes.
    used: u64,
}

/// What was found at start.
pub(super) enum Found {
    /// No such file.
    Nothing,
    /// A file without a whole slot.
    Damaged,
    Slot(Slot, StateFile),
}

impl StateFile {
    /// Reads the newest whole slot, and erases what else is there.
    pub(super) fn load(folder: &Folder, medium: &dyn Medium) -> io::Result<Found> {
        let file = match folder.open_file(NAME) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        let slots = [0, SLOT_BYTES as u64].map(|at| (at, read_slot(&file, at)));
        let whole = slots.into_iter().filter_map(|(at, slot)| Some((at, slot?)));
        let newest = whole.max_by_key(|(_, slot)| (slot.epoch, slot.next_seq));
        let Some((used, slot)) = newest else { return Ok(Found::Damaged) };
        let state = Self { place: place_of(&file)?, file, used };
        // A process that was killed may have left the slot in the kernel's memory only: erased is the other one
        // when this one is durable.
        medium.sync(&state.file)?;
        state.erase(state.unused(), medium)?;
        Ok(Found::Slot(slot, state))
    }

    /// A new file, in place of what has its name.
    pub(super) fn create(folder: &Folder, medium: &dyn Medium, slot: &Slot) -> io::Result<Self> {
        let file = folder.create_secret(NEW_NAME)?;
        let mut bytes = slot.to_bytes();
        bytes.resize(2 * SLOT_BYTES, 0);
        write_all_at(medium, &file, &bytes, 0)?;
        medium.sync(&file)?;
        folder.rename(NEW_NAME, NAME)?;
        folder.sync(medium)?;
        Ok(Self { place: place_of(&file)?, file, used: 0 })
    }

    /// Makes `slot` the one in use, and erases the key before it.
    pub(super) fn store(&mut self, folder: &Folder, medium: &dyn Medium, slot: &Slot) -> io::Result<()> {
        if !self.is_there(folder) {
            let new = Self::create(folder, medium, slot)?;
            std::mem::replace(self, new).retire(medium);
            return Ok(());
        }
        let unused = self.unused();
        write_all_at(medium, &self.file, &slot.to_bytes(), unused)?;
        medium.sync(&self.file)?;
        self.erase(self.used, medium)?;
        self.used = unused;
        Ok(())
    }

    /// Whether this file, and no other, is at its place.
    pub(super) fn is_there(&self, folder: &Folder) -> bool {
        rustix::fs::lstat(folder.path_of(NAME)).is_ok_and(|stat| Place::of(&stat) == self.place)
    }

    /// Erases the keys of a file that is not at its place any more, if it is anywhere.
    pub(super) fn retire(self, medium: &dyn Medium) {
        let _ = self.erase(0, medium).and_then(|()| self.erase(SLOT_BYTES as u64, medium));
    }

    fn erase(&self, at: u64, medium: &dyn Medium) -> io::Result<()> {
        write_all_at(medium, &self.file, &[0; SLOT_BYTES], at)?;
        medium.sync(&self.file)
    }

    fn unused(&self) -> u64 {
        SLOT_BYTES as u64 - self.used
    }
}

fn read_slot(file: &File, at: u64) -> Option<Slot> {
    let mut bytes = Zeroizing::new([0; SLOT_BYTES]);
    file.read_exact_at(&mut *bytes, at).ok()?;
    Slot::of_bytes(&*bytes)
}

fn place_of(file: &File) -> io::Result<Place> {
    Ok(Place::of(&rustix::fs::fstat(file)?))
}

#[cfg(test)]
mod tests {
    use super::super::medium::Disk;
    use super::*;

    fn slot(epoch: u64) -> Slot {
        Slot {
            chain: Uuid::from_u128(1),
            epoch,
            next_seq: 10 * epoch,
            segment: 1,
            offset: 100,
            previous: [5; 32],
            key: Zeroizing::new([0x40 + u8::try_from(epoch).unwrap(); 32]),
        }
    }

    fn loaded(folder: &Folder) -> Option<(u64, u64, [u8; 32], [u8; 32])> {
        match StateFile::load(folder, &Disk).unwrap() {
            Found::Slot(slot, _) => Some((slot.epoch, slot.next_seq, slot.previous, *slot.key)),
            Found::Nothing | Found::Damaged => None,
        }
    }

    #[test]
    fn the_newest_state_is_kept_and_older_keys_are_nowhere_in_the_file() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::open(outer.path()).unwrap();
        assert!(matches!(StateFile::load(&folder, &Disk).unwrap(), Found::Nothing));
        let mut state = StateFile::create(&folder, &Disk, &slot(0)).unwrap();
        for epoch in 1..4 {
            state.store(&folder, &Disk, &slot(epoch)).unwrap();
            let bytes = std::fs::read(outer.path().join(NAME)).unwrap();
            assert_eq!(bytes.len(), 2 * SLOT_BYTES);
            let old = [0x40 + u8::try_from(epoch).unwrap() - 1; 32];
            assert!(!bytes.windows(32).any(|window| window == old));
            assert_eq!(loaded(&folder), Some((epoch, 10 * epoch, [5; 32], *slot(epoch).key)));
        }
    }

    #[test]
    fn a_crash_while_the_state_is_stored_leaves_the_old_or_the_new_one() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::open(outer.path()).unwrap();
        let path = outer.path().join(NAME);
        drop(StateFile::create(&folder, &Disk, &slot(1)).unwrap());
        let before = std::fs::read(&path).unwrap();
        let new = slot(2).to_bytes();
        for torn in 0..=SLOT_BYTES {
            let mut bytes = before.clone();
            bytes[SLOT_BYTES..SLOT_BYTES + torn].copy_from_slice(&new[..torn]);
            std::fs::write(&path, &bytes).unwrap();
            let epoch = if bytes[SLOT_BYTES..] == new[..] { 2 } else { 1 };
            assert_eq!(loaded(&folder).unwrap().0, epoch, "{torn} bytes written");
            let mut bytes = [&before[..SLOT_BYTES], &new].concat();
            bytes[..torn].fill(0);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(loaded(&folder).unwrap().0, 2, "{torn} bytes erased");
        }
        std::fs::write(&path, [7; 2 * SLOT_BYTES]).unwrap();
        assert!(matches!(StateFile::load(&folder, &Disk).unwrap(), Found::Damaged));
    }

    #[test]
    fn a_state_file_that_was_removed_is_made_anew() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::open(outer.path()).unwrap();
        let mut state = StateFile::create(&folder, &Disk, &slot(1)).unwrap();
        std::fs::remove_file(outer.path().join(NAME)).unwrap();
        state.store(&folder, &Disk, &slot(2)).unwrap();
        assert_eq!(loaded(&folder).unwrap().0, 2);
    }
}
