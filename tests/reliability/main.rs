//! Does the gateway hold under load, faults, rotation and hostile peers?
//!
//! The built binary runs over real sockets against the double of DCAMS, or against a peer that breaks the protocol.
//! Each topic has its counts in variables of the environment: small ones in CI, large ones in `make experiments`.
//! The figures are printed: `cargo test --release --test reliability -- --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    // Answers of the gateway are read with a parser that is not ours.
    clippy::disallowed_methods,
    clippy::print_stdout
)]

// Shared with the integration tests; each uses a part of it.
#[allow(dead_code, unused_imports)]
#[path = "../integration/harness/mod.rs"]
mod harness;

// The trail of the audit, read by a reader that is not the gateway's.
#[allow(dead_code)]
#[path = "../audit/book.rs"]
mod book;
#[allow(dead_code)]
#[path = "../audit/trail.rs"]
mod trail;

mod breaker;
mod drain;
mod faults;
mod memory;
mod overload;
mod peers;
mod reload;
mod retries;
mod rotation;

/// A number in the environment.
fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}
