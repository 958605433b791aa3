//! What becomes of lines when the disk fails, or somebody changes the folder under the writer?

use std::fs;
use std::os::unix::fs::symlink;

use super::disk::TestDisk;
use super::*;
use crate::audit::trail::Fault;

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

/// A journal with one durable line more than its start, and one that waits.
fn journal(folder: &Path, disk: &TestDisk) -> Journal {
    let mut journal = Journal::open_on(Box::new(disk.clone()), settings(folder), origin()).unwrap();
    journal.intend(1);
    journal.commit_all();
    journal.end(1);
    journal
}

/// The news of a failure.
fn news(failure: Failure, journal: &Journal) -> Vec<Vec<u8>> {
    vec![event::fault(failure, std::time::SystemTime::now(), journal.durable_seq())]
}

/// Recovers and ends; the log must be whole.
fn recovered(mut journal: Journal, mut news: Vec<Vec<u8>>) -> Log {
    journal.recover(&mut news).unwrap();
    assert!(news.is_empty());
    journal.intend(2);
    journal.end(2);
    journal.close().unwrap();
    let folder = journal.folder.path().to_owned();
    drop(journal);
    let log = Log::read(&folder);
    log.assert_closed();
    open(&folder).close().unwrap();
    Log::read(&folder);
    log
}

#[test]
fn after_a_full_disk_the_torn_line_is_overwritten_and_noted() {
    let folder = tempfile::tempdir().unwrap();
    let disk = TestDisk::new(folder.path());
    let mut journal = journal(folder.path(), &disk);
    disk.fail_writes(Some(ENOSPC), 40);
    let failure = journal.commit(Depth::Durable).unwrap_err();
    assert_eq!(failure, Failure { fault: Fault::WriteFailed, os: Some(ENOSPC) });
    let mut told = news(failure, &journal);
    for _ in 0..3 {
        assert_eq!(journal.recover(&mut told), Err(failure));
    }
    disk.fail_writes(None, 0);
    let log = recovered(journal, told);
    let expected = "segment start intent outcome fault repair intent outcome checkpoint";
    assert_eq!(log.kinds(), expected);
    assert_eq!((&log.lines[4]["os"], &log.lines[4]["good"]), (&ENOSPC.into(), &3.into()));
    assert_eq!(log.lines[5]["torn_bytes"], 40);
}

#[test]
fn after_a_failed_sync_all_that_was_not_durable_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = TestDisk::new(folder.path());
    let mut journal = journal(folder.path(), &disk);
    let path = folder.path().join(Segment::name_of(1));
    let durable = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
    disk.fail_syncs(Some(EIO));
    let failure = journal.commit(Depth::Durable).unwrap_err();
    assert_eq!(failure, Failure { fault: Fault::SyncFailed, os: Some(EIO) });
    assert_eq!(journal.durable_seq(), 3);
    // The kernel dropped the page.
    let mut bytes = fs::read(&path).unwrap();
    bytes[durable..].fill(0);
    fs::write(&path, bytes).unwrap();
    disk.fail_syncs(None);
    let told = news(failure, &journal);
    let log = recovered(journal, told);
    assert_eq!(log.kinds(), "segment start intent outcome fault intent outcome checkpoint");
}

#[test]
fn a_failed_checkpoint_is_finished_and_the_state_follows() {
    for fail_writes in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let disk = TestDisk::new(folder.path());
        let mut journal = journal(folder.path(), &disk);
        journal.commit_all();
        if fail_writes {
            disk.fail_writes(Some(EIO), 10);
        } else {
            disk.fail_syncs(Some(EIO));
        }
        let failure = if fail_writes {
            journal.checkpoint(Instant::now()).unwrap_err()
        } else {
            // Its line is durable, the state is not.
            disk.fail_syncs(None);
            let path = folder.path().join("chain");
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            let failure = journal.checkpoint(Instant::now()).unwrap_err();
            fs::remove_dir(&path).unwrap();
            failure
        };
        disk.fail_writes(None, 0);
        let told = news(failure, &journal);
        let log = recovered(journal, told);
        assert_eq!(log.of_kind("checkpoint").count(), 2, "{}", log.kinds());
    }
}

/// Changes the open segment, or the folder, under a journal with a waiting line that is `written` or not.
fn changed(change: fn(&Path), fault: Fault, written: bool) -> (tempfile::TempDir, Journal) {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("audit");
    let disk = TestDisk::new(&folder);
    let mut journal = journal(&folder, &disk);
    if written {
        journal.commit(Depth::Written).unwrap();
    }
    change(&folder);
    let failure = journal.commit(Depth::Durable).unwrap_err();
    assert_eq!((failure, journal.durable_seq()), (fault.into(), 3));
    (outer, journal)
}

