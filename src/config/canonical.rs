//! Which configuration is in force, as one digest?

use aws_lc_rs::digest::{Context, SHA256};

use crate::digest::first;

/// Sums up what is effective: every key with its value or default, in the order of its declaration.
/// How a value was spelled (`"1m"` or `"60s"`), where it was written and comments make no difference.
pub(super) struct Canonical {
    context: Context,
}

impl Canonical {
    pub(super) fn new() -> Self {
        Self { context: Context::new(&SHA256) }
    }

    /// Adds `key` and its value, which must not be a secret.
    pub(super) fn line(&mut self, key: &str, value: &str) {
        self.context.update(format!("{key:?}={value:?}\n").as_bytes());
    }

    /// Adds the digest of a schema.
    pub(super) fn schema(&mut self, service: &str, digest: &[u8; 32]) {
        self.context.update(format!("schema {service:?}\n").as_bytes());
        self.context.update(digest);
    }

    pub(super) fn finish(self) -> [u8; 32] {
        first(self.context.finish().as_ref())
    }
}
