//! Which heads are refused, before a byte of their body is looked at?

use serde_json::json;

use super::scene::{EMPTY, Expected, HOST, JSON, Met, Scene, head, key_line};
use crate::harness::{GET_STATUS, KYC_API, PATH, key_hash_hex};

/// Meets a refusal of an ordinary head with `lines` more; the caller is identified.
fn caller_head(code: &'static str, method: &str, target: &str, lines: &[&str]) -> Met {
    meet(Expected::caller(code), method, target, lines)
}

fn meet(expected: Expected, method: &str, target: &str, lines: &[&str]) -> Met {
    let mut scene = Scene::new();
    let key = key_line();
    let lines: Vec<&str> = std::iter::once(&*key).chain(lines.iter().copied()).collect();
    let answer = scene.send(head(method, target, &lines));
    expected.meets(&mut scene, &answer)
}

pub fn two_hosts_are_refused() -> Met {
    caller_head("bad_request", "POST", PATH, &[HOST, HOST, JSON, EMPTY])
}

pub fn a_missing_host_is_refused() -> Met {
    caller_head("bad_request", "POST", PATH, &[JSON, EMPTY])
}

pub fn a_host_that_is_no_host_is_refused() -> Met {
    caller_head("bad_request", "POST", PATH, &["Host: user@localhost", JSON, EMPTY])
}

pub fn a_foreign_host_on_loopback_is_refused() -> Met {
    caller_head("bad_request", "POST", PATH, &["Host: rebound.example.com", JSON, EMPTY])
}

pub fn an_origin_on_loopback_is_refused() -> Met {
    caller_head("bad_request", "POST", PATH, &[HOST, "Origin: http://localhost", JSON, EMPTY])
}

pub fn http_1_0_is_refused() -> Met {
    let mut scene = Scene::new();
    let head = head("POST", PATH, &[HOST, &key_line(), JSON, EMPTY]).replace("HTTP/1.1", "HTTP/1.0");
    let answer = scene.send(head);
    Expected::caller("bad_request").meets(&mut scene, &answer)
}

pub fn an_absolute_target_is_refused() -> Met {
    caller_head("bad_request", "POST", &format!("http://localhost{PATH}"), &[HOST, JSON, EMPTY])
}

pub fn an_asterisk_target_is_refused() -> Met {
    caller_head("bad_request", "GET", "*", &[HOST])
}

pub fn a_target_beyond_ascii_is_refused() -> Met {
    caller_head("bad_request", "POST", "/v3/stäble/api/storage", &[HOST, JSON, EMPTY])
}

pub fn an_expectation_that_we_do_not_know_is_refused() -> Met {
    caller_head("bad_request", "POST", PATH, &[HOST, JSON, "Expect: 200-ok", EMPTY])
}

pub fn two_media_types_are_refused() -> Met {
    caller_head("bad_request", "POST", PATH, &[HOST, JSON, JSON, EMPTY])
}

pub fn two_request_ids_are_refused() -> Met {
    caller_head("bad_request", "POST", PATH, &[HOST, JSON, EMPTY, "X-Request-Id: a", "X-Request-Id: a"])
}

pub fn two_trace_parents_are_refused() -> Met {
    let parent = "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    caller_head("bad_request", "POST", PATH, &[HOST, JSON, EMPTY, parent, parent])
}

pub fn another_path_is_refused() -> Met {
    caller_head("not_found", "POST", "/v3/stable/token/create", &[HOST, JSON, EMPTY])
}

pub fn a_query_is_refused() -> Met {
    caller_head("not_found", "POST", &format!("{PATH}?email=jane@example.com"), &[HOST, JSON, EMPTY])
}

pub fn a_longer_path_is_refused() -> Met {
    caller_head("not_found", "POST", &format!("{PATH}/"), &[HOST, JSON, EMPTY])
}

pub fn get_is_refused() -> Met {
    meet(Expected::caller("method_not_allowed").header("allow", "POST"), "GET", PATH, &[HOST])
}

pub fn put_with_a_body_is_refused() -> Met {
    let mut scene = Scene::new();
    let length = format!("Content-Length: {}", GET_STATUS.len());
    let answer = scene.send(head("PUT", PATH, &[HOST, &key_line(), JSON, &length]) + GET_STATUS);
    Expected::caller("method_not_allowed").header("allow", "POST").meets(&mut scene, &answer)
}

pub fn no_media_type_is_refused() -> Met {
    caller_head("unsupported_media_type", "POST", PATH, &[HOST, EMPTY])
}

pub fn another_media_type_is_refused() -> Met {
    caller_head("unsupported_media_type", "POST", PATH, &[HOST, "Content-Type: text/json", EMPTY])
}

pub fn another_charset_is_refused() -> Met {
    let latin = "Content-Type: application/json; charset=iso-8859-1";
    caller_head("unsupported_media_type", "POST", PATH, &[HOST, latin, EMPTY])
}

pub fn a_content_encoding_is_refused() -> Met {
    caller_head("unsupported_media_type", "POST", PATH, &[HOST, JSON, "Content-Encoding: gzip", EMPTY])
}

/// A refusal of a stranger says the same for every reason, and tells the scheme.
fn stranger(scene: &mut Scene, lines: &[&str]) -> Met {
    let lines: Vec<&str> = [HOST, JSON, EMPTY].into_iter().chain(lines.iter().copied()).collect();
    let answer = scene.send(head("POST", PATH, &lines));
    Expected::stranger("unauthenticated").header("www-authenticate", "Bearer").meets(scene, &answer)
}

pub fn no_key_is_refused() -> Met {
    stranger(&mut Scene::new(), &[])
}

pub fn a_wrong_key_is_refused() -> Met {
    stranger(&mut Scene::new(), &["Authorization: Bearer dcg_nobody-has-this-key"])
}

pub fn an_expired_key_is_refused() -> Met {
    let line = format!("keys = [{{ sha256 = \"{}\"", key_hash_hex(KYC_API));
    let mut scene = Scene::with(|setup| {
        setup.edit(|text| {
            assert!(text.contains(&line));
            *text = text.replace(&line, &format!("{line}, expires = \"2024-01-01\""));
        })
    });
    stranger(&mut scene, &[&key_line()])
}

pub fn two_keys_are_refused() -> Met {
    stranger(&mut Scene::new(), &[&key_line(), &key_line()])
}

pub fn another_scheme_is_refused() -> Met {
    stranger(&mut Scene::new(), &[&format!("Authorization: Basic {KYC_API}")])
}

#[test]
fn a_callers_request_id_is_echoed_and_recorded_where_it_can_hold_nobodys_name() {
    let mut scene = Scene::new();
    for (id, recorded) in [("0f8fad5b-d9cb-469f-a165-70867728950e", true), ("jane.doe-2015106000", false)] {
        let line = format!("X-Request-Id: {id}");
        let answer = scene.send(head("POST", "/", &[HOST, &key_line(), JSON, EMPTY, &line]));
        let expected = Expected::caller("not_found").header("x-request-id", id);
        let expected = if recorded { expected.record("caller_request_id", json!(id)) } else { expected };
        expected.meets(&mut scene, &answer);
    }
}
