//! Can frames of HTTP/2 take what requests could not?

use crate::harness::{Connection, GET_STATUS, Gateway, KYC_API, Setup, Upstream};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAMES: usize = 20_000;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn resident_kib(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().split(' ').next().unwrap().parse().unwrap()
}

/// Sends the flood without reading, as far as the gateway takes it.
fn flood(gateway: &Gateway, frames: Vec<u8>) {
    let mut connection = Connection::tls(gateway.data(), gateway.tls_ca().unwrap(), b"h2");
    let begun = [PREFACE, &frame(4, 0, 0, &[])].concat();
    let ca = gateway.tls_ca().unwrap().to_owned();
    let address = gateway.data();
    std::thread::scope(|scope| {
        let flooding = scope.spawn(move || {
            connection.send(&begun);
            for part in frames.chunks(64 << 10) {
                if connection.try_send(part).is_err() {
                    break;
                }
            }
            connection
        });
        for _ in 0..10 {
            let mut caller = Connection::tls(address, &ca, b"http/1.1");
            assert_eq!(caller.post(KYC_API, GET_STATUS.as_bytes()).status, 200);
        }
        drop(flooding.join().unwrap());
    });
}

#[test]
fn floods_of_frames_cost_others_nothing_and_memory_little() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).tls().set("data.idle_timeout", "2s").start();
    assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200);
    let before = resident_kib(&gateway);
    let fields = [&[0x83, 0x87, 0x84, 0x41, 9][..], b"localhost"].concat();
    let opened = |number: u32| frame(1, 4, number * 2 + 1, &fields);
    let floods: [(&str, Vec<u8>); 5] = [
        ("pings", frame(6, 0, 0, &[0; 8]).repeat(FRAMES)),
        ("settings", frame(4, 0, 0, &[0, 4, 0, 0, 255, 255]).repeat(FRAMES)),
        ("streams", (0..5_000).flat_map(opened).collect()),
        ("continuations", [frame(1, 0, 1, &fields), frame(9, 0, 1, &[0; 1024]).repeat(FRAMES)].concat()),
        ("window updates", frame(8, 0, 0, &[0, 0, 0, 1]).repeat(FRAMES)),
    ];
    for (name, frames) in floods {
        flood(&gateway, frames);
        let more = resident_kib(&gateway).saturating_sub(before);
        println!("frames: {name}: peak {more} KiB more than before all floods");
        assert!(more < 32 << 10, "{name} took {more} KiB");
    }
}
