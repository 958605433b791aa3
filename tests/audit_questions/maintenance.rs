//! Does the index follow its log, whatever becomes of either?

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dcams_gateway::audit::{Filter, Group, Index, IndexFault, Notice, Order, Segment};

use crate::log::{BEGIN_US, Log, Random, Request, request};

/// Where the index is kept.
fn file(folder: &Path) -> PathBuf {
    folder.join("index.sqlite")
}

fn open(folder: &Path) -> (Index, Vec<Notice>) {
    let mut notices = Vec::new();
    let index = Index::open(folder, Some(&file(folder)), &mut |notice| notices.push(notice)).unwrap();
    (index, notices)
}

fn count(index: &Index) -> u64 {
    index.count(&Filter::default(), &[]).unwrap()[0].1
}

/// `requests` outcomes.
fn write(log: &mut Log, requests: u64) {
    let mut random = Random(log.next_seq());
    for number in 0..requests {
        let time = BEGIN_US + i64::try_from(log.next_seq() + number).unwrap();
        log.outcome(&Request { outcome: "forwarded", code: None, ..request(&mut random, time, 3) });
    }
    log.write();
}

#[test]
fn an_index_that_was_deleted_damaged_or_is_of_another_log_is_made_again_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.sqlite");
    let mut log = Log::begin(folder.path(), 1);
    write(&mut log, 5);
    assert_eq!((count(&open(folder.path()).0), open(folder.path()).1), (5, vec![]));
    write(&mut log, 2);
    assert_eq!((count(&open(folder.path()).0), open(folder.path()).1), (7, vec![]));

    fs::remove_file(&path).unwrap();
    let (index, notices) = open(folder.path());
    assert_eq!((count(&index), notices), (7, vec![]));

    for (contents, reason) in [
        (&b"no database, but long enough to be taken for one"[..], "it is damaged"),
        (b"", "it is of another form"),
    ] {
        fs::write(&path, contents).unwrap();
        let (index, notices) = open(folder.path());
        assert_eq!((count(&index), notices), (7, vec![Notice::MadeAgain(reason)]));
    }

    let other = tempfile::tempdir().unwrap();
    let mut another = Log::begin(other.path(), 2);
    write(&mut another, 1);
    open(other.path());
    fs::copy(other.path().join("index.sqlite"), &path).unwrap();
    let (index, notices) = open(folder.path());
    assert_eq!((count(&index), notices), (7, vec![Notice::MadeAgain("it is of another log")]));
}

#[test]
fn a_log_that_was_put_back_or_edited_at_its_end_is_indexed_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::begin(folder.path(), 1);
    write(&mut log, 5);
    let segment = folder.path().join(Segment::name_of(1));
    let before = fs::read(&segment).unwrap();
    write(&mut log, 3);
    assert_eq!(count(&open(folder.path()).0), 8);
    let stale = Notice::MadeAgain("the log is not as it was when it was indexed");

    fs::write(&segment, &before).unwrap();
    let (index, notices) = open(folder.path());
    assert_eq!((count(&index), notices), (5, vec![stale.clone()]));

    let mut edited = before;
    let last = edited.len() - 4;
    edited[last] = if edited[last] == b'0' { b'1' } else { b'0' };
    fs::write(&segment, &edited).unwrap();
    assert_eq!(open(folder.path()).1, [stale]);
}

#[test]
fn a_line_that_is_not_where_it_was_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::begin(folder.path(), 1);
    write(&mut log, 5);
    let (index, _) = open(folder.path());
    let segment = folder.path().join(Segment::name_of(1));
    let text = fs::read_to_string(&segment).unwrap();
    // All but the last line one byte further on.
    fs::write(&segment, text.replacen("\"v\":1", "\"v\": 1", 1)).unwrap();
    let mut shown = 0;
    let listed = index.list(&Filter::default(), Order::Oldest, 9, &mut |_| {
        shown += 1;
        ControlFlow::Continue(())
    });
    assert!(matches!(listed, Err(IndexFault::Unfit(_))));
    assert_eq!(shown, 0);
}

