//! Do the layers that keep the type stand where they must?
//!
//! The typed lines of `stack_on` cannot be moved (`tests/compile_fail`), nor can the load shedder, because it
//! changes the error's type. The concurrency limit could stand above it, and everything would compile.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dcams_gateway::reject::Reject;
use dcams_gateway::stack::stack_on;
use dcams_gateway::stages::{Answer, Sealed};
use futures_util::FutureExt;
use http::Response;
use tower::{ServiceExt, service_fn};

use crate::fixture::{Fixture, STATUS, read, request, request_without_key};

#[tokio::test]
async fn a_request_beyond_the_limit_is_shed_at_once_before_identification_and_recorded() {
    // Nothing is waited for on the way to the end.
    let fixture = Fixture::new(&[("data.max_requests", "1"), ("services.getStatus.audit", "best_effort")]);
    let reached = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&reached);
    let end = service_fn(move |_: Sealed| {
        counting.fetch_add(1, Ordering::Relaxed);
        pending::<Result<Response<Answer>, Reject>>()
    });
    let stack = stack_on(&fixture.gateway.current(), end);

    {
        let mut first = pin!(stack.clone().oneshot(request(STATUS)));
        assert!(first.as_mut().now_or_never().is_none());
        assert_eq!(reached.load(Ordering::Relaxed), 1, "the first request reaches the end and stays there");

        // Without a key: whoever identified first would answer 401.
        let second = stack.clone().oneshot(request_without_key(STATUS)).now_or_never();
        let Ok(response) = second.expect("a request beyond the limit must not queue");
        let second = read(response).await;
        assert_eq!(second.refusal(), (503, "overloaded".to_owned()));
        assert_eq!(second.head.headers["retry-after"], "1");
        assert_eq!(reached.load(Ordering::Relaxed), 1, "and nothing below the limit saw it");
    }

    let mut third = Box::pin(stack.oneshot(request(STATUS)));
    assert!(third.as_mut().now_or_never().is_none());
    assert_eq!(reached.load(Ordering::Relaxed), 2, "with the first request its place is gone");
    drop(third);

    let ends: Vec<_> = fixture
        .outcomes()
        .iter()
        .map(|line| {
            let text = |member: &str| line[member].as_str().unwrap_or("-").to_owned();
            let identified = line["us"].get("identify").is_some() || line.get("caller").is_some();
            (text("outcome"), text("code"), line["status"].as_u64(), identified)
        })
        .collect();
    let abandoned = ("abandoned".to_owned(), "-".to_owned(), None, true);
    let shed = ("refused".to_owned(), "overloaded".to_owned(), Some(503), false);
    assert_eq!(ends, [shed, abandoned.clone(), abandoned]);
}
