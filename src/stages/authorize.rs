//! May this caller use this service, now, at this size?

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Parsed;
use crate::config::Config;
use crate::ids::{CallerId, ServiceId};
use crate::limits::NamedLimiter;
use crate::quotas::Quotas;
use crate::reject::Reject;
use crate::stage::Stage;
use crate::track::{Step, Track, Tracks};

/// A request that its caller may make. Made only here.
pub struct Permitted(Parsed);

impl Permitted {
    pub(super) fn into_parsed(self) -> Parsed {
        self.0
    }
}

impl Tracks for Permitted {
    fn track(&self) -> &Track {
        self.0.track()
    }
}

/// Applies each caller's list of services and the limits per caller and service.
#[derive(Clone)]
pub struct Authorize {
    config: Arc<Config>,
    limiters: Arc<BTreeMap<(CallerId, ServiceId), Arc<NamedLimiter>>>,
}

impl Authorize {
    /// Applies the rules of `config` and the rates of `quotas`.
    #[must_use]
    pub fn new(config: Arc<Config>, quotas: &Quotas) -> Self {
        Self { limiters: Arc::new(quotas.of_services(&config)), config }
    }
}

impl Stage<Parsed> for Authorize {
    type Next = Permitted;
    const STEP: Step = Step::Authorize;

    fn advance(&self, parsed: Parsed) -> Result<Permitted, Reject> {
        let (id, service_id) = (parsed.caller(), parsed.service());
        let caller = self.config.callers.get(usize::from(id.0)).ok_or(Reject::Internal)?;
        let service = self.config.services.get(usize::from(service_id.0)).ok_or(Reject::Internal)?;
        if !caller.services.contains(&service_id) {
            return Err(Reject::ServiceNotPermitted);
        }
        if parsed.document().bytes().len() as u64 > service.body_limit_bytes {
            return Err(Reject::BodyTooLarge { limit_bytes: service.body_limit_bytes });
        }
        if let Some(limiter) = self.limiters.get(&(id, service_id)) {
            limiter.charge()?;
        }
        Ok(Permitted(parsed))
    }
}
