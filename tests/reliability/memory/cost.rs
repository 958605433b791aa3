//! What does it cost to clear freed memory?
//!
//! `MEMORY_CLEARING` names a binary that was built with `clear-on-free`; it serves the same requests as the one under
//! test, in turns, so that both see the same machine.

use std::fs;

use dcams_gateway::simulate::Settings;

use super::count;
use super::people::Person;
use crate::harness::{GET_STATUS, Gateway, KYC_API, Setup, Upstream};

const ROUNDS: usize = 5;

/// One kind of request, and how many of it are sent in a round.
struct Load {
    name: &'static str,
    body: String,
    requests: usize,
}

/// Nanoseconds on a processor so far, of all its threads.
fn processor_ns(gateway: &Gateway) -> u64 {
    let threads = fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap();
    let of_thread = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).unwrap();
        text.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    threads.map(|thread| of_thread(thread.unwrap())).sum()
}

fn processor_ns_for(gateway: &Gateway, load: &Load) -> u64 {
    let mut connection = gateway.connect();
    let before = processor_ns(gateway);
    for _ in 0..load.requests {
        assert_eq!(connection.post(KYC_API, load.body.as_bytes()).status, 200);
    }
    processor_ns(gateway) - before
}

#[test]
#[ignore = "needs a second binary: see MEMORY_CLEARING, and make experiments"]
fn clearing_costs_little() {
    let clearing = std::env::var_os("MEMORY_CLEARING").expect("MEMORY_CLEARING=a binary with clear-on-free");
    let upstream = Upstream::start_with(Settings { keep: false, ..Settings::default() });
    let setup = || {
        let rate = "{ per_second = 100000, burst = 100000 }";
        Setup::before(&upstream).set("callers.kyc-api.rate", rate)
    };
    let plain = setup().start();
    let clearing = setup().binary(clearing).start();
    let loads = [
        Load { name: "small read", body: GET_STATUS.to_owned(), requests: count("MEMORY_SMALL", 500) },
        Load {
            name: "upload of 5 MB",
            body: Person(1).create(3_750_000),
            requests: count("MEMORY_UPLOADS", 10),
        },
    ];
    for load in &loads {
        // Connections, pages and tables that come into being once.
        for gateway in [&plain, &clearing] {
            processor_ns_for(gateway, load);
        }
        let mut spent = [0, 0];
        for _ in 0..ROUNDS {
            spent[0] += processor_ns_for(&plain, load);
            spent[1] += processor_ns_for(&clearing, load);
        }
        let each = spent.map(|ns| ns as f64 / 1e3 / (ROUNDS * load.requests) as f64);
        println!(
            "{}: {:.0} µs of a processor, {:.0} µs where freed memory is cleared: {:.3} times",
            load.name,
            each[0],
            each[1],
            each[1] / each[0]
        );
    }
}
