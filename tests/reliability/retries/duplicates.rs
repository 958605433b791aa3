//! Does a write ever arrive twice?
//!
//! Each write has a reference of its own, and the double's bodies are searched for it: whatever it met, it was
//! received once at most. `RETRY_RUNS` requests for each fault, effect and HTTP version.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use dcams_gateway::simulate::{Fault, Received};

use super::relay::Relay;
use super::started;
use crate::harness::{Gateway, KYC_API, PATH, Setup, Upstream, wait_for};

/// Requests at once.
const LANES: u64 = 32;

fn runs() -> u64 {
    crate::number_of("RETRY_RUNS").unwrap_or(8)
}

/// A retry rule that allows as much as it ever may.
fn eager(setup: Setup) -> Setup {
    setup
        .set("upstream.retry.budget", "100%")
        .set("upstream.retry.budget_min_per_second", "1000")
        .set("upstream.retry.attempt_timeout", "100ms")
        .set("upstream.retry.backoff_max", "5ms")
        .set("upstream.answer_limit", "1MiB")
        .set("endpoints.storage.deadline", "400ms")
        .edit(|text| *text = text.replace("per_second = 1000, burst = 1000", "per_second = 1000000"))
}

fn body(effect: &str, number: u64) -> String {
    let target = format!(r#""reference":"ref-{number}-","target":{{"email":"c{number}@example.com"}}"#);
    match effect {
        "write" => format!(r#"{{"service":"createOrUpdateCustomer",{target}}}"#),
        _ => format!(r#"{{"service":"getStatus","target":{{"email":"ref-{number}-@example.com"}}}}"#),
    }
}

/// Posts the requests of `numbers`, as many at once as there are lanes. How many DCAMS itself answered.
fn post_all(
    gateway: &Gateway,
    effect: &str,
    numbers: std::ops::Range<u64>,
    before_each: impl Fn(u64) + Sync,
) -> u64 {
    let next = AtomicU64::new(numbers.start);
    let answered = AtomicU64::new(0);
    thread::scope(|threads| {
        for _ in 0..LANES.min(numbers.end - numbers.start) {
            threads.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        return;
                    }
                    before_each(number);
                    let answer = gateway.post(KYC_API, body(effect, number));
                    answered.fetch_add(u64::from(answer.status == 200), Ordering::Relaxed);
                }
            });
        }
    });
    // A write that was begun goes on after its caller was answered.
    wait_for("nothing in progress", || {
        (gateway.metric("dcams_gateway_requests_in_progress") == Some(0.0)).then_some(())
    });
    answered.into_inner()
}

/// How often each reference was received, whole or in part.
fn references(received: &[Received]) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for request in received {
        let body = String::from_utf8_lossy(&request.body);
        let number = body.split_once("ref-").and_then(|(_, rest)| rest.split_once('-')?.0.parse().ok());
        if let Some(number) = number {
            *counts.entry(number).or_insert(0) += 1;
        }
    }
    counts
}

/// What came of the requests of one fault.
#[derive(Default)]
struct Seen {
    requests: u64,
    answered: u64,
    received: u64,
    most: u64,
}

impl Seen {
    fn add(&mut self, requests: u64, answered: u64, received: &[Received]) {
        self.requests += requests;
        self.answered += answered;
        self.received += received.len() as u64;
        self.most = self.most.max(references(received).into_values().max().unwrap_or(0));
    }
}

/// The faults of the double, small and quick; the rejection last, because it suspends the credentials.
fn faults() -> Vec<Fault> {
    let smaller = |fault| match fault {
        Fault::Oversize { .. } => Fault::Oversize { bytes: 1_100_000 },
        Fault::OversizeChunked { .. } => Fault::OversizeChunked { bytes: 1_100_000 },
        other => other,
    };
    let mut faults: Vec<Fault> = Fault::examples().map(smaller).collect();
    faults.extend([500, 503, 504].map(|status| Fault::Html { status }));
    faults.sort_by_key(|fault| *fault == Fault::RejectCredential);
    faults
}

#[test]
fn whatever_goes_wrong_a_write_is_received_once_at_most() {
    let runs = runs();
    for http in ["\"1.1\"", "\"2\""] {
        let upstream = Upstream::start();
        let gateway = eager(started(&upstream, "200ms")).set("upstream.http", http).start();
        let mut number = 0;
        for fault in faults() {
            for effect in ["write", "read"] {
                let mut seen = Seen::default();
                let heads = upstream.counts().requests;
                // Half of them while every request meets the fault; half where every second one does, so that
                // there are connections to use again and attempts that succeed.
                for mixed in [false, true] {
                    upstream.forget_received();
                    upstream.inject(if mixed { Fault::None } else { fault });
                    let until = number + runs.div_ceil(2);
                    let answered = post_all(&gateway, effect, number..until, |number| {
                        if mixed && number % 2 == 0 {
                            upstream.inject_once(fault);
                        }
                    });
                    seen.add(until - number, answered, &upstream.received());
                    number = until;
                }
                let heads = upstream.counts().requests - heads;
                let Seen { requests, answered, received, most } = seen;
                println!(
                    "HTTP/{http} {effect} {fault}: {requests} requests, {answered} answered with 200, \
                     {heads} heads and {received} bodies received, at most {most} of one request"
                );
                if effect == "write" {
                    assert!(most <= 1, "{fault}: a write was received {most} times");
                    assert!(heads <= requests, "{fault}: {heads} heads of {requests} writes");
                } else {
                    assert!(most <= 4, "{fault}: a read was received {most} times");
                }
            }
        }
    }
}

#[test]
fn a_write_to_an_upstream_that_comes_and_goes_is_received_once_at_most() {
    let runs = runs() * 10;
    for http in ["\"1.1\"", "\"2\""] {
        let upstream = Upstream::start();
        let mut relay = Relay::start(upstream.address());
        let url = format!("https://localhost:{}{PATH}", relay.port());
        let setup = eager(started(&upstream, "200ms")).set("upstream.http", http);
        let gateway = setup.set("endpoints.storage.url", &url).start();
        let mut seen = Seen::default();
        // Kept are some thousand requests at a time.
        for round in (0..runs).step_by(2_000) {
            upstream.forget_received();
            let numbers = round..runs.min(round + 2_000);
            let requests = numbers.end - numbers.start;
            let answered = thread::scope(|threads| {
                let gateway = &gateway;
                let posting = threads.spawn(move || post_all(gateway, "write", numbers, |_| {}));
                while !posting.is_finished() {
                    let before = upstream.counts().requests;
                    relay.up();
                    wait_for("requests to pass", || {
                        (posting.is_finished() || upstream.counts().requests > before + 20).then_some(())
                    });
                    relay.down();
                }
                relay.up();
                posting.join().unwrap()
            });
            seen.add(requests, answered, &upstream.received());
        }
        let Seen { requests, answered, received, most } = seen;
        println!(
            "HTTP/{http} write, the way to DCAMS comes and goes: {requests} requests, {answered} answered with 200, \
             {received} received, at most {most} of one request"
        );
        assert!(most <= 1, "a write was received {most} times");
    }
}
