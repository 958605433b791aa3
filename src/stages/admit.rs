//! Has this caller quota and a free slot?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Routed;
use crate::ids::{CallerId, EndpointId};
use crate::limits::{NamedLimiter, Slot, Slots};
use crate::quotas::Quotas;
use crate::reject::Reject;
use crate::stage::Stage;
use crate::track::{Step, Track, Tracks};

/// A request whose caller had quota left. Made only here.
pub struct Admitted<B> {
    track: Track,
    caller: CallerId,
    endpoint: EndpointId,
    slot: Slot,
    body: B,
}

impl<B> Admitted<B> {
    pub(super) fn into_parts(self) -> (Track, CallerId, EndpointId, Slot, B) {
        (self.track, self.caller, self.endpoint, self.slot, self.body)
    }
}

impl<B> Tracks for Admitted<B> {
    fn track(&self) -> &Track {
        &self.track
    }
}

/// Charges each caller's own GCRA limiter and takes one of its slots; one of each per configured
/// caller, so nothing grows.
#[derive(Clone)]
pub struct Admit {
    limits: Arc<[(Arc<NamedLimiter>, Slots)]>,
    draining: Arc<AtomicBool>,
}

impl Admit {
    /// Limits callers to `quotas`; admits nobody once `draining` is set.
    #[must_use]
    pub fn new(quotas: &Quotas, draining: Arc<AtomicBool>) -> Self {
        Self { limits: quotas.of_callers(), draining }
    }
}

impl<B> Stage<Routed<B>> for Admit {
    type Next = Admitted<B>;
    const STEP: Step = Step::Admit;

    fn advance(&self, routed: Routed<B>) -> Result<Admitted<B>, Reject> {
        if self.draining.load(Ordering::Acquire) {
            return Err(Reject::Draining);
        }
        let (limiter, slots) = self.limits.get(usize::from(routed.caller().0)).ok_or(Reject::Internal)?;
        // The slot first: a request that finds none must not use up quota as well.
        let slot = slots.take()?;
        limiter.charge()?;
        let (track, caller, endpoint, body) = routed.into_parts();
        Ok(Admitted { track, caller, endpoint, slot, body })
    }
}
