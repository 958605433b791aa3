//! How do lines get into a folder so that nothing of them is lost, torn or changed unseen?

mod settings;

pub use settings::{AuditSecrets, JournalSettings, Retention};
