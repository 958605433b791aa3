//! Can a hoard of connections shut the gateway?

use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::assert_served;
use crate::harness::{BATCH, Connection, GET_STATUS, Gateway, KYC_API, Setup, Upstream, wait_for};

const DESCRIPTORS: u32 = 256;

/// Time on any core so far.
fn cpu(gateway: &Gateway) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.pid())).unwrap();
    let fields: Vec<u64> =
        stat[stat.rfind(')').unwrap()..].split(' ').filter_map(|field| field.parse().ok()).collect();
    // The fields behind the state's: utime and stime are the 11th and 12th of them, in hundredths.
    Duration::from_millis((fields[10] + fields[11]) * 10)
}

fn silent(gateway: &Gateway, count: u32) -> Vec<Connection> {
    (0..count).map(|_| Connection::plain(gateway.data())).collect()
}

#[test]
fn twice_as_many_connections_as_descriptors_keep_nobody_out() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .set("data.first_byte_timeout", "10m")
        .set("data.workers", "2")
        .most_descriptors(DESCRIPTORS)
        .start();
    assert!(gateway.stderr().contains("the limits are lower than configured"), "{}", gateway.stderr());
    let _hoard = silent(&gateway, DESCRIPTORS * 2);
    assert_served(&gateway, KYC_API);
    assert!(!gateway.stderr().contains("connections cannot be accepted"), "{}", gateway.stderr());
    let (begun, before) = (Instant::now(), cpu(&gateway));
    assert_served(&gateway, BATCH);
    println!(
        "hoard: {:?} of the processor within {:?} of a good caller",
        cpu(&gateway) - before,
        begun.elapsed()
    );
}

#[test]
fn a_hoard_of_strangers_that_asked_keeps_nobody_out() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("data.max_connections", "64").start();
    let _hoard: Vec<_> = (0..128)
        .map(|_| {
            let mut connection = gateway.connect();
            assert_eq!(connection.post("wrong", GET_STATUS.as_bytes()).status, 401);
            connection
        })
        .collect();
    assert_served(&gateway, KYC_API);
}

#[test]
fn a_hoard_of_one_caller_keeps_no_other_out() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("data.max_connections", "64").start();
    let _hoard: Vec<_> = (0..128)
        .map(|_| {
            let mut connection = gateway.connect();
            assert_eq!(connection.post(KYC_API, GET_STATUS.as_bytes()).status, 200);
            connection
        })
        .collect();
    assert_served(&gateway, BATCH);
}

#[test]
fn a_gateway_without_descriptors_neither_spins_nor_dies() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).most_descriptors(4096).start();
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).unwrap());
    // It has none left, not even for the connections that wait.
    let none = Rlimit { current: Some(3), maximum: Some(4096) };
    let before = prlimit(pid, Resource::Nofile, none).unwrap();
    let waiting = silent(&gateway, 100);
    wait_for("the first accept that fails", || {
        gateway.stderr().contains("connections cannot be accepted").then_some(())
    });
    let (begun, used) = (Instant::now(), cpu(&gateway));
    std::thread::sleep(Duration::from_secs(2));
    let share = (cpu(&gateway) - used).as_secs_f64() / begun.elapsed().as_secs_f64();
    println!("descriptors: {:.1} % of a core while none is left and 100 connections wait", share * 100.0);
    assert!(share < 0.5, "it spins: {share}");
    prlimit(pid, Resource::Nofile, before).unwrap();
    assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200);
    drop(waiting);
    assert!(gateway.stderr().contains("connections are accepted again"));
}

#[test]
fn probes_are_answered_beside_a_hoard_on_their_listener() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let hoard: Vec<_> = (0..200)
        .map(|number| {
            let mut connection = Connection::plain(gateway.ops());
            if number % 2 == 0 {
                connection.send(b"GET /livez HTTP/1.1\r\n");
            }
            connection
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(gateway.operators("/livez").status, 200);
        assert_eq!(gateway.operators("/readyz").status, 200);
    }
    drop(hoard);
}
