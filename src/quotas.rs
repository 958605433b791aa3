//! What is counted of each caller, and what of that outlives a configuration?

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;

use crate::budget::{Budget, Shares};
use crate::config::{Caller, Config, Rate};
use crate::ids::{CallerId, ServiceId};
use crate::limits::{Common, NamedLimiter, Slots};
use crate::reject::Limit;

/// What is counted of all callers of one configuration. Nothing grows but by a configuration.
pub struct Quotas {
    /// In the order of [`CallerId`].
    callers: Box<[Quota]>,
    common: Arc<Common>,
    bodies: Budget,
    answers: Budget,
}

/// What is counted of one caller.
struct Quota {
    name: Box<str>,
    rate: Arc<NamedLimiter>,
    slots: Slots,
    /// By the service's name.
    services: BTreeMap<Box<str>, Arc<NamedLimiter>>,
    bodies: Budget,
    answers: Budget,
}

impl Quotas {
    /// Nothing counted yet; the gauges follow the bytes of bodies and of answers.
    #[must_use]
    pub fn new(config: &Config, bodies: Gauge, answers: Gauge) -> Self {
        let data = &config.data;
        let (own, common) = Common::share_out(data.max_requests, config.callers.len());
        let quota = |caller| Quota::new(config, caller, own, &common);
        Self {
            callers: config.callers.iter().map(quota).collect(),
            common: Arc::clone(&common),
            bodies: Budget::new(data.body_budget_bytes, Some(bodies)),
            answers: Budget::new(data.answer_budget_bytes, Some(answers)),
        }
    }

    /// The quotas of `config`, which follows: a caller of the same name goes on with what was counted of it. Where
    /// its rate changed, that is counted anew; what it holds is held on.
    #[must_use]
    pub fn succeeded_by(&self, config: &Config) -> Self {
        let data = &config.data;
        let (own, common) = self.common.share_out_again(data.max_requests, config.callers.len());
        let quota = |caller: &Caller| match self.callers.iter().find(|known| known.name == caller.name) {
            Some(known) => known.succeeded_by(config, caller, own, &common),
            None => Quota::new(config, caller, own, &common),
        };
        Self {
            callers: config.callers.iter().map(quota).collect(),
            common: Arc::clone(&common),
            bodies: self.bodies.succeeded_by(data.body_budget_bytes),
            answers: self.answers.succeeded_by(data.answer_budget_bytes),
        }
    }

    /// Each caller's rate and slots, in the order of [`CallerId`].
    #[must_use]
    pub fn of_callers(&self) -> Arc<[(Arc<NamedLimiter>, Slots)]> {
        self.callers.iter().map(|quota| (Arc::clone(&quota.rate), quota.slots.clone())).collect()
    }

    /// The rates of callers at single services.
    #[must_use]
    pub fn of_services(&self, config: &Config) -> BTreeMap<(CallerId, ServiceId), Arc<NamedLimiter>> {
        let ids: BTreeMap<&str, ServiceId> =
            config.services.iter().map(|service| &*service.name).zip((0_u16..).map(ServiceId)).collect();
        let of_caller = |(id, quota): (CallerId, &Quota)| {
            let limiters = quota.services.iter();
            let known =
                limiters.filter_map(|(name, limiter)| Some((*ids.get(&**name)?, Arc::clone(limiter))));
            known.map(|(service, limiter)| ((id, service), limiter)).collect::<Vec<_>>()
        };
        (0_u16..).map(CallerId).zip(self.callers.iter()).flat_map(of_caller).collect()
    }

    /// Of the bodies.
    #[must_use]
    pub fn bodies(&self) -> Shares {
        Shares::new(self.bodies.clone(), self.callers.iter().map(|quota| quota.bodies.clone()))
    }

    /// Of the answers.
    #[must_use]
    pub fn answers(&self) -> Shares {
        Shares::new(self.answers.clone(), self.callers.iter().map(|quota| quota.answers.clone()))
    }
}

impl Quota {
    fn new(config: &Config, caller: &Caller, own: usize, common: &Arc<Common>) -> Self {
        let limiter = |(name, rate)| (name, Arc::new(NamedLimiter::new(Limit::CallerService, rate)));
        Self {
            name: caller.name.clone(),
            rate: Arc::new(NamedLimiter::new(Limit::Caller, caller.rate)),
            slots: Slots::new(caller.max_requests, own, Arc::clone(common)),
            services: service_rates(config, caller).map(limiter).collect(),
            bodies: Budget::new(caller.max_body_bytes, None),
            answers: Budget::new(answer_share(config), None),
        }
    }

    fn succeeded_by(&self, config: &Config, caller: &Caller, own: usize, common: &Arc<Common>) -> Self {
        let limiter = |(name, rate): (Box<str>, _)| {
            let limiter = match self.services.get(&name) {
                Some(known) => known.succeeded_by(rate),
                None => Arc::new(NamedLimiter::new(Limit::CallerService, rate)),
            };
            (name, limiter)
        };
        Self {
            name: self.name.clone(),
            rate: self.rate.succeeded_by(caller.rate),
            slots: self.slots.succeeded_by(caller.max_requests, own, Arc::clone(common)),
            services: service_rates(config, caller).map(limiter).collect(),
            bodies: self.bodies.succeeded_by(caller.max_body_bytes),
            answers: self.answers.succeeded_by(answer_share(config)),
        }
    }
}

/// A caller's rates by the names of services, because their numbers are of one configuration.
fn service_rates<'c>(config: &'c Config, caller: &'c Caller) -> impl Iterator<Item = (Box<str>, Rate)> + 'c {
    let named =
        |(id, rate): (&ServiceId, &Rate)| Some((config.services.get(usize::from(id.0))?.name.clone(), *rate));
    caller.service_rates.iter().filter_map(named)
}

/// Of the answers a caller may hold the same share as of the bodies, and never less than the largest takes.
fn answer_share(config: &Config) -> u64 {
    let data = &config.data;
    let share = u128::from(data.answer_budget_bytes) * u128::from(data.caller_share_bytes)
        / u128::from(data.body_budget_bytes.max(1));
    u64::try_from(share).unwrap_or(u64::MAX).max(config.upstream.answer_limit_bytes)
}
