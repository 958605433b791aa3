//! What becomes of requests while streams, time or memory are short?

use std::collections::VecDeque;
use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dcams_gateway::upstream::Reach;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tower::ServiceExt;

use crate::fixture::{Answered, Fixture, STATUS, read, request};
use crate::peer::{Peer, gateway_before, says};

const UPDATE: &str = r#"{"service":"updateStatus","target":{"email":"jane@example.com","status":"PASS"}}"#;
const SUCCESS: &str = r#"{"result":"Success"}"#;

/// Two answers of this size do not fit into `TIGHT`.
fn large() -> String {
    format!(r#"{{"result":"Success","images":"{}"}}"#, "A".repeat(600 << 10))
}

/// One failure of the upstream opens a breaker.
const TIGHT: [(&str, &str); 7] = [
    ("data.answer_budget", "1MiB"),
    ("upstream.answer_limit", "1MiB"),
    ("upstream.retry.attempt_timeout", "1s"),
    ("upstream.breaker.failures", "1"),
    ("upstream.breaker.share", "1%"),
    ("upstream.breaker.slow", "2s"),
    ("endpoints.storage.deadline", "10s"),
];

/// The record of a problem.
fn record_of(fixture: &Fixture, problem: &Answered) -> Value {
    let problem: Value = serde_json::from_str(&problem.text).unwrap();
    let instance = problem["instance"].as_str().unwrap().to_owned();
    let mut lines = fixture.outcomes().into_iter();
    lines.find(|line| instance.ends_with(line["id"].as_str().unwrap())).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_given_up_while_no_stream_is_free_is_never_sent() {
    let (bodies, answers) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
    let (whole, permits) = (Arc::clone(&bodies), Arc::clone(&answers));
    let hanging = move |request: Request<Incoming>| {
        let (whole, permits) = (Arc::clone(&whole), Arc::clone(&permits));
        async move {
            if request.into_body().collect().await.is_ok() {
                whole.fetch_add(1, Ordering::Relaxed);
            }
            permits.acquire().await.unwrap().forget();
            says(200, SUCCESS)
        }
    };
    let peer = Peer { streams: 2, ..Peer::new(hanging) };
    let connections = Arc::clone(&peer.connections);
    let (fixture, stack) = gateway_before(peer, &[("endpoints.storage.deadline", "3s")]);

    let post = |millis| {
        let stack = stack.clone();
        async move {
            sleep(Duration::from_millis(millis)).await;
            stack.oneshot(request(UPDATE)).await
        }
    };
    let (Ok(_), Ok(_), Ok(parked)) = tokio::join!(post(0), post(500), post(1_000));
    let parked = read(parked).await;
    assert_eq!(parked.refusal(), (504, "upstream_timeout".to_owned()));
    // A stream is free, and its connection in use.
    answers.add_permits(1);
    sleep(Duration::from_secs(1)).await;

    assert_eq!((bodies.load(Ordering::Relaxed), connections.load(Ordering::Relaxed)), (2, 1));
    let record = record_of(&fixture, &parked);
    assert_eq!((&record["bytes"]["sent"], record["upstream"].get("outcome_unknown")), (&json!(0), None));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_cut_is_tried_again_on_another_connection() {
    let requests = Arc::new(AtomicU32::new(0));
    let first_hangs = move |_| {
        let first = requests.fetch_add(1, Ordering::Relaxed) == 0;
        async move { if first { pending().await } else { says(200, SUCCESS) } }
    };
    let peer = Peer::new(first_hangs);
    let connections = Arc::clone(&peer.connections);
    let (_fixture, stack) = gateway_before(peer, &[("upstream.retry.attempt_timeout", "1s")]);
    let Ok(answer) = stack.oneshot(request(STATUS)).await;
    assert_eq!((answer.status().as_u16(), connections.load(Ordering::Relaxed)), (200, 2));
}

const LARGE: usize = 700 << 10;

/// Posts writes of these sizes, one after the other: how many connections there were, and whether all memory was freed.
async fn post<F>(peer: Peer<F>, sizes: &[usize]) -> (u32, bool)
where
    Peer<F>: Reach + 'static,
{
    let connections = Arc::clone(&peer.connections);
    let (fixture, stack) = gateway_before(peer, &[]);
    for size in sizes {
        let Ok(answer) = stack.clone().oneshot(request(format!("{UPDATE}{}", " ".repeat(*size)))).await;
        assert_eq!(read(answer).await.text, SUCCESS);
    }
    sleep(Duration::from_secs(1)).await;
    let none = fixture.gateway.metrics.render().contains("dcams_gateway_memory_bytes{kind=\"bodies\"} 0");
    (connections.load(Ordering::Relaxed), none)
}

#[tokio::test(start_paused = true)]
async fn a_connection_does_not_keep_a_body_that_was_answered_before_it_was_read() {
    let unread = Arc::new(Mutex::new(Vec::new()));
    let early = move |request: Request<Incoming>| {
        unread.lock().unwrap().push(request.into_body());
        async { says(200, SUCCESS) }
    };
    let peer = Peer { window: 1_000, ..Peer::new(early) };
    assert_eq!(post(peer, &[LARGE, LARGE]).await, (2, true));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_took_a_body_takes_the_next() {
    let reading = |request: Request<Incoming>| async {
        request.into_body().collect().await.unwrap();
        says(200, SUCCESS)
    };
    let peer = Peer { window: 1_000, ..Peer::new(reading) };
    assert_eq!(post(peer, &[0, LARGE, 0, LARGE]).await, (1, true));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_for_our_memory_is_neither_asked_for_again_nor_a_failure() {
    let requests = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&requests);
    let peer = Peer::new(move |_| {
        counting.fetch_add(1, Ordering::Relaxed);
        async { says(200, large()) }
    });
    let (_fixture, stack) = gateway_before(peer, &TIGHT);
    let Ok(holding) = stack.clone().oneshot(request(STATUS)).await;
    let letting_go = async move {
        sleep(Duration::from_secs(5)).await;
        drop(holding);
    };
    let (Ok(waiting), ()) = tokio::join!(stack.clone().oneshot(request(STATUS)), letting_go);
    assert_eq!(waiting.status().as_u16(), 200);
    drop(waiting);
    let Ok(next) = stack.oneshot(request(STATUS)).await;
    assert_eq!((next.status().as_u16(), requests.load(Ordering::Relaxed)), (200, 3));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_for_our_memory_in_vain_is_our_overload() {
    let (fixture, stack) = gateway_before(Peer::new(|_| async { says(200, large()) }), &TIGHT);
    let Ok(holding) = stack.clone().oneshot(request(STATUS)).await;
    let Ok(refused) = stack.clone().oneshot(request(STATUS)).await;
    let refused = read(refused).await;
    assert_eq!(refused.refusal(), (503, "overloaded".to_owned()));
    drop(holding);
    let Ok(next) = stack.oneshot(request(STATUS)).await;
    assert_eq!(next.status().as_u16(), 200, "no breaker opened");
    drop(next);
    assert_eq!(record_of(&fixture, &refused)["upstream"]["attempts"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_waits_for_our_memory_opens_no_breaker() {
    let (_fixture, stack) = gateway_before(Peer::new(|_| async { says(200, large()) }), &TIGHT);
    for freed_in_time in [true, false] {
        let Ok(holding) = stack.clone().oneshot(request(STATUS)).await;
        let Ok(told) = stack.clone().oneshot(request(UPDATE)).await;
        let told = read(told).await;
        assert_eq!(told.refusal(), (504, "upstream_timeout".to_owned()));
        assert!(told.text.contains(r#""outcome":"unknown""#), "{}", told.text);
        // It is seen through for another ten seconds.
        sleep(Duration::from_secs(if freed_in_time { 5 } else { 11 })).await;
        drop(holding);
        sleep(Duration::from_secs(1)).await;
        let Ok(next) = stack.clone().oneshot(request(UPDATE)).await;
        assert_eq!(next.status().as_u16(), 200, "no breaker opened");
    }
}

#[tokio::test(start_paused = true)]
async fn a_5xx_of_something_in_between_leaves_the_outcome_of_a_write_unknown() {
    const OTHER: &str = r#"{"error":"no backend"}"#;
    const ERROR: &str = r#"{"result":"Error","message":"?"}"#;
    let cases = [
        (502, OTHER, true),
        (503, OTHER, true),
        (504, OTHER, true),
        (500, OTHER, true),
        (404, OTHER, false),
        (503, ERROR, false),
        (200, SUCCESS, false),
    ];
    let answers = Arc::new(Mutex::new(cases.map(|(status, body, _)| (status, body)).into_iter().collect()));
    let peer = Peer::new(move |_| {
        let (status, body) = VecDeque::pop_front(&mut *answers.lock().unwrap()).unwrap();
        async move { says(status, body) }
    });
    let (fixture, stack) = gateway_before(peer, &[("upstream.breaker.failures", "0")]);
    for (status, body, _) in cases {
        let Ok(answer) = stack.clone().oneshot(request(UPDATE)).await;
        let answer = read(answer).await;
        assert_eq!(
            (answer.head.status.as_u16(), &*answer.text),
            (status, body),
            "the caller sees it as it is"
        );
    }
    let told: Vec<_> = fixture
        .outcomes()
        .iter()
        .map(|line| {
            let unknown = line["upstream"].get("outcome_unknown").is_some();
            (line["outcome"].clone(), line["status"].clone(), unknown)
        })
        .collect();
    assert_eq!(told, cases.map(|(status, _, unknown)| (json!("forwarded"), json!(status), unknown)));
}