/// The journal goes on in a new segment, which begins with the news and has every line that was not durable.
#[test]
fn a_segment_that_is_not_what_it_was_is_followed_by_a_new_one() {
    type Change = fn(&Path);
    let changes: [(Change, Fault); 6] = [
        (|folder| fs::remove_file(folder.join(Segment::name_of(1))).unwrap(), Fault::SegmentGone),
        (
            |folder| fs::rename(folder.join(Segment::name_of(1)), folder.join("moved")).unwrap(),
            Fault::SegmentGone,
        ),
        (
            |folder| {
                let path = folder.join(Segment::name_of(1));
                fs::rename(&path, folder.join("moved")).unwrap();
                symlink("moved", path).unwrap();
            },
            Fault::SegmentReplaced,
        ),
        (
            |folder| {
                let path = folder.join(Segment::name_of(1));
                let copy = fs::read(&path).unwrap();
                fs::remove_file(&path).unwrap();
                fs::write(path, copy).unwrap();
            },
            Fault::SegmentReplaced,
        ),
        (
            |folder| {
                let file = fs::File::options().write(true).open(folder.join(Segment::name_of(1))).unwrap();
                file.set_len(100).unwrap();
            },
            Fault::SegmentTruncated,
        ),
        (
            |folder| {
                let path = folder.join(Segment::name_of(1));
                let bytes = fs::read(&path).unwrap();
                fs::write(path, [&bytes, &b"{}\n"[..]].concat()).unwrap();
            },
            Fault::SegmentAltered,
        ),
    ];
    for (change, fault) in changes {
        for written in [true, false] {
            let (outer, mut journal) = changed(change, fault, written);
            let mut told = news(fault.into(), &journal);
            journal.recover(&mut told).unwrap();
            journal.close().unwrap();
            drop(journal);
            let folder = outer.path().join("audit");
            // What was before is judged as evidence, not here.
            let first = folder.join(Segment::name_of(1));
            let evidence = fs::read(&first).ok();
            let _ = fs::remove_file(&first);
            let log = Log::read(&folder);
            assert_eq!(log.kinds(), "segment fault outcome checkpoint checkpoint", "{fault:?}");
            assert_eq!(log.segments, [(4, 8)]);
            assert_eq!(log.faults(), [fault.name()]);
            assert_eq!(log.lines[0]["previous"]["last"], 3);
            assert_eq!(log.lines[0]["open"], serde_json::json!([Uuid::from_u128(1).to_string()]));
            // The next start does not take it for a crash, nor for a change while nothing ran.
            if let Some(evidence) = evidence {
                fs::write(&first, evidence).unwrap();
            }
            let mut journal = open(&folder);
            assert_eq!(journal.segment.first, 4);
            journal.close().unwrap();
        }
    }
}

#[test]
fn lines_that_moved_are_taken_out_of_the_segment_that_was_moved_aside() {
    let change: fn(&Path) =
        |folder| fs::rename(folder.join(Segment::name_of(1)), folder.join("moved")).unwrap();
    let (outer, mut journal) = changed(change, Fault::SegmentGone, true);
    journal.recover(&mut Vec::new()).unwrap();
    journal.close().unwrap();
    drop(journal);
    let folder = outer.path().join("audit");
    fs::rename(folder.join("moved"), folder.join(Segment::name_of(1))).unwrap();
    let log = Log::read(&folder);
    assert_eq!(log.kinds(), "segment start intent segment outcome checkpoint checkpoint");
    log.assert_closed();
}

#[test]
fn a_folder_that_is_gone_is_waited_for() {
    let change: fn(&Path) = |folder| fs::rename(folder, folder.with_file_name("moved")).unwrap();
    let (outer, mut journal) = changed(change, Fault::FolderGone, true);
    let folder = outer.path().join("audit");
    let mut told = news(Fault::FolderGone.into(), &journal);
    assert_eq!(journal.recover(&mut told), Err(Fault::FolderGone.into()));
    fs::rename(folder.with_file_name("moved"), &folder).unwrap();
    let log = recovered(journal, told);
    assert_eq!(log.kinds(), "segment start intent outcome fault intent outcome checkpoint");
}

