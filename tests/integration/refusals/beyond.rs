//! What does the caller see of a failure beyond the gateway, and what of it was sent?

use std::net::TcpListener;

use dcams_gateway::simulate::{Encoding, Fault, Settings};
use serde_json::{Value, json};

use super::scene::{Expected, Met, Scene, spliced};
use crate::harness::{GET_STATUS, Setup, UPDATE_STATUS, Upstream};

/// One request was begun and no answer came.
fn unanswered() -> Value {
    json!({"attempts": 1})
}

/// Meets `code` where nothing can be sent.
fn unconnected(code: &'static str, mut scene: Scene) -> Met {
    let answer = scene.post(GET_STATUS);
    Expected::beyond(code, "getStatus", unanswered()).meets(&mut scene, &answer)
}

pub fn a_port_where_nobody_listens_is_unreachable() -> Met {
    // Its number is nobody else's while it is bound, and nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/", free.local_addr().unwrap().port());
    drop(free);
    unconnected("upstream_unreachable", Scene::with(|setup| setup.set("endpoints.storage.url", &url)))
}

pub fn a_connection_reset_at_once_is_unreachable() -> Met {
    let scene = Scene::new();
    scene.upstream.inject(Fault::ResetOnAccept);
    unconnected("upstream_unreachable", scene)
}

pub fn a_handshake_that_never_ends_is_unreachable() -> Met {
    let scene = Scene::with(|setup| setup.set("upstream.connect_timeout", "100ms"));
    scene.upstream.inject(Fault::HangOnAccept);
    unconnected("upstream_unreachable", scene)
}

pub fn a_certificate_of_another_authority_is_not_trusted() -> Met {
    let other = Upstream::start();
    let ca = other.ca_pem().to_owned();
    unconnected("upstream_tls", Scene::with(|setup| setup.file("upstream-ca.pem", ca)))
}

fn before(settings: Settings) -> Scene {
    Scene::before(Upstream::start_with(settings), |setup| setup)
}

pub fn a_certificate_of_another_name_is_not_trusted() -> Met {
    let host_names = vec!["dcams.example.com".to_owned()];
    unconnected("upstream_tls", before(Settings { host_names, ..Settings::default() }))
}

pub fn an_expired_certificate_is_not_trusted() -> Met {
    unconnected("upstream_tls", before(Settings { expired_certificate: true, ..Settings::default() }))
}

pub fn an_upstream_without_tls_is_not_trusted() -> Met {
    let trusted = Upstream::start();
    let plain = Upstream::start_with(Settings { tls: false, ..Settings::default() });
    let url = plain.url().replace("http://", "https://");
    let ca = trusted.ca_pem().to_owned();
    let change = |setup: Setup| setup.file("upstream-ca.pem", ca).set("endpoints.storage.url", &url);
    unconnected("upstream_tls", Scene::before(plain, change))
}

/// Meets `code` for each fault in turn, as a read: it is sent once, and nothing is left unknown.
fn reads(code: &'static str, faults: &[(Fault, Value)], change: fn(Setup) -> Setup) -> Met {
    let mut met = None;
    let mut scene = Scene::with(change);
    for (fault, upstream) in faults {
        scene.upstream.forget_received();
        scene.upstream.inject_once(*fault);
        let answer = scene.post(GET_STATUS);
        assert_eq!((fault, &answer.json()["code"]), (fault, &json!(code)));
        let expected = Expected::beyond(code, "getStatus", upstream.clone()).sent(&[GET_STATUS]);
        met = Some(expected.meets(&mut scene, &answer));
    }
    met.expect("a fault")
}

/// Meets `code` for a write: it is sent once, and nobody knows what became of it.
fn write(code: &'static str, fault: Fault, mut upstream: Value, change: fn(Setup) -> Setup) -> Met {
    let mut scene = Scene::with(change);
    scene.upstream.inject(fault);
    let answer = scene.post(UPDATE_STATUS);
    upstream["outcome_unknown"] = json!(true);
    Expected::beyond(code, "updateStatus", upstream)
        .problem("outcome", json!("unknown"))
        .sent(&[UPDATE_STATUS])
        .meets(&mut scene, &answer)
}

fn answered(status: u16) -> Value {
    json!({"attempts": 1, "status": status})
}

fn as_it_is(setup: Setup) -> Setup {
    setup
}

pub fn answers_that_are_not_of_the_api_are_invalid() -> Met {
    let faults = [
        (Fault::Html { status: 502 }, answered(502)),
        (Fault::Html { status: 200 }, answered(200)),
        (Fault::Redirect { status: 302 }, answered(302)),
        (Fault::Redirect { status: 308 }, answered(308)),
        (Fault::NonJson, answered(200)),
        (Fault::InvalidJson, answered(200)),
        (Fault::NotUtf8, answered(200)),
        (Fault::DuplicateMembers, answered(200)),
        (Fault::EmptyBody, answered(200)),
        (Fault::CompressedLabel, answered(200)),
        (Fault::BadContentLength, unanswered()),
        (Fault::TwoContentLengths, unanswered()),
        (Fault::ManyHeaders { count: 500 }, unanswered()),
    ];
    reads("upstream_invalid", &faults, as_it_is)
}

