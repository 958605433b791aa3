//! Is it strict JSON, and for which service?

use std::sync::Arc;

use super::Received;
use super::receive::Hold;
use crate::config::Config;
use crate::ids::{CallerId, EndpointId, ServiceId};
use crate::json::{Document, Malformed, Text};
use crate::reject::Reject;
use crate::stage::Stage;
use crate::track::{Step, Track, Tracks};

/// A request whose body is one strict JSON object for a known service. Made only here.
pub struct Parsed {
    track: Track,
    caller: CallerId,
    endpoint: EndpointId,
    service: ServiceId,
    hold: Hold,
    document: Document,
}

impl Parsed {
    /// Who is calling.
    #[must_use]
    pub fn caller(&self) -> CallerId {
        self.caller
    }

    /// Which service is meant. Permission, limits, schema, retry rule and record all follow from this
    /// one reading.
    #[must_use]
    pub fn service(&self) -> ServiceId {
        self.service
    }

    /// The body.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Where it goes.
    #[must_use]
    pub fn endpoint(&self) -> EndpointId {
        self.endpoint
    }

    pub(super) fn into_parts(self) -> (Track, CallerId, EndpointId, ServiceId, Hold, Document) {
        (self.track, self.caller, self.endpoint, self.service, self.hold, self.document)
    }
}

impl Tracks for Parsed {
    fn track(&self) -> &Track {
        &self.track
    }
}

/// Parses bodies; refuses the caller's own credentials in any spelling.
#[derive(Clone)]
pub struct Parse {
    config: Arc<Config>,
}

impl Parse {
    /// For the services of `config`.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self { config }
    }

    fn service(&self, endpoint: EndpointId, document: &Document) -> Result<ServiceId, Reject> {
        let endpoint = self.config.endpoints.get(usize::from(endpoint.0)).ok_or(Reject::Internal)?;
        let Some(member) = &endpoint.service_member else {
            return endpoint.services.first().copied().ok_or(Reject::UnknownService);
        };
        let named = one_text(document, member)?;
        let is_named = |id: &&ServiceId| {
            let service = self.config.services.get(usize::from(id.0));
            service.is_some_and(|service| named.equals(&service.name))
        };
        endpoint.services.iter().find(is_named).copied().ok_or(Reject::UnknownService)
    }
}

impl Stage<Received> for Parse {
    type Next = Parsed;
    const STEP: Step = Step::Parse;

    fn advance(&self, received: Received) -> Result<Parsed, Reject> {
        let (track, caller, endpoint, hold, body) = received.into_parts();
        let document = body.parse().map_err(refusal)?;
        if document.names_credentials() {
            return Err(Reject::CredentialsNotAllowed);
        }
        let service = self.service(endpoint, &document)?;
        track.note(|record| record.service = Some(service));
        Ok(Parsed { track, caller, endpoint, service, hold, document })
    }
}

/// The text of the member `name`, which no other top-level name may resemble.
///
/// A schema that is closed refuses a second one too, but one that is open or reports only forwards it.
fn one_text<'a>(document: &'a Document, name: &str) -> Result<Text<'a>, Reject> {
    let text = document.root().member(name).and_then(|node| node.text()).ok_or(Reject::UnknownService)?;
    match document.look_alike(name) {
        Some(offset) => Err(Reject::DuplicateMember { offset }),
        None => Ok(text),
    }
}

fn refusal(malformed: Malformed) -> Reject {
    match malformed {
        Malformed::Syntax { offset } => Reject::MalformedJson { offset },
        Malformed::Duplicate { offset } => Reject::DuplicateMember { offset },
        Malformed::TooComplex { offset } => Reject::TooComplex { offset },
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::json::{self, Caps};

    #[test]
    fn a_second_name_that_reads_as_the_services_is_a_duplicate() {
        let offset = |body: &'static str| {
            let document = json::parse(Bytes::from_static(body.as_bytes()), &Caps::REQUEST).unwrap();
            match one_text(&document, "service") {
                Ok(text) => {
                    assert!(text.equals("getStatus"), "{body}");
                    None
                }
                Err(Reject::DuplicateMember { offset }) => Some(offset),
                Err(_) => panic!("another refusal: {body}"),
            }
        };
        assert_eq!(offset(r#"{"service":"getStatus","Service":"createOrUpdateCustomer"}"#), Some(24));
        assert_eq!(offset(r#"{"\u0073ervice":"getStatus"," service":"createOrUpdateCustomer"}"#), Some(29));
        assert_eq!(offset(r#"{"service":"getStatus","target":{"Service":"x"}}"#), None);
    }
}