#[test]
fn in_an_empty_folder_at_the_same_path_the_chain_goes_on() {
    let change: fn(&Path) = |folder| fs::rename(folder, folder.with_file_name("moved")).unwrap();
    let (outer, mut journal) = changed(change, Fault::FolderGone, true);
    let folder = outer.path().join("audit");
    let key = journal.chain.key().raw().to_vec();
    fs::create_dir(&folder).unwrap();
    let mut told = news(Fault::FolderGone.into(), &journal);
    journal.recover(&mut told).unwrap();
    journal.close().unwrap();
    drop(journal);
    let log = Log::read(&folder);
    assert_eq!(log.kinds(), "segment fault outcome checkpoint checkpoint");
    assert_eq!(log.segments, [(4, 8)]);
    open(&folder).close().unwrap();
    assert_eq!(Log::read(&folder).faults(), ["folder_gone"]);
    let state = fs::read(folder.with_file_name("moved").join("chain")).unwrap();
    assert!(!state.windows(key.len()).any(|window| window == key), "the key stays in no other folder");
}

#[test]
fn a_folder_of_somebody_else_is_not_written_to() {
    let change: fn(&Path) = |folder| fs::rename(folder, folder.with_file_name("moved")).unwrap();
    let (outer, mut journal) = changed(change, Fault::FolderGone, false);
    let folder = outer.path().join("audit");
    let mut other = open(&folder);
    other.close().unwrap();
    drop(other);
    let before = fs::read(folder.join(Segment::name_of(1))).unwrap();
    assert_eq!(journal.recover(&mut Vec::new()), Err(Fault::FolderGone.into()));
    assert_eq!(fs::read(folder.join(Segment::name_of(1))).unwrap(), before);
}

/// What somebody does while no gateway runs.
#[test]
fn a_chain_that_was_changed_goes_on_in_a_new_segment_and_what_was_changed_stays() {
    type Edit = fn(Vec<u8>) -> Vec<u8>;
    let edits: [(&str, Edit); 6] = [
        ("a byte of a line", |mut bytes| {
            let at = memchr::memmem::find(&bytes, b"caller").unwrap();
            bytes[at] ^= 1;
            bytes
        }),
        ("a byte before the last checkpoint", |mut bytes| {
            let at = memchr::memmem::find(&bytes, b"gateway-1").unwrap();
            bytes[at] ^= 1;
            bytes
        }),
        ("a line feed", |mut bytes| {
            let at = memchr::memchr_iter(b'\n', &bytes).nth(4).unwrap();
            bytes[at] = b' ';
            bytes
        }),
        ("a line removed", |bytes| {
            let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            lines.iter().enumerate().filter(|(at, _)| *at != 4).flat_map(|(_, line)| line.to_vec()).collect()
        }),
        ("cut before the last checkpoint", |bytes| bytes[..100].to_vec()),
        ("all of it", |_| b"nothing\n".to_vec()),
    ];
    for (name, edit) in edits {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = open(folder.path());
        journal.checkpoint(Instant::now()).unwrap();
        for id in 1..4 {
            journal.intend(id);
            journal.end(id);
        }
        journal.commit_all();
        kill(journal);
        let path = folder.path().join(Segment::name_of(1));
        let edited = edit(fs::read(&path).unwrap());
        fs::write(&path, &edited).unwrap();
        for start in 0..2 {
            let mut journal = open(folder.path());
            journal.commit_all();
            journal.keep_up(Instant::now()).unwrap();
            journal.close().unwrap();
            assert_eq!(Segments::open(folder.path()).unwrap().len(), 2, "{name}, start {start}");
        }
        assert_eq!(fs::read(&path).unwrap(), edited, "{name}: evidence");
        fs::remove_file(&path).unwrap();
        let log = Log::read(folder.path());
        assert_eq!(log.faults(), ["chain_broken"], "{name}");
        let least = if ["cut before the last checkpoint", "all of it"].contains(&name) { 4 } else { 10 };
        assert_eq!(log.lines[0]["seq"], least, "{name}");
    }
}

#[test]
fn a_name_with_an_impossible_number_does_not_stop_the_count() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).close().unwrap();
    fs::write(folder.path().join("audit-9999999999999999.jsonl"), "{}\n").unwrap();
    fs::write(folder.path().join(Segment::name_of(3)), "").unwrap();
    fs::remove_file(folder.path().join(Segment::name_of(3))).unwrap();
    symlink("elsewhere", folder.path().join(Segment::name_of(4))).unwrap();
    open(folder.path()).close().unwrap();
    let log = fs::read_to_string(folder.path().join(Segment::name_of(4))).unwrap();
    assert!(log.contains("chain_broken"), "{log}");
    assert_eq!(
        fs::read_link(folder.path().join("displaced-0000000000000004")).unwrap(),
        Path::new("elsewhere")
    );
}
