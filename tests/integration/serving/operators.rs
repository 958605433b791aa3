//! What do operators and probes see?

use super::make::head;
use crate::harness::{BATCH, Connection, GET_STATUS, KYC_API, OPS_PORTAL, Setup, Upstream, wait_for};
use dcams_gateway::simulate::Fault;

#[test]
fn probes_and_versions_are_answered() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    assert_eq!(gateway.operators("/livez").text(), "ok\n");
    assert_eq!(gateway.operators("/readyz").text(), "ready\n");
    let version = gateway.operators("/version").json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(gateway.operators("/other").status, 404);
    // Not ready because DCAMS is down would take every instance out of service at once.
    drop(upstream);
    assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 502);
    assert_eq!(gateway.operators("/readyz").status, 200);
}

#[test]
fn every_family_of_metrics_is_there_with_its_labels() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .edit(|text| {
            let at = text.find("name = \"batch\"").unwrap();
            let tail = text[at..].replace(
                "rate = { per_second = 1000, burst = 1000 }",
                "rate = { per_second = 1, burst = 1 }",
            );
            text.replace_range(at.., &tail);
        })
        .start();
    assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200);
    for _ in 0..2 {
        gateway.post(BATCH, GET_STATUS);
    }
    assert_eq!(gateway.post("wrong", GET_STATUS).status, 401);
    gateway.wait_for_outcomes(4);
    let answer = gateway.operators("/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    assert!(text.contains("# TYPE dcams_gateway_requests_total counter\n") && !text.contains("# EOF"));
    let mut connection = Connection::plain(gateway.ops());
    connection.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n");
    let open = connection.read_answer();
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(
        open.text().contains("# TYPE dcams_gateway_requests counter\n") && open.text().ends_with("# EOF\n")
    );
    let forwarded = r#"service="getStatus",caller="kyc-api",outcome="forwarded""#;
    for expected in [
        format!("dcams_gateway_requests_total{{{forwarded},code=\"\"}} 1\n"),
        r#"dcams_gateway_requests_total{service="",caller="batch",outcome="refused",code="rate_limited"} 1"#.to_owned(),
        r#"dcams_gateway_requests_total{service="",caller="none",outcome="refused",code="unauthenticated"} 1"#.to_owned(),
        format!("dcams_gateway_request_duration_seconds_count{{{forwarded}}} 1\n"),
        "dcams_gateway_upstream_duration_seconds_count{endpoint=\"storage\"} 2\n".to_owned(),
        "dcams_gateway_limiter_refusals_total{reason=\"caller\"} 1\n".to_owned(),
        "dcams_gateway_memory_bytes{kind=\"bodies\"} 0\n".to_owned(),
        "dcams_gateway_memory_bytes{kind=\"answers\"} 0\n".to_owned(),
        "dcams_gateway_credential_version{credential=\"production\"} 1\n".to_owned(),
        "dcams_gateway_credential_age_seconds{credential=\"production\"} ".to_owned(),
        format!("dcams_gateway_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION")),
        "dcams_gateway_audit_available 1\n".to_owned(),
        "dcams_gateway_audit_stalled 0\n".to_owned(),
        "dcams_gateway_audit_reserve_reached 0\n".to_owned(),
        "dcams_gateway_audit_write_faults_total 0\n".to_owned(),
        "dcams_gateway_audit_pending_bytes ".to_owned(),
        "dcams_gateway_audit_lines_written_total ".to_owned(),
        "dcams_gateway_audit_last_seq ".to_owned(),
        "dcams_gateway_audit_lines_lost_total{class=\"stranger\"} 0\n".to_owned(),
        "dcams_gateway_audit_lines_lost_total{class=\"best_effort\"} 0\n".to_owned(),
        "dcams_gateway_audit_commit_duration_seconds_count ".to_owned(),
    ] {
        assert!(text.contains(&expected), "{expected} is missing in:\n{text}");
    }
}

#[test]
fn callers_are_not_named_where_they_should_not_be() {
    let upstream = Upstream::start();
    for (setting, named) in [("true", true), ("false", false)] {
        let gateway = Setup::before(&upstream).set("ops.caller_names", setting).start();
        assert_eq!(gateway.post(OPS_PORTAL, GET_STATUS).status, 200);
        gateway.wait_for_outcomes(1);
        let text = gateway.operators("/metrics").text();
        assert_eq!(text.contains("ops-portal"), named);
        assert_eq!(text.contains("caller=\"caller-1\""), !named);
    }
    // Where others than this machine can look, they are not named unless it is asked for.
    let gateway = Setup::before(&upstream).set("ops.listen", "\"0.0.0.0:0\"").start();
    assert_eq!(gateway.post(OPS_PORTAL, GET_STATUS).status, 200);
    gateway.wait_for_outcomes(1);
    assert!(!gateway.operators("/metrics").text().contains("ops-portal"));
}

#[test]
fn a_page_in_a_browser_cannot_look() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    for lines in
        ["Host: attacker.example.com\r\n", "Host: localhost\r\nOrigin: https://attacker.example.com\r\n"]
    {
        let mut connection = Connection::plain(gateway.ops());
        connection.send(format!("GET /metrics HTTP/1.1\r\n{lines}\r\n").as_bytes());
        assert_eq!(connection.read_answer().status, 421, "{lines}");
    }
}

#[test]
fn a_gateway_that_drains_is_not_ready() {
    let upstream = Upstream::start();
    let mut gateway = Setup::before(&upstream).start();
    upstream.inject_once(Fault::HangAfterRead);
    let mut connection = gateway.connect();
    connection.send(&head(KYC_API, &format!("Content-Length: {}\r\n", GET_STATUS.len())));
    connection.send(GET_STATUS.as_bytes());
    upstream.wait_for_received(1);
    gateway.terminate();
    wait_for("the drain", || (gateway.operators("/readyz").text() == "draining\n").then_some(()));
    assert_eq!(gateway.operators("/livez").status, 200);
    drop(connection);
    assert_eq!(gateway.wait().code(), Some(0));
}
