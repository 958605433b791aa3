//! What does the gateway do through its public door: the binary, real sockets, the double of DCAMS?
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    // Answers of the gateway are read with a parser that is not ours.
    clippy::disallowed_methods,
    clippy::print_stdout
)]

mod canary;
mod credentials;
// Each topic uses a part of it.
#[allow(dead_code, unused_imports)]
mod harness;
mod refusals;
mod scanner;
mod selftest;
mod serving;
mod smoke;
mod validation;