#[test]
fn what_an_index_says_of_a_line_that_does_not_say_it_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::begin(folder.path(), 1);
    write(&mut log, 5);
    let seq = log.next_seq();
    log.outcome(&Request {
        outcome: "refused",
        code: Some("rate_limited"),
        status: Some(429),
        caller: Some("kyc-api"),
        service: Some("getStatus"),
        ..request(&mut Random(1), BEGIN_US + 9, 3)
    });
    log.write();
    drop(open(folder.path()));
    let number =
        |role: u8, text: &str| format!("(SELECT id FROM name WHERE role = {role} AND text = '{text}')");
    let refused = Filter { outcomes: vec!["refused".to_owned()], ..Filter::default() };
    let forwarded = Filter { outcomes: vec!["forwarded".to_owned()], ..Filter::default() };
    for (change, filter) in [
        (format!("outcome = {}", number(3, "forwarded")), &forwarded),
        ("status = 200".to_owned(), &Filter { statuses: vec![(200, 200)], ..Filter::default() }),
        ("code = 0".to_owned(), &Filter { codes: vec!["(none)".to_owned()], ..Filter::default() }),
        (format!("outcome = {}", number(3, "open")), &Filter::default()),
        ("time = time - 1".to_owned(), &refused),
        ("seq = 1, offset = 0".to_owned(), &Filter::default()),
    ] {
        let copy = folder.path().join("changed.sqlite");
        fs::copy(file(folder.path()), &copy).unwrap();
        let connection = rusqlite::Connection::open(&copy).unwrap();
        // A name that the log does not have yet: nothing is open.
        connection.execute("INSERT OR IGNORE INTO name(role, text) VALUES(3, 'open')", []).unwrap();
        let changed = connection.execute(&format!("UPDATE request SET {change} WHERE seq = {seq}"), []);
        assert_eq!(changed, Ok(1), "{change}");
        drop(connection);
        let mut notices = Vec::new();
        let index = Index::open(folder.path(), Some(&copy), &mut |notice| notices.push(notice)).unwrap();
        let listed = index.list(filter, Order::Oldest, 9, &mut |found| {
            assert_ne!(found.entry.seq, seq, "{change}");
            ControlFlow::Continue(())
        });
        assert!(matches!(listed, Err(IndexFault::Unfit(_))), "{change}: {listed:?}");
        assert_eq!(notices, []);
    }
}

#[test]
fn an_index_that_others_could_have_written_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::begin(folder.path(), 1);
    write(&mut log, 5);
    let path = file(folder.path());
    drop(open(folder.path()));
    let foreign = [Notice::MadeAgain("others than this user could have written it")];
    for mode in [0o620, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let (index, notices) = open(folder.path());
        assert_eq!((count(&index), &notices[..]), (5, &foreign[..]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // What SQLite would play back into it.
    let journal = folder.path().join("index.sqlite-journal");
    fs::write(&journal, "").unwrap();
    fs::set_permissions(&journal, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(open(folder.path()).1, foreign);
    // Only root may give files away.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        let (index, notices) = open(folder.path());
        assert_eq!((count(&index), &notices[..]), (5, &foreign[..]));
    }
    fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    assert_eq!(open(folder.path()).1, foreign);
    assert_eq!(open(folder.path()).1, []);
}

#[test]
fn what_retention_removed_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::begin(folder.path(), 1);
    write(&mut log, 5);
    let second = log.next_seq();
    log.rotate(BEGIN_US);
    write(&mut log, 4);
    open(folder.path());
    fs::remove_file(folder.path().join(Segment::name_of(1))).unwrap();
    let (index, notices) = open(folder.path());
    let total: u64 =
        index.count(&Filter::default(), &[Group::Caller]).unwrap().iter().map(|(_, count)| count).sum();
    assert_eq!((count(&index), total, notices), (4, 4, vec![]));
    assert_eq!(index.size().unwrap().events, 1);

    log.rotate(BEGIN_US);
    write(&mut log, 1);
    assert_eq!(count(&open(folder.path()).0), 5);
    fs::remove_file(folder.path().join(Segment::name_of(second))).unwrap();
    assert_eq!(count(&open(folder.path()).0), 1);
}

#[test]
fn a_request_is_open_until_its_outcome_is_written_also_in_a_later_segment() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::begin(folder.path(), 1);
    let request = Request { outcome: "forwarded", code: None, ..request(&mut Random(1), BEGIN_US, 3) };
    log.intent(&request);
    log.write();
    let outcomes = |index: &Index| index.count(&Filter::default(), &[Group::Outcome]).unwrap();
    let one = |outcome: &str| vec![(vec![outcome.to_owned()], 1)];
    assert_eq!(outcomes(&open(folder.path()).0), one("open"));
    log.rotate(BEGIN_US);
    log.outcome(&request);
    log.write();
    let (index, _) = open(folder.path());
    assert_eq!(outcomes(&index), one("forwarded"));
    let filter = Filter {
        ids: vec![request.id],
        kinds: vec!["intent".to_owned(), "outcome".to_owned()],
        ..Filter::default()
    };
    let mut kinds = Vec::new();
    let mut show = |found: &dcams_gateway::audit::Found<'_>| {
        kinds.push((found.entry.kind.to_owned(), found.open));
        ControlFlow::Continue(())
    };
    index.list(&filter, Order::Oldest, 9, &mut show).unwrap();
    assert_eq!(kinds, [("intent".to_owned(), false), ("outcome".to_owned(), false)]);
}