pub fn an_invalid_answer_to_a_write_leaves_its_outcome_unknown() -> Met {
    write("upstream_invalid", Fault::Html { status: 502 }, answered(502), as_it_is)
}

pub fn an_answer_beyond_the_limit_is_invalid() -> Met {
    let faults = [
        (Fault::Oversize { bytes: 4_096 }, unanswered()),
        (Fault::OversizeChunked { bytes: 4_096 }, unanswered()),
    ];
    reads("upstream_invalid", &faults, |setup| setup.set("upstream.answer_limit", "2KiB"))
}

pub fn answers_that_end_early_are_truncated() -> Met {
    let faults = [
        Fault::Truncate { after: 0 },
        Fault::Truncate { after: 10 },
        Fault::TruncateCleanClose,
        Fault::TruncateChunked,
        Fault::ResetAfterRequest,
        Fault::ResetMidAnswer,
        Fault::CloseDelimitedNoNotify,
    ];
    reads("upstream_truncated", &faults.map(|fault| (fault, unanswered())), as_it_is)
}

pub fn a_truncated_answer_to_a_write_leaves_its_outcome_unknown() -> Met {
    write("upstream_truncated", Fault::ResetAfterRequest, unanswered(), as_it_is)
}

/// The first attempt had an answer, and the record must not tell of that one.
pub fn a_truncated_answer_to_a_second_attempt_is_recorded_as_such() -> Met {
    let mut scene = Scene::new();
    scene.upstream.inject_once(Fault::RejectCredential);
    scene.upstream.inject_once(Fault::TruncateCleanClose);
    let [first, second] = rotate(&scene);
    let answer = scene.post(UPDATE_STATUS);
    Expected::beyond("upstream_truncated", "updateStatus", json!({"attempts": 2, "outcome_unknown": true}))
        .problem("outcome", json!("unknown"))
        .record("credential", json!({"name": "production", "version": 2}))
        .sent_exactly(vec![first, second])
        .meets(&mut scene, &answer)
}

/// Puts another password where the gateway reads it, and gives what is sent of [`UPDATE_STATUS`] before and
/// after it is read.
fn rotate(scene: &Scene) -> [String; 2] {
    std::fs::write(scene.gateway.folder().join("pass"), "another-password").unwrap();
    let first = spliced(UPDATE_STATUS);
    let second = first.replace(&Settings::default().pass, "another-password");
    [first, second]
}

fn rejected(attempts: u8) -> Value {
    json!({"attempts": attempts, "status": 200, "result": "Error", "class": "credentials_rejected"})
}

pub fn rejected_credentials_are_told() -> Met {
    let mut scene = Scene::new();
    scene.upstream.inject(Fault::RejectCredential);
    let answer = scene.post(UPDATE_STATUS);
    let expected = Expected::beyond("upstream_credentials_rejected", "updateStatus", rejected(1));
    expected.sent(&[UPDATE_STATUS]).meets(&mut scene, &answer)
}

/// The source is read again, and a version that differs is tried once.
pub fn credentials_rejected_in_both_versions_are_told() -> Met {
    let mut scene = Scene::new();
    scene.upstream.inject(Fault::RejectCredential);
    let sent = rotate(&scene);
    let answer = scene.post(UPDATE_STATUS);
    Expected::beyond("upstream_credentials_rejected", "updateStatus", rejected(2))
        .record("credential", json!({"name": "production", "version": 2}))
        .sent_exactly(sent.into())
        .meets(&mut scene, &answer)
}

fn reflected() -> Value {
    json!({"attempts": 1, "status": 200, "credential_reflected": true})
}

pub fn answers_with_the_password_are_withheld() -> Met {
    let encodings = [
        Encoding::Raw,
        Encoding::Chunked,
        Encoding::JsonEscaped,
        Encoding::UnicodeEscaped,
        Encoding::Percent,
        Encoding::PercentAll,
        Encoding::Base64(0),
        Encoding::Base64(1),
        Encoding::Base64(2),
        Encoding::Hex,
        Encoding::HexUpper,
        Encoding::HeaderRaw,
    ];
    let faults = encodings.map(|encoding| (Fault::ReflectCredential(encoding), reflected()));
    reads("response_withheld", &faults, as_it_is)
}

pub fn a_withheld_answer_to_a_write_leaves_its_outcome_unknown() -> Met {
    write("response_withheld", Fault::ReflectCredential(Encoding::Raw), reflected(), as_it_is)
}

fn in_a_hurry(setup: Setup) -> Setup {
    setup.set("endpoints.storage.deadline", "400ms")
}

pub fn an_upstream_that_does_not_answer_times_out() -> Met {
    reads("upstream_timeout", &[(Fault::HangAfterRead, unanswered())], in_a_hurry)
}

pub fn an_answer_that_drips_times_out() -> Met {
    let fault = Fault::Drip(std::time::Duration::from_millis(200));
    reads("upstream_timeout", &[(fault, unanswered())], in_a_hurry)
}

pub fn a_write_that_times_out_leaves_its_outcome_unknown() -> Met {
    write("upstream_timeout", Fault::HangAfterRead, unanswered(), in_a_hurry)
}
