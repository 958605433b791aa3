//! Does a gateway that runs recover alone?

use std::fs;

use super::*;
use crate::audit::{Class, Output, Writer};

fn start(folder: &Path) -> Writer {
    Writer::start(Output::Folder(settings(folder)), origin()).unwrap()
}

/// Sends intents until one is taken and durable; its outcome follows.
fn forward(writer: &Writer, id: u128) {
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < limit, "waited for too long");
        if let Some(ticket) = writer.intend(Class::Required, &intent(id), id) {
            while writer.health().durable() < ticket.0 {
                assert!(Instant::now() < limit, "waited for too long");
                std::thread::yield_now();
            }
            writer.close(&outcome(id), id);
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn until_unavailable(writer: &Writer) {
    let limit = Instant::now() + Duration::from_secs(60);
    while writer.health().available() {
        assert!(Instant::now() < limit, "waited for too long");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn many_requests_of_many_threads_are_recorded_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let writer = start(folder.path());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let writer = &writer;
            scope.spawn(move || (0..50).for_each(|n| forward(writer, 1 + thread * 1_000 + n)));
        }
    });
    assert_eq!(writer.finish(0), 0);
    let log = Log::read(folder.path());
    log.assert_closed();
    assert_eq!((log.of_kind("intent").count(), log.of_kind("outcome").count()), (400, 400));
    assert!(log.kinds().starts_with("segment start ") && log.kinds().ends_with(" stop checkpoint"));
    assert_eq!(
        writer.health().written_lines() as usize,
        log.lines.len() - 1,
        "all but the segment's first line"
    );
}

#[test]
fn a_segment_that_is_removed_is_replaced_without_anybody_asking() {
    let folder = tempfile::tempdir().unwrap();
    let writer = start(folder.path());
    forward(&writer, 1);
    fs::remove_file(folder.path().join(Segment::name_of(1))).unwrap();
    until_unavailable(&writer);
    forward(&writer, 2);
    assert_eq!(writer.finish(0), 0);
    let log = Log::read(folder.path());
    assert_eq!(log.faults(), ["segment_gone"]);
    assert_eq!(log.outcomes_of(2), ["forwarded"]);
}

#[test]
fn while_its_folder_is_away_nothing_is_available_and_afterwards_nothing_is_missing() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("audit");
    let writer = start(&folder);
    forward(&writer, 1);
    fs::rename(&folder, outer.path().join("away")).unwrap();
    until_unavailable(&writer);
    writer.send(Class::BestEffort, &outcome(7));
    fs::rename(outer.path().join("away"), &folder).unwrap();
    forward(&writer, 2);
    assert_eq!(writer.finish(0), 0);
    let log = Log::read(&folder);
    log.assert_closed();
    assert_eq!(log.faults(), ["folder_gone"]);
    assert_eq!((log.segments.len(), log.outcomes_of(7)), (1, vec!["forwarded"]));
}

#[test]
fn a_writer_that_is_dropped_leaves_its_folder_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    for id in 1..4 {
        forward(&start(folder.path()), id);
    }
    let log = Log::read(folder.path());
    log.assert_closed();
    assert_eq!(log.of_kind("stop").count(), 3);
}
