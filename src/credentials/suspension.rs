//! When is a version held back?

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::reject::Reject;

/// After a rejection the first request to try again is let through after this.
const FIRST_PROBE: Duration = Duration::from_secs(30);
/// The pause between probes doubles up to this.
const SLOWEST_PROBE: Duration = Duration::from_secs(15 * 60);

/// A version that DCAMS rejected is held back, so that the account is not locked out; one request
/// after each pause probes it.
pub(super) struct Suspension {
    suspended: AtomicBool,
    /// Since `epoch`, milliseconds.
    probe_at_ms: AtomicU64,
    rejected_probes: AtomicU32,
    /// How often it was begun or went on.
    rejections: AtomicU64,
    epoch: Instant,
    probe: Mutex<()>,
}

impl Suspension {
    pub(super) fn none() -> Self {
        Self {
            suspended: AtomicBool::new(false),
            probe_at_ms: AtomicU64::new(0),
            rejected_probes: AtomicU32::new(0),
            rejections: AtomicU64::new(0),
            epoch: Instant::now(),
            probe: Mutex::new(()),
        }
    }

    /// Holds back from now on, and for twice as long each time a probe is rejected: a request that was sent after
    /// `before` rejections. One that was sent before the last of them is no probe, and says nothing of what DCAMS
    /// accepted since. Whether it begins here.
    pub(super) fn begin(&self, before: u64) -> bool {
        let _one_at_a_time = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        if before != self.rejections() {
            return false;
        }
        let is_on = self.is_on();
        let rejected_before = match is_on {
            true => self.rejected_probes.load(Ordering::Acquire).saturating_add(1).min(8),
            false => 0,
        };
        self.rejected_probes.store(rejected_before, Ordering::Release);
        self.rejections.fetch_add(1, Ordering::AcqRel);
        let pause = FIRST_PROBE.saturating_mul(1 << rejected_before).min(SLOWEST_PROBE);
        self.probe_at_ms.store(self.now_ms() + millis(pause), Ordering::Release);
        self.suspended.store(true, Ordering::Release);
        !is_on
    }

    /// Whether there was one, and a request that was sent after `before` rejections ends it: what was sent before the
    /// last one says nothing of what came after it.
    pub(super) fn end(&self, before: u64) -> bool {
        if !self.is_on() {
            return false;
        }
        let _one_at_a_time = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        before == self.rejections() && self.suspended.swap(false, Ordering::AcqRel)
    }

    /// To be asked before a request is sent.
    pub(super) fn rejections(&self) -> u64 {
        self.rejections.load(Ordering::Acquire)
    }

    pub(super) fn is_on(&self) -> bool {
        self.suspended.load(Ordering::Acquire)
    }

    /// Lets everything pass while there is no suspension, and one request after each pause while
    /// there is. A probe that never reaches DCAMS is followed by another after the first pause.
    pub(super) fn admit(&self) -> Result<(), Reject> {
        if !self.suspended.load(Ordering::Acquire) {
            return Ok(());
        }
        let _one_at_a_time = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, probe_at) = (self.now_ms(), self.probe_at_ms.load(Ordering::Acquire));
        if now < probe_at {
            let retry_after_s = u32::try_from((probe_at - now).div_ceil(1_000)).unwrap_or(u32::MAX);
            return Err(Reject::CredentialsUnavailable { retry_after_s });
        }
        self.probe_at_ms.store(now + millis(FIRST_PROBE), Ordering::Release);
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        millis(self.epoch.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after_s(suspension: &Suspension) -> u32 {
        match suspension.admit() {
            Err(Reject::CredentialsUnavailable { retry_after_s }) => retry_after_s,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rejected_version_is_held_back_until_its_probe() {
        let suspension = Suspension::none();
        assert_eq!(suspension.admit(), Ok(()));
        assert!(suspension.begin(0));
        assert!((1..=30).contains(&retry_after_s(&suspension)));
        suspension.probe_at_ms.store(0, Ordering::Release);
        assert_eq!(suspension.admit(), Ok(()), "the probe passes");
        assert!(suspension.admit().is_err(), "and only the probe");
        assert!(!suspension.begin(suspension.rejections()));
        assert!((31..=60).contains(&retry_after_s(&suspension)));
        assert!(suspension.end(suspension.rejections()));
        assert_eq!(suspension.admit(), Ok(()));
    }

    #[test]
    fn what_was_sent_before_a_suspension_neither_ends_nor_prolongs_it() {
        let suspension = Suspension::none();
        let before = suspension.rejections();
        assert!(suspension.begin(before));
        for _ in 0..9 {
            assert!(!suspension.begin(before), "requests that were sent together");
        }
        assert!((1..=30).contains(&retry_after_s(&suspension)));
        assert!(!suspension.end(before));
        let probes = suspension.rejections();
        assert!(!suspension.begin(probes));
        assert!(!suspension.end(probes), "another probe was rejected since");
        assert!((31..=60).contains(&retry_after_s(&suspension)), "and is not forgotten");
        assert!(suspension.end(suspension.rejections()));
        assert!(!suspension.begin(before), "it was accepted since");
        assert_eq!(suspension.admit(), Ok(()));
        assert!(suspension.begin(suspension.rejections()));
        assert!((1..=30).contains(&retry_after_s(&suspension)), "a suspension of its own");
    }
}
