//! What does the stack promise around its stages, and what stands in the audit about it?
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod audit_lines;
mod documented;
mod fixture;
mod order;
mod panics;
