//! Does every parser read from what is sent exactly what was checked?
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its functions beside the test cases too"
)]

mod oracle;
mod php;
mod properties;
mod reader;
mod strict;
