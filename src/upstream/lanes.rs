//! What do a caller's requests to one endpoint have in common, beside their connections?
//!
//! A lane: breakers of its own, one for reads and one for writes, and a retry budget, so that no caller can use up
//! or suspend what is another's. The endpoint has one breaker for all callers, which opens on what no caller's
//! request can cause. All of it is carried over to the next configuration by name.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use tower::retry::budget::{Budget, TpsBudget};

use super::breaker::{Breaker, Permit, Sign};
use super::jitter::Jitter;
use super::retry::Ended;
use super::signs::signs;
use super::tally::Source;
use super::told::{Scope, Told};
use super::waits::Waits;
use crate::audit::Writer;
use crate::config::{self, Config, Effect, Retry, UpstreamUrl};
use crate::digest::sha256;
use crate::ids::{CallerId, EndpointId};
use crate::metrics::Metrics;
use crate::reject::Reject;

/// The lanes of one configuration, shared by all workers.
pub struct Lanes {
    retry: Retry,
    breaker: config::Breaker,
    /// The same from one configuration to the next.
    jitter: Arc<Jitter>,
    told: Told,
    /// By [`EndpointId`].
    endpoints: Box<[Shared]>,
    /// By [`CallerId`]: of each caller, the endpoints of its services.
    callers: Box<[Box<[Lane]>]>,
}

/// What all callers of an endpoint share.
struct Shared {
    name: Box<str>,
    url: UpstreamUrl,
    breaker: Arc<Mutex<Breaker>>,
}

/// One caller's way to one endpoint.
pub struct Lane {
    endpoint: EndpointId,
    caller: Box<str>,
    /// Stays the same from one configuration to the next.
    source: Source,
    reads: Arc<Mutex<Breaker>>,
    writes: Arc<Mutex<Breaker>>,
    budget: Arc<TpsBudget>,
}

/// That an attempt may be made; its end is told to the breakers. Dropped before, it frees its place.
#[must_use]
pub struct Pass {
    lanes: Arc<Lanes>,
    caller: CallerId,
    endpoint: EndpointId,
    effect: Effect,
    own: Permit,
    shared: Permit,
    began: Instant,
    /// Not to be put down to the upstream.
    waits: Arc<Waits>,
    settled: bool,
}

impl Lanes {
    /// The lanes of `config`; what has the same name, and the same upstream, in `before` goes on as it was.
    #[must_use]
    pub fn new(config: &Config, writer: Arc<Writer>, metrics: Arc<Metrics>, before: Option<&Self>) -> Self {
        let (retry, breaker) = (config.upstream.retry.clone(), config.upstream.breaker.clone());
        let ids = || (0_u16..).map(EndpointId).zip(&config.endpoints);
        let endpoints: Box<[Shared]> = ids()
            .map(|(_, endpoint)| Shared {
                name: endpoint.name.clone(),
                url: endpoint.url.clone(),
                breaker: before
                    .and_then(|before| before.shared_as(&endpoint.name, &endpoint.url))
                    .map_or_else(Arc::default, |shared| Arc::clone(&shared.breaker)),
            })
            .collect();
        let lanes = |caller: &config::Caller| {
            let used = |endpoint: &config::Endpoint| {
                endpoint.services.iter().any(|service| caller.services.contains(service))
            };
            let lanes = ids().filter(|(_, endpoint)| used(endpoint));
            lanes.map(|(id, endpoint)| Lane::new(id, endpoint, &caller.name, &retry, before)).collect()
        };
        let callers = config.callers.iter().map(lanes).collect();
        let told = Told::new(config, writer, metrics);
        let jitter = before.map_or_else(Arc::default, |before| Arc::clone(&before.jitter));
        Self { retry, breaker, jitter, told, endpoints, callers }
    }

    /// The retry rule's numbers.
    #[must_use]
    pub fn retry(&self) -> &Retry {
        &self.retry
    }

    /// Random pauses.
    #[must_use]
    pub fn jitter(&self) -> &Jitter {
        &self.jitter
    }

    /// Lets an attempt pass both of its breakers, the caller's own first.
    ///
    /// # Errors
    ///
    /// [`Reject::UpstreamSuspended`]: nothing may be sent; [`Reject::Internal`] where there is no such lane.
    pub fn admit(
        self: &Arc<Self>,
        caller: CallerId,
        endpoint: EndpointId,
        effect: Effect,
    ) -> Result<Pass, Reject> {
        let (lane, shared) = self.find(caller, endpoint).ok_or(Reject::Internal)?;
        let now = Instant::now();
        let own = self.ask(lane.breaker(effect), now, Source::Nobody, &lane.scope(&shared.name, effect))?;
        match self.ask(&shared.breaker, now, lane.source, &Scope::shared(&shared.name)) {
            Ok(shared) => Ok(Pass {
                lanes: Arc::clone(self),
                caller,
                endpoint,
                effect,
                own,
                shared,
                began: now,
                waits: Arc::default(),
                settled: false,
            }),
            Err(reject) => {
                let scope = lane.scope(&shared.name, effect);
                self.settle(lane.breaker(effect), &own, Source::Nobody, Sign::Nothing, &scope);
                Err(reject)
            }
        }
    }

