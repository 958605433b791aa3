//! Does a crash at any instant leave a log in which nothing durable is missing and nothing is wrong?

use std::collections::BTreeMap;
use std::path::Path;

use super::disk::{Loss, TestDisk};
use super::*;

/// What was once told to be durable, with the number of the last such line.
#[derive(Default)]
pub(super) struct Truth {
    lines: BTreeMap<u64, Vec<u8>>,
}

impl Truth {
    /// Remembers all lines of `folder` up to `durable`.
    pub(super) fn learn(&mut self, folder: &Path, durable: u64) {
        for segment in Segments::open(folder).unwrap().iter() {
            for line in std::fs::read(&segment.path).unwrap().split_inclusive(|byte| *byte == b'\n') {
                let seq = crate::audit::Sealed::read(line).map(|line| line.seq);
                if let Some(seq) = seq.filter(|seq| *seq <= durable) {
                    self.lines.insert(seq, line.to_vec());
                }
            }
        }
    }

    /// What came after the line `durable` was never told to anybody.
    pub(super) fn forget_after(&mut self, durable: u64) {
        self.lines.split_off(&(durable + 1));
    }

    /// Every line up to `durable` is in `log`, unless it was removed by a decision that is on record.
    pub(super) fn assert_kept(&self, log: &Log, durable: u64) {
        let removed: Vec<(u64, u64)> = log
            .of_kind("retention")
            .flat_map(|line| line["removed"].as_array().unwrap())
            .map(|segment| (segment["first"].as_u64().unwrap(), segment["last"].as_u64().unwrap()))
            .collect();
        for (seq, line) in self.lines.range(..=durable) {
            let kept = log.bytes.get(seq) == Some(line);
            let removed = || removed.iter().any(|(first, last)| (first..=last).contains(&seq));
            assert!(kept || removed(), "line {seq} is missing: {}", String::from_utf8_lossy(line));
        }
    }
}

/// Small segments, of which few are kept.
pub(super) fn small(folder: &Path) -> JournalSettings {
    let mut settings = settings(folder);
    settings.segment_bytes = 2_500;
    settings.checkpoint_interval = Duration::ZERO;
    settings.retain.segments = Some(2);
    settings
}

/// Two runs of a gateway, with checkpoints, rotations and retention.
fn script(folder: &Path, disk: &TestDisk, mut after: impl FnMut(u64)) {
    for run in 0..2 {
        let mut journal = Journal::open_on(Box::new(disk.clone()), small(folder), origin()).unwrap();
        for id in run * 100..run * 100 + 6 {
            journal.intend(id);
            journal.commit_all();
            after(journal.durable_seq());
            if id % 3 != 2 {
                journal.end(id);
                journal.commit(Depth::Written).unwrap();
            }
            journal.times.retention = Instant::now();
            journal.keep_up(Instant::now()).unwrap();
            after(journal.durable_seq());
        }
        if run == 1 {
            journal.close().unwrap();
            after(journal.durable_seq());
        }
    }
}

#[test]
fn a_crash_at_any_call_loses_no_durable_line_and_leaves_nothing_wrong() {
    let rounds: u64 = rounds("AUDIT_CRASH_ROUNDS", 2);
    let outer = tempfile::tempdir().unwrap();
    let counting = outer.path().join("counting");
    let disk = TestDisk::new(&counting);
    script(&counting, &disk, |_| {});
    let calls = disk.calls();
    assert!(calls > 100, "{calls}");
    for call in 0..calls {
        let folder = outer.path().join(format!("{call}"));
        let disk = TestDisk::new(&folder);
        disk.crash_at(call);
        let mut truth = Truth::default();
        script(&folder, &disk, |durable| {
            disk.told_durable(durable);
            truth.learn(&folder, durable);
        });
        let picture = disk.take_picture().unwrap();
        let losses = (0..rounds).map(|round| Loss::Some(call * 1_000 + round));
        for loss in [Loss::Nothing, Loss::Everything].into_iter().chain(losses) {
            let left = outer.path().join("left");
            std::fs::create_dir(&left).unwrap();
            picture.restore(&left, loss);
            let mut journal = Journal::open(small(&left), origin()).unwrap();
            journal.close().unwrap();
            drop(journal);
            let log = Log::checked(&left).unwrap_or_else(|wrong| panic!("call {call}, {loss:?}: {wrong}"));
            assert_eq!(log.faults(), [""; 0], "call {call}, {loss:?}");
            log.assert_closed();
            truth.assert_kept(&log, picture.durable_seq);
            std::fs::remove_dir_all(&left).unwrap();
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn a_state_that_a_killed_writer_did_not_sync_is_durable_before_the_old_one_is_erased() {
    let outer = tempfile::tempdir().unwrap();
    let path = outer.path().join("audit");
    let folder = Folder::open(&path).unwrap();
    let disk = TestDisk::new(&path);
    let slot = |epoch| Slot {
        chain: Uuid::from_u128(1),
        epoch,
        next_seq: epoch,
        segment: 1,
        offset: 0,
        previous: [0; 32],
        key: Zeroizing::new([1; 32]),
    };
    let mut state = StateFile::create(&folder, &disk, &slot(1)).unwrap();
    disk.fail_syncs(Some(5));
    state.store(&folder, &disk, &slot(2)).unwrap_err();
    disk.fail_syncs(None);
    drop(state);
    let first = disk.calls();
    assert!(matches!(StateFile::load(&folder, &disk).unwrap(), Found::Slot(Slot { epoch: 2, .. }, _)));
    let calls = first..disk.calls();
    for call in calls {
        std::fs::remove_dir_all(&path).unwrap();
        let folder = Folder::open(&path).unwrap();
        let disk = TestDisk::new(&path);
        let mut state = StateFile::create(&folder, &disk, &slot(1)).unwrap();
        disk.fail_syncs(Some(5));
        state.store(&folder, &disk, &slot(2)).unwrap_err();
        disk.fail_syncs(None);
        disk.crash_at(call);
        StateFile::load(&folder, &disk).unwrap();
        let picture = disk.take_picture().unwrap();
        for round in 0..20 {
            let left = tempfile::tempdir().unwrap();
            picture.restore(left.path(), Loss::Some(round));
            let found = StateFile::load(&Folder::open(left.path()).unwrap(), &disk).unwrap();
            assert!(matches!(found, Found::Slot(..)), "call {call}, round {round}");
        }
    }
}
