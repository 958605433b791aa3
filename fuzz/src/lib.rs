//! What do the fuzz targets share?
//!
//! A target is one file in `src/bin`. The oracle of `parse_inject` is that of the property tests.

pub mod answers;
pub mod mutate;
#[path = "../../tests/json/oracle.rs"]
pub mod oracle;
#[path = "../../tests/json/reader.rs"]
pub mod reader;
pub mod shares;
