//! Whatever happens in whatever order: is the log whole?

use proptest::prelude::*;

use super::crash::{Truth, small};
use super::disk::{Loss, TestDisk};
use super::*;
use crate::audit::trail::Fault;

#[derive(Clone, Copy, Debug)]
enum Act {
    Intend,
    /// The outcome of the oldest open request.
    End,
    Other,
    Write,
    Sync,
    KeepUp,
    Stop,
    Kill,
    /// The power fails in the middle of this many calls from now.
    Crash(u64, u64),
    WritesFail(usize),
    SyncsFail,
    /// The folder is away for a while.
    FolderGone,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Intend),
        3 => Just(Act::End),
        2 => Just(Act::Other),
        2 => Just(Act::Write),
        3 => Just(Act::Sync),
        3 => Just(Act::KeepUp),
        1 => Just(Act::Stop),
        1 => Just(Act::Kill),
        1 => (0..30_u64, any::<u64>()).prop_map(|(calls, seed)| Act::Crash(calls, seed)),
        1 => (0..400_usize).prop_map(Act::WritesFail),
        1 => Just(Act::SyncsFail),
        1 => Just(Act::FolderGone),
    ]
}

/// A gateway's audit over its lives.
struct Life {
    outer: tempfile::TempDir,
    folders: u64,
    disk: TestDisk,
    journal: Option<Journal>,
    truth: Truth,
    next_id: u128,
    open: Vec<u128>,
    /// A picture is due.
    loss: Option<Loss>,
}

impl Life {
    fn begin() -> Self {
        let outer = tempfile::tempdir().unwrap();
        let disk = TestDisk::new(&outer.path().join("0"));
        let (truth, open) = (Truth::default(), Vec::new());
        let mut life = Self { outer, folders: 0, disk, journal: None, truth, next_id: 1, open, loss: None };
        life.start();
        life
    }

    fn folder(&self) -> std::path::PathBuf {
        self.outer.path().join(self.folders.to_string())
    }

    fn start(&mut self) {
        self.open.clear();
        let journal = Journal::open_on(Box::new(self.disk.clone()), small(&self.folder()), origin());
        // It may be refused, and then spoils nothing.
        let journal = journal.unwrap_or_else(|_| {
            self.disk.fail_writes(None, 0);
            self.disk.fail_syncs(None);
            Journal::open_on(Box::new(self.disk.clone()), small(&self.folder()), origin()).unwrap()
        });
        self.journal = Some(journal);
        self.step(|journal| journal.commit(Depth::Durable));
    }

    /// Does it, and recovers if it failed.
    fn step(&mut self, step: impl FnOnce(&mut Journal) -> Result<(), Failure>) {
        let journal = self.journal.as_mut().unwrap();
        if let Err(failure) = step(journal) {
            let mut news = vec![event::fault(failure, std::time::SystemTime::now(), journal.durable_seq())];
            let _ = journal.recover(&mut news);
            self.disk.fail_writes(None, 0);
            self.disk.fail_syncs(None);
            let moved = self.folder().with_extension("moved");
            if moved.exists() {
                std::fs::rename(moved, self.folder()).unwrap();
            }
            self.journal.as_mut().unwrap().recover(&mut news).unwrap();
        }
        let durable = self.journal.as_ref().unwrap().durable_seq();
        self.truth.learn(&self.folder(), durable);
        self.disk.told_durable(durable);
        self.crash_if_due();
    }

    /// Goes on with what the picture shows.
    fn crash_if_due(&mut self) {
        let Some((loss, picture)) = self.loss.and_then(|loss| Some((loss, self.disk.take_picture()?))) else {
            return;
        };
        self.loss = None;
        self.journal = None;
        self.folders += 1;
        std::fs::create_dir(self.folder()).unwrap();
        picture.restore(&self.folder(), loss);
        self.disk = TestDisk::new(&self.folder());
        self.truth.forget_after(picture.durable_seq);
        self.start();
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Intend => {
                let id = self.next_id;
                self.next_id += 1;
                self.open.push(id);
                self.journal.as_mut().unwrap().intend(id);
            }
            Act::End if self.open.is_empty() => {}
            Act::End => {
                let id = self.open.remove(0);
                self.journal.as_mut().unwrap().end(id);
            }
            Act::Other => {
                let line = event::credentials("production", 1, event::CredentialState::Current);
                self.journal.as_mut().unwrap().append(&line, Change::None);
            }
            Act::Write => self.step(|journal| journal.commit(Depth::Written)),
            Act::Sync => self.step(|journal| journal.commit(Depth::Durable)),
            Act::KeepUp => self.step(|journal| {
                journal.times.retention = Instant::now();
                journal.keep_up(Instant::now())
            }),
            Act::Stop => {
                self.step(Trail::close);
                self.journal = None;
                self.start();
            }
            Act::Kill => {
                self.journal = None;
                self.start();
            }
            Act::Crash(calls, seed) => {
                self.loss = Some(Loss::Some(seed));
                self.disk.crash_at(self.disk.calls() + calls);
            }
            Act::WritesFail(room) => self.disk.fail_writes(Some(28), room),
            Act::SyncsFail => self.disk.fail_syncs(Some(5)),
            Act::FolderGone => {
                std::fs::rename(self.folder(), self.folder().with_extension("moved")).unwrap();
                self.step(|journal| journal.commit(Depth::Durable));
            }
        }
    }

    fn end(mut self) {
        self.disk.fail_writes(None, 0);
        self.disk.fail_syncs(None);
        self.step(Trail::close);
        self.journal = None;
        self.start();
        self.step(Trail::close);
        let log = Log::read(&self.folder());
        log.assert_closed();
        self.truth.assert_kept(&log, u64::MAX);
        let tolerated = [Fault::WriteFailed, Fault::SyncFailed, Fault::FolderGone].map(Fault::name);
        assert!(log.faults().iter().all(|fault| tolerated.contains(fault)), "{:?}", log.faults());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(rounds("AUDIT_SEQUENCES", 30)) })]

    #[test]
    fn lines_are_contiguous_proven_and_kept_and_requests_closed(acts in prop::collection::vec(act(), 1..60)) {
        let mut life = Life::begin();
        for act in acts {
            life.act(act);
        }
        life.end();
    }
}
