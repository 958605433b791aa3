//! Does any secret or personal datum come out of the gateway where it must not?
//!
//! Every input is full of canaries ([`canaries`], [`inputs`], [`upstreams`]); the real binary runs at the log level
//! `trace`, and what it says in any channel is caught ([`scene`]) and searched ([`scanner`](crate::scanner)).

mod canaries;
mod configuration;
mod inputs;
mod planted;
mod reports;
mod scene;
mod tls;
mod upstreams;

use std::collections::BTreeSet;
use std::io::Write;

use dcams_gateway::reject;
use dcams_gateway::simulate::{FailureStyle, Fault};

use crate::scanner::{Canary, Scanner};
use canaries::{Person, core, key, named};
use configuration::{CALLERS, Wanted, configuration};
use inputs::{ECHOED, Inputs, post};
use scene::{Caught, Scene, Stage, wait_for};
use upstreams::{Scripted, Upstream, hostile_answers};

/// What a test of this file must have met: together every code but those of [`ELSEWHERE`].
const BY_REQUESTS: [&str; 17] = [
    "bad_request",
    "malformed_json",
    "duplicate_member",
    "too_complex",
    "credentials_not_allowed",
    "unknown_service",
    "unauthenticated",
    "service_not_permitted",
    "not_found",
    "method_not_allowed",
    "body_timeout",
    "body_too_large",
    "unsupported_media_type",
    "schema_violation",
    "rate_limited",
    "upstream_unreachable",
    "upstream_tls",
];
const BY_FAULTS: [&str; 6] = [
    "upstream_invalid",
    "upstream_truncated",
    "upstream_timeout",
    "response_withheld",
    "upstream_credentials_rejected",
    "credentials_unavailable",
];
const BY_FAILURES: [&str; 1] = ["upstream_suspended"];
const BY_SCARCITY: [&str; 3] = ["overloaded", "draining", "audit_unavailable"];
/// A panic, which no request is known to cause; `cli::process` and the stack's tests cause one within the process.
const ELSEWHERE: [&str; 1] = ["internal"];

#[test]
fn every_refusal_is_met() {
    let met = BY_REQUESTS
        .iter()
        .chain(&BY_FAULTS)
        .chain(&BY_FAILURES)
        .chain(&BY_SCARCITY)
        .chain(&ELSEWHERE)
        .copied();
    let every: BTreeSet<&str> = reject::every().iter().map(reject::Reject::code).collect();
    assert_eq!(met.collect::<BTreeSet<_>>(), every);
}

#[test]
fn nothing_that_callers_send_comes_out() {
    let upstream = Upstream::start(FailureStyle::OkWithError);
    // An upstream without TLS: what it says to a handshake is no certificate.
    let plain = Scripted::start();
    let answer = core("answer to a handshake");
    plain.next(answer.as_bytes());
    let more = format!(
        "[endpoints.sealed]\npath = \"/sealed\"\nurl = \"https://{}/\"\n\
         [services.sealedStatus]\nendpoint = \"sealed\"\nschema = \"getStatus.schema.json\"\neffect = \"read\"\n\
         [endpoints.closed]\npath = \"/closed\"\nurl = \"http://127.0.0.1:1/\"\n\
         [services.closedStatus]\nendpoint = \"closed\"\nschema = \"getStatus.schema.json\"\neffect = \"read\"\n\
         [[callers]]\nname = \"far\"\nkeys = [{{ sha256 = \"{}\" }}]\ncredentials = \"production\"\n\
         rate = {{ per_second = 100 }}\nservices = [\"sealedStatus\", \"closedStatus\"]\n",
        plain.address,
        configuration::key_hash_hex("far"),
    );
    let stage =
        Stage::new(&configuration(&Wanted { url: &upstream.url(), more: &more, ..Wanted::default() }));
    stage.file("ca.pem", upstream.double().ca_pem().as_bytes());
    let scene = stage.start();
    let inputs = Inputs::all();
    let sent: Vec<u8> = inputs.requests.iter().flat_map(|(_, request)| request.clone()).collect();
    let ours =
        [inputs.canaries.clone(), canaries::personal(), canaries::secrets(&CALLERS)[5..8].to_vec()].concat();
    assert_all_found(&[ours, vec![named("request id", core(ECHOED))]].concat(), &sent);
    std::thread::scope(|threads| {
        // Those that must time out wait for it side by side.
        for (_, request) in &inputs.requests {
            if is_incomplete(request) {
                threads.spawn(|| scene.send(request));
            } else {
                scene.send(request);
            }
        }
    });
    let body = Person::asked("getStatus").to_string();
    for path in ["/sealed", "/closed"] {
        let request = String::from_utf8(post(&key("far"), "", body.as_bytes())).unwrap();
        scene.send(request.replace(scene::PATH, path).as_bytes());
    }
    assert_met(&scene, &BY_REQUESTS);
    let answered = scene.answered();
    // Two more than the inputs; but a head that does not end is not answered.
    assert_eq!(answered, inputs.requests.len() + 2 - 1);
    let caught = scene.end();
    assert_traced(&caught, answered);
    let mut others = inputs.canaries;
    others.push(named("answer to a handshake", answer));
    assert_clean(&caught, others);
}

