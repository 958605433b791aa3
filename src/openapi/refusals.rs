//! What does the gateway answer itself?

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::schema;
use crate::reject::{self, Reject};

/// One response for each status that a refusal can have, with its codes.
pub(super) fn responses() -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<Reject>> = BTreeMap::new();
    for reject in reject::every() {
        by_status.entry(reject.status().as_u16()).or_default().push(reject);
    }
    by_status.iter().map(|(status, rejects)| (status.to_string(), response(*status, rejects))).collect()
}

fn response(status: u16, rejects: &[Reject]) -> Value {
    let lines: Vec<String> =
        rejects.iter().map(|reject| format!("`{}`: {}.", reject.code(), reject.title())).collect();
    let codes: Vec<&str> = rejects.iter().map(Reject::code).collect();
    let headers: Map<String, Value> =
        header_names(rejects).into_iter().map(|name| (name.to_owned(), header(name))).collect();
    let examples: Map<String, Value> =
        rejects.iter().map(|reject| (reject.code().to_owned(), json!({"value": example(reject)}))).collect();
    json!({
        "description": lines.join("\n\n"),
        "headers": headers,
        "content": {"application/problem+json": {
            "schema": {
                "allOf": [schema("problem")],
                "properties": {"status": {"const": status}, "code": {"enum": codes}}
            },
            "examples": examples
        }}
    })
}

/// A reference to a header of the components.
pub(super) fn header(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

fn header_names(rejects: &[Reject]) -> Vec<&'static str> {
    let any = |has: fn(&Reject) -> bool| rejects.iter().any(has);
    [
        ("X-Request-Id", true),
        ("Retry-After", any(|reject| reject.retry_after().is_some())),
        ("Proxy-Status", any(|reject| reject.proxy_status().is_some())),
        ("RateLimit", any(|reject| matches!(reject, Reject::RateLimited(_)))),
        ("RateLimit-Policy", any(|reject| matches!(reject, Reject::RateLimited(_)))),
        ("WWW-Authenticate", any(|reject| matches!(reject, Reject::Unauthenticated))),
        ("Allow", any(|reject| matches!(reject, Reject::MethodNotAllowed))),
    ]
    .into_iter()
    .filter_map(|(name, occurs)| occurs.then_some(name))
    .collect()
}

pub(super) fn headers() -> Value {
    let text = |description: &str, example: &str| json!({"description": description, "required": true, "schema": {"type": "string"}, "example": example});
    json!({
        "X-Request-Id": text(
            "The caller's own id of the request, or the gateway's (UUIDv7).",
            "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"
        ),
        "Retry-After": {
            "description": "Seconds after which a retry can succeed. Always with 429 and 503; with an answer of DCAMS where it said so.",
            "schema": {"type": "integer", "minimum": 0},
            "example": 1
        },
        "RateLimit": text("Which limit is used up, what is left of it (r) and in how many seconds there is more (t).", "\"caller\";r=0;t=1"),
        "RateLimit-Policy": text("That limit: its quota (q) and its window in seconds (w).", "\"caller\";q=100;w=2"),
        "Proxy-Status": {
            "description": "Where the request failed beyond the gateway (RFC 9209).",
            "schema": {"type": "string"},
            "example": "dcams-gateway; error=http_response_timeout"
        },
        "WWW-Authenticate": text("How to identify.", "Bearer"),
        "Allow": text("The one method.", "POST")
    })
}

pub(super) fn components() -> Map<String, Value> {
    let codes: Vec<&str> = reject::every().iter().map(Reject::code).collect();
    let problem = json!({
        "description": "RFC 9457 problem details, with `result` and `message` as DCAMS has them. Ignore members that you do not know.",
        "type": "object",
        "required": ["type", "title", "status", "code", "instance", "result", "message"],
        "properties": {
            "type": {"description": "A URN that ends in the code.", "type": "string", "pattern": "^urn:dcams-gateway:problem:[a-z_]+$"},
            "title": {"description": "The code as a sentence, for people.", "type": "string"},
            "status": {"description": "The HTTP status.", "type": "integer"},
            "code": {"description": "Why, for programs. Codes may be added.", "enum": codes},
            "instance": {
                "description": "The gateway's own id of the request: the `id` of its audit record.",
                "type": "string",
                "pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
            },
            "result": {"description": "As in a failure of DCAMS.", "const": "Error"},
            "message": {"description": "The title once more, as in a failure of DCAMS.", "type": "string"},
            "outcome": {
                "description": "A write that may have happened: read the status before you repeat it.",
                "const": "unknown"
            },
            "limit": {
                "description": "With rate_limited: the caller's requests, its requests to this service, its requests in progress, \
                    its body bytes in memory, or the requests of the account, all callers together.",
                "enum": ["caller", "caller_service", "caller_requests", "caller_bytes", "account"]
            },
            "limit_bytes": {"description": "With body_too_large: the largest body that is taken, bytes.", "type": "integer"},
            "offset": {
                "description": "With malformed_json, duplicate_member and too_complex: where in the body, in bytes from 0.",
                "type": "integer"
            },
            "violations": {"description": "With schema_violation: how many there are.", "type": "integer"},
            "errors": {
                "description": "With schema_violation: the first of them.",
                "type": "array",
                "maxItems": 8,
                "items": schema("violation")
            }
        }
    });
    let violation = json!({
        "description": "One place of the service's schema that the body violates; never a value.",
        "type": "object",
        "required": ["pointer", "keyword"],
        "properties": {
            "pointer": {
                "description": "JSON pointer into the body, made of names of the schema; * stands for the elements of an array.",
                "type": "string"
            },
            "keyword": {"description": "The keyword of the schema.", "type": "string"}
        }
    });
    Map::from_iter([("problem".to_owned(), problem), ("violation".to_owned(), violation)])
}

fn example(reject: &Reject) -> Value {
    let mut problem = json!({
        "type": format!("urn:dcams-gateway:problem:{}", reject.code()),
        "title": reject.title(),
        "status": reject.status().as_u16(),
        "code": reject.code(),
        "instance": "urn:uuid:019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
        "result": "Error",
        "message": reject.title()
    });
    let more = match reject {
        Reject::MalformedJson { .. } | Reject::DuplicateMember { .. } | Reject::TooComplex { .. } => {
            json!({"offset": 17})
        }
        Reject::BodyTooLarge { .. } => json!({"limit_bytes": 20_971_520}),
        Reject::RateLimited(exceeded) => json!({"limit": exceeded.limit.name()}),
        Reject::SchemaViolation(_) => {
            json!({"violations": 1, "errors": [{"pointer": "/target/dob", "keyword": "pattern"}]})
        }
        Reject::UpstreamTimeout(_) => json!({"outcome": "unknown"}),
        _ => json!({}),
    };
    if let (Some(problem), Value::Object(more)) = (problem.as_object_mut(), more) {
        problem.extend(more);
    }
    problem
}
