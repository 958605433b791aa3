//! Is every edit of a log found, and no log accused that nobody edited?
//!
//! `TAMPER_EDITS` and `TAMPER_HISTORIES` say how many of each are tried, `TAMPER_SEED` where to begin.

mod cases;
mod command;
mod edits;
mod experiment;
mod log;
mod random;
mod writer;
