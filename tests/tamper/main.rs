//! Is every edit of a log found, and no log accused that nobody edited?
//!
//! How many of each are tried is said by `TAMPER_EDITS`, `TAMPER_HISTORIES`, `TAMPER_WRITERS` (histories of the real
//! writer), `TAMPER_SECOND` (logs for the second verifier) and `TAMPER_MIB`; `TAMPER_SEED` says where to begin.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests: their counts come from the environment, and a report is read as any reader reads it"
)]

mod cases;
mod command;
mod edits;
mod experiment;
mod log;
mod random;
mod writer;
