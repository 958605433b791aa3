//! What is written down about every request, and how does it reach its file?

mod encode;
mod fingerprint;
mod record;
mod recorder;
mod writer;

pub(crate) use encode::hex;
pub use encode::{Names, encode};
pub use fingerprint::Fingerprinter;
pub use record::{
    AuditRecord, CallerRequestId, CredentialUse, ErrorClass, IdentifiedBy, Outcome, PeerKind, ResultKind,
    ReturnedStatus, Textless, UpstreamFacts,
};
pub use recorder::Recorder;
pub use writer::{AuditFault, Health, Writer};

/// The JSON Schema of a line.
pub const SCHEMA: &str = include_str!("../../schemas/audit.schema.json");
