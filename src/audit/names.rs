//! Which parts of a line are the same in all lines of one configuration?

use super::object::{hex, push_text};
use crate::config::{Config, Service};
use crate::schema::Schema;

/// Members and texts that come from the configuration and the schemas, written as JSON once.
pub struct Names {
    /// `"instance":"…","config":"…"`
    pub(super) gateway: Written,
    /// `"caller":"…"`
    pub(super) callers: Box<[Written]>,
    /// `"endpoint":"…"`
    pub(super) endpoints: Box<[Written]>,
    /// `"name":"…"`
    pub(super) credentials: Box<[Written]>,
    /// `"key":"…"`
    pub(super) fingerprint_key: Written,
    pub(super) services: Box<[ServiceNames]>,
}

/// What the lines of one service may say.
pub(super) struct ServiceNames {
    /// `"service":"…","effect":"…","schema":"…"`
    pub(super) service: Written,
    /// Pointers of the schema's members, each a text.
    pub(super) members: Box<[Written]>,
    /// `"pointer":"…","keyword":"…"` of each place.
    pub(super) locations: Box<[Written]>,
    /// The values that the audit may know, each a text.
    pub(super) values: Box<[Written]>,
}

/// JSON, ready to be copied.
pub(super) type Written = Box<str>;

impl Names {
    /// Writes what the lines of `config` have in common.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let config_digest = hex(config.digest.get(..8).unwrap_or_default());
        Self {
            gateway: members(&[("instance", &config.instance), ("config", &config_digest)]),
            callers: config.callers.iter().map(|caller| members(&[("caller", &caller.name)])).collect(),
            endpoints: config
                .endpoints
                .iter()
                .map(|endpoint| members(&[("endpoint", &endpoint.name)]))
                .collect(),
            credentials: config
                .credentials
                .iter()
                .map(|credential| members(&[("name", &credential.name)]))
                .collect(),
            fingerprint_key: members(&[("key", &config.audit.fingerprint_key_id)]),
            services: config.services.iter().map(ServiceNames::of).collect(),
        }
    }
}

impl ServiceNames {
    fn of(service: &Service) -> Self {
        let schema: &Schema = &service.schema;
        let digest = hex(schema.digest().get(..8).unwrap_or_default());
        let effect = service.effect.name();
        let place = |(pointer, keyword): (&str, &str)| members(&[("pointer", pointer), ("keyword", keyword)]);
        Self {
            service: members(&[("service", &service.name), ("effect", effect), ("schema", &digest)]),
            members: schema.members().iter().map(|pointer| text(pointer)).collect(),
            locations: schema
                .locations()
                .iter()
                .map(|location| place((&location.pointer, &location.keyword)))
                .collect(),
            values: schema.recorded_values().iter().map(|value| text(value)).collect(),
        }
    }
}

/// `"name":"value",…`
fn members(pairs: &[(&str, &str)]) -> Written {
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("\"{name}\":{}", text(value))).collect();
    pairs.join(",").into()
}

fn text(value: &str) -> Written {
    let mut buffer = Vec::new();
    push_text(value, &mut buffer);
    String::from_utf8(buffer).unwrap_or_default().into()
}
