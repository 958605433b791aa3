//! What is written down about every request, and how does it reach its file?

mod chain;
mod encode;
mod entry;
mod event;
mod export;
mod filter;
mod fingerprint;
mod health;
mod index;
mod journal;
mod names;
mod object;
mod queue;
mod record;
mod recorder;
mod regular;
mod sealed;
mod segments;
mod signing;
mod stream;
mod tail;
mod trail;
pub mod verify;
mod waiters;
mod work;
mod writer;

pub use chain::{Chain, ChainKey, MAC_BYTES};
pub use encode::{intent, outcome};
pub use entry::{CredentialName, Entry, Exchange, FingerprintMembers, KINDS, OUTCOMES, Took, hex_to};
pub use event::{CredentialState, Origin, ReloadCause, ReloadResult, breaker, credentials, reload};
pub use export::{Exporter, Format};
pub use filter::{Filter, NONE};
pub use fingerprint::Fingerprinter;
pub use health::{Health, LastCheckpoint};
pub use index::{Counted, Found, Group, Index, IndexFault, Notice, Order, Progress, Role, Size};
pub use journal::{AuditSecrets, JournalSettings, Medium, Retention};
pub use names::Names;
pub(crate) use object::hex;
pub use record::{
    Attempt, AuditRecord, CallerRequestId, CredentialUse, ErrorClass, IdentifiedBy, Outcome, PeerKind,
    ResultKind, ReturnedStatus, Textless, UpstreamFacts,
};
pub use recorder::Recorder;
pub use regular::regular;
pub use sealed::Sealed;
pub use segments::{Ending, LINE_BYTES, Line, Lines, Segment, Segments};
pub use signing::{KeyFault, PublicKey, SIGNATURE_BYTES, SigningKey};
pub use tail::{Follower, last_lines};
pub use waiters::{Ticket, Wait, Waiters};
pub use writer::{AuditFault, Class, Output, Rounds, Writer};

/// The JSON Schema of a line.
pub const SCHEMA: &str = include_str!("../../schemas/audit.schema.json");
