//! Does it obey the service's schema?

use std::sync::Arc;

use super::{Parsed, Permitted};
use crate::audit::Fingerprinter;
use crate::config::{self, Config};
use crate::reject::Reject;
use crate::schema::Normalise;
use crate::stage::Stage;
use crate::track::{Step, Track, Tracks};

/// A request that obeys its service's schema, or whose service only reports. Made only here.
pub struct Validated(Parsed);

impl Validated {
    pub(super) fn into_parsed(self) -> Parsed {
        self.0
    }
}

impl Tracks for Validated {
    fn track(&self) -> &Track {
        self.0.track()
    }
}

/// Checks bodies against their schemas, and notes the facts that the audit may know.
#[derive(Clone)]
pub struct Validate {
    config: Arc<Config>,
    fingerprinter: Arc<Fingerprinter>,
}

impl Validate {
    /// Checks against the schemas of `config`.
    #[must_use]
    pub fn new(config: Arc<Config>, fingerprinter: Arc<Fingerprinter>) -> Self {
        Self { config, fingerprinter }
    }

    /// Noted before the verdict, so that a refused request can be found as well.
    fn note_facts(&self, parsed: &Parsed, service: &config::Service) {
        let facts = service.schema.facts(parsed.document());
        let (mut email, mut reference) = (None, None);
        service.schema.fingerprinted(parsed.document(), |normalise, text| {
            let print = self.fingerprinter.of_text(normalise, text);
            match normalise {
                Normalise::Email => email = Some(print),
                Normalise::Reference => reference = Some(print),
            }
        });
        parsed.track().note(|record| {
            record.facts = Some(facts);
            record.email_fingerprint = email;
            record.reference_fingerprint = reference;
        });
    }
}

impl Stage<Permitted> for Validate {
    type Next = Validated;
    const STEP: Step = Step::Validate;

    fn advance(&self, permitted: Permitted) -> Result<Validated, Reject> {
        let parsed = permitted.into_parsed();
        let service = self.config.services.get(usize::from(parsed.service().0)).ok_or(Reject::Internal)?;
        self.note_facts(&parsed, service);
        if let Some(violations) = service.schema.violations(parsed.document()) {
            let enforced = service.validate == config::Validate::Enforce;
            parsed.track().note(|record| {
                record.violations = Some(violations);
                record.enforced = enforced;
            });
            if enforced {
                return Err(Reject::SchemaViolation(violations));
            }
        }
        Ok(Validated(parsed))
    }
}
