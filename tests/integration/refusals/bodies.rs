//! Which bodies are refused?

use serde_json::json;

use super::scene::{Expected, HOST, JSON, Met, Scene, head, key_line};
use crate::harness::{BATCH, GET_STATUS, PATH, Setup, UPDATE_STATUS};

fn post(expected: Expected, body: &str) -> Met {
    let mut scene = Scene::new();
    let answer = scene.post(body);
    expected.meets(&mut scene, &answer)
}

fn unparsed(code: &'static str, offset: u32, body: &str) -> Met {
    post(Expected::endpoint(code).problem("offset", json!(offset)), body)
}

pub fn a_body_that_is_no_json_is_refused() -> Met {
    unparsed("malformed_json", 1, "{service:'getStatus'}")
}

pub fn an_empty_body_is_refused() -> Met {
    unparsed("malformed_json", 0, "")
}

pub fn an_array_is_refused() -> Met {
    unparsed("malformed_json", 0, r#"[{"service":"getStatus"}]"#)
}

pub fn text_behind_the_object_is_refused() -> Met {
    unparsed("malformed_json", 61, &format!("{GET_STATUS}{GET_STATUS}"))
}

pub fn a_name_twice_is_refused() -> Met {
    unparsed("duplicate_member", 24, r#"{"service":"getStatus","service":"updateStatus"}"#)
}

pub fn a_name_twice_in_another_spelling_is_refused() -> Met {
    unparsed("duplicate_member", 13, r#"{"target":1,"t\u0061rget":2}"#)
}

pub fn a_body_nested_too_deeply_is_refused() -> Met {
    let body = format!(r#"{{"service":{}{}}}"#, "[".repeat(16), "]".repeat(16));
    unparsed("too_complex", 26, &body)
}

pub fn a_body_of_too_many_members_is_refused() -> Met {
    let values = vec!["1"; 1_024].join(",");
    let body = format!(r#"{{"service":[{values}]}}"#);
    unparsed("too_complex", 2_056, &body)
}

pub fn a_body_with_a_user_is_refused() -> Met {
    post(Expected::endpoint("credentials_not_allowed"), r#"{"user":"me","service":"getStatus"}"#)
}

pub fn a_body_with_an_escaped_pass_is_refused() -> Met {
    post(Expected::endpoint("credentials_not_allowed"), r#"{"p\u0061ss":"mine","service":"getStatus"}"#)
}

pub fn a_body_with_a_user_in_another_case_is_refused() -> Met {
    post(Expected::endpoint("credentials_not_allowed"), r#"{"u\u017FeR":"me","service":"getStatus"}"#)
}

pub fn a_body_without_a_service_is_refused() -> Met {
    post(Expected::endpoint("unknown_service"), r#"{"target":{"email":"jane@example.com"}}"#)
}

pub fn a_service_of_another_name_is_refused() -> Met {
    post(Expected::endpoint("unknown_service"), r#"{"service":"getstatus"}"#)
}

pub fn a_service_that_is_no_string_is_refused() -> Met {
    post(Expected::endpoint("unknown_service"), r#"{"service":["getStatus"]}"#)
}

pub fn a_service_that_is_not_the_callers_is_refused() -> Met {
    let mut scene = Scene::new();
    let answer = scene.connection.post(BATCH, UPDATE_STATUS.as_bytes());
    let expected =
        Expected::service("service_not_permitted", "updateStatus").record("caller", json!("batch"));
    expected.meets(&mut scene, &answer)
}

pub fn a_body_that_violates_its_schema_is_refused() -> Met {
    let errors = json!([{"pointer": "/target/status", "keyword": "enum"}]);
    let expected = Expected::service("schema_violation", "updateStatus")
        .problem("violations", json!(1))
        .problem("errors", errors.clone())
        .record("violations", json!({"enforced": true, "total": 1, "shown": errors}));
    post(expected, r#"{"service":"updateStatus","target":{"email":"jane@example.com","status":"DENIED"}}"#)
}

pub fn an_unknown_member_is_refused_without_its_name() -> Met {
    let errors = json!([{"pointer": "/target", "keyword": "additionalProperties"}]);
    let expected = Expected::service("schema_violation", "getStatus")
        .problem("violations", json!(1))
        .problem("errors", errors.clone())
        .record("violations", json!({"enforced": true, "total": 1, "shown": errors}));
    post(expected, r#"{"service":"getStatus","target":{"email":"jane@example.com","2015106000":1}}"#)
}

/// The head of a body that is still to come.
fn promise(framing: &str) -> String {
    head("POST", PATH, &[HOST, &key_line(), JSON, framing])
}

pub fn a_chunk_of_no_size_is_refused() -> Met {
    let mut scene = Scene::new();
    let answer = scene.send(promise("Transfer-Encoding: chunked") + "5\r\n{\"ser\r\nxyz\r\n");
    Expected::endpoint("bad_request").meets(&mut scene, &answer)
}

pub fn a_body_that_does_not_come_is_refused() -> Met {
    let mut scene = Scene::with(|setup| setup.set("data.body_timeout", "100ms"));
    let answer = scene.send(promise("Content-Length: 61") + "{");
    Expected::endpoint("body_timeout").meets(&mut scene, &answer)
}

pub fn a_body_slower_than_the_least_rate_is_refused() -> Met {
    let slow =
        |setup: Setup| setup.set("data.min_body_rate", "1GiB/s").set("data.min_body_rate_grace", "50ms");
    let mut scene = Scene::with(slow);
    let answer = scene.send(promise("Content-Length: 61") + "{");
    Expected::endpoint("body_timeout").meets(&mut scene, &answer)
}

fn too_large(limit_bytes: u64) -> Expected {
    Expected::endpoint("body_too_large").problem("limit_bytes", json!(limit_bytes))
}

/// Every service takes bodies of 2 KiB.
fn at_most_two_kib(setup: Setup) -> Setup {
    setup.edit(|text| *text = text.replace("effect = \"", "body_limit = \"2KiB\"\neffect = \""))
}

pub fn a_promise_of_too_many_bytes_is_refused() -> Met {
    let mut scene = Scene::with(at_most_two_kib);
    let answer = scene.send(promise("Content-Length: 2049"));
    too_large(2_048).meets(&mut scene, &answer)
}

pub fn chunks_of_too_many_bytes_are_refused() -> Met {
    let mut scene = Scene::with(at_most_two_kib);
    let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400));
    let answer = scene.send(promise("Transfer-Encoding: chunked") + &chunk + &chunk + &chunk);
    too_large(2_048).meets(&mut scene, &answer)
}

pub fn a_body_too_large_for_its_service_is_refused() -> Met {
    let mut scene = Scene::with(|setup| setup.set("services.getStatus.body_limit", "1KiB"));
    let answer = scene.post(format!("{GET_STATUS}{}", " ".repeat(1_024)));
    too_large(1_024).record("service", json!("getStatus")).meets(&mut scene, &answer)
}

/// However often it is sent again, it never fits: that is no 429.
pub fn a_body_larger_than_its_caller_may_hold_is_refused() -> Met {
    let mut scene = Scene::with(|setup| setup.set("callers.kyc-api.max_body", "1KiB"));
    let answer = scene.post(format!("{GET_STATUS}{}", " ".repeat(1_024)));
    too_large(1_024).meets(&mut scene, &answer)
}
