//! How do lines get into a folder so that nothing of them is lost, torn or changed unseen?

mod folder;
mod medium;
mod resume;
mod retention;
mod segment;
mod settings;
mod state;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;
use zeroize::Zeroizing;

use self::folder::Folder;
use self::medium::Disk;
pub use self::medium::Medium;
use self::resume::{End, Standing};
use self::segment::{Beginning, OpenSegment};
pub use self::settings::{AuditSecrets, JournalSettings, Retention};
use self::state::{Found, Slot, StateFile};
use self::tail::Tail;
use super::event::{self, Checkpoint, Origin};
use super::queue::Change;
use super::trail::{Depth, Failure, Fault, Trail};
use super::{AuditFault, Chain, ChainKey, Segment, Segments};
use crate::digest::first;

/// How often the folder is looked at when nothing is written.
const LOOK: Duration = Duration::from_millis(500);
/// How long after a segment could not be begun it is tried again; meanwhile the old one goes on.
const ROTATION_RETRY: Duration = Duration::from_secs(10);
/// How often ages are compared with what is to be kept.
const RETENTION_EVERY: Duration = Duration::from_secs(60);

/// A chain of segments in a folder.
pub(super) struct Journal {
    settings: JournalSettings,
    origin: Origin,
    medium: Box<dyn Medium>,
    folder: Folder,
    state: StateFile,
    /// The state is of a place that is not the newest epoch's, or not there any more.
    state_is_stale: bool,
    chain_id: Uuid,
    chain: Chain,
    segment: OpenSegment,
    tail: Tail,
    /// Requests with an intent and no outcome.
    open: HashSet<u128>,
    times: Times,
    /// A checkpoint that is durable and was not yet shown.
    new_checkpoint: Option<String>,
    /// Lines since the last checkpoint, and since the segment's first line; the writer's own about both left out.
    unvouched_lines: u64,
    segment_lines: u64,
    short_of_space: bool,
}

/// When what is to be done next.
struct Times {
    look: Instant,
    checkpoint: Instant,
    rotation: Instant,
    retention: Instant,
}

impl Journal {
    /// Continues the chain of the folder, or begins one.
    pub(super) fn open(settings: JournalSettings, origin: Origin) -> Result<Self, AuditFault> {
        Self::open_on(Box::new(Disk), settings, origin)
    }

    /// As [`Self::open`], on a disk of another kind.
    pub(super) fn open_on(
        medium: Box<dyn Medium>,
        settings: JournalSettings,
        origin: Origin,
    ) -> Result<Self, AuditFault> {
        let folder = Folder::open(&settings.folder)?;
        let segments = Segments::open(folder.path())?;
        let (slot, state) = match StateFile::load(&folder, &*medium)? {
            Found::Slot(slot, state) => (slot, state),
            Found::Nothing if segments.is_empty() => begin(&folder, &*medium, &settings)?,
            Found::Nothing | Found::Damaged => return Err(AuditFault::NoState),
        };
        // Left by a crash before it became a segment.
        let _ = folder.remove(segment::NEW_NAME);
        let Standing { chain, end, open } = Standing::find(&slot, &segments)?;
        let moved_on = chain.epoch() != slot.epoch;
        let mut news = Vec::new();
        let mut is_broken = false;
        let ids: Vec<u128> = open.iter().map(|(id, _)| *id).collect();
        let (segment, chain) = match end {
            End::Segment { first, whole_bytes, digest, torn_bytes, began } => {
                if torn_bytes > 0 {
                    news.push(event::repair(torn_bytes));
                }
                (OpenSegment::resume(&folder, first, whole_bytes, digest, began)?, chain)
            }
            End::New { previous, torn, broken } => {
                if let Some((first, torn_bytes)) = torn {
                    folder.remove(&Segment::name_of(first))?;
                    news.push(event::repair(torn_bytes));
                }
                is_broken = broken.is_some();
                if let Some(good) = broken {
                    tracing::error!(seq = good, "the audit was changed while no gateway wrote it");
                    news.push(event::fault(Fault::ChainBroken.into(), std::time::SystemTime::now(), good));
                }
                let beginning = Beginning { chain_id: slot.chain, origin: &origin, previous, open: &ids };
                OpenSegment::begin(&folder, &*medium, chain, &beginning, news.drain(..))
                    .map_err(|failure| io::Error::from_raw_os_error(failure.os.unwrap_or_default()))?
            }
        };
        let now = Instant::now();
        let mut journal = Self {
            chain_id: slot.chain,
            tail: Tail::of(&chain),
            state_is_stale: is_broken,
            open: ids.into_iter().collect(),
            new_checkpoint: None,
            times: Times {
                look: now,
                checkpoint: if is_broken { now } else { now + settings.checkpoint_interval },
                rotation: now,
                retention: now,
            },
            unvouched_lines: 1,
            segment_lines: 1,
            short_of_space: false,
            settings,
            origin,
            medium,
            folder,
            state,
            chain,
            segment,
        };
        if moved_on && !is_broken {
            journal.store_state()?;
        }
        news.push(event::start(&journal.origin));
        news.iter().for_each(|object| journal.append(object, Change::None));
        for (id, intent) in open {
            match intent.as_deref().and_then(event::unknown) {
                Some(outcome) => journal.append(&outcome, Change::Closes(id)),
                // Of a request whose intent is in no segment any more there is nothing to tell.
                None => drop(journal.open.remove(&id)),
            }
        }
        Ok(journal)
    }

