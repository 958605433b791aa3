//! What if the disk takes seconds for a sync?

use std::time::{Duration, Instant};

use super::scene::Scene;
use crate::strace::Strace;

const SYNC: Duration = Duration::from_secs(6);

#[test]
fn a_disk_slower_than_five_seconds_is_not_waited_for() {
    let mut scene = Scene::of("disk slower than 5 s");
    // The next sync takes so long; the disk is well again after it.
    let slow = format!("inject=fdatasync:delay_exit={}:when=1", SYNC.as_micros());
    let strace = Strace::attach(scene.gateway.pid(), &["trace=fdatasync", &slow]);
    let began = Instant::now();
    let refused = scene.assert_fails_closed();
    assert_eq!(scene.metric("dcams_gateway_audit_stalled"), Some(1.0));
    scene.assert_recovers(refused);
    println!("of that, {SYNC:?} were the sync: {:?} are left", began.elapsed().saturating_sub(SYNC));
    strace.detach();
    let ended = scene.end();
    // The first was written, and refused before that was sure.
    assert!(ended.book.count_of("not_sent") > 0, "{:?}", ended.book.kinds);
    ended.assert_clean_and_told(&["stalled"]);
}
