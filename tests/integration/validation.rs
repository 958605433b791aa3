//! What do the two modes of `services.NAME.validate` do?

use crate::harness::{KYC_API, Setup, Upstream};

const BAD_BIRTHDAY: &str =
    r#"{"service":"createOrUpdateCustomer","target":{"email":"jane@example.com","dob":"19900231"}}"#;

#[test]
fn a_violation_is_refused_by_default_and_nothing_is_sent() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let answer = gateway.post(KYC_API, BAD_BIRTHDAY);
    assert_eq!((answer.status, answer.json()["code"].as_str()), (422, Some("schema_violation")));
    assert_eq!(answer.json()["errors"][0]["pointer"], "/target/dob");
    assert_eq!(gateway.record_of(&answer)["violations"]["enforced"], true);
    assert!(upstream.received().is_empty());
}

#[test]
fn in_report_mode_a_violation_is_recorded_and_forwarded() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("services.createOrUpdateCustomer.validate", "report").start();
    let answer = gateway.post(KYC_API, BAD_BIRTHDAY);
    assert_eq!((answer.status, answer.json()["result"].as_str()), (200, Some("Success")));
    let record = gateway.record_of(&answer);
    assert_eq!(record["outcome"], "forwarded");
    assert_eq!(
        record["violations"],
        serde_json::json!({
            "enforced": false, "total": 1, "shown": [{"pointer": "/target/dob", "keyword": "format"}]
        })
    );
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn report_mode_never_relaxes_strict_json_or_the_refusal_of_credentials() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("services.createOrUpdateCustomer.validate", "report").start();
    let cases = [
        (BAD_BIRTHDAY.replacen('{', r#"{"PASS":"x","#, 1), "credentials_not_allowed"),
        (BAD_BIRTHDAY.replacen('{', r#"{"service":"getStatus","#, 1), "duplicate_member"),
        (BAD_BIRTHDAY.replacen('{', r#"{"x":01,"#, 1), "malformed_json"),
    ];
    for (body, code) in cases {
        let answer = gateway.post(KYC_API, body);
        assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some(code)));
    }
    assert!(upstream.received().is_empty());
}