    /// Sizes that the segment may have.
    fn sizes(&self) -> RangeInclusive<u64> {
        let durable = self.segment.durable_bytes;
        let written = durable + self.tail.written as u64;
        if self.tail.unsure { durable..=durable + self.tail.bytes().len() as u64 } else { written..=written }
    }

    /// From where the last attempt ended: a torn one is overwritten.
    fn write(&mut self) -> Result<(), Failure> {
        self.segment.check(&self.folder, &self.sizes())?;
        while let Some(rest) = self.tail.bytes().get(self.tail.written..).filter(|rest| !rest.is_empty()) {
            let offset = self.segment.durable_bytes + self.tail.written as u64;
            let failure = match self.medium.write_at(&self.segment.file, rest, offset) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(written) => {
                    self.tail.written += written;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.tail.unsure = true;
            return Err(Failure::write(&failure));
        }
        Ok(())
    }

    /// Makes all durable that was written, the name of the segment and the state of the chain too.
    fn sync(&mut self) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::sync(&error);
        if let Err(error) = self.medium.sync(&self.segment.file) {
            // The kernel may have dropped what it could not write, and would not say so again.
            self.tail.written = 0;
            self.tail.unsure = true;
            return Err(failed(error));
        }
        self.segment.grew(self.tail.bytes());
        self.tail.settle(&self.chain);
        if self.segment.nameless {
            self.folder.sync(&*self.medium).map_err(failed)?;
            self.segment.nameless = false;
        }
        if self.state_is_stale {
            self.store_state().map_err(failed)?;
        }
        Ok(())
    }

    /// The place up to which all is durable.
    fn slot(&self) -> Slot {
        let durable = self.tail.durable_chain(&self.chain);
        Slot {
            chain: self.chain_id,
            epoch: durable.epoch(),
            next_seq: durable.next_seq(),
            segment: self.segment.first,
            offset: self.segment.durable_bytes,
            previous: *durable.previous(),
            key: Zeroizing::new(first(durable.key().raw())),
        }
    }

    /// Stores the place up to which all is durable.
    ///
    /// Nothing before it is checked with its MAC when the chain is resumed: so it is, if possible, just behind a
    /// checkpoint.
    fn store_state(&mut self) -> io::Result<()> {
        let slot = self.slot();
        self.state.store(&self.folder, &*self.medium, &slot)?;
        self.state_is_stale = false;
        Ok(())
    }

    fn commit_durably(&mut self) -> Result<(), Failure> {
        self.write()?;
        self.sync()
    }