/// Requests of which a part is missing.
fn is_incomplete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return true };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
    length.is_some_and(|length| body.len() < length)
}

#[test]
fn nothing_comes_out_whatever_goes_wrong_upstream() {
    let styles = [FailureStyle::OkWithError, FailureStyle::ClientError];
    std::thread::scope(|threads| {
        for (style, http) in styles.into_iter().flat_map(|style| [(style, "1.1"), (style, "2")]) {
            threads.spawn(move || meet_every_fault(style, http));
        }
    });
}

fn meet_every_fault(style: FailureStyle, http: &str) {
    let upstream = Upstream::start(style);
    let stage = Stage::new(&configuration(&Wanted { url: &upstream.url(), http, ..Wanted::default() }));
    stage.file("ca.pem", upstream.double().ca_pem().as_bytes());
    let scene = stage.start();
    let mut faults: Vec<Fault> = Fault::examples().collect();
    // After it the credentials are suspended, and after those that strike a connection none is left to strike.
    faults.sort_by_key(|fault| (*fault == Fault::RejectCredential, !fault.strikes_on_accept()));
    let (write, read) = (Person::stored().to_string(), Person::asked("getDocumentImages").to_string());
    for fault in faults {
        upstream.double().inject(fault);
        let before = upstream.double().counts();
        // Once more where the double was still busy with the answer before, which may go out byte by byte.
        wait_for(&format!("{fault} to strike"), || {
            for body in [&write, &read] {
                scene.send(&post(&key("kyc-api"), "", body.as_bytes()));
            }
            let now = upstream.double().counts();
            let connected = fault.strikes_on_accept() && now.connections > before.connections;
            (connected || now.requests > before.requests).then_some(())
        });
    }
    upstream.double().inject(Fault::None);
    scene.send(&post(&key("kyc-api"), "", read.as_bytes()));
    assert_met(&scene, &BY_FAULTS);
    let answered = scene.answered();
    let caught = scene.end();
    assert_eq!(records(&caught, SEGMENT), answered);
    let received: Vec<u8> =
        upstream.double().received().into_iter().flat_map(|request| request.body).collect();
    assert_all_found(&[canaries::secrets(&[])[..2].to_vec(), canaries::personal()].concat(), &received);
    assert_traced(&caught, answered);
    assert_clean(&caught, Vec::new());
}

#[test]
fn nothing_comes_out_when_a_breaker_opens() {
    let upstream = Upstream::start(FailureStyle::OkWithError);
    let wanted = Wanted { url: &upstream.url(), failures: 1, ..Wanted::default() };
    let stage = Stage::new(&configuration(&wanted));
    stage.file("ca.pem", upstream.double().ca_pem().as_bytes());
    let scene = stage.start();
    let write = post(&key("kyc-api"), "", Person::stored().to_string().as_bytes());
    upstream.double().inject(Fault::Html { status: 503 });
    scene.send(&write);
    scene.send(&write);
    assert_met(&scene, &BY_FAILURES);
    let caught = scene.end();
    assert_eq!(records(&caught, SEGMENT), 2);
    assert_traced(&caught, 2);
    assert_clean(&caught, Vec::new());
}

