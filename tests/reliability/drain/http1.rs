//! Is every request answered that is in flight over HTTP/1.1 at SIGTERM, whatever its phase?

use std::thread::JoinHandle;

use dcams_gateway::simulate::Fault;

use super::judged::assert_recorded_and_sent_once;
use super::scene::{LIMIT, Scene, body_for};
use crate::harness::{Answer, Connection, KYC_API, message, wait_for};
use crate::number_of;

/// More than the kernel takes over for a peer that does not read: what it sends from grows to 4 MiB, and the peer
/// receives into little.
const LONG_ANSWER: u64 = 8 << 20;

#[test]
fn every_request_in_flight_is_answered_over_http1() {
    for tls in [false, true] {
        answered_whole(tls, number_of("DRAIN_REQUESTS").unwrap_or(500) / 10);
    }
}

/// A request of which this much was sent.
struct Begun {
    connection: Connection,
    rest: Vec<u8>,
}

fn answered_whole(tls: bool, tenth: u64) {
    let mut scene = Scene::new(tls);
    let mut last = 0;
    let mut next = |count: u64| {
        let first = last + 1;
        last += count;
        first..=last
    };

    // Answers half read.
    scene.upstream.inject(Fault::Oversize { bytes: LONG_ANSWER });
    let reading: Vec<_> = next(tenth / 5).map(|number| half_read(&scene, number)).collect();
    scene.upstream.inject(Fault::None);
    // Kept alive, and idle.
    let mut idle: Vec<_> = next(tenth)
        .map(|number| {
            let mut connection = scene.gateway.connect();
            assert_eq!(connection.post(KYC_API, body_for(number).as_bytes()).status, 200);
            connection
        })
        .collect();
    let heads: Vec<_> = next(3 * tenth - tenth / 5).map(|number| begun(&scene, number, |_| 40)).collect();
    let half_of_body = |request: &[u8]| request.len() - 20;
    let bodies: Vec<_> = next(2 * tenth).map(|number| begun(&scene, number, half_of_body)).collect();
    // Sent whole, and not yet answered by the upstream.
    let held = scene.hold_upstream();
    let waiting: Vec<_> = next(2 * tenth).map(|number| begun(&scene, number, <[u8]>::len)).collect();
    let in_progress = reading.len() + bodies.len() + waiting.len();
    wait_for("the requests in progress", || scene.has_in_progress(in_progress).then_some(()));

    // In the queue of the listener.
    scene.freeze();
    let queued: Vec<_> = next(2 * tenth).map(|number| queue(&scene, number)).collect();
    scene.tell_to_stop();
    // On idle connections, before the gateway does anything and once it says that it is being stopped.
    let again: Vec<_> = next(tenth).collect();
    let (at_once, later) = again.split_at(again.len() / 2);
    let (early, late) = idle.split_at_mut(at_once.len());
    send_all(early, at_once);
    scene.thaw();
    wait_for("the drain", || scene.is_draining().then_some(()));
    send_all(late, later);
    drop(held);

    // All at once: through their small windows the rest comes by the sender's timers, which have backed off meanwhile.
    std::thread::scope(|scope| {
        for (mut connection, head) in reading {
            scope.spawn(move || {
                let answer = connection.read_body_of(&head);
                assert_eq!((answer.status, answer.body.len() as u64), (200, LONG_ANSWER));
            });
        }
    });
    for mut begun in heads.into_iter().chain(bodies).chain(waiting) {
        begun.connection.send(&begun.rest);
        assert_last(&begun.connection.read_answer(), &mut begun.connection);
    }
    for connection in &mut idle {
        assert_last(&connection.read_answer(), connection);
    }
    for queued in queued {
        let (answer, mut connection) = queued.join().unwrap();
        assert_last(&answer, &mut connection);
    }
    let took = scene.ended_whole();
    assert!(took < LIMIT, "{took:?}");
    assert_recorded_and_sent_once(&scene, last);
    println!("drain: HTTP/1.1{}, {last} requests, ended after {took:?}", if tls { " over TLS" } else { "" });
}

/// That the answer is DCAMS's own, that it announces the end, and that the end comes without a reset.
fn assert_last(answer: &Answer, connection: &mut Connection) {
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{}", answer.text());
    assert!(connection.is_ended());
}

fn half_read(scene: &Scene, number: u64) -> (Connection, Vec<u8>) {
    let mut connection = scene.gateway.connect();
    connection.receive_little();
    connection.send(&message(KYC_API, body_for(number).as_bytes()));
    let head = connection.read_head();
    (connection, head)
}

fn begun(scene: &Scene, number: u64, sent: impl Fn(&[u8]) -> usize) -> Begun {
    let request = message(KYC_API, body_for(number).as_bytes());
    let (first, rest) = request.split_at(sent(&request));
    let mut connection = scene.gateway.connect();
    connection.send(first);
    Begun { connection, rest: rest.to_vec() }
}

/// Connects, which the kernel does for the frozen process, and sends in a thread: TLS waits for its peer.
fn queue(scene: &Scene, number: u64) -> JoinHandle<(Answer, Connection)> {
    let mut connection = scene.gateway.connect();
    std::thread::spawn(move || (connection.post(KYC_API, body_for(number).as_bytes()), connection))
}

fn send_all(connections: &mut [Connection], numbers: &[u64]) {
    for (connection, number) in connections.iter_mut().zip(numbers) {
        connection.send(&message(KYC_API, body_for(*number).as_bytes()));
    }
}
