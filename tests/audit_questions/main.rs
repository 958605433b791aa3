//! Are questions to the log answered, by what stands in it and nothing else?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, reason = "figures")]

mod answers;
mod commands;
mod log;
mod maintenance;
mod speed;
mod terminal;