#[test]
fn nothing_that_a_hostile_upstream_says_comes_out_but_answers() {
    let upstream = Scripted::start();
    let url = format!("http://{}{}", upstream.address, scene::PATH);
    let wanted =
        Wanted { url: &url, log_format: "text", audit: "\"stdout\"", secrets: "env", ..Wanted::default() };
    let scene = Stage::new(&configuration(&wanted))
        .variable("THE_USER", &canaries::user())
        .variable("THE_PASS", &canaries::pass())
        .variable("THE_KEY", &canaries::fingerprint_key())
        .variable("RUST_LOG", "trace")
        .start();
    let (answers, canaries) = hostile_answers();
    let body = Person::asked("getStatus").to_string();
    for answer in &answers {
        upstream.next(answer);
        scene.send(&post(&key("kyc-api"), "", body.as_bytes()));
    }
    assert_eq!(scene.answered(), answers.len());
    assert_met(&scene, &["upstream_invalid", "upstream_truncated"]);
    let mut caught = scene.end();
    assert_eq!(records(&caught, "stdout"), answers.len());
    // The one place where the operator has put them.
    caught.channels.retain(|(channel, _)| channel != "environ");
    assert_clean(&caught, canaries);
}

#[test]
fn nothing_comes_out_when_there_is_too_little_of_everything() {
    let upstream = Upstream::start(FailureStyle::OkWithError);
    let wanted = Wanted {
        url: &upstream.url(),
        audit: "\"stdout\"",
        data: "max_requests = 1\nworkers = 1\n",
        ..Wanted::default()
    };
    let best_effort = "[services.getStatus]\naudit = \"best_effort\"\n";
    let text = configuration(&wanted).replace("[services.getStatus]\n", best_effort);
    let stage = Stage::new(&text).full_stdout();
    stage.file("ca.pem", upstream.double().ca_pem().as_bytes());
    let scene = stage.start();
    let request = post(&key("kyc-api"), "", Person::stored().to_string().as_bytes());
    // One that hangs upstream keeps the only place. It is of the service that is forwarded without a record.
    let hanging = post(&key("kyc-api"), "", Person::asked("getStatus").to_string().as_bytes());
    upstream.double().inject(Fault::HangAfterRead);
    std::thread::scope(|threads| {
        threads.spawn(|| scene.send(&hanging));
        wait_for("a request in progress", || (upstream.double().counts().requests > 0).then_some(()));
        scene.send(&request);
    });
    upstream.double().inject(Fault::None);
    wait_for("a refusal over the audit", || {
        (scene.send(&request).code()? == "audit_unavailable").then_some(())
    });
    // A head that was begun before the end, and is finished after it.
    let mut late = scene.connect();
    let (begin, rest) = request.split_at(40);
    late.write_all(begin).unwrap();
    // The one worker takes connections in turn: when this is answered, it has read the beginning.
    scene.send(&request);
    assert_met(&scene, &["overloaded", "audit_unavailable"]);
    scene.ask_to_stop();
    wait_for("the drain", || scene.operators("/readyz").ends_with(b"draining\n").then_some(()));
    late.write_all(rest).unwrap();
    scene.take(&scene::read_all(&mut late));
    assert_met(&scene, &BY_SCARCITY);
    // Records were lost.
    assert_clean_after(74, &scene.end(), Vec::new());
}

