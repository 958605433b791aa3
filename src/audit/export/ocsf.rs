//! How does a line read as an event of the Open Cybersecurity Schema Framework?
//!
//! <https://schema.ocsf.io/1.5.0>: API Activity (6003) for requests, Application Lifecycle (6002) for start and stop,
//! Application Error (6008) for trouble with the log, Base Event (0) for changes.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Action, Line, without_nulls};

const SCHEMA_VERSION: &str = "1.5.0";

/// What has a place of its own in the event. All else is kept under `unmapped`, as it stands in the line.
const MAPPED: [&str; 13] = [
    "seq", "v", "kind", "time", "id", "trace_id", "instance", "caller", "service", "effect", "code",
    "status", "mac",
];

const SUCCESS: u8 = 1;
const FAILURE: u8 = 2;

const INFORMATIONAL: u8 = 1;
const LOW: u8 = 2;
const MEDIUM: u8 = 3;
const HIGH: u8 = 4;
const CRITICAL: u8 = 5;

pub(super) fn event(line: &Line<'_>, action: Action) -> Option<Value> {
    let mut event = match action {
        Action::Request => request(line),
        Action::Start => lifecycle(line, 3, "Start"),
        Action::Stop => lifecycle(line, 4, "Stop"),
        Action::Trouble => classified(6, 6008, 1, "General Error", severity_of_trouble(line)),
        Action::Change => classified(0, 0, 99, line.text("kind")?, INFORMATIONAL),
    };
    let time = line.text("time");
    let milliseconds = time.and_then(|time| time.parse::<Timestamp>().ok()).map(Timestamp::as_millisecond);
    let own = event.as_object_mut()?;
    own.insert("time".to_owned(), json!(milliseconds.unwrap_or(0)));
    own.insert("message".to_owned(), json!(message(line)));
    own.insert("metadata".to_owned(), metadata(line, time));
    own.insert("unmapped".to_owned(), line.others(&MAPPED));
    Some(without_nulls(event))
}

fn request(line: &Line<'_>) -> Value {
    let (activity, name) = match line.text("effect") {
        Some("read") => (2, "Read"),
        Some("write") => (3, "Update"),
        _ => (0, "Unknown"),
    };
    let mut event = classified(6, 6003, activity, name, severity(line));
    let (status_id, status) = match () {
        () if line.is_unknown() => (0, "Unknown"),
        () if line.succeeded() => (SUCCESS, "Success"),
        () => (FAILURE, "Failure"),
    };
    let total_us = line.number(["us", "total"]);
    let own = json!({
        "status_id": status_id,
        "status": status,
        "status_code": line.status().map(|status| status.to_string()),
        "status_detail": line.text("code").or(line.text("outcome")),
        "duration": total_us.map(|us| us / 1000),
        // A stranger is an actor without a name.
        "actor": {
            "app_name": line.text("caller").unwrap_or("unidentified"),
            "user": { "name": line.text("caller") },
        },
        "api": {
            "operation": line.text("service").unwrap_or("unknown"),
            "service": { "name": line.members.get("endpoint") },
            "request": { "uid": line.text("id") },
            "response": { "code": line.status(), "error": line.text("code") },
        },
        // What the log knows of it: loopback, unix or remote. An address is personal data, and not recorded.
        "src_endpoint": { "name": line.text("peer").unwrap_or("unknown") },
        "http_request": {
            "http_method": line.text("endpoint").map(|_| "POST"),
            "uid": line.text("id"),
            "length": line.number(["bytes", "received"]),
        },
        "http_response": line.status().map(|status| json!({
            "code": status,
            "latency": total_us.map(|us| us / 1000),
            "length": line.number(["bytes", "returned"]),
        })),
    });
    if let (Some(event), Value::Object(own)) = (event.as_object_mut(), own) {
        event.extend(own);
    }
    event
}

fn lifecycle(line: &Line<'_>, activity: u64, name: &str) -> Value {
    let mut event = classified(6, 6002, activity, name, INFORMATIONAL);
    if let Some(event) = event.as_object_mut() {
        event.insert("app".to_owned(), product(line));
    }
    event
}

fn classified(category: u64, class: u64, activity: u64, activity_name: &str, severity: u8) -> Value {
    let name = match severity {
        INFORMATIONAL => "Informational",
        LOW => "Low",
        MEDIUM => "Medium",
        HIGH => "High",
        _ => "Critical",
    };
    json!({
        "category_uid": category,
        "class_uid": class,
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": class * 100 + activity,
        "severity_id": severity,
        "severity": name,
    })
}

/// How soon somebody should look.
fn severity(line: &Line<'_>) -> u8 {
    match line.text("code") {
        _ if line.credential_reflected() => CRITICAL,
        Some("upstream_credentials_rejected" | "response_withheld" | "audit_unavailable") => HIGH,
        _ if line.is_unknown() => MEDIUM,
        Some("credentials_not_allowed" | "upstream_tls" | "internal") => MEDIUM,
        Some("unauthenticated" | "service_not_permitted") => LOW,
        _ => INFORMATIONAL,
    }
}

