//! When does a segment end, and how long is it kept?

use super::*;

fn rotating(folder: &Path) -> Journal {
    let mut settings = settings(folder);
    settings.segment_bytes = 1;
    settings.retain = Retention::default();
    Journal::open(settings, origin()).unwrap()
}

fn one_segment(journal: &mut Journal, id: u128) {
    journal.intend(id);
    journal.end(id);
    journal.commit_all();
    journal.keep_up(Instant::now()).unwrap();
}

#[test]
fn a_segment_ends_by_its_size_with_a_checkpoint_and_the_next_tells_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = rotating(folder.path());
    journal.intend(9);
    one_segment(&mut journal, 1);
    // Nothing but its first line: there is nothing to end.
    journal.keep_up(Instant::now()).unwrap();
    one_segment(&mut journal, 2);
    journal.end(9);
    journal.close().unwrap();
    let log = Log::read(folder.path());
    assert_eq!(log.segments, [(1, 6), (7, 10), (11, 13)]);
    let open: Vec<_> = log.of_kind("segment").map(|line| line["open"].as_array().unwrap().len()).collect();
    assert_eq!(open, [0, 1, 1]);
    log.assert_closed();
}

#[test]
fn a_segment_ends_by_its_age_unless_nothing_happened() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.segment_age = Duration::ZERO;
    let mut journal = Journal::open(settings, origin()).unwrap();
    one_segment(&mut journal, 1);
    journal.checkpoint(Instant::now()).unwrap();
    for _ in 0..3 {
        journal.keep_up(Instant::now()).unwrap();
    }
    journal.close().unwrap();
    assert_eq!(Log::read(folder.path()).segments, [(1, 5), (6, 8)]);
}

#[test]
fn a_checkpoint_is_written_only_if_there_were_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.checkpoint_interval = Duration::ZERO;
    let mut journal = Journal::open(settings, origin()).unwrap();
    journal.commit_all();
    for _ in 0..3 {
        journal.keep_up(Instant::now()).unwrap();
    }
    drop(journal);
    assert_eq!(Log::read(folder.path()).kinds(), "segment start checkpoint");
}

#[test]
fn what_is_kept_is_bounded_by_number_age_and_size_and_the_open_segment_always_stays() {
    let limits: [fn(&mut Retention); 4] = [
        |retain| retain.segments = Some(1),
        |retain| retain.segments = Some(0),
        |retain| retain.age = Some(Duration::ZERO),
        |retain| retain.bytes = Some(0),
    ];
    for (limit, left) in limits.into_iter().zip([2, 1, 1, 1]) {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = rotating(folder.path());
        for id in 0..4 {
            one_segment(&mut journal, id);
        }
        limit(&mut journal.settings.retain);
        journal.retire(Instant::now()).unwrap();
        journal.close().unwrap();
        let log = Log::read(folder.path());
        assert_eq!(log.segments.len(), left);
        let retention = log.of_kind("retention").next().unwrap();
        let removed = retention["removed"].as_array().unwrap();
        assert_eq!(removed.len(), 5 - left);
        assert_eq!((&removed[0]["first"], &removed[0]["last"]), (&1.into(), &5.into()));
        drop(journal);
        // The state is of a place in a segment that is gone or not; the chain goes on either way.
        open(folder.path()).close().unwrap();
        Log::read(folder.path());
    }
}

#[test]
fn a_segment_that_the_next_one_does_not_tell_of_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = rotating(folder.path());
    for id in 0..3 {
        one_segment(&mut journal, id);
    }
    std::fs::write(folder.path().join(Segment::name_of(6)), "{}\n").unwrap();
    journal.settings.retain.segments = Some(0);
    journal.retire(Instant::now()).unwrap();
    assert!(folder.path().join(Segment::name_of(1)).exists());
}

#[test]
fn where_no_segment_can_be_begun_the_old_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = rotating(folder.path());
    std::fs::create_dir(folder.path().join(super::super::segment::NEW_NAME)).unwrap();
    for id in 0..3 {
        one_segment(&mut journal, id);
    }
    journal.close().unwrap();
    let log = Log::read(folder.path());
    assert_eq!(log.segments, [(1, 10)]);
    assert_eq!(log.faults(), [""; 0]);
}

#[test]
fn a_foreign_file_with_the_name_of_the_next_segment_is_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = rotating(folder.path());
    std::fs::write(folder.path().join(Segment::name_of(6)), "foreign").unwrap();
    one_segment(&mut journal, 1);
    journal.close().unwrap();
    assert_eq!(Log::read(folder.path()).segments, [(1, 5), (6, 7)]);
    let aside = std::fs::read_to_string(folder.path().join("displaced-0000000000000006")).unwrap();
    assert_eq!(aside, "foreign");
}

#[test]
fn records_of_strangers_are_not_wanted_when_space_is_short() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.reserve_bytes = u64::MAX;
    let mut journal = Journal::open(settings, origin()).unwrap();
    journal.commit_all();
    journal.keep_up(Instant::now()).unwrap();
    assert!(journal.short_of_space());
    journal.settings.reserve_bytes = 1;
    journal.keep_up(Instant::now() + LOOK).unwrap();
    assert!(!journal.short_of_space());
}
