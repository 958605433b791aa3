//! Is the file that lines go to still the one it was?

use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use rustix::fs::FileType;
use rustix::io::Errno;
use uuid::Uuid;

use super::folder::{Folder, Place};
use super::medium::{Medium, write_all_at};
use crate::audit::event::{self, Origin, SegmentFacts, SegmentHead};
use crate::audit::trail::{Failure, Fault};
use crate::audit::{Chain, Segment};
use crate::digest::first;

/// The name of a segment that is not yet one.
pub(super) const NEW_NAME: &str = "segment.new";

/// The segment that lines are written to.
pub(super) struct OpenSegment {
    pub(super) file: File,
    pub(super) first: u64,
    /// How many bytes of it are durable.
    pub(super) durable_bytes: u64,
    /// Its first line's time.
    pub(super) began: Timestamp,
    /// Whether its name may not be durable.
    pub(super) nameless: bool,
    path: PathBuf,
    digest: Context,
}

/// What a segment is begun with.
pub(super) struct Beginning<'a> {
    pub(super) chain_id: Uuid,
    pub(super) origin: &'a Origin,
    pub(super) previous: Option<SegmentFacts>,
    pub(super) open: &'a [u128],
}

impl OpenSegment {
    /// The segment that begins with the line `first`, of which `durable_bytes` with that digest are to be kept. What
    /// comes behind them is cut off. If it could be more than one torn line, a copy is kept beside the log.
    pub(super) fn resume(
        folder: &Folder,
        first: u64,
        durable_bytes: u64,
        digest: Context,
        began: Timestamp,
    ) -> io::Result<Self> {
        let name = Segment::name_of(first);
        let (file, path) = (folder.open_file(&name)?, folder.path_of(&name));
        let size = file.metadata()?.len();
        if size > durable_bytes {
            let mut torn = vec![0; usize::try_from(size - durable_bytes).unwrap_or_default()];
            file.read_exact_at(&mut torn, durable_bytes)?;
            if torn.contains(&b'\n') {
                let copy = folder.create_segment(&format!("torn-{first:016}-{durable_bytes}"))?;
                copy.write_all_at(&torn, 0)?;
                copy.sync_all()?;
            }
            file.set_len(durable_bytes)?;
        }
        // Who was killed just after the name was made may not have made it durable.
        Ok(Self { file, first, durable_bytes, began, nameless: true, path, digest })
    }

    /// A new segment with its first line and `objects`: durable, and only then under its name. Nothing else of the
    /// folder changes, and `chain` only where this succeeds.
    pub(super) fn begin(
        folder: &Folder,
        medium: &dyn Medium,
        mut chain: Chain,
        beginning: &Beginning<'_>,
        objects: impl Iterator<Item = Vec<u8>>,
    ) -> Result<(Self, Chain), Failure> {
        let first = chain.next_seq();
        let Beginning { chain_id, origin, previous, open } = *beginning;
        let head = SegmentHead { chain: chain_id, epoch: chain.epoch(), origin, previous, open };
        let mut lines = Vec::new();
        chain.seal(&event::segment(&head), &mut lines);
        objects.for_each(|object| chain.seal(&object, &mut lines));
        let file = write_new(folder, medium, first, &lines).inspect_err(|_| {
            // It takes space, and readers do not know the name.
            let _ = folder.remove(NEW_NAME);
        })?;
        let mut digest = Context::new(&SHA256);
        digest.update(&lines);
        let path = folder.path_of(&Segment::name_of(first));
        let durable_bytes = lines.len() as u64;
        let began = Timestamp::now();
        Ok((Self { file, first, durable_bytes, began, nameless: true, path, digest }, chain))
    }

    /// Whether the file is still at its path, and its size in `sizes`.
    pub(super) fn check(&self, folder: &Folder, sizes: &RangeInclusive<u64>) -> Result<(), Failure> {
        let named = rustix::fs::lstat(&self.path).map_err(|errno| self.missing(folder, errno))?;
        let opened = rustix::fs::fstat(&self.file).map_err(|errno| Failure::write(&errno.into()))?;
        let size = u64::try_from(opened.st_size).unwrap_or_default();
        let is_file = FileType::from_raw_mode(named.st_mode) == FileType::RegularFile;
        match () {
            () if !is_file || Place::of(&named) != Place::of(&opened) => {
                Err(if folder.is_there() { Fault::SegmentReplaced } else { Fault::FolderGone }.into())
            }
            () if size < *sizes.start() => Err(Fault::SegmentTruncated.into()),
            () if size > *sizes.end() => Err(Fault::SegmentAltered.into()),
            () => Ok(()),
        }
    }

    fn missing(&self, folder: &Folder, errno: Errno) -> Failure {
        match errno {
            Errno::NOENT | Errno::NOTDIR if folder.is_there() => Fault::SegmentGone.into(),
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Fault::FolderGone.into(),
            errno => Failure::write(&errno.into()),
        }
    }

    /// The file's size, whoever made it so.
    pub(super) fn size(&self) -> u64 {
        self.file.metadata().map(|metadata| metadata.len()).unwrap_or_default()
    }

    /// `bytes` behind the durable ones became durable.
    pub(super) fn grew(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.durable_bytes += bytes.len() as u64;
    }

    /// SHA-256 of the durable bytes, as they were written.
    pub(super) fn sha256(&self) -> [u8; 32] {
        first(self.digest.clone().finish().as_ref())
    }

    /// What the next segment tells of this one, whose last line is `last`.
    pub(super) fn facts(&self, last: u64) -> SegmentFacts {
        SegmentFacts { first: self.first, last, sha256: self.sha256() }
    }
}

/// Nothing has the name of a segment without being one, whole at least in its first lines: a crash in between
/// leaves a file that no reader looks at.
fn write_new(folder: &Folder, medium: &dyn Medium, first: u64, lines: &[u8]) -> Result<File, Failure> {
    let write = |error: io::Error| Failure::write(&error);
    let file = folder.create_segment(NEW_NAME).map_err(write)?;
    write_all_at(medium, &file, lines, 0).map_err(write)?;
    medium.sync(&file).map_err(|error| Failure::sync(&error))?;
    let name = Segment::name_of(first);
    match folder.rename_to_new(NEW_NAME, &name) {
        Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => {
            // Whoever made it, it is evidence, and keeps nobody from recording.
            let aside = format!("displaced-{first:016}");
            folder
                .rename(&name, &aside)
                .and_then(|()| folder.rename_to_new(NEW_NAME, &name))
                .map_err(write)?;
        }
        renamed => renamed.map_err(write)?,
    }
    Ok(file)
}
