//! Is every stream answered that is open over HTTP/2 at SIGTERM, whatever its phase?

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dcams_gateway::simulate::Fault;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::judged::assert_recorded_and_sent_once;
use super::scene::{LIMIT, Scene, body_for};
use crate::harness::http2::connect;
use crate::harness::{KYC_API, PATH, PATIENCE};
use crate::number_of;

/// The phases, in tenths of all requests; each tenth has a connection of its own.
const BODIES: u64 = 3;
const WAITING: u64 = 3;
const READING: u64 = 1;
const LATE: u64 = 1;
const QUEUED: u64 = 2;
/// Far more than the window of a stream.
const LONG_ANSWER: u64 = 1 << 20;
const WINDOW: u32 = 16 << 10;

#[test]
fn every_stream_in_flight_is_answered_over_http2() {
    // A connection has at most 64 streams.
    let tenth = (number_of("DRAIN_REQUESTS").unwrap_or(500) / 10).min(64);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut scene, count) = runtime.block_on(answered_whole(tenth));
    drop(runtime);
    let took = scene.ended_whole();
    assert!(took < LIMIT, "{took:?}");
    assert_recorded_and_sent_once(&scene, count);
    println!("drain: HTTP/2, {count} requests, ended after {took:?}");
}

/// As `wait_for`, and the connections go on meanwhile.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A body that is sent as it comes.
struct Fed(UnboundedReceiver<Bytes>);

impl Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(task).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A stream of which this much was sent.
struct Begun {
    answer: Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>,
    feed: UnboundedSender<Bytes>,
    rest: Bytes,
}

impl Begun {
    /// Sends the rest, and reads the answer to its end.
    async fn whole(self) -> (StatusCode, u64) {
        let _ = self.feed.send(self.rest);
        drop(self.feed);
        whole(self.answer.await.expect("an answer")).await
    }
}

async fn whole(answer: Response<Incoming>) -> (StatusCode, u64) {
    let status = answer.status();
    (status, answer.into_body().collect().await.expect("a whole body").to_bytes().len() as u64)
}

fn begin(connection: &mut SendRequest<Fed>, number: u64, sent: impl Fn(usize) -> usize) -> Begun {
    let mut first = Bytes::from(body_for(number));
    let rest = first.split_off(sent(first.len()));
    let (feed, fed) = unbounded_channel();
    feed.send(first).unwrap();
    let request = Request::post(format!("https://localhost{PATH}"))
        .header("authorization", format!("Bearer {KYC_API}"))
        .header("content-type", "application/json")
        .body(Fed(fed))
        .unwrap();
    Begun { answer: Box::pin(connection.send_request(request)), feed, rest }
}

async fn answered_whole(tenth: u64) -> (Scene, u64) {
    let mut scene = Scene::new(true);
    let mut last = 0;
    let mut numbers = || {
        let first = last + 1;
        last += tenth;
        first..=last
    };

    scene.upstream.inject(Fault::Oversize { bytes: LONG_ANSWER });
    let mut reading = Vec::new();
    for _ in 0..READING {
        let mut connection = connect(&scene.gateway, WINDOW).await;
        for number in numbers() {
            let mut begun = begin(&mut connection, number, |length| length);
            drop(std::mem::replace(&mut begun.feed, unbounded_channel().0));
            let answer = begun.answer.await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK);
            reading.push(answer);
        }
    }
    scene.upstream.inject(Fault::None);
    let mut begun = Vec::new();
    for _ in 0..BODIES {
        let mut connection = connect(&scene.gateway, 1 << 20).await;
        begun.extend(numbers().map(|number| begin(&mut connection, number, |length| length / 2)));
    }
    let held = scene.hold_upstream();
    let mut late = connect(&scene.gateway, 1 << 20).await;
    for _ in 0..WAITING {
        let mut connection = connect(&scene.gateway, 1 << 20).await;
        for number in numbers() {
            let mut waiting = begin(&mut connection, number, |length| length);
            drop(std::mem::replace(&mut waiting.feed, unbounded_channel().0));
            begun.push(waiting);
        }
    }
    let in_progress = reading.len() + begun.len();
    until("the requests in progress", || scene.has_in_progress(in_progress)).await;

    scene.freeze();
    let mut queued = Vec::new();
    for _ in 0..QUEUED {
        let numbers = numbers();
        // Connected at once, by the kernel.
        let stream = std::net::TcpStream::connect(scene.gateway.data()).unwrap();
        let opening = crate::harness::http2::connect_over(stream, &scene.gateway, 1 << 20);
        let sending = async move {
            let mut connection = opening.await;
            let begun: Vec<_> =
                numbers.map(|number| begin(&mut connection, number, |length| length)).collect();
            let mut answers = Vec::new();
            for begun in begun {
                answers.push(begun.whole().await);
            }
            answers
        };
        queued.push(tokio::spawn(sending));
    }
    scene.tell_to_stop();
    for _ in 0..LATE {
        begun.extend(numbers().map(|number| begin(&mut late, number, |length| length)));
    }
    scene.thaw();
    until("the drain", || scene.is_draining()).await;
    drop(held);

    let answers = async {
        // All at once: they share the window of their connection.
        let reading: JoinSet<_> = reading.into_iter().map(whole).collect();
        for read in reading.join_all().await {
            assert_eq!(read, (StatusCode::OK, LONG_ANSWER));
        }
        for begun in begun {
            assert_eq!(begun.whole().await.0, StatusCode::OK);
        }
        for answers in queued {
            let answers = answers.await.unwrap();
            assert!(answers.iter().all(|(status, _)| *status == StatusCode::OK), "{answers:?}");
        }
    };
    tokio::time::timeout(PATIENCE, answers).await.expect("answers in time");
    (scene, last)
}
