//! How does a line read in the Elastic Common Schema?
//!
//! <https://www.elastic.co/guide/en/ecs/8.17/>. Fields of our own stand under `dcams`, as in the line.

use serde_json::{Value, json};

use super::{Action, Line, without_nulls};

const ECS_VERSION: &str = "8.17.0";

/// What has a place of its own in the event.
const MAPPED: [&str; 11] =
    ["seq", "v", "kind", "time", "id", "trace_id", "instance", "caller", "code", "status", "mac"];

pub(super) fn event(line: &Line<'_>, action: Action) -> Option<Value> {
    let kind = line.text("kind")?;
    let (category, types, outcome) = match action {
        Action::Request => ("api", request_types(line), Some(outcome(line))),
        Action::Start => ("process", vec!["start"], None),
        Action::Stop => ("process", vec!["end"], None),
        Action::Trouble => ("host", vec!["info"], Some("failure")),
        Action::Change => ("configuration", vec!["change"], None),
    };
    let name = match action {
        Action::Request => line.text("service").unwrap_or("unknown"),
        _ => kind,
    };
    let event = json!({
        "@timestamp": line.text("time"),
        "ecs": { "version": ECS_VERSION },
        "event": {
            "kind": "event",
            "category": [category],
            "type": types,
            "action": name,
            "outcome": outcome,
            "reason": line.text("code"),
            "code": kind,
            "dataset": "dcams_gateway.audit",
            "module": "dcams_gateway",
            "provider": line.text("instance"),
            "id": line.text("id"),
            "sequence": line.seq(),
            "duration": line.number(["us", "total"]).map(|us| us.saturating_mul(1000)),
        },
        "service": {
            "name": "dcams-gateway",
            "type": "dcams-gateway",
            "version": line.writer.version,
            "node": { "name": line.text("instance") },
        },
        "user": { "name": line.text("caller") },
        "trace": { "id": line.text("trace_id") },
        "http": {
            "request": {
                "id": line.text("id"),
                "method": line.text("endpoint").map(|_| "POST"),
                "body": { "bytes": line.number(["bytes", "received"]) },
            },
            "response": {
                "status_code": line.status(),
                "body": { "bytes": line.number(["bytes", "returned"]) },
            },
        },
        "labels": {
            "service": line.text("service"),
            "outcome": line.text("outcome"),
            "effect": line.text("effect"),
        },
        "dcams": line.others(&MAPPED),
    });
    Some(without_nulls(event))
}

/// Of those that the category `api` is expected to have.
fn request_types(line: &Line<'_>) -> Vec<&'static str> {
    let what = match line.text("effect") {
        Some("write") => "change",
        _ => "access",
    };
    match line.text("outcome") {
        Some("forwarded" | "truncated") => vec![what, "allowed"],
        Some("refused" | "not_sent") => vec![what, "denied"],
        _ => vec![what, "info"],
    }
}

fn outcome(line: &Line<'_>) -> &'static str {
    match () {
        () if line.is_unknown() => "unknown",
        () if line.succeeded() => "success",
        () => "failure",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Exporter, Format};
    use super::*;

    #[test]
    fn a_refused_request_is_a_denied_access_that_failed() {
        let line = br#"{"seq":7,"v":1,"kind":"outcome","time":"2026-11-20T14:03:07.123456Z","id":"019a0000-0000-7000-8000-000000000001","trace_id":"0af7651916cd43dd8448eb211c80319c","instance":"gw-1","config":"00","caller":"kyc-api","peer":"unix","endpoint":"storage","service":"getStatus","effect":"read","outcome":"refused","code":"rate_limited","limit":"caller","status":429,"bytes":{"received":10,"returned":20},"us":{"total":1500},"mac":"00"}"#;
        let expected = json!({
            "@timestamp": "2026-11-20T14:03:07.123456Z",
            "ecs": { "version": "8.17.0" },
            "event": {
                "kind": "event", "category": ["api"], "type": ["access", "denied"], "action": "getStatus",
                "outcome": "failure", "reason": "rate_limited", "code": "outcome",
                "dataset": "dcams_gateway.audit", "module": "dcams_gateway", "provider": "gw-1",
                "id": "019a0000-0000-7000-8000-000000000001", "sequence": 7, "duration": 1_500_000,
            },
            "service": {
                "name": "dcams-gateway", "type": "dcams-gateway", "node": { "name": "gw-1" },
            },
            "user": { "name": "kyc-api" },
            "trace": { "id": "0af7651916cd43dd8448eb211c80319c" },
            "http": {
                "request": {
                    "id": "019a0000-0000-7000-8000-000000000001", "method": "POST", "body": { "bytes": 10 },
                },
                "response": { "status_code": 429, "body": { "bytes": 20 } },
            },
            "labels": { "service": "getStatus", "outcome": "refused", "effect": "read" },
            "dcams": {
                "config": "00", "peer": "unix", "endpoint": "storage", "service": "getStatus", "effect": "read",
                "outcome": "refused", "limit": "caller", "bytes": { "received": 10, "returned": 20 },
                "us": { "total": 1500 },
            },
        });
        assert_eq!(Exporter::to(Format::Ecs).event(line), Some(expected));
    }

    #[test]
    fn outcomes_are_those_that_the_schema_allows() {
        let judged = |members: &str| {
            let line = format!(
                r#"{{"seq":1,"v":1,"kind":"outcome","time":"2026-11-20T14:00:00.000000Z",{members}}}"#
            );
            let event = Exporter::to(Format::Ecs).event(line.as_bytes()).unwrap();
            format!("{} {}", event["event"]["type"], event["event"]["outcome"])
        };
        for (members, expected) in [
            (r#""effect":"write","outcome":"forwarded","status":200"#, r#"["change","allowed"] "success""#),
            (
                r#""effect":"write","outcome":"forwarded","status":200,"upstream":{"status":200,"result":"Error"}"#,
                r#"["change","allowed"] "failure""#,
            ),
            (r#""effect":"read","outcome":"unknown""#, r#"["access","info"] "unknown""#),
            (r#""outcome":"not_sent","status":503"#, r#"["access","denied"] "failure""#),
        ] {
            assert_eq!(judged(members), expected, "{members}");
        }
    }
}
