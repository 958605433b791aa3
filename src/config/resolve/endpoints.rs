//! Which paths does the gateway answer on, and where do they lead?

use std::collections::BTreeMap;

use super::{entries, refer};
use crate::config::addresses::is_loopback;
use crate::config::findings::Findings;
use crate::config::model::{Endpoint, UpstreamUrl};
use crate::config::reader::At;
use crate::config::written::{self, Root};
use crate::ids::ServiceId;

pub(super) fn endpoints(root: &Root, findings: &mut Findings) -> Option<Box<[Endpoint]>> {
    judge_paths(root, findings);
    let services = services_by_endpoint(root);
    let mut resolved = Vec::new();
    let mut complete = true;
    for (name, at) in entries(&root.endpoints) {
        if let Some(url) = at.value.url.at() {
            judge_url(root, url, findings);
        }
        let own = services.get(name).map(Vec::as_slice).unwrap_or_default();
        judge_services(root, at, own, findings);
        match endpoint(root, name, &at.value, own) {
            Some(endpoint) => resolved.push(endpoint),
            None => complete = false,
        }
    }
    complete.then(|| resolved.into())
}

fn endpoint(
    root: &Root,
    name: &str,
    written: &written::Endpoint,
    services: &[ServiceId],
) -> Option<Endpoint> {
    let deadline = match written.deadline.value() {
        Some(deadline) => deadline.0,
        None => root.upstream.value()?.deadline.value()?.0,
    };
    Some(Endpoint {
        name: name.into(),
        path: written.path.value()?.0.as_str().into(),
        url: written.url.value()?.clone(),
        service_member: written.service_member.value().map(|member| member.0.as_str().into()),
        deadline,
        services: services.into(),
    })
}

/// The services of each endpoint, in the order of their names.
fn services_by_endpoint(root: &Root) -> BTreeMap<&str, Vec<ServiceId>> {
    let mut services: BTreeMap<&str, Vec<ServiceId>> = BTreeMap::new();
    let all = root.services.value().into_iter().flat_map(|named| named.entries.values());
    for (index, at) in all.enumerate() {
        let endpoint = at.as_ref().and_then(|at| at.value.endpoint.value());
        if let (Some(endpoint), Ok(index)) = (endpoint, u16::try_from(index)) {
            services.entry(endpoint.0.as_str()).or_default().push(ServiceId(index));
        }
    }
    services
}

fn judge_paths(root: &Root, findings: &mut Findings) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, at) in entries(&root.endpoints) {
        let Some(path) = at.value.path.at() else { continue };
        if let Some(other) = seen.insert(&path.value.0, name) {
            let problem = format!("is the path of [endpoints.{other}] too");
            findings.error_at(&path.spot, &problem, "give each endpoint a path of its own");
        }
    }
}

fn judge_url(root: &Root, url: &At<UpstreamUrl>, findings: &mut Findings) {
    if url.value.tls {
        return;
    }
    let allowed = root.upstream.value().and_then(|upstream| upstream.plain_http_to_loopback.value());
    if !is_loopback(&url.value) {
        let remedy = "use https: plain HTTP is for loopback hosts only, because credentials travel in it";
        findings.error_at(&url.spot, "is plain HTTP to a host that is not loopback", remedy);
    } else if allowed.is_some_and(|flag| !flag.0) {
        let remedy = "use https, or set `plain_http_to_loopback = true` in [upstream] for a test";
        findings.error_at(&url.spot, "is plain HTTP", remedy);
    } else if allowed.is_some() {
        let remedy = "use https for everything but a test";
        findings.warn_at(&url.spot, "is plain HTTP: credentials travel in clear", remedy);
    }
}

fn judge_services(root: &Root, at: &At<written::Endpoint>, own: &[ServiceId], findings: &mut Findings) {
    // A service without a readable, existing endpoint may have been meant for this one.
    let names = root.endpoints.value().map(|named| &named.entries);
    let all_known = root.services.value().is_some_and(|named| {
        let endpoint = |at: &Option<At<written::Service>>| {
            let name = at.as_ref().and_then(|at| at.value.endpoint.value());
            name.is_some_and(|name| names.is_some_and(|names| names.contains_key(&name.0)))
        };
        named.entries.values().all(endpoint)
    });
    if own.is_empty() && all_known {
        let remedy = "add a service whose `endpoint` is this one, or remove it";
        findings.error_at(&at.spot, "has no service", remedy);
    } else if own.len() > 1 && at.value.service_member.is_absent() {
        let remedy = "add `service_member`, the name of the body member that tells them apart";
        findings.error_at(&at.spot, &format!("has {} services and no `service_member`", own.len()), remedy);
    }
}

/// The endpoint that `service` names, reported where it does not exist.
pub(super) fn endpoint_of(root: &Root, service: &written::Service, findings: &mut Findings) -> Option<u16> {
    refer(&root.endpoints, "endpoints", service.endpoint.at()?, findings)
}
