//! Can thirteen callers together keep a fourteenth out?

use crate::harness::{
    BATCH, Connection, GET_STATUS, Gateway, KYC_API, PATH, Setup, Upstream, key_hash_hex, wait_for,
};

const CALLERS: usize = 13;
const MIB: usize = 1 << 20;

fn key(number: usize) -> String {
    format!("dcg_crowd-{number}-key-of-the-tests-0123456789abcdef")
}

fn crowd(upstream: &Upstream) -> Setup {
    (0..CALLERS).fold(Setup::before(upstream), |setup, number| {
        setup.append(&format!(
            "\n[[callers]]\nname = \"crowd-{number}\"\nkeys = [{{ sha256 = \"{}\" }}]\n\
             credentials = \"production\"\nrate = {{ per_second = 1000, burst = 1000 }}\n\
             services = [\"createOrUpdateCustomer\"]\n",
            key_hash_hex(&key(number))
        ))
    })
}

fn promise(gateway: &Gateway, number: usize, bytes: usize) -> Connection {
    let mut connection = gateway.connect();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n",
        key(number)
    );
    connection.send(head.as_bytes());
    connection
}

/// As many bytes of white space around the smallest request.
fn status_of(bytes: usize) -> Vec<u8> {
    let mut body = GET_STATUS.as_bytes().to_vec();
    body.resize(bytes, b' ');
    body
}

/// Each promises 20 MiB on as many connections as it may have requests, and sends nothing.
#[test]
fn promises_on_every_slot_starve_nobody() {
    let upstream = Upstream::start();
    let gateway = crowd(&upstream)
        .set("data.max_connections", "2000")
        .set("data.max_connections_per_peer", "2000")
        .start();
    let _promises: Vec<_> =
        (0..64 * CALLERS).map(|number| promise(&gateway, number % CALLERS, 20 * MIB)).collect();
    // All that they may have together; the rest was refused.
    wait_for("the promises", || {
        let refused = "dcams_gateway_requests_total{service=\"\",caller=\"crowd-12\",outcome=\"refused\",code=\"overloaded\"}";
        gateway.metric(refused).map(|_| ())
    });
    for _ in 0..20 {
        assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200);
    }
    assert_eq!(gateway.post(BATCH, status_of(20 * MIB)).status, 200);
}

/// Each has sent most of 2 MiB, and is now slow, but not so slow that it would be refused.
#[test]
fn bodies_just_fast_enough_starve_nobody() {
    let upstream = Upstream::start();
    let gateway = crowd(&upstream).set("data.body_budget", "24MiB").set("data.caller_share", "100%").start();
    let sent = 2 * MIB - 256 * 1024;
    let held = || gateway.metric("dcams_gateway_memory_bytes{kind=\"bodies\"}").unwrap();
    // One after the other, so that each has its claim, and then is slow.
    let _slow: Vec<_> = (0..CALLERS)
        .map(|number| {
            wait_for("room for one more", || {
                let before = held();
                let mut connection = promise(&gateway, number, 2 * MIB);
                connection.send(&vec![b' '; sent]);
                let (all, now) = (before + sent as f64, std::time::Instant::now());
                while held() < all && now.elapsed() < std::time::Duration::from_millis(500) {}
                (held() >= all).then_some(connection)
            })
        })
        .collect();
    assert!(held() > f64::from(22 << 20));
    assert_eq!(gateway.post(BATCH, GET_STATUS).status, 200);
    // Those who still have a claim are slow within two seconds and a half.
    wait_for("a large body to be served", || {
        (gateway.post(BATCH, status_of(20 * MIB)).status == 200).then_some(())
    });
}
