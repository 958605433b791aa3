//! Does an answer ever reach another caller than the one who asked?
//!
//! The upstream of this test sends every fourth answer twice, the second time at once or a moment later: to a client
//! that shares its connections, that is the answer to the next request. Each answer carries the address that was asked
//! for, and that address names its caller.

mod injector;
mod load;

use std::net::SocketAddr;

use dcams_gateway::simulate::Settings;

use injector::Injector;
use load::{CALLERS, Counts, through_gateway, through_stock_client};

use crate::harness::{PATH, Setup};
use crate::number_of;

/// Requests of each test: 5,000, or `CROSSING_REQUESTS`.
fn requests() -> u64 {
    number_of("CROSSING_REQUESTS").unwrap_or(5_000)
}

fn url(address: SocketAddr) -> String {
    format!("http://localhost:{}{PATH}", address.port())
}

fn told(who: &str, counts: &Counts, injector: &Injector) {
    println!(
        "{who}: {} requests of {CALLERS} callers, {} answers sent twice; {} own, {} the caller's own of before, \
         {} refused, {} another caller's",
        counts.all(),
        injector.injected(),
        counts.own,
        counts.earlier,
        counts.refused,
        counts.crossed
    );
}

#[test]
fn no_answer_reaches_another_caller() {
    let injector = Injector::start();
    let settings = Settings::default();
    let gateway = Setup::before_url(&url(injector.address()))
        .file("user", settings.user)
        .file("pass", settings.pass)
        .edit(|text| {
            *text = text
                .replace(
                    "roots = { file = \"upstream-ca.pem\" }",
                    "roots = \"webpki\"\nplain_http_to_loopback = true",
                )
                .replace(
                    "rate = { per_second = 1000, burst = 1000 }",
                    "rate = { per_second = 1000000, burst = 1000000 }",
                );
        })
        .set("data.workers", "2")
        // Millions of records are not what is looked at here.
        .recording_to_stdout()
        .stdout("/dev/null")
        .start();
    let counts = through_gateway(&gateway, requests());
    told("the gateway", &counts, &injector);
    assert_eq!(counts.crossed, 0);
    assert_eq!(counts.all(), requests());
    assert!(injector.injected() > requests() / 8, "answers are sent twice");
    assert!(counts.own > requests() / 2, "most requests are answered");
}

/// Shows that the injector can do what the other test says does not happen.
#[test]
fn a_stock_client_mixes_the_answers_of_its_callers() {
    let injector = Injector::start();
    let counts = through_stock_client(&url(injector.address()), requests().min(100_000));
    told("hyper-util's client", &counts, &injector);
    assert!(counts.crossed > 0, "the injector does not mix the answers of a client that shares connections");
}
