//! What if somebody else touches the open segment, or the folder?

use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use super::scene::{Ended, Scene};
use crate::book::segments;
use crate::trail::{assert_clean, disk_of, verify};

/// How many writes are recorded before something is done to their segment.
const BEFORE: usize = 3;

/// A scene with some records, and its open segment.
fn scene(name: &'static str) -> (Scene, PathBuf) {
    let mut scene = Scene::of(name);
    for _ in 0..BEFORE {
        assert!(scene.write());
    }
    let open = segments(&scene.folder()).pop().unwrap();
    (scene, open)
}

/// The writer begins a new segment by itself: refused is at most what comes before it noticed.
fn recover(mut scene: Scene, told: &str) -> Ended {
    scene.assert_recovers(Duration::ZERO);
    let ended = scene.end_damaged();
    ended.assert_told(&[told]);
    ended
}

/// The records of the first writes are gone, and `audit verify` says so.
fn assert_found(ended: &Ended) {
    ended.assert_complete_from(BEFORE + 1);
    let verdict = verify(ended.scene.setup.folder(), ended.book.checkpoint.as_deref());
    assert_eq!(verdict.code, Some(1), "{verdict}");
    println!("{verdict}");
}

#[test]
fn a_deleted_segment_is_followed_by_a_new_one_and_missed() {
    let (scene, open) = scene("segment deleted");
    fs::remove_file(open).unwrap();
    assert_found(&recover(scene, "segment_gone"));
}

#[test]
fn a_renamed_segment_is_followed_by_a_new_one_and_missed() {
    let (scene, open) = scene("segment renamed");
    let elsewhere = open.with_extension("moved");
    fs::rename(&open, &elsewhere).unwrap();
    let ended = recover(scene, "segment_gone");
    assert_found(&ended);
    // It is whole: put back in its place, nothing is missing.
    fs::rename(elsewhere, open).unwrap();
    assert_clean(ended.scene.setup.folder(), ended.book.checkpoint.as_deref());
}

#[test]
fn a_truncated_segment_is_followed_by_a_new_one_and_found() {
    let (scene, open) = scene("segment truncated");
    let length = fs::metadata(&open).unwrap().len();
    OpenOptions::new().write(true).open(open).unwrap().set_len(length / 2).unwrap();
    let ended = recover(scene, "segment_truncated");
    assert_found(&ended);
}

#[test]
fn a_segment_that_was_replaced_by_a_link_is_not_written_through_it() {
    let (scene, open) = scene("segment replaced by a link");
    let target = scene.setup.folder().join("target");
    fs::write(&target, "").unwrap();
    fs::remove_file(&open).unwrap();
    symlink(&target, &open).unwrap();
    let ended = recover(scene, "segment_replaced");
    assert_eq!(fs::read_to_string(target).unwrap(), "");
    fs::remove_file(open).unwrap();
    assert_found(&ended);
}

#[test]
fn a_segment_that_was_replaced_by_another_file_is_not_continued() {
    let (scene, open) = scene("segment replaced by a copy");
    let copy = open.with_extension("copy");
    fs::copy(&open, &copy).unwrap();
    fs::rename(&copy, &open).unwrap();
    let ended = recover(scene, "segment_replaced");
    // The copy holds the same bytes.
    ended.assert_complete();
    assert_clean(ended.scene.setup.folder(), ended.book.checkpoint.as_deref());
}

#[test]
fn a_folder_that_was_renamed_away_stops_what_requires_the_trail_until_it_is_back() {
    let (mut scene, _) = scene("folder renamed away");
    let (folder, elsewhere) = (scene.folder(), disk_of(scene.setup.folder()).join("elsewhere"));
    fs::rename(&folder, &elsewhere).unwrap();
    let refused = scene.assert_fails_closed();
    assert!(!folder.exists(), "a folder was made where one was taken away");
    fs::rename(elsewhere, folder).unwrap();
    scene.assert_recovers(refused);
    let ended = scene.end();
    ended.assert_clean_and_told(&["folder_gone"]);
}