    /// Counts a request towards the retries of its lane.
    pub fn requested(&self, caller: CallerId, endpoint: EndpointId) {
        if let Some((lane, _)) = self.find(caller, endpoint) {
            lane.budget.deposit();
        }
    }

    /// Whether the budget of the lane has room for another attempt, which is then taken.
    #[must_use]
    pub fn may_retry(&self, caller: CallerId, endpoint: EndpointId) -> bool {
        let Some((lane, shared)) = self.find(caller, endpoint) else { return false };
        let may = lane.budget.withdraw();
        if !may {
            self.told.retry_refused(&shared.name);
        }
        may
    }

    fn ask(
        &self,
        breaker: &Mutex<Breaker>,
        now: Instant,
        who: Source,
        scope: &Scope<'_>,
    ) -> Result<Permit, Reject> {
        let mut breaker = breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let before = breaker.condition();
        let asked = breaker.admit(&self.breaker, now.into_std(), who);
        self.told.changed(before, breaker.condition(), scope);
        asked.map_err(|wait| {
            let seconds = wait.as_millis().div_ceil(1_000).max(1);
            Reject::UpstreamSuspended { retry_after_s: u32::try_from(seconds).unwrap_or(u32::MAX) }
        })
    }

    fn settle(&self, breaker: &Mutex<Breaker>, permit: &Permit, who: Source, sign: Sign, scope: &Scope<'_>) {
        let now = Instant::now().into_std();
        let mut breaker = breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let before = breaker.condition();
        breaker.settle(&self.breaker, now, permit, who, sign, &self.jitter);
        // Told under the lock, so that what is told is in the order in which it happened.
        self.told.changed(before, breaker.condition(), scope);
    }

    fn find(&self, caller: CallerId, endpoint: EndpointId) -> Option<(&Lane, &Shared)> {
        let lanes = self.callers.get(usize::from(caller.0))?;
        let lane = lanes.iter().find(|lane| lane.endpoint == endpoint)?;
        Some((lane, self.endpoints.get(usize::from(endpoint.0))?))
    }

    fn shared_as(&self, name: &str, url: &UpstreamUrl) -> Option<&Shared> {
        self.endpoints.iter().find(|shared| *shared.name == *name && shared.url == *url)
    }

    fn lane_as(&self, caller: &str, endpoint: &config::Endpoint) -> Option<&Lane> {
        self.shared_as(&endpoint.name, &endpoint.url)?;
        self.callers.iter().flatten().find(|lane| {
            let its = self.endpoints.get(usize::from(lane.endpoint.0));
            *lane.caller == *caller && its.is_some_and(|its| its.name == endpoint.name)
        })
    }
}

impl Lane {
    fn new(
        id: EndpointId,
        endpoint: &config::Endpoint,
        caller: &str,
        retry: &Retry,
        before: Option<&Lanes>,
    ) -> Self {
        let old = before.and_then(|before| before.lane_as(caller, endpoint));
        let budget =
            || Arc::new(TpsBudget::new(retry.budget_window, retry.budget_min_per_s, retry.budget_share()));
        // A budget has its numbers built in.
        let same = before.is_some_and(|before| before.retry == *retry);
        Self {
            endpoint: id,
            caller: caller.into(),
            source: Source::Caller(number_of(caller)),
            reads: old.map_or_else(Arc::default, |old| Arc::clone(&old.reads)),
            writes: old.map_or_else(Arc::default, |old| Arc::clone(&old.writes)),
            budget: old.filter(|_| same).map_or_else(budget, |old| Arc::clone(&old.budget)),
        }
    }

    fn breaker(&self, effect: Effect) -> &Mutex<Breaker> {
        match effect {
            Effect::Read => &self.reads,
            Effect::Write => &self.writes,
        }
    }

    fn scope<'n>(&'n self, endpoint: &'n str, effect: Effect) -> Scope<'n> {
        Scope::own(endpoint, &self.caller, effect)
    }
}

impl Pass {
    /// Tells the breakers what the attempt came to.
    pub fn settle(mut self, ended: Ended) {
        self.tell(Some(ended));
    }

    /// Where the time is counted for which the attempt waits for our own memory: that is no slowness.
    #[must_use]
    pub fn waits(&self) -> Arc<Waits> {
        Arc::clone(&self.waits)
    }

    fn tell(&mut self, ended: Option<Ended>) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let lanes = &self.lanes;
        let Some((lane, shared)) = lanes.find(self.caller, self.endpoint) else { return };
        let slow = self.began.elapsed().saturating_sub(self.waits.so_far()) >= lanes.breaker.slow;
        let [own, all] = signs(ended, slow, lane.source);
        let scope = lane.scope(&shared.name, self.effect);
        lanes.settle(lane.breaker(self.effect), &self.own, Source::Nobody, own, &scope);
        lanes.settle(&shared.breaker, &self.shared, lane.source, all, &Scope::shared(&shared.name));
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.tell(None);
    }
}

/// A number for a name that stays the same when the configuration changes.
fn number_of(name: &str) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = sha256([name.as_bytes()]);
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_have_numbers_of_their_own_that_do_not_change() {
        assert_eq!(number_of("kyc-api"), number_of("kyc-api"));
        assert_ne!(number_of("kyc-api"), number_of("batch"));
    }
}