#[test]
fn what_is_no_line_of_the_log_is_left_out_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::begin(folder.path(), 1);
    write(&mut log, 2);
    let segment = folder.path().join(Segment::name_of(1));
    let offset = fs::metadata(&segment).unwrap().len();
    log.write_raw(b"glued together\n{\"seq\":2,\"v\":1,\"kind\":\"outcome\",\"outcome\":\"forwarded\"}\n");
    write(&mut log, 1);
    // Torn: it may be about to be written.
    log.write_raw(b"{\"seq\":5,\"v\":1");
    let (index, notices) = open(folder.path());
    let told = Notice::Unreadable { lines: 2, segment: Segment::name_of(1), offset };
    assert_eq!((count(&index), notices), (3, vec![told]));
    assert_eq!(open(folder.path()).1, []);
}

#[test]
fn a_link_in_the_place_of_a_segment_is_told_and_the_others_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::begin(folder.path(), 1);
    write(&mut log, 2);
    let second = log.next_seq();
    log.rotate(BEGIN_US);
    write(&mut log, 3);
    log.rotate(BEGIN_US);
    write(&mut log, 4);
    open(folder.path());
    let segment = folder.path().join(Segment::name_of(second));
    fs::rename(&segment, folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", &segment).unwrap();
    let told = Notice::PassedOver(segment);
    let (index, notices) = open(folder.path());
    let stale = Notice::MadeAgain("a segment that it knows is missing");
    assert_eq!((count(&index), notices), (6, vec![told.clone(), stale]));
    // Told every time, and not made again every time.
    let (index, notices) = open(folder.path());
    assert_eq!((count(&index), notices), (6, vec![told]));
}

#[test]
fn another_process_that_writes_the_index_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::begin(folder.path(), 1);
    write(&mut log, 3);
    let lock = fs::File::create(folder.path().join("index.sqlite-lock")).unwrap();
    lock.lock().unwrap();
    let (waiting, seen) = std::sync::mpsc::channel();
    let path = folder.path().to_owned();
    let asker = std::thread::spawn(move || {
        let index =
            Index::open(&path, Some(&file(&path)), &mut |notice| waiting.send(notice).unwrap()).unwrap();
        count(&index)
    });
    assert_eq!(seen.recv(), Ok(Notice::Waiting));
    lock.unlock().unwrap();
    assert_eq!(asker.join().unwrap(), 3);
}

#[test]
fn many_ask_while_one_writes() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::begin(folder.path(), 1);
    write(&mut log, 100);
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut before = 0;
                    while before < 1100 {
                        let now = count(&open(folder.path()).0);
                        assert!(now >= before, "{now} after {before}");
                        before = now;
                    }
                })
            })
            .collect();
        for _ in 0..10 {
            write(&mut log, 100);
        }
        askers.into_iter().for_each(|asker| asker.join().unwrap());
    });
}

#[test]
fn a_folder_without_a_segment_is_no_log_and_nothing_is_written_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Index::open(folder.path(), None, &mut |_| {});
    assert!(matches!(opened, Err(IndexFault::Log { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
