//! What do look-ups that hang cost?

use std::net::Ipv4Addr;
use std::time::Instant;

use dcams_gateway::simulate::Settings;

use super::certificates::{Shown, roots};
use super::names::{Answer, Names};
use super::peer::{Door, Manner, Peer};
use crate::harness::{GET_STATUS, Gateway, KYC_API, PATH, PATIENCE, Setup, wait_for};

/// Requests that wait for the name of the upstream at the same time.
const WAITING: usize = 64;
/// How often as many begin anew.
const ROUNDS: usize = 10;

fn threads(gateway: &Gateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap().count()
}

fn begin(names: &Names, url: &str) -> Gateway {
    let settings = Settings::default();
    Setup::before_url(url)
        .file("upstream-ca.pem", roots())
        .file("user", settings.user)
        .file("pass", settings.pass)
        .names_server(names.address())
        .set("upstream.connect_timeout", "300ms")
        .start()
}

/// glibc asks twice and waits 5 s for each answer: a look-up that is not answered lasts 10 s.
#[test]
fn look_ups_that_hang_take_a_few_threads_and_hold_up_neither_recovery_nor_the_end() {
    let good = Manner { shown: Shown::Good, steps: None };
    let peer = Peer::start(Door::Open, &good, b"http/1.1");
    let names = Names::start(Answer::Silence);
    let url = format!("https://dcams.test:{}{PATH}", peer.address().port());
    let mut gateway = begin(&names, &url);
    let before = threads(&gateway);

    std::thread::scope(|scope| {
        for _ in 0..WAITING {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let answer = gateway.post(KYC_API, GET_STATUS);
                    assert_eq!(answer.json()["code"], "upstream_unreachable");
                }
            });
        }
    });
    let most = threads(&gateway);
    assert!(most <= before + 4, "{most} threads after {} requests, {before} before", WAITING * ROUNDS);

    // A name that is known again is found, although the look-ups of before still wait.
    names.answer(Answer::Addresses(vec![Ipv4Addr::LOCALHOST]));
    wait_for("the name to be found", || (gateway.post(KYC_API, GET_STATUS).status == 200).then_some(()));

    names.answer(Answer::Silence);
    drop(peer);
    let refused = gateway.post(KYC_API, GET_STATUS);
    assert_eq!(
        refused.json()["code"],
        "upstream_unreachable",
        "the idle connection is gone, the name unknown"
    );
    let begun = Instant::now();
    assert!(gateway.stop().success());
    assert!(begun.elapsed() < PATIENCE, "the end waits for a look-up");
    println!("{} requests while names hang: {before} threads before, {most} after", WAITING * ROUNDS);
}
