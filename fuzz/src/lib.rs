//! What do the fuzz targets share?
//!
//! A target is one file in `src/bin`, and its oracle one file here: `tests/corpora` replays the seeds with the same
//! oracles. That of `parse_inject` is that of the property tests; a gateway and a log to work on are those of
//! `tests/stack` and `tests/tamper`.

pub mod answers;
pub mod configuration;
mod filled;
#[allow(dead_code)]
#[path = "../../tests/stack/fixture.rs"]
mod fixture;
pub mod heads;
pub mod lines;
#[allow(dead_code)]
#[path = "../../tests/tamper/log.rs"]
mod log;
pub mod logs;
pub mod mutate;
#[path = "../../tests/json/oracle.rs"]
pub mod oracle;
#[allow(dead_code)]
#[path = "../../tests/tamper/random.rs"]
mod random;
#[path = "../../tests/json/reader.rs"]
pub mod reader;
pub mod records;
pub mod shares;
