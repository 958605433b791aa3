//! What does the audit trail hold under strace, kills, faults of the disk, and floods?
//!
//! The built binary runs against the double of DCAMS over real sockets. Root is needed: disks are mounted, and the
//! gateway is traced and tampered with by strace. Where that is not allowed the tests fail and say so.
//!
//! | variable | meaning | CI | `make experiments` |
//! |---|---|---|---|
//! | `AUDIT_KILLS` | how often the gateway is killed | 5 | 1,000 |
//! | `AUDIT_FLOOD` | requests of a stranger | 20,000 | 1,000,000 |
//! | `AUDIT_SEED` | where the kills' random numbers begin | the time | the time |
//!
//! The figures are printed: `cargo test --release --test audit -- --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    // Lines are read with a parser that is not ours.
    clippy::disallowed_methods,
    clippy::print_stdout
)]

mod book;
mod faults;
mod flood;
// Shared with the integration tests; each uses a part of it.
#[allow(dead_code, unused_imports)]
#[path = "../integration/harness/mod.rs"]
mod harness;
mod kill;
mod load;
mod order;
mod random;
mod strace;
mod tmpfs;
mod trail;
