//! Does every way in which an upstream can fail end in a documented answer?

use dcams_gateway::simulate::Fault;
use serde_json::{Value, json};

use super::scene::{Scene, assert_published_form, spliced};
use crate::harness::GET_STATUS;

/// The code of the refusal, or `None` where DCAMS's own answer passes.
fn code(fault: Fault) -> Option<&'static str> {
    Some(match fault {
        Fault::None
        | Fault::Latency(_)
        | Fault::CloseAfterAnswer
        | Fault::CloseDelimited
        | Fault::Drip(_)
        | Fault::ExtraResponse { .. }
        | Fault::Informational { .. }
        | Fault::SetCookie
        | Fault::WrongContentType => return None,
        Fault::HangOnAccept | Fault::ResetOnAccept => "upstream_unreachable",
        Fault::HangBeforeRead | Fault::HangAfterRead => "upstream_timeout",
        Fault::ResetAfterRequest
        | Fault::ResetMidAnswer
        | Fault::Truncate { .. }
        | Fault::TruncateCleanClose
        | Fault::TruncateChunked
        | Fault::CloseDelimitedNoNotify => "upstream_truncated",
        Fault::ReflectCredential(_) => "response_withheld",
        Fault::RejectCredential => "upstream_credentials_rejected",
        _ => "upstream_invalid",
    })
}

#[test]
fn every_fault_of_the_upstream_ends_in_a_documented_answer_and_one_record() {
    let mut scene = Scene::with(|setup| {
        setup
            .set("upstream.connect_timeout", "300ms")
            .set("endpoints.storage.deadline", "1s")
            .set("upstream.answer_limit", "1MiB")
            // Each on a connection of its own, so that none meets what another left behind.
            .set("upstream.max_idle_per_caller", "0")
    });
    let mut records = 0;
    // The rejection comes last: it suspends the credentials.
    let (last, first): (Vec<Fault>, Vec<Fault>) =
        Fault::examples().partition(|fault| *fault == Fault::RejectCredential);
    for fault in first.into_iter().chain(last) {
        scene.upstream.forget_received();
        scene.upstream.inject_once(fault);
        let answer = scene.post(GET_STATUS);
        let (status, body) = (answer.status, answer.json());
        match code(fault) {
            None => assert_eq!((fault, status, &body["result"]), (fault, 200, &json!("Error")), "{body}"),
            Some(code) => assert_eq!((fault, &body["code"]), (fault, &json!(code))),
        }
        let mut names: Vec<&str> = answer.headers.keys().map(http::HeaderName::as_str).collect();
        names.retain(|name| *name != "proxy-status");
        names.sort_unstable();
        let ours = [
            "cache-control",
            "content-length",
            "content-type",
            "date",
            "x-content-type-options",
            "x-request-id",
        ];
        assert_eq!((fault, names), (fault, ours.to_vec()));
        let record = scene.gateway.record_of(&answer);
        assert_published_form(&record);
        let outcome = if code(fault).is_none() { "forwarded" } else { "refused" };
        assert_eq!(
            (fault, record["outcome"].as_str(), record["status"].as_u64()),
            (fault, Some(outcome), Some(status.into()))
        );
        records += 1;
        let received = scene.upstream.received();
        assert!(received.len() <= 1, "{fault}: sent {} times", received.len());
        let whole = received.iter().filter(|request| request.complete);
        assert!(whole.into_iter().all(|request| request.body == spliced(GET_STATUS).as_bytes()), "{fault}");
    }
    assert_eq!(scene.gateway.outcomes().len(), records);
    let said: Value = json!([scene.gateway.stdout(), scene.gateway.stderr()]);
    assert!(!said.to_string().contains("double-password"), "the password is in an output");
}
