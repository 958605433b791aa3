//! Is nothing forwarded before its intent is durable, and is each intent closed?
//!
//! The audit is a pipe that a test fills to the brim: what the writer then writes is held up until it is emptied.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, PipeReader, Read, Write, pipe};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use dcams_gateway::audit::Output;
use dcams_gateway::reject::Reject;
use dcams_gateway::stack::stack_on;
use dcams_gateway::stages::{Answer, Sealed};
use futures_util::FutureExt;
use http::Response;
use serde_json::Value;
use tokio::time::Instant;
use tower::{Service, ServiceExt, service_fn};

use crate::fixture::{Fixture, STATUS, read, request};

/// A gateway whose records go into a pipe.
struct Piped {
    fixture: Fixture,
    /// Another door to the pipe's end that is written to; it does not wait.
    filler: File,
    reader: PipeReader,
}

impl Piped {
    fn new(overrides: &[(&str, &str)]) -> Self {
        let (mut reader, writer) = pipe().unwrap();
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
        let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
        let filler = OpenOptions::new().write(true).custom_flags(nonblocking).open(path).unwrap();
        let output = |_: &_| Output::Stream(File::from(OwnedFd::from(writer)));
        let fixture = Fixture::recording_to(output, overrides);
        // What the start tells has gone through: the writer has nothing left to write.
        let mut lines = Vec::new();
        while lines.iter().filter(|byte| **byte == b'\n').count() < 2 {
            let mut byte = [0];
            reader.read_exact(&mut byte).unwrap();
            lines.extend(byte);
        }
        Self { fixture, filler, reader }
    }

    /// From now on nothing that is written gets through.
    fn hold_up(&mut self) {
        for piece in [&b"\n".repeat(4096)[..], b"\n"] {
            loop {
                match self.filler.write(piece) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// Everything gets through.
    fn let_go(self) -> Flowing {
        let Self { fixture, filler, mut reader } = self;
        drop(filler);
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        Flowing { fixture, reader }
    }
}

struct Flowing {
    fixture: Fixture,
    reader: JoinHandle<String>,
}

impl Flowing {
    /// Ends the writer and gives the lines about requests.
    fn lines(self) -> Vec<Value> {
        assert_eq!(self.fixture.gateway.writer.finish(0), 0, "every line was written");
        let text = self.reader.join().unwrap();
        let lines = text.lines().filter(|line| !line.is_empty());
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line.get("id").is_some()).collect()
    }
}

/// Counts what reaches the end of the stack, where it is refused.
fn end() -> (
    Arc<AtomicU32>,
    impl Service<Sealed, Response = Response<Answer>, Error = Reject, Future: Send> + Clone + Send,
) {
    let reached = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&reached);
    let end = service_fn(move |_: Sealed| {
        counting.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Err::<Response<Answer>, _>(Reject::UpstreamUnreachable))
    });
    (reached, end)
}

/// Kind, outcome and code of each line; all are about one request.
fn story(lines: &[Value]) -> Vec<[&str; 3]> {
    assert!(lines.iter().all(|line| line["id"] == lines[0]["id"]), "{lines:#?}");
    lines
        .iter()
        .map(|line| ["kind", "outcome", "code"].map(|name| line[name].as_str().unwrap_or("-")))
        .collect()
}