fn severity_of_trouble(line: &Line<'_>) -> u8 {
    match (line.text("kind"), line.text("fault")) {
        (
            _,
            Some(
                "segment_gone" | "segment_replaced" | "segment_truncated" | "segment_altered"
                | "chain_broken",
            ),
        ) => CRITICAL,
        (Some("fault" | "loss"), _) => HIGH,
        _ => LOW,
    }
}

fn message(line: &Line<'_>) -> String {
    let words = ["kind", "caller", "service", "outcome", "code", "fault", "credential", "state"];
    words.iter().filter_map(|word| line.text(word)).collect::<Vec<_>>().join(" ")
}

fn metadata(line: &Line<'_>, time: Option<&str>) -> Value {
    let seq = line.seq();
    // No two lines of a chain have one number, and no two gateways one chain. Without it, this is as near as it gets.
    let log = line.writer.chain.as_deref().or(line.text("id")).or(line.text("instance"));
    json!({
        "version": SCHEMA_VERSION,
        "product": product(line),
        "uid": format!("{}-{seq}", log.unwrap_or("dcams-gateway")),
        "correlation_uid": line.text("trace_id").or(line.text("id")),
        "event_code": line.text("kind"),
        "log_name": "audit",
        "log_provider": line.text("instance"),
        "log_version": line.members.get("v").map(Value::to_string),
        "original_time": time,
        "sequence": seq,
    })
}

/// In the version that wrote the line, which need not be this one.
fn product(line: &Line<'_>) -> Value {
    json!({ "name": "dcams-gateway", "vendor_name": "dcams-gateway", "version": line.writer.version })
}

#[cfg(test)]
mod tests {
    use super::super::{Exporter, Format};
    use super::*;

    #[test]
    fn a_request_is_api_activity() {
        let line = br#"{"seq":7,"v":1,"kind":"outcome","time":"2026-11-20T14:03:07.123456Z","id":"019a0000-0000-7000-8000-000000000001","instance":"gw-1","config":"00","caller":"kyc-api","peer":"unix","endpoint":"storage","service":"getStatus","effect":"read","outcome":"forwarded","status":200,"bytes":{"received":10,"returned":20},"us":{"total":1500},"mac":"00"}"#;
        let expected = json!({
            "category_uid": 6, "class_uid": 6003, "activity_id": 2, "activity_name": "Read", "type_uid": 600_302,
            "severity_id": 1, "severity": "Informational", "status_id": 1, "status": "Success",
            "status_code": "200", "status_detail": "forwarded", "duration": 1,
            "time": 1_795_183_387_123_i64, "message": "outcome kyc-api getStatus forwarded",
            "actor": { "app_name": "kyc-api", "user": { "name": "kyc-api" } },
            "api": {
                "operation": "getStatus", "service": { "name": "storage" },
                "request": { "uid": "019a0000-0000-7000-8000-000000000001" }, "response": { "code": 200 },
            },
            "src_endpoint": { "name": "unix" },
            "http_request": { "http_method": "POST", "uid": "019a0000-0000-7000-8000-000000000001", "length": 10 },
            "http_response": { "code": 200, "latency": 1, "length": 20 },
            "metadata": {
                "version": "1.5.0",
                "product": { "name": "dcams-gateway", "vendor_name": "dcams-gateway" },
                "uid": "019a0000-0000-7000-8000-000000000001-7",
                "correlation_uid": "019a0000-0000-7000-8000-000000000001", "event_code": "outcome",
                "log_name": "audit", "log_provider": "gw-1", "log_version": "1",
                "original_time": "2026-11-20T14:03:07.123456Z", "sequence": 7,
            },
            "unmapped": {
                "config": "00", "peer": "unix", "endpoint": "storage", "outcome": "forwarded",
                "bytes": { "received": 10, "returned": 20 }, "us": { "total": 1500 },
            },
        });
        assert_eq!(Exporter::to(Format::Ocsf).event(line), Some(expected));
    }

    #[test]
    fn how_a_request_ended_decides_on_its_status_and_severity() {
        let judged = |members: &str| {
            let line = format!(
                r#"{{"seq":1,"v":1,"kind":"outcome","time":"2026-11-20T14:00:00.000000Z",{members}}}"#
            );
            let event = Exporter::to(Format::Ocsf).event(line.as_bytes()).unwrap();
            (event["status_id"].as_u64().unwrap(), event["severity_id"].as_u64().unwrap())
        };
        for (members, expected) in [
            (r#""outcome":"forwarded","status":200"#, (1, 1)),
            (r#""outcome":"forwarded","status":404"#, (2, 1)),
            (r#""outcome":"forwarded","status":200,"upstream":{"status":200,"result":"Error"}"#, (2, 1)),
            (r#""outcome":"forwarded","status":200,"upstream":{"status":200,"result":"Success"}"#, (1, 1)),
            (r#""outcome":"unknown""#, (0, 3)),
            (r#""outcome":"not_sent","code":"audit_unavailable","status":503"#, (2, 4)),
            (r#""outcome":"refused","code":"unauthenticated","status":401"#, (2, 2)),
            (
                r#""outcome":"refused","code":"upstream_timeout","status":504,"upstream":{"outcome_unknown":true}"#,
                (0, 3),
            ),
            (
                r#""outcome":"refused","code":"response_withheld","upstream":{"credential_reflected":true}"#,
                (2, 5),
            ),
        ] {
            assert_eq!(judged(members), expected, "{members}");
        }
    }
}
