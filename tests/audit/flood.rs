//! What can a stranger do who sends as fast as the gateway answers?

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use crate::book::Book;
use crate::harness::{Gateway, KYC_API, PATH, PATIENCE, wait_for};
use crate::load::{Load, Requests, tally};
use crate::random::number_of;
use crate::tmpfs::Tmpfs;
use crate::trail::{
    assert_clean, customer, disk_of, folder_of, keeping, peak_memory, plain_upstream, write_of,
};

/// Of known callers, one request after the other each.
const CALLERS: usize = 3;
const CONNECTIONS: u64 = 8;
/// Requests on a connection that are sent before their answers are read.
const PIPELINED: u64 = 100;
/// `audit.stranger_rate` of these tests.
const PER_SECOND: u64 = 10;
const BURST: u64 = 20;
/// Room for the lines of the callers, bytes.
const DISK: u64 = 256 << 20;
/// No line of a stranger is longer, bytes.
const LONGEST_LINE: u64 = 1_024;
/// How much the gateway may grow under a flood, bytes.
const GROWTH: u64 = 64 << 20;

const SWALLOWED: &str = "dcams_gateway_audit_strangers_swallowed_total";
const LOST: &str = r#"dcams_gateway_audit_lines_lost_total{class="stranger"}"#;

#[test]
fn a_flood_of_a_stranger_neither_fills_the_disk_nor_stops_a_caller() {
    let requests = number_of("AUDIT_FLOOD").unwrap_or(20_000).next_multiple_of(CONNECTIONS * PIPELINED);
    let upstream = plain_upstream();
    let rate = format!("{{ per_second = {PER_SECOND}, burst = {BURST} }}");
    let setup = keeping(&upstream).set("audit.stranger_rate", &rate).set("audit.reserve", "\"1MiB\"");
    let disk = Tmpfs::mount(&disk_of(setup.folder()), DISK);
    let mut gateway = setup.run();
    let memory = peak_memory(&gateway);
    let began = Instant::now();
    let load = Load::start(gateway.data(), CALLERS, &Arc::new(AtomicU64::new(1)), Requests::Mixed);
    flood(gateway.data(), requests);
    let seconds = began.elapsed().as_secs() + 1;
    let served = load.stop();
    let grown = peak_memory(&gateway) - memory;
    let swallowed = gateway.metric(SWALLOWED).unwrap();
    assert_eq!(gateway.stop().code(), Some(0));

    let mut times: Vec<_> = served.iter().map(|reply| reply.took).collect();
    times.sort_unstable();
    let (lines, bytes) = strangers_in(&gateway);
    println!(
        "flood: {requests} requests in {seconds} s: {lines} written ({bytes} bytes), {swallowed} swallowed; {} requests \
         of callers served, the slowest in {:?}, half of them within {:?}; memory grew by {} KiB",
        served.len(),
        times[times.len() - 1],
        times[times.len() / 2],
        grown >> 10
    );
    assert!(served.len() >= CALLERS, "only {} requests were served during the flood", served.len());
    assert_eq!(tally(&served), BTreeMap::from([((200, None), served.len())]));
    assert_eq!(format!("{}", requests - lines), format!("{swallowed}"));
    let most = BURST + PER_SECOND * seconds;
    assert!((1..=most).contains(&lines), "{lines} lines, at most {most} are allowed");
    assert!(bytes <= most * LONGEST_LINE, "{bytes} bytes");
    assert!(grown < GROWTH, "memory grew by {grown} bytes");
    let book = Book::of(&folder_of(setup.folder()));
    assert_eq!(book.gaps, []);
    assert_eq!(book.not_closed_once(), []);
    assert_eq!(book.intended.len(), served.len());
    assert_clean(setup.folder(), book.checkpoint.as_deref());
    drop((gateway, disk));
}

/// The last space belongs to those who have a key.
#[test]
fn on_the_reserved_space_only_intents_and_their_outcomes_are_written() {
    let upstream = plain_upstream();
    let setup = keeping(&upstream).set("audit.reserve", "\"64MiB\"");
    // Smaller than the reserve: it is never left.
    let disk = Tmpfs::mount(&disk_of(setup.folder()), 8 << 20);
    let mut gateway = setup.run();
    // It looks at the disk when it has started.
    wait_for("the reserve to be reached", || {
        (gateway.metric("dcams_gateway_audit_reserve_reached") == Some(1.0)).then_some(())
    });
    let requests = CONNECTIONS * PIPELINED;
    flood(gateway.data(), requests);
    for number in 0..10 {
        assert_eq!(gateway.post(KYC_API, write_of(&customer(number))).status, 200);
    }
    let given_up = gateway.metric(SWALLOWED).unwrap() + gateway.metric(LOST).unwrap();
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(strangers_in(&gateway), (0, 0));
    assert_eq!(format!("{given_up}"), format!("{requests}"));
    let book = Book::of(&folder_of(setup.folder()));
    assert_eq!((book.intended.len(), book.count_of("forwarded")), (10, 10));
    assert_clean(setup.folder(), None);
    drop((gateway, disk));
}

/// How many lines tell of refused strangers, and how many bytes they have.
fn strangers_in(gateway: &Gateway) -> (u64, u64) {
    let segments = crate::book::segments(&folder_of(gateway.folder()));
    let text: String = segments.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let lines = text.split_inclusive('\n').filter(|line| line.contains(r#""code":"unauthenticated""#));
    lines.fold((0, 0), |(count, bytes), line| (count + 1, bytes + line.len() as u64))
}

/// Sends so many requests without a key, and reads as many refusals.
fn flood(address: SocketAddr, requests: u64) {
    let each = requests / CONNECTIONS / PIPELINED;
    let strangers = (0..CONNECTIONS).map(|_| std::thread::spawn(move || pipeline(address, each)));
    for stranger in strangers.collect::<Vec<_>>() {
        stranger.join().unwrap();
    }
}

fn pipeline(address: SocketAddr, batches: u64) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    let batch = request.repeat(usize::try_from(PIPELINED).unwrap());
    let mut buffer = vec![0; 64 << 10];
    for _ in 0..batches {
        stream.write_all(batch.as_bytes()).unwrap();
        let (mut refusals, mut tail) = (0, Vec::new());
        while refusals < PIPELINED {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the connection was closed");
            tail.extend_from_slice(&buffer[..count]);
            // All but the last eight bytes, in which the next status line may begin.
            let statuses: Vec<usize> = memchr::memmem::find_iter(&tail, b"HTTP/1.1 ").collect();
            for at in statuses {
                // The status may not be here yet.
                let Some(status) = tail.get(at + 9..at + 12) else { break };
                assert_eq!(status, b"401");
                refusals += 1;
            }
            let keep = memchr::memmem::rfind(&tail, b"HTTP/1.1 ").filter(|at| tail.len() < at + 12);
            let from = keep.unwrap_or(tail.len().saturating_sub(8));
            tail.drain(..from);
        }
    }
}
