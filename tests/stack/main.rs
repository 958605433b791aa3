//! What does the stack promise around its stages, and what stands in the audit about it?
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    // Answers of the gateway are read with a parser that is not ours.
    clippy::disallowed_methods,
    clippy::print_stdout
)]

mod audit_kinds;
mod audit_lines;
mod documented;
mod fixture;
mod intents;
mod lanes;
mod order;
mod panics;
mod peer;
mod reference;
mod shortage;
