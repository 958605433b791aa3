//! What does the gateway take before it is asked anything?

use std::fs;

use crate::contestants::{Contestant, Variant, start};
use crate::figures::median;
use crate::load::{self, Door, Shot};
use crate::plan::Contest;

/// Idle connections that are held; the default allows one peer 512.
const CONNECTIONS: usize = 400;
const STARTS: usize = 5;

/// What it takes on its own.
pub struct Alone {
    pub idle_mb: f64,
    /// Of one kept-alive connection that has served a request.
    pub connection_kib: f64,
    /// From its start until it accepts connections.
    pub ready_ms: f64,
    pub binary_mb: f64,
}

impl Alone {
    pub fn of(contest: &Contest<'_>) -> Option<Self> {
        let upstream = contest.upstream(Variant::Tls);
        let start = || start(Contestant::Gateway, Variant::Tls, upstream, &contest.place).ok();
        let running = start()?;
        let shot = Shot::new(&contest.traffic.small, true);
        let before = running.process.resident_kib();
        let door = Door::Http1(running.address);
        let held = load::hold(&door, &shot, CONNECTIONS, || running.process.resident_kib());
        let grown = load::run(held).ok()?.saturating_sub(before);
        let idle_mb = running.process.idle_kib as f64 * 1024.0 / 1e6;
        drop(running);
        let ready = (0..STARTS).map(|_| Some(start()?.process.ready_after.as_secs_f64() * 1e3));
        Some(Self {
            idle_mb,
            connection_kib: grown as f64 / CONNECTIONS as f64,
            ready_ms: median(ready.collect::<Option<Vec<_>>>()?)?,
            binary_mb: fs::metadata(&contest.place.gateway).ok()?.len() as f64 / 1e6,
        })
    }
}
