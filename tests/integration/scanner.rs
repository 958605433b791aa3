//! Does any of these secrets stand in these bytes? The product's own search, in the form that tests want.

use std::collections::BTreeSet;

pub use dcams_gateway::selftest::Canary;
use dcams_gateway::selftest::{self, ENCODINGS};

/// Finds canaries.
pub struct Scanner(selftest::Scanner);

impl Scanner {
    pub fn new(canaries: &[Canary]) -> Self {
        Self(selftest::Scanner::new(canaries).unwrap())
    }

    /// Every canary found in `haystack`, as `name (how it was written)`.
    pub fn leaks(&self, haystack: &[u8]) -> BTreeSet<String> {
        let hits = self.0.hits(haystack).into_iter();
        hits.map(|hit| format!("{} ({})", hit.canary, hit.encoding)).collect()
    }
}

/// `text` in every encoding that the scanner must see through, each with its name.
pub fn disguises(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    ENCODINGS.iter().map(|encoding| (encoding.name, (encoding.write)(text))).collect()
}
