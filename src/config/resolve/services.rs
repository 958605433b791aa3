//! Which services are there, and which schema does each obey?

use std::path::Path;
use std::sync::Arc;

use super::endpoints::endpoint_of;
use super::entries;
use super::schemas::Schemas;
use crate::config::collections::is_name;
use crate::config::findings::Findings;
use crate::config::model::Service;
use crate::config::reader::At;
use crate::config::written::{self, Root};
use crate::ids::EndpointId;
use crate::schema::Schema;

pub(super) fn services(
    root: &Root,
    base: &Path,
    compiled: &[Arc<Schema>],
    findings: &mut Findings,
) -> Option<Box<[Service]>> {
    let mut schemas = Schemas::of(root, base, compiled, findings);
    let mut resolved = Vec::new();
    let mut complete = true;
    for (name, at) in entries(&root.services) {
        judge_body_limit(root, at, findings);
        match service(root, name, at, schemas.as_mut(), findings) {
            Some(service) => resolved.push(service),
            None => complete = false,
        }
    }
    complete.then(|| resolved.into())
}

fn service(
    root: &Root,
    name: &str,
    at: &At<written::Service>,
    schemas: Option<&mut Schemas<'_>>,
    findings: &mut Findings,
) -> Option<Service> {
    let endpoint = endpoint_of(root, &at.value, findings);
    let schema = schemas.and_then(|schemas| match at.value.schema.at() {
        Some(file) => schemas.schema(&file.value.0, &file.spot, findings),
        // A name that was refused as a name would only be refused again as a file's.
        None if at.value.schema.is_absent() && is_name(name) => {
            schemas.schema(&format!("{name}.schema.json"), &at.spot, findings)
        }
        None => None,
    });
    Some(Service {
        name: name.into(),
        endpoint: EndpointId(endpoint?),
        validate: *at.value.validate.value()?,
        schema: schema?,
        effect: *at.value.effect.value()?,
        body_limit_bytes: at.value.body_limit.value()?.0,
        audit: *at.value.audit.value()?,
    })
}

fn judge_body_limit(root: &Root, at: &At<written::Service>, findings: &mut Findings) {
    let budget = root.data.value().and_then(|data| data.body_budget.value());
    let (Some(limit), Some(budget)) = (at.value.body_limit.at(), budget) else { return };
    if limit.value.0 > budget.0 {
        let remedy = "lower it, or raise `body_budget` in [data]";
        findings.error_at(
            &limit.spot,
            "is more than all bodies together may have (data.body_budget)",
            remedy,
        );
    }
}
