//! The steps of a request, one file each, in the order of [`stack`](crate::stack).

mod admit;
mod audit;
mod authorize;
mod forward;
mod identify;
mod inject;
mod parse;
mod receive;
mod record;
mod respond;
mod route;
mod validate;

pub use admit::{Admit, Admitted};
pub use audit::{Answer, Audit, AuditLayer, Refused, Tracked};
pub use authorize::{Authorize, Permitted};
pub use forward::Forward;
pub use identify::{Identified, Identify, key_hash};
pub use inject::{Inject, Sealed};
pub use parse::{Parse, Parsed};
pub use receive::{Receive, ReceiveLayer, Received};
pub use record::{Record, RecordLayer, Recorded};
pub use respond::{Reply, Respond, RespondLayer, no_room};
pub use route::{Route, Routed};
pub use validate::{Validate, Validated};
