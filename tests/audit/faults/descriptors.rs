//! What if there is no descriptor left for the next segment?

use std::collections::HashSet;
use std::time::Instant;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::scene::{BETWEEN_LOOKS, Scene};
use crate::book::segments;
use crate::harness::PATIENCE;
use crate::trail::assert_clean;

#[test]
fn without_a_descriptor_for_the_next_segment_the_old_one_goes_on() {
    let mut scene = Scene::with("no descriptor to rotate", 64 << 20, |setup| {
        setup.set("audit.segment_bytes", "\"8KiB\"")
    });
    let allowed = take_descriptors(&scene);
    let before = segments(&scene.folder());
    let size = || std::fs::metadata(before.last().unwrap()).unwrap().len();
    while size() < 4 * (8 << 10) {
        assert!(scene.write(), "the old segment does not go on");
    }
    assert_eq!(segments(&scene.folder()), before);
    give_descriptors(&scene, allowed);
    // The gateway tries every ten seconds.
    let given = Instant::now();
    while segments(&scene.folder()) == before {
        assert!(scene.write(), "refused while the old segment goes on");
        assert!(given.elapsed() < 3 * PATIENCE, "no segment is begun");
        std::thread::sleep(BETWEEN_LOOKS);
    }
    println!(
        "no descriptor to rotate: nothing refused, a new segment {:?} after there was one",
        given.elapsed()
    );
    let ended = scene.end();
    assert_clean(ended.scene.setup.folder(), ended.book.checkpoint.as_deref());
}

#[test]
fn without_a_descriptor_for_a_segment_that_must_be_what_requires_the_trail_waits_for_one() {
    let mut scene = Scene::of("no descriptor to recover");
    let allowed = take_descriptors(&scene);
    let open = segments(&scene.folder()).pop().unwrap();
    let elsewhere = open.with_extension("moved");
    std::fs::rename(&open, &elsewhere).unwrap();
    let refused = scene.assert_fails_closed();
    give_descriptors(&scene, allowed);
    scene.assert_recovers(refused);
    std::fs::rename(elsewhere, open).unwrap();
    let ended = scene.end();
    ended.assert_clean_and_told(&["segment_gone"]);
}

/// Leaves the gateway the descriptors that it has. The caller's connection, the operator's and the upstream's are open.
fn take_descriptors(scene: &Scene) -> Rlimit {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let limit = Rlimit { current: Some(lowest_free(scene.gateway.pid())), maximum };
    prlimit(pid_of(scene), Resource::Nofile, limit).unwrap()
}

fn give_descriptors(scene: &Scene, allowed: Rlimit) {
    prlimit(pid_of(scene), Resource::Nofile, allowed).unwrap();
}

fn pid_of(scene: &Scene) -> Option<Pid> {
    i32::try_from(scene.gateway.pid()).ok().and_then(Pid::from_raw)
}

/// The number that the process would get for its next descriptor.
fn lowest_free(pid: u32) -> u64 {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let open: HashSet<u64> =
        open.map(|entry| entry.unwrap().file_name().to_string_lossy().parse().unwrap()).collect();
    (0..).find(|number| !open.contains(number)).unwrap()
}
