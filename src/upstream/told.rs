//! Who is told that a breaker opened or closed?

use std::sync::Arc;

use super::breaker::Condition;
use crate::audit::{self, Class, Writer};
use crate::config::{Config, Effect};
use crate::metrics::{BreakerLabels, EndpointLabels, Metrics};

/// The audit trail, the log and the metrics.
pub(super) struct Told {
    writer: Arc<Writer>,
    metrics: Arc<Metrics>,
    /// Names of the callers, with what metrics call them.
    callers: Box<[(Box<str>, String)]>,
}

/// Which breaker: the endpoint's, or a caller's own for reads or writes. All names are the configuration's.
pub(super) struct Scope<'n> {
    endpoint: &'n str,
    own: Option<(&'n str, Effect)>,
}

impl<'n> Scope<'n> {
    /// That of all callers.
    pub(super) fn shared(endpoint: &'n str) -> Self {
        Self { endpoint, own: None }
    }

    /// That of one caller.
    pub(super) fn own(endpoint: &'n str, caller: &'n str, effect: Effect) -> Self {
        Self { endpoint, own: Some((caller, effect)) }
    }
}

impl Told {
    pub(super) fn new(config: &Config, writer: Arc<Writer>, metrics: Arc<Metrics>) -> Self {
        let label = |(id, caller): (u16, &crate::config::Caller)| {
            (caller.name.clone(), metrics.caller_label(config, crate::ids::CallerId(id)))
        };
        let callers = (0_u16..).zip(&config.callers).map(label).collect();
        let told = Self { writer, metrics, callers };
        for endpoint in &config.endpoints {
            // Shown from the start; those of callers only once they have something to show.
            drop(told.gauge(&Scope::shared(&endpoint.name)));
        }
        told
    }

    /// Tells of a change, if there was one.
    pub(super) fn changed(&self, before: Condition, now: Condition, scope: &Scope<'_>) {
        if before == now {
            return;
        }
        self.gauge(scope).set(match now {
            Condition::Closed => 0,
            Condition::HalfOpen => 1,
            Condition::Open => 2,
        });
        let own = scope.own.map(|(caller, effect)| (caller, effect.name()));
        // There are few, and without them it cannot be said why requests were refused.
        self.writer.send(Class::Required, &audit::breaker(scope.endpoint, own, now.name()));
        let (caller, effect) = own.unwrap_or(("", ""));
        let (endpoint, state) = (scope.endpoint, now.name());
        match now {
            Condition::Open => {
                tracing::warn!(
                    endpoint,
                    caller,
                    effect,
                    state,
                    "a breaker opened: DCAMS is not tried for a while"
                );
            }
            _ => tracing::info!(endpoint, caller, effect, state, "a breaker changed"),
        }
    }

    /// A retry found no room in its budget.
    pub(super) fn retry_refused(&self, endpoint: &str) {
        let labels = EndpointLabels { endpoint: endpoint.to_owned() };
        self.metrics.retries_refused.get_or_create(&labels).inc();
    }

    fn gauge(&self, scope: &Scope<'_>) -> prometheus_client::metrics::gauge::Gauge {
        let label =
            |name: &str| self.callers.iter().find(|(known, _)| **known == *name).map(|(_, label)| label);
        let labels = BreakerLabels {
            endpoint: scope.endpoint.to_owned(),
            scope: if scope.own.is_some() { "caller" } else { "endpoint" },
            caller: scope.own.and_then(|(caller, _)| label(caller)).cloned().unwrap_or_default(),
            effect: scope.own.map_or("", |(_, effect)| effect.name()),
        };
        self.metrics.breaker_state.get_or_create(&labels).clone()
    }
}
