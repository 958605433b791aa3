//! Does the gateway keep its word when hosts crash, links break and clocks jump, whatever the order?
//!
//! One thread, one clock, one seed: three callers, the gateway and a double of DCAMS are hosts of a simulated network
//! (turmoil). The gateway is the product's own stack, connections, upstream client, credentials and audit; simulated
//! are sockets, time, and the disk under the audit. A seed decides who asks what, what the upstream does with it, and
//! when links and hosts fail, configurations change and the gateway stops. Afterwards `invariants.rs` compares what everybody saw.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `SIMULATION_SEEDS` | how many seeds | 300, or 100 without optimisation |
//! | `SIMULATION_FIRST` | the first of them | 1 |
//! | `SIMULATION_SEED` | this one alone, with its course of events | |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    // Answers of the gateway are read with a parser that is not ours.
    clippy::disallowed_methods,
    clippy::print_stdout
)]

mod caller;
mod dcams;
mod disk;
mod flaw;
mod invariants;
mod line;
mod links;
mod log;
mod machine;
mod message;
mod operator;
mod planted;
#[allow(dead_code)]
#[path = "../tamper/random.rs"]
mod random;
mod rules;
mod run;
mod schedule;
mod seeds;
mod witness;

/// The names of the hosts.
const GATEWAY: &str = "gateway";
const UPSTREAM: &str = "upstream";
/// How many callers there are.
const CALLERS: u64 = 3;

fn name_of(caller: u64) -> String {
    format!("caller-{caller}")
}
