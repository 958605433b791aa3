//! What if the disk is full, fails, or may not be written?

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use super::scene::{BETWEEN_LOOKS, Scene};
use crate::harness::PATIENCE;
use crate::load::{Load, Requests};
use crate::strace::{Event, Strace};
use crate::tmpfs::Tmpfs;
use crate::trail::{assert_clean, disk_of, keeping, plain_upstream};

const MIB: u64 = 1 << 20;
const LOST: &str = r#"dcams_gateway_audit_lines_lost_total{class="best_effort"}"#;

#[test]
fn a_full_disk_stops_what_requires_the_trail_until_there_is_space() {
    let mut scene = Scene::with("disk full", 8 * MIB, |setup| setup);
    scene.disk().fill();
    let refused = scene.assert_fails_closed();
    scene.disk().clear();
    scene.assert_recovers(refused);
    let ended = scene.end();
    ended.assert_clean_and_told(&["write_failed"]);
}

/// The kernel's answers to the writer, one kind of call each, until the repair. Segments are small: the next one is
/// begun meanwhile.
#[test]
fn a_failing_disk_stops_what_requires_the_trail_until_it_works_again() {
    let faults: [(&str, &str, &[&str]); 5] = [
        ("EIO on write", "inject=pwrite64:error=EIO", &["write_failed"]),
        ("EIO on fdatasync", "inject=fdatasync:error=EIO", &["sync_failed"]),
        ("EROFS on write", "inject=pwrite64:error=EROFS", &["write_failed"]),
        ("ENOSPC on write", "inject=pwrite64:error=ENOSPC", &["write_failed"]),
        ("ENOSPC on fdatasync", "inject=fdatasync:error=ENOSPC", &["sync_failed"]),
    ];
    for (name, inject, told) in faults {
        let mut scene = small_segments(name);
        let strace = Strace::attach(scene.gateway.pid(), &[TRACED, inject]);
        let refused = scene.assert_fails_closed();
        strace.detach();
        scene.assert_recovers(refused);
        let ended = scene.end();
        ended.assert_clean_and_told(told);
    }
}

/// One call that fails among many that do not: nothing may be torn, doubled or lost.
#[test]
fn single_failures_leave_no_mark_on_the_lines() {
    for call in ["pwrite64", "fdatasync", "fsync", "openat"] {
        let mut scene = small_segments("every seventh call fails");
        let inject = format!("inject={call}:error=EIO:when=2+7");
        let strace = Strace::attach(scene.gateway.pid(), &[TRACED, &inject]);
        let mut forwarded = 0;
        while forwarded < FORWARDED {
            forwarded += usize::from(scene.write());
            std::thread::sleep(BETWEEN_LOOKS);
        }
        let events = strace.detach();
        let failed =
            events.iter().filter(|event| matches!(event, Event::Returned { result: -1, .. })).count();
        println!("every seventh {call} fails: {failed} failures");
        assert!(failed > 0);
        scene.assert_recovers(Duration::ZERO);
        let ended = scene.end();
        assert_clean(ended.scene.setup.folder(), ended.book.checkpoint.as_deref());
    }
}

/// How many writes go through while single calls fail.
const FORWARDED: usize = 15;

/// Some ten requests each.
fn small_segments(name: &'static str) -> Scene {
    Scene::with(name, 64 * MIB, |setup| setup.set("audit.segment_bytes", "\"8KiB\""))
}

/// What the writer does.
const TRACED: &str = "trace=pwrite64,fdatasync,fsync,openat";

/// A write that the disk takes in part: the rest comes after it, not another line.
#[test]
fn a_line_that_was_written_in_part_is_never_glued_to_the_next() {
    let mut scene = Scene::with("torn by a full disk", 8 * MIB, |setup| setup);
    for _ in 0..3 {
        scene.disk().fill();
        let refused = scene.assert_fails_closed();
        let torn = crate::book::segments(&scene.folder()).last().map(|path| std::fs::read(path).unwrap());
        println!("the last segment ends within a line: {}", torn.is_some_and(|text| !text.ends_with(b"\n")));
        scene.disk().clear();
        scene.assert_recovers(refused);
    }
    let ended = scene.end();
    ended.assert_clean_and_told(&["write_failed"]);
}

/// More than the gateway keeps in memory (8 MiB): what is given up is counted at once, and told as soon as it can be.
#[test]
fn what_is_given_up_of_best_effort_is_counted_and_told() {
    let mut scene = Scene::with("loss", 32 * MIB, |setup| setup);
    scene.disk().fill();
    let refused = scene.assert_fails_closed();
    // Numbered beyond the scene's own.
    let load = Load::start(scene.gateway.data(), 3, &Arc::new(AtomicU64::new(1_000_000)), Requests::Reads);
    let lost = |scene: &mut Scene| scene.metric(LOST).unwrap();
    // Eight mebibytes take their time.
    let began = Instant::now();
    while lost(&mut scene) < 10.0 {
        assert!(began.elapsed() < 10 * PATIENCE, "nothing is given up");
        std::thread::sleep(BETWEEN_LOOKS);
    }
    let read = load.stop();
    assert!(read.iter().all(|reply| reply.status == 200), "a read was refused");
    scene.served_beside(read.len());
    scene.disk().clear();
    scene.assert_recovers(refused);
    let lost = lost(&mut scene);
    let ended = scene.end_damaged();
    assert_eq!(ended.book.gaps, []);
    assert_eq!(ended.book.not_closed_once(), []);
    let told = ended.book.events_of("loss");
    let told: f64 = told.iter().map(|line| line["best_effort"].as_f64().unwrap()).sum();
    assert_eq!(format!("{told}"), format!("{lost}"));
    println!("loss: {} reads; {lost} lines of reads and refusals given up, and told of", read.len());
    assert_clean(ended.scene.setup.folder(), ended.book.checkpoint.as_deref());
}

#[test]
fn a_gateway_does_not_start_where_it_cannot_write() {
    let upstream = plain_upstream();
    let setup = keeping(&upstream);
    let disk = Tmpfs::mount(&disk_of(setup.folder()), 8 * MIB);
    disk.make_read_only();
    let error = std::fs::write(disk_of(setup.folder()).join("probe"), "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem);
    let output = setup.command(&["run"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(74 | 77 | 78)), "{:?}: {said}", output.status);
}
