//! Does a call fail when the gateway is restarted again and again while it is called?

use std::collections::HashMap;
use std::net::TcpListener;

use super::callers::{Callers, Refused};
use super::scene::roomy;
use crate::book::Book;
use crate::harness::{Gateway, Setup, Upstream, wait_for};
use crate::number_of;
use crate::trail::{assert_clean, customer_in, folder_of, keeping, plain_upstream};

/// How many calls are answered between two restarts.
const SOME: u64 = 60;

#[test]
fn no_call_fails_over_restarts_where_refused_connections_are_tried_again() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstream = plain_upstream();
    let setup = roomy(keeping(&upstream)).set("data.listen", &format!("[\"{free}\"]"));
    restarted("a port", &upstream, &setup, Refused::TriesAgain);
}

/// The socket stays open, as systemd would keep it.
#[test]
fn no_call_fails_and_nothing_is_tried_again_over_restarts_on_a_passed_socket() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = plain_upstream();
    let setup = roomy(keeping(&upstream)).passing(socket);
    restarted("a passed socket", &upstream, &setup, Refused::Fails);
}

fn restarted(on: &str, upstream: &Upstream, setup: &Setup, refused: Refused) {
    let restarts = number_of("DRAIN_RESTARTS").unwrap_or(3);
    let mut gateway = setup.run();
    let callers = Callers::start(gateway.data(), refused);
    for _ in 0..restarts {
        wait_for_calls(&callers);
        gateway = again(gateway, setup);
    }
    wait_for_calls(&callers);
    let (calls, called) = callers.stop();
    assert_eq!(gateway.stop().code(), Some(0));

    assert_eq!(calls.failed, Vec::<String>::new());
    assert_eq!(calls.answered + calls.unrecorded, called);
    let book = Book::of(&folder_of(setup.folder()));
    assert_eq!((&book.gaps, book.not_closed_once()), (&vec![], vec![]));
    assert_eq!(book.count_of("forwarded") as u64, calls.answered);
    let mut sent: HashMap<String, u32> = HashMap::new();
    for request in upstream.received() {
        *sent.entry(customer_in(&request.body)).or_default() += 1;
    }
    assert!(sent.values().all(|times| *times == 1), "a request was sent twice");
    assert_clean(setup.folder(), None);
    println!(
        "drain: {restarts} restarts on {on}: {} calls answered, {} failed, {} without a record, connections refused {} \
         times, the longest call took {:?}",
        calls.answered,
        calls.failed.len(),
        calls.unrecorded,
        calls.tried_again,
        calls.longest,
    );
}

fn wait_for_calls(callers: &Callers) {
    let before = callers.answered();
    wait_for("calls that are answered", || (callers.answered() >= before + SOME).then_some(()));
}

/// The next gateway, after the end of the one before it.
fn again(mut gateway: Gateway, setup: &Setup) -> Gateway {
    assert_eq!(gateway.stop().code(), Some(0), "{}", gateway.stderr());
    let log = gateway.stderr();
    assert!(log.contains("stopped: every request was answered and recorded"), "{log}");
    setup.run()
}
