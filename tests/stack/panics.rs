//! What becomes of a request that panics?

use std::future::Ready;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use dcams_gateway::reject::Reject;
use dcams_gateway::stack::stack_on;
use dcams_gateway::stages::{Answer, AuditLayer, RespondLayer, Sealed, Tracked};
use http::Response;
use serde_json::Value;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::fixture::{Fixture, STATUS, read, request};

const CANARY: &str = "canary-of-a-panic";
/// Two bodies of this size do not fit into the budget below.
const BODY_BYTES: usize = 700 << 10;

/// One request at once, in the gateway as for the caller, and room for one body.
const TIGHT: [(&str, &str); 4] = [
    ("data.max_requests", "1"),
    ("data.body_budget", "1MiB"),
    ("data.caller_share", "100%"),
    ("data.budget_wait", "0s"),
];

#[tokio::test]
async fn a_panic_at_the_end_of_the_stack_is_a_500_with_one_record_and_frees_what_was_held() {
    let fixture = Fixture::new(&TIGHT);
    let panicked = Arc::new(AtomicBool::new(false));
    let end = service_fn(move |sealed: Sealed| {
        let panics = !panicked.swap(true, Ordering::Relaxed);
        async move {
            if panics {
                panic!("{CANARY}");
            }
            drop(sealed);
            Err::<Response<Answer>, _>(Reject::NotFound)
        }
    });
    let stack = stack_on(&fixture.gateway.current(), end);
    let body = || format!("{STATUS}{}", " ".repeat(BODY_BYTES - STATUS.len()));
    let (events, _recording) = Events::record();

    let Ok(response) = stack.clone().oneshot(request(body())).await;
    let panicked = read(response).await;
    let Ok(response) = stack.oneshot(request(body())).await;
    let next = read(response).await;

    assert_eq!(panicked.refusal(), (500, "internal".to_owned()));
    assert_eq!(next.refusal(), (404, "not_found".to_owned()), "the next request reaches the end");
    let metrics = fixture.gateway.metrics.render();
    let lines = fixture.outcomes();
    assert_eq!(ends(&lines), [("refused", "internal", 500), ("refused", "not_found", 404)]);
    is_not_told([panicked.all(), serde_json::to_string(&lines).unwrap(), metrics, events.text()]);
    assert!(events.text().contains("a request panicked"), "events are recorded");
}

/// The stages above `receive` run while the stack is called, before there is a future to watch.
#[tokio::test]
async fn a_panic_while_the_stack_is_called_is_a_500_with_one_record() {
    type Answered = Ready<Result<Response<Answer>, BoxError>>;
    let fixture = Fixture::new(&TIGHT);
    let stack = ServiceBuilder::new()
        .layer(RespondLayer)
        .layer(AuditLayer::new(Arc::clone(&fixture.gateway.current().recorder)))
        .service(service_fn(|_: Tracked<_>| -> Answered { panic!("{CANARY}") }));
    let (events, _recording) = Events::record();

    let Ok(response) = stack.oneshot(request(STATUS)).await;
    let panicked = read(response).await;

    assert_eq!(panicked.refusal(), (500, "internal".to_owned()));
    let lines = fixture.outcomes();
    assert_eq!(ends(&lines), [("refused", "internal", 500)]);
    is_not_told([panicked.all(), serde_json::to_string(&lines).unwrap(), events.text()]);
}

/// Outcome, code and status of each line.
fn ends(lines: &[Value]) -> Vec<(&str, &str, u64)> {
    let end = |line| Some((text(line, "outcome")?, text(line, "code")?, line.get("status")?.as_u64()?));
    lines.iter().map(|line| end(line).unwrap()).collect()
}

fn text<'a>(line: &'a Value, member: &str) -> Option<&'a str> {
    line.get(member)?.as_str()
}

fn is_not_told<const N: usize>(outputs: [String; N]) {
    for output in outputs {
        assert!(!output.is_empty() && !output.contains(CANARY), "{output:?}");
    }
}

/// What `tracing` said.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<u8>>>);

impl Events {
    /// Records the events of this thread until the guard is dropped.
    fn record() -> (Self, DefaultGuard) {
        let events = Self::default();
        let everything = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        let subscriber = everything.with_writer(events.clone()).finish();
        (events, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Events {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Events {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
