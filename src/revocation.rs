//! May a request still be sent that was permitted when it arrived?

use std::sync::Arc;

use jiff::Timestamp;

use crate::audit::IdentifiedBy;
use crate::config::{Caller, Config, KeyHash};
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::ids::{CallerId, ServiceId};
use crate::reject::Reject;

/// Looks, right before anything is sent, whether a newer configuration has taken back what that of the request gave:
/// a body may be on its way for a minute.
pub struct Revocation {
    gateway: Arc<Gateway>,
    own: Arc<Generation>,
}

impl Revocation {
    /// For requests of the generation `own`.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, own: Arc<Generation>) -> Self {
        Self { gateway, own }
    }

    /// Checks `caller`, the way in which it was known, and `service` against the configuration in force, by their
    /// names.
    ///
    /// # Errors
    ///
    /// [`Reject::Unauthenticated`] or [`Reject::ServiceNotPermitted`].
    pub fn check(
        &self,
        caller: CallerId,
        service: ServiceId,
        by: Option<IdentifiedBy>,
    ) -> Result<(), Reject> {
        if self.gateway.number() == self.own.number {
            return Ok(());
        }
        judge(&self.own.config, &self.gateway.current().config, (caller, service, by))
    }
}

fn judge(
    then: &Config,
    now: &Config,
    (caller, service, by): (CallerId, ServiceId, Option<IdentifiedBy>),
) -> Result<(), Reject> {
    let was = then.callers.get(usize::from(caller.0)).ok_or(Reject::Internal)?;
    let service = &then.services.get(usize::from(service.0)).ok_or(Reject::Internal)?.name;
    let is = now.callers.iter().find(|known| known.name == was.name).ok_or(Reject::Unauthenticated)?;
    if !is_known(was, is, by) {
        return Err(Reject::Unauthenticated);
    }
    let mut permitted = is.services.iter().filter_map(|id| now.services.get(usize::from(id.0)));
    if permitted.any(|permitted| permitted.name == *service) {
        Ok(())
    } else {
        Err(Reject::ServiceNotPermitted)
    }
}

/// Whether the caller that `was` known in this way is known in it still.
fn is_known(was: &Caller, is: &Caller, by: Option<IdentifiedBy>) -> bool {
    match by {
        Some(IdentifiedBy::Key(index)) => {
            let key = was.known_by.keys.get(usize::from(index));
            let valid = |known: &KeyHash| known.expires.is_none_or(|expires| Timestamp::now() < expires);
            key.is_some_and(|key| {
                is.known_by.keys.iter().any(|known| known.sha256 == key.sha256 && valid(known))
            })
        }
        Some(IdentifiedBy::Uid(uid)) => is.known_by.uid == Some(uid),
        Some(IdentifiedBy::Anonymous) => is.known_by.anonymous,
        None => false,
    }
}
