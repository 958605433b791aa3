//! What is written down about every request, and how does it reach its file?

mod chain;
mod encode;
mod entry;
mod export;
mod filter;
mod fingerprint;
mod index;
mod record;
mod recorder;
mod sealed;
mod segments;
mod signing;
mod tail;
pub mod verify;
mod writer;

pub use chain::{Chain, ChainKey, MAC_BYTES};
pub(crate) use encode::hex;
pub use encode::{Names, encode};
pub use entry::{CredentialName, Entry, Exchange, FingerprintMembers, KINDS, OUTCOMES, Took, hex_to};
pub use export::{Format, export};
pub use filter::{Filter, NONE};
pub use fingerprint::Fingerprinter;
pub use index::{Counted, Found, Group, Index, IndexFault, Notice, Order, Progress, Role, Size};
pub use record::{
    AuditRecord, CallerRequestId, CredentialUse, ErrorClass, IdentifiedBy, Outcome, PeerKind, ResultKind,
    ReturnedStatus, Textless, UpstreamFacts,
};
pub use recorder::Recorder;
pub use sealed::Sealed;
pub use segments::{Ending, LINE_BYTES, Line, Lines, Segment, Segments};
pub use signing::{KeyFault, PublicKey, SIGNATURE_BYTES, SigningKey};
pub use tail::{Follower, last_lines};
pub use writer::{AuditFault, Health, Writer};

/// The JSON Schema of a line.
pub const SCHEMA: &str = include_str!("../../schemas/audit.schema.json");
