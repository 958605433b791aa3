//! Which services can be reached, by whom, and with which request?

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::canary::Mint;
use super::problem::Problem;
use super::report::NotCovered;
use super::sample::{Sample, sample};
use super::stand::Secrets;
use crate::config::{Caller, Config, Service, Validate};
use crate::ids::ServiceId;
use crate::json::{Caps, parse};
use crate::schema::Schema;

/// A service as one of the operator's callers reaches it.
pub(super) struct Route {
    pub(super) service: String,
    /// What is posted to.
    pub(super) path: String,
    /// The member that names the service.
    pub(super) member: Option<String>,
    /// The caller's bearer key of this run.
    pub(super) key: String,
    pub(super) sample: Sample,
    pub(super) schema: Arc<Schema>,
    /// Whether what the schema does not know may be forwarded.
    pub(super) lenient: bool,
    /// The largest body of this service that is taken from the caller, bytes.
    pub(super) service_limit: u64,
    /// The largest body that is taken from the caller, bytes.
    pub(super) caller_limit: u64,
}

impl Route {
    /// A request with the body of the sample.
    pub(super) fn request(&self, host: &str) -> Vec<u8> {
        self.post(host, "", self.sample.body.to_string().as_bytes())
    }

    /// A request with further header lines and a body of a true length.
    pub(super) fn post(&self, host: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        post(host, &self.path, &self.key, headers, body)
    }
}

/// A request to `path` with `key`, further header lines and a body of a true length.
pub(super) fn post(host: &str, path: &str, key: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         {headers}Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A document that the operator gives for a service.
pub(super) struct Given {
    pub(super) service: String,
    pub(super) body: Value,
}

/// Reads the operator's samples; each must be one strict JSON object for a service of `config`.
pub(super) fn read_samples(config: &Config, files: &[(String, PathBuf)]) -> Result<Vec<Given>, Problem> {
    let read = |(service, path): &(String, PathBuf)| {
        let wrong = |what| Problem::Sample { service: service.clone(), what };
        if !config.services.iter().any(|known| &*known.name == service) {
            return Err(wrong("is for no service of the configuration"));
        }
        let text = fs::read_to_string(path).map_err(|_| wrong("cannot be read as text"))?;
        parse(Bytes::from(text.clone()), &Caps::REQUEST)
            .map_err(|_| wrong("is not one strict JSON object"))?;
        let body = serde_json::from_str(&text).map_err(|_| wrong("is not one strict JSON object"))?;
        Ok(Given { service: service.clone(), body })
    };
    files.iter().map(read).collect()
}

/// A route to every service that can be reached, and why the others cannot.
pub(super) fn routes(
    config: &Config,
    given: &[Given],
    secrets: &Secrets,
    mint: &mut Mint,
) -> (Vec<Route>, Vec<NotCovered>) {
    let (mut routes, mut missing) = (Vec::new(), Vec::new());
    for (index, service) in config.services.iter().enumerate() {
        match route(config, index, service, given, secrets, mint) {
            Ok(route) => routes.push(route),
            Err((reason, remedy)) => missing.push(NotCovered {
                what: format!("service {}", service.name),
                reason: reason.to_owned(),
                remedy: remedy.replace("SERVICE", &service.name),
            }),
        }
    }
    (routes, missing)
}

type Missing = (&'static str, &'static str);

fn route(
    config: &Config,
    index: usize,
    service: &Service,
    given: &[Given],
    secrets: &Secrets,
    mint: &mut Mint,
) -> Result<Route, Missing> {
    let id = u16::try_from(index).map(ServiceId).ok();
    let caller: &Caller = config
        .callers
        .iter()
        .find(|caller| caller.services.iter().any(|own| Some(*own) == id))
        .ok_or(("no caller may use it", "let a caller use it, or remove it"))?;
    let endpoint = config.endpoints.get(usize::from(service.endpoint.0)).ok_or(("it has no endpoint", ""))?;
    let named = endpoint.service_member.as_deref().map(|member| (member, &*service.name));
    let given = given.iter().find(|given| *given.service == *service.name).map(|given| &given.body);
    let remedy = "give a document that is valid: --sample SERVICE=FILE";
    let reason = match given {
        None => "no valid document could be made from its schema",
        Some(_) => "its schema refuses the sample that was given",
    };
    let sample = sample(&service.schema, named, given, mint).ok_or((reason, remedy))?;
    let limits = caller.services.iter().filter_map(|id| config.services.get(usize::from(id.0)));
    let largest = limits.map(|service| service.body_limit_bytes).max().unwrap_or_default();
    let enforced = service.validate == Validate::Enforce;
    Ok(Route {
        service: service.name.to_string(),
        path: endpoint.path.to_string(),
        member: endpoint.service_member.as_deref().map(str::to_owned),
        key: secrets.key(&caller.name).to_owned(),
        sample,
        schema: Arc::clone(&service.schema),
        lenient: !enforced || service.schema.joined().to_string().contains("\"x-open\""),
        service_limit: service.body_limit_bytes.min(caller.max_body_bytes),
        caller_limit: largest.min(caller.max_body_bytes),
    })
}
