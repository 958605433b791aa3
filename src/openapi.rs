//! What may a caller send, and what may come back, in the form that API tools read?
//!
//! Everything here is derived: the request bodies from the schemas that requests are judged by, the refusals
//! from the table of refusals.
//!
//! | part | file |
//! |---|---|
//! | what is sent | `requests` |
//! | what DCAMS answers | `answers` |
//! | what the gateway answers itself | `refusals` |

mod answers;
mod refusals;
mod requests;

use serde_json::{Map, Value, json};

use crate::schema::SchemaFiles;

/// The path that DCAMS itself has, and callers keep.
const DEFAULT_PATH: &str = "/v3/stable/api/storage";

/// A path that callers post to, with the services that it takes.
pub struct Endpoint<'a> {
    /// Starts with `/`.
    pub path: &'a str,
    /// Names of files of the schemas, without `.schema.json`.
    pub services: Vec<&'a str>,
}

/// OpenAPI 3.1 of the caller-facing API: one endpoint with DCAMS's own path that takes every service.
#[must_use]
pub fn document(files: &SchemaFiles) -> Value {
    document_of(&[Endpoint { path: DEFAULT_PATH, services: requests::services(files) }], files)
}

/// OpenAPI 3.1 of the caller-facing API at `endpoints`.
#[must_use]
pub fn document_of(endpoints: &[Endpoint<'_>], files: &SchemaFiles) -> Value {
    let mut schemas = requests::components(files);
    schemas.extend(answers::components());
    schemas.extend(refusals::components());
    let paths: Map<String, Value> = endpoints
        .iter()
        .map(|endpoint| (endpoint.path.to_owned(), json!({"post": operation(endpoint)})))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "dcams-gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "DCAMS storage without credentials: the gateway adds them.",
            "description": "The same JSON as DCAMS takes, without `user` and `pass`. DCAMS's own answers pass \
                unchanged, byte for byte, with their status. What the gateway refuses is an RFC 9457 problem, which \
                a client of DCAMS can read too: it has `result` and `message`. Bodies are strict JSON (RFC 8259, UTF-8): \
                no name twice in an object, no comments, nothing after the object.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}
        },
        "servers": [{"url": "http://127.0.0.1:3226", "description": "The default listener of the sidecar."}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {
                "type": "http",
                "scheme": "bearer",
                "description": "A key that `dcams-gateway hash-key` made; the gateway knows its SHA-256 only. A caller that \
                    is known by its user id on a unix socket sends none."
            }},
            "parameters": requests::parameters(),
            "headers": refusals::headers(),
            "schemas": schemas
        }
    })
}

fn operation(endpoint: &Endpoint<'_>) -> Value {
    let mut responses = refusals::responses();
    responses.extend(answers::responses());
    json!({
        "operationId": operation_id(endpoint.path),
        "summary": "Carries out one service of DCAMS.",
        "description": "The member `service` says which. A write is sent to DCAMS at most once; where its fate is not \
            known, the problem says `\"outcome\": \"unknown\"`.",
        "parameters": [
            {"$ref": "#/components/parameters/X-Request-Id"},
            {"$ref": "#/components/parameters/traceparent"}
        ],
        "requestBody": requests::body(&endpoint.services),
        "responses": responses
    })
}

/// `post-v3-stable-api-storage`
fn operation_id(path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once("post").chain(words).collect::<Vec<_>>().join("-")
}

/// A reference to a schema of the components.
fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

#[cfg(test)]
mod tests;