#[tokio::test]
async fn a_request_is_forwarded_only_when_its_intent_is_durable() {
    let mut piped = Piped::new(&[]);
    let (reached, end) = end();
    let stack = stack_on(&piped.fixture.gateway.current(), end);
    piped.hold_up();

    let mut answer = pin!(stack.oneshot(request(STATUS)));
    assert!(answer.as_mut().now_or_never().is_none());
    assert_eq!(reached.load(Ordering::Relaxed), 0);
    let flowing = piped.let_go();
    let Ok(response) = answer.await;
    assert_eq!(read(response).await.refusal(), (502, "upstream_unreachable".to_owned()));
    assert_eq!(reached.load(Ordering::Relaxed), 1);
    let lines = flowing.lines();
    assert_eq!(story(&lines), [["intent", "-", "-"], ["outcome", "refused", "upstream_unreachable"]]);
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_is_not_durable_in_time_is_refused_and_closed_as_not_sent() {
    let mut piped = Piped::new(&[]);
    let (reached, end) = end();
    let stack = stack_on(&piped.fixture.gateway.current(), end);
    piped.hold_up();

    let begun = Instant::now();
    let Ok(response) = stack.oneshot(request(STATUS)).await;
    let waited = begun.elapsed();
    assert!((Duration::from_millis(750)..Duration::from_millis(760)).contains(&waited), "{waited:?}");
    assert_eq!(read(response).await.refusal(), (503, "audit_unavailable".to_owned()));
    assert_eq!(reached.load(Ordering::Relaxed), 0);
    let lines = piped.let_go().lines();
    assert_eq!(story(&lines), [["intent", "-", "-"], ["outcome", "not_sent", "audit_unavailable"]]);
    assert_eq!(lines[1]["status"], 503);
    assert_eq!(lines[1]["bytes"]["sent"], 0);
}

#[tokio::test]
async fn a_caller_who_leaves_while_its_intent_is_waited_for_has_one_outcome_and_nothing_is_sent() {
    let mut piped = Piped::new(&[]);
    let (reached, end) = end();
    let stack = stack_on(&piped.fixture.gateway.current(), end);
    piped.hold_up();

    let mut answer = Box::pin(stack.oneshot(request(STATUS)));
    assert!(answer.as_mut().now_or_never().is_none());
    drop(answer);
    let lines = piped.let_go().lines();
    assert_eq!(story(&lines), [["intent", "-", "-"], ["outcome", "abandoned", "-"]]);
    assert_eq!(lines[1]["bytes"]["sent"], 0);
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_best_effort_service_waits_for_nothing_and_leaves_the_same_records() {
    let mut piped = Piped::new(&[("services.getStatus.audit", "best_effort")]);
    let (reached, end) = end();
    let stack = stack_on(&piped.fixture.gateway.current(), end);
    piped.hold_up();

    let Ok(response) = stack.oneshot(request(STATUS)).now_or_never().expect("no wait");
    assert_eq!(read(response).await.refusal(), (502, "upstream_unreachable".to_owned()));
    assert_eq!(reached.load(Ordering::Relaxed), 1);
    let lines = piped.let_go().lines();
    assert_eq!(story(&lines), [["intent", "-", "-"], ["outcome", "refused", "upstream_unreachable"]]);
}

#[tokio::test]
async fn while_records_cannot_be_written_required_services_are_refused_at_once_and_others_are_not() {
    let full = |_: &_| Output::Stream(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let fixture = Fixture::recording_to(full, &[("services.updateStatus.audit", "best_effort")]);
    let health = fixture.gateway.writer.health();
    while health.available() {
        std::thread::yield_now();
    }
    let (reached, end) = end();
    let stack = stack_on(&fixture.gateway.current(), end);
    let update = STATUS.replace("getStatus", "updateStatus").replace("\"}}", "\",\"status\":\"PASS\"}}");

    let Ok(required) = stack.clone().oneshot(request(STATUS)).now_or_never().expect("no wait");
    assert_eq!(read(required).await.refusal(), (503, "audit_unavailable".to_owned()));
    assert_eq!(reached.load(Ordering::Relaxed), 0);
    let Ok(best_effort) = stack.oneshot(request(update)).now_or_never().expect("no wait");
    assert_eq!(read(best_effort).await.refusal(), (502, "upstream_unreachable".to_owned()));
    assert_eq!(reached.load(Ordering::Relaxed), 1);
    // Of the credentials, the refusal, and of the other request the intent and the outcome.
    assert_eq!(fixture.gateway.writer.finish(0), 4, "lines are lost, and counted");
}

#[tokio::test]
async fn a_request_that_is_refused_has_no_intent() {
    let fixture = Fixture::new(&[]);
    let (reached, end) = end();
    let stack = stack_on(&fixture.gateway.current(), end);
    for body in ["", "{}", "{\"service\":\"getStatus\"}", "{\"service\":\"none\"}"] {
        let Ok(response) = stack.clone().oneshot(request(body)).await;
        assert!(read(response).await.head.status.is_client_error());
    }
    let kinds: Vec<_> =
        fixture.lines().iter().map(|line| line["kind"].as_str().unwrap().to_owned()).collect();
    let outcomes = ["outcome"; 4];
    assert_eq!(kinds, [&["start", "credentials"][..], &outcomes, &["stop"]].concat());
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}
