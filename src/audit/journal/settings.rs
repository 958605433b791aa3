//! How large, how old and how many may segments be?

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::audit::SigningKey;
use crate::secret::Secret;

/// How a folder is written to.
pub struct JournalSettings {
    /// Where the segments, and the state of the chain are. Made, if only the last part of it is missing.
    pub folder: PathBuf,
    /// What it needs to vouch for lines.
    pub secrets: AuditSecrets,
    /// From which size on a segment is ended.
    pub segment_bytes: u64,
    /// From which age on a segment is ended.
    pub segment_age: Duration,
    /// How often a checkpoint is written, if there were lines.
    pub checkpoint_interval: Duration,
    /// What is kept of ended segments.
    pub retain: Retention,
    /// Free disk space below which records of strangers are counted and not written; 0 for none.
    pub reserve_bytes: u64,
}

impl JournalSettings {
    /// `folder` with the defaults of the configuration.
    #[must_use]
    pub fn new(folder: PathBuf, secrets: AuditSecrets) -> Self {
        Self {
            folder,
            secrets,
            segment_bytes: 64 << 20,
            segment_age: Duration::from_secs(24 * 60 * 60),
            checkpoint_interval: Duration::from_secs(60),
            retain: Retention::default(),
            reserve_bytes: 64 << 20,
        }
    }
}

/// The keys of a chain.
pub struct AuditSecrets {
    /// Signs checkpoints.
    pub signing_key: SigningKey,
    /// From which the first key of a new chain is derived. Needed only where [`Self::are_all_needed`].
    pub chain_key: Option<Secret>,
}

impl AuditSecrets {
    /// Whether `folder` holds no chain yet, so that one is begun there, for which `chain_key` is needed.
    #[must_use]
    pub fn are_all_needed(folder: &Path) -> bool {
        !folder.join("chain").exists()
    }
}

/// What is kept of ended segments; what is absent sets no limit. The open segment is always kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// How many.
    pub segments: Option<u64>,
    /// How long, from their last line on.
    pub age: Option<Duration>,
    /// How many bytes in all, the open segment included.
    pub bytes: Option<u64>,
}
