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
    epoch: Instant,
    probe: Mutex<()>,
}

impl Suspension {
    pub(super) fn none() -> Self {
        Self {
            suspended: AtomicBool::new(false),
            probe_at_ms: AtomicU64::new(0),
            rejected_probes: AtomicU32::new(0),
            epoch: Instant::now(),
            probe: Mutex::new(()),
        }
    }

    /// Holds back from now on, and for twice as long each time a probe is rejected. Whether it begins here.
    pub(super) fn begin(&self) -> bool {
        let _one_at_a_time = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        let rejected_before = if self.suspended.load(Ordering::Acquire) {
            self.rejected_probes.fetch_add(1, Ordering::AcqRel).saturating_add(1).min(8)
        } else {
            self.rejected_probes.store(0, Ordering::Release);
            0
        };
        let pause = FIRST_PROBE.saturating_mul(1 << rejected_before).min(SLOWEST_PROBE);
        self.probe_at_ms.store(self.now_ms() + millis(pause), Ordering::Release);
        !self.suspended.swap(true, Ordering::AcqRel)
    }

    /// Whether there was one.
    pub(super) fn end(&self) -> bool {
        self.is_on() && self.suspended.swap(false, Ordering::AcqRel)
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

    #[test]
    fn a_rejected_version_is_held_back_until_its_probe() {
        let suspension = Suspension::none();
        assert_eq!(suspension.admit(), Ok(()));
        suspension.begin();
        assert!(matches!(suspension.admit(), Err(Reject::CredentialsUnavailable { retry_after_s: 1..=30 })));
        suspension.probe_at_ms.store(0, Ordering::Release);
        assert_eq!(suspension.admit(), Ok(()), "the probe passes");
        assert!(suspension.admit().is_err(), "and only the probe");
        suspension.begin();
        assert!(matches!(suspension.admit(), Err(Reject::CredentialsUnavailable { retry_after_s: 31..=60 })));
        suspension.end();
        assert_eq!(suspension.admit(), Ok(()));
    }
}