    /// Vouches for all lines so far, and moves the key on.
    fn checkpoint(&mut self, now: Instant) -> Result<(), Failure> {
        self.commit_durably()?;
        let key = &self.settings.secrets.signing_key;
        let object = event::checkpoint(&Checkpoint {
            chain: self.chain_id,
            epoch: self.chain.epoch(),
            first: self.segment.first,
            sha256: self.segment.sha256(),
            key: key.public().id(),
        });
        let start = self.tail.bytes().len();
        self.tail.seal_checkpoint(&mut self.chain, |chain, lines| chain.seal_signed(&object, key, lines));
        let line = String::from_utf8_lossy(self.tail.bytes().get(start..).unwrap_or_default()).into_owned();
        self.state_is_stale = true;
        self.unvouched_lines = 0;
        self.times.checkpoint = now + self.settings.checkpoint_interval;
        self.commit_durably()?;
        self.new_checkpoint = Some(line);
        Ok(())
    }

    /// Ends the segment with a checkpoint and begins the next. Where that cannot be begun, this one goes on.
    fn rotate(&mut self, now: Instant) -> Result<(), Failure> {
        self.checkpoint(now)?;
        self.times.retention = now;
        if let Err(failure) = self.next_segment(&mut Vec::new()) {
            self.times.rotation = now + ROTATION_RETRY;
            let fault = failure.fault.name();
            tracing::warn!(
                fault,
                os = failure.os,
                "no new audit segment could be begun: the old one goes on"
            );
            return Ok(());
        }
        self.sync()
    }

    /// Goes on in a new segment: `news` first, and then the lines that are not durable.
    fn next_segment(&mut self, news: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
        let durable = self.tail.durable();
        let mut open = self.open.clone();
        for change in self.tail.changes_backwards() {
            match change {
                Change::None => {}
                Change::Opens(id) => drop(open.remove(&id)),
                Change::Closes(id) => drop(open.insert(id)),
            }
        }
        let mut open: Vec<u128> = open.into_iter().collect();
        open.sort_unstable();
        let previous = Some(self.segment.facts(durable.next_seq - 1));
        let beginning = Beginning { chain_id: self.chain_id, origin: &self.origin, previous, open: &open };
        let objects = news.iter().cloned().chain(self.tail.objects());
        let chain = self.tail.durable_chain(&self.chain);
        let (segment, chain) = OpenSegment::begin(&self.folder, &*self.medium, chain, &beginning, objects)?;
        let unmoved = self.sizes();
        let old = std::mem::replace(&mut self.segment, segment);
        if old.size() > old.durable_bytes && unmoved.contains(&old.size()) {
            // What was written and moved would stand in the log twice, should the old file come back.
            let _ = old.file.set_len(old.durable_bytes);
        }
        self.segment_lines = self.tail.changes_backwards().count() as u64;
        self.unvouched_lines = self.segment_lines + 1;
        self.chain = chain;
        self.tail.settle(&self.chain);
        news.clear();
        Ok(())
    }

    /// Goes on in a new segment, because the old one is not what it was. The state named a place in that one; now
    /// it names the checkpoint in the new one.
    fn replace_segment(&mut self, news: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
        self.next_segment(news)?;
        self.state_is_stale = true;
        self.checkpoint(Instant::now())
    }

    fn is_rotation_due(&self, now: Instant) -> bool {
        let age = Timestamp::now().duration_since(self.segment.began);
        let old = Duration::try_from(age).is_ok_and(|age| age >= self.settings.segment_age);
        let large = self.segment.durable_bytes >= self.settings.segment_bytes;
        self.segment_lines > 0 && (large || old) && now >= self.times.rotation
    }

    fn look_at_space(&mut self) {
        let free = self.folder.free_bytes().unwrap_or(u64::MAX);
        self.short_of_space = free < self.settings.reserve_bytes;
    }

