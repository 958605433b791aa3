//! Which keys, each right by itself, contradict one another?

use super::{entries, listeners};
use crate::config::findings::Findings;
use crate::config::model::{Listen, Service};
use crate::config::reader::Field;
use crate::config::tree::Place;
use crate::config::written::{self, Root};

pub(super) fn judge(root: &Root, services: Option<&[Service]>, findings: &mut Findings) {
    judge_ops_address(root, findings);
    judge_answers(root, findings);
    judge_bodies(root, findings);
    judge_deadlines(root, findings);
    judge_pairs(root, findings);
    for service in services.unwrap_or_default() {
        judge_service_member(root, service, findings);
    }
}

fn judge_ops_address(root: &Root, findings: &mut Findings) {
    let ops = root.ops.value().and_then(|ops| ops.listen.value()).and_then(|listen| listen.0);
    let listen = root.data.value().and_then(|data| data.listen.value());
    let (Some(ops), Some(listen)) = (ops, listen) else { return };
    for at in &listen.items {
        let Listen::Tcp(address) = at.value else { continue };
        let same_host =
            address.ip() == ops.ip() || address.ip().is_unspecified() || ops.ip().is_unspecified();
        if address.port() == ops.port() && address.port() != 0 && same_host {
            let remedy = "give callers and operators a port each";
            findings.error_at(&at.spot, "is the address of ops.listen too", remedy);
        }
    }
}

fn judge_answers(root: &Root, findings: &mut Findings) {
    let limit = root.upstream.value().and_then(|upstream| upstream.answer_limit.at());
    let budget = root.data.value().and_then(|data| data.answer_budget.at());
    let (Some(limit), Some(budget)) = (limit, budget) else { return };
    if limit.value.0 > budget.value.0 {
        let default = matches!(limit.spot.place, Place::Default);
        let spot = if default { &budget.spot } else { &limit.spot };
        let problem =
            "one answer (upstream.answer_limit) may be larger than all together (data.answer_budget)";
        findings.error_at(spot, problem, "lower `answer_limit`, or raise `answer_budget`");
    }
}

fn judge_bodies(root: &Root, findings: &mut Findings) {
    let (Some(callers), Some(services)) = (root.callers.value(), root.services.value()) else { return };
    for caller in &callers.items {
        let (held, spot) = match &caller.value.max_body {
            Field::Is(at) => (at.value.0, &at.spot),
            Field::Absent => match listeners::caller_share_bytes(root) {
                Some(share) => (share, &caller.spot),
                None => continue,
            },
            Field::Broken => continue,
        };
        let used = caller.value.services.value().into_iter().flat_map(|list| &list.items);
        let larger = used.into_iter().find(|name| {
            let service = services.entries.get(&name.value.0).and_then(Option::as_ref);
            let limit = service.and_then(|service| service.value.body_limit.value());
            limit.is_some_and(|limit| limit.0 > held)
        });
        if let Some(name) = larger {
            let problem = format!(
                "may hold {held} bytes, less than the body_limit of its service {}: larger bodies are refused",
                name.value.0
            );
            findings.warn_at(spot, &problem, "raise `max_body` or `caller_share`, or lower `body_limit`");
        }
    }
}

fn judge_deadlines(root: &Root, findings: &mut Findings) {
    let Some(upstream) = root.upstream.value() else { return };
    let Some(connect) = upstream.connect_timeout.at() else { return };
    let own = entries(&root.endpoints).filter_map(|(_, at)| at.value.deadline.at());
    let shared = entries(&root.endpoints).any(|(_, at)| at.value.deadline.is_absent());
    for deadline in own.chain(upstream.deadline.at().filter(|_| shared)) {
        if connect.value.0 >= deadline.value.0 {
            let default = matches!(deadline.spot.place, Place::Default);
            let spot = if default { &connect.spot } else { &deadline.spot };
            let problem = "connecting (upstream.connect_timeout) may take all of the deadline";
            findings.warn_at(spot, problem, "lower `connect_timeout`, or raise `deadline`");
        }
    }
}

fn judge_pairs(root: &Root, findings: &mut Findings) {
    for (_, credential) in entries(&root.credentials) {
        if let (Some(user), Some(pass)) = (credential.value.user.at(), credential.value.pass.at())
            && user.value == pass.value
        {
            let remedy = "name the source of the password";
            findings.warn_at(&pass.spot, "is read from where the user name is read", remedy);
        }
    }
}

/// A request reaches a service by its name in the endpoint's member, which the service's schema must allow.
fn judge_service_member(root: &Root, service: &Service, findings: &mut Findings) {
    let written = root.services.value().and_then(|named| named.entries.get(&*service.name)?.as_ref());
    let endpoint = written.and_then(|at| at.value.endpoint.value()).and_then(|name| {
        let endpoints: &written::Endpoint = &root.endpoints.value()?.entries.get(&name.0)?.as_ref()?.value;
        endpoints.service_member.value()
    });
    let (Some(at), Some(member)) = (written, endpoint) else { return };
    let source = service.schema.source();
    // What it refers to may name the member as well.
    let whole = !["$ref", "allOf", "anyOf", "oneOf"].iter().any(|word| source.get(word).is_some());
    let named = source.get("properties").and_then(|properties| properties.get(&member.0));
    let name = &*service.name;
    let accepts = |schema: &serde_json::Value| {
        let constant = schema.get("const").is_none_or(|value| value == name);
        let choice = schema.get("enum").and_then(serde_json::Value::as_array);
        constant && choice.is_none_or(|values| values.iter().any(|value| value == name))
    };
    let spot = at.value.schema.at().map_or(&at.spot, |schema| &schema.spot);
    match named {
        None if whole => {
            let problem = format!("its schema has no member `{}`, which names the service", member.0);
            let remedy = "correct `service_member` of its endpoint, or `schema`";
            findings.error_at(spot, &problem, remedy);
        }
        Some(schema) if !accepts(schema) => {
            let problem = format!("its schema refuses `{name}` as the member `{}`", member.0);
            findings.error_at(spot, &problem, "name the schema of this service");
        }
        _ => {}
    }
}