#[test]
fn nothing_comes_out_over_tls_and_http2() {
    let upstream = Upstream::start(FailureStyle::OkWithError);
    let data = "[data.tls]\ncert = \"tls.crt\"\nkey = \"tls.key\"\n";
    let stage = Stage::new(&configuration(&Wanted { url: &upstream.url(), data, ..Wanted::default() }));
    stage.file("ca.pem", upstream.double().ca_pem().as_bytes());
    let root = tls::certificate(&stage);
    let scene = stage.start();
    let canary = core("HTTP/2");
    let good = post(&key("kyc-api"), "", Person::stored().to_string().as_bytes());
    let answer = scene.take(&tls::exchange(scene.data(), &root, "http/1.1", &good));
    assert_eq!(answer.status, 200);
    std::thread::scope(|threads| {
        for request in tls::http2_requests(&canary) {
            let (scene, root) = (&scene, &root);
            threads.spawn(move || scene.take_http2(&tls::exchange(scene.data(), root, "h2", &request)));
        }
    });
    // Neither TLS nor a name that the certificate holds.
    scene.send(format!("GET /{canary} HTTP/1.1\r\nHost: {canary}\r\n\r\n").as_bytes());
    let caught = scene.end();
    assert!(records(&caught, SEGMENT) >= 2, "HTTP/2 requests have reached the stack");
    assert_traced(&caught, 1);
    assert_clean(&caught, vec![named("HTTP/2", canary), named("server name", core("server name"))]);
}

/// Fails unless every one of `codes` was answered.
fn assert_met(scene: &Scene, codes: &[&str]) {
    let met: BTreeSet<String> = scene.codes().into_iter().collect();
    let missing: Vec<_> = codes.iter().filter(|code| !met.contains(**code)).collect();
    assert!(missing.is_empty(), "not met: {missing:?}; met: {met:?}");
}

/// Fails unless our own events of the level `trace` were written, at least one for each of `requests`.
fn assert_traced(caught: &Caught, requests: usize) {
    let stderr = String::from_utf8_lossy(channel(caught, "stderr")).into_owned();
    let ours =
        |line: &&str| line.contains("\"level\":\"TRACE\"") && line.contains("\"target\":\"dcams_gateway");
    assert!(stderr.lines().filter(ours).count() >= requests.max(1), "of {requests}");
}

/// Fails unless every one of `canaries` stands in `bytes`: one that was never put in cannot come out.
fn assert_all_found(canaries: &[Canary], bytes: &[u8]) {
    let leaks = Scanner::new(canaries).leaks(bytes);
    let found = |canary: &&Canary| leaks.iter().any(|leak| leak.starts_with(&format!("{} (", canary.name)));
    let missing: Vec<_> =
        canaries.iter().filter(|canary| !found(canary)).map(|canary| &canary.name).collect();
    assert!(missing.is_empty(), "in no input: {missing:?}");
}

/// Fails if anything that must not come out came out.
fn assert_clean(caught: &Caught, others: Vec<Canary>) {
    assert_clean_after(0, caught, others);
}

/// As [`assert_clean`], where the gateway ends with another exit code.
fn assert_clean_after(code: i32, caught: &Caught, others: Vec<Canary>) {
    assert_eq!(caught.status.code(), Some(code));
    let secrets = canaries::secrets(&[&CALLERS[..], &["far"]].concat());
    let mut all = [secrets.clone(), canaries::personal(), others].concat();
    let of_answers = Scanner::new(&all);
    all.push(named("request id", core(ECHOED)));
    let of_channels = Scanner::new(&all);
    let mut leaks = Vec::new();
    for (name, bytes) in &caught.channels {
        leaks.extend(of_channels.leaks(bytes).into_iter().map(|leak| format!("{name}: {leak}")));
    }
    for (name, bytes) in &caught.own_answers {
        leaks.extend(of_answers.leaks(bytes).into_iter().map(|leak| format!("{name}: {leak}")));
    }
    leaks.extend(
        Scanner::new(&secrets).leaks(&caught.forwarded).into_iter().map(|leak| format!("forwarded: {leak}")),
    );
    assert!(leaks.is_empty(), "{leaks:#?}");
}

/// The first segment of a chain.
const SEGMENT: &str = "audit-0000000000000001.jsonl";

/// Outcomes in a channel.
fn records(caught: &Caught, name: &str) -> usize {
    let text = String::from_utf8_lossy(channel(caught, name)).into_owned();
    text.lines().filter(|line| line.contains("\"kind\":\"outcome\"")).count()
}

fn channel<'a>(caught: &'a Caught, name: &str) -> &'a [u8] {
    &caught.channels.iter().find(|(channel, _)| channel == name).unwrap().1
}