    /// Removes what need not be kept. First it is durable that this is done.
    fn retire(&mut self, now: Instant) -> Result<(), Failure> {
        self.times.retention = now + RETENTION_EVERY;
        if self.settings.retain.is_unlimited() {
            return Ok(());
        }
        let removed = Segments::open(self.folder.path()).and_then(|segments| {
            self.settings.retain.exceeded(&segments, self.segment.first, Timestamp::now())
        });
        let removed = match removed {
            Ok(removed) if removed.is_empty() => return Ok(()),
            Ok(removed) => removed,
            // What cannot be read can still be written.
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), os = error.raw_os_error(), "audit segments cannot be listed");
                return Ok(());
            }
        };
        // There may be more.
        self.times.retention = now + LOOK;
        self.append(&event::retention(&removed), Change::None);
        // Who has the public key only believes what a checkpoint covers.
        self.checkpoint(now)?;
        for segment in removed {
            if let Err(error) = self.folder.remove(&Segment::name_of(segment.first)) {
                tracing::warn!(kind = ?error.kind(), os = error.raw_os_error(), "an audit segment cannot be removed");
                self.times.retention = now + RETENTION_EVERY;
            }
        }
        self.folder.sync(&*self.medium).map_err(|error| Failure::sync(&error))
    }

    /// The folder is another one now, and has nothing of this chain.
    fn move_to(&mut self, folder: Folder) -> Result<(), Failure> {
        let slot = self.slot();
        let state =
            StateFile::create(&folder, &*self.medium, &slot).map_err(|error| Failure::write(&error))?;
        self.folder = folder;
        // The key is that of the present epoch: who finds the old folder must not find it there.
        std::mem::replace(&mut self.state, state).retire(&*self.medium);
        Ok(())
    }
}

/// A chain without lines.
fn begin(
    folder: &Folder,
    medium: &dyn Medium,
    settings: &JournalSettings,
) -> Result<(Slot, StateFile), AuditFault> {
    let secret = settings.secrets.chain_key.as_ref().ok_or(AuditFault::NoChainKey)?;
    let chain = Uuid::now_v7();
    let key = ChainKey::of_chain(secret, chain);
    let key = Zeroizing::new(first(key.raw()));
    let slot = Slot { chain, epoch: 0, next_seq: 1, segment: 1, offset: 0, previous: [0; 32], key };
    let state = StateFile::create(folder, medium, &slot)?;
    Ok((slot, state))
}

impl Trail for Journal {
    fn append(&mut self, object: &[u8], change: Change) {
        let change = match change {
            Change::Opens(id) if self.open.insert(id) => change,
            Change::Closes(id) if self.open.remove(&id) => change,
            _ => Change::None,
        };
        self.tail.seal(&mut self.chain, object, change);
        self.unvouched_lines += 1;
        self.segment_lines += 1;
    }

    fn commit(&mut self, depth: Depth) -> Result<(), Failure> {
        self.write()?;
        match depth {
            Depth::Written => Ok(()),
            Depth::Durable => self.sync(),
        }
    }

    fn recover(&mut self, news: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
        self.look_at_space();
        if !self.folder.is_there() {
            let folder = self.folder.successor()?;
            self.move_to(folder)?;
            return self.replace_segment(news);
        }
        match self.segment.check(&self.folder, &self.sizes()) {
            Ok(()) => {
                let over = self.segment.size().saturating_sub(self.segment.durable_bytes);
                let torn = self.tail.torn_bytes(usize::try_from(over).unwrap_or_default());
                if torn > 0 && !news.is_empty() {
                    news.push(event::repair(torn as u64));
                }
                news.drain(..).for_each(|object| self.append(&object, Change::None));
                self.commit_durably()
            }
            Err(failure) if failure.os.is_some() => Err(failure),
            Err(_) => self.replace_segment(news),
        }
    }

    fn keep_up(&mut self, now: Instant) -> Result<(), Failure> {
        if now >= self.times.look {
            self.times.look = now + LOOK;
            self.look_at_space();
            if !self.state.is_there(&self.folder) {
                self.store_state().map_err(|error| Failure::write(&error))?;
            }
            self.segment.check(&self.folder, &self.sizes())?;
        }
        if self.is_rotation_due(now) {
            self.rotate(now)?;
        } else if self.unvouched_lines > 0 && now >= self.times.checkpoint {
            self.checkpoint(now)?;
        }
        if now >= self.times.retention {
            self.retire(now)?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Failure> {
        self.checkpoint(Instant::now())
    }

    fn durable_seq(&self) -> u64 {
        self.tail.durable().next_seq - 1
    }

    fn waiting_bytes(&self) -> usize {
        self.tail.bytes().len()
    }

    fn take_checkpoint(&mut self) -> Option<String> {
        self.new_checkpoint.take()
    }

    fn short_of_space(&self) -> bool {
        self.short_of_space
    }
}
