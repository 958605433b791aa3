//! Where does the gateway under test write its audit records?
//!
//! The one place of the self test that knows the keys of `[audit]`.

use toml::{Table, Value};

use crate::config::Config;

/// Whether records can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Records {
    /// To standard output, which is searched.
    Written,
    /// To standard output, which is a device that is always full.
    Lost,
}

impl Records {
    /// What standard output is, unless it is a file that is searched.
    pub(super) fn device(self) -> Option<&'static str> {
        match self {
            Self::Written => None,
            Self::Lost => Some("/dev/full"),
        }
    }
}

/// The files with keys that the table below refers to, beside the configuration.
pub(super) const KEY_FILES: [&str; 1] = ["fingerprint-key"];

/// The `[audit]` table in place of the operator's.
pub(super) fn audit_table(config: &Config) -> Table {
    let file = |path: &str| Value::Table(Table::from_iter([("file".to_owned(), path.into())]));
    Table::from_iter([
        ("output".to_owned(), "stdout".into()),
        ("fingerprint_key".to_owned(), file("fingerprint-key")),
        ("fingerprint_key_id".to_owned(), config.audit.fingerprint_key_id.as_ref().into()),
        // So that what strangers send is recorded, too.
        ("stranger_rate".to_owned(), super::stand::ample()),
    ])
}
