//! What may be written down about a request?

use std::time::SystemTime;

use crate::ids::{CallerId, EndpointId, ServiceId};
use crate::reject::{Limit, Reject};
use crate::schema::{Facts, Violations};
use crate::track::Step;

/// A type that cannot own text: numbers, codes, and arrays and options of them.
///
/// Do not implement it for anything that holds a string, a slice or a pointer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` could carry text of a request into the audit",
    label = "neither a number nor a code, nor an array or option of those",
    note = "write down a fact instead: a size, a count, a code, a digest, or a name of the configuration by its index"
)]
pub trait Textless: Copy + 'static {}

macro_rules! textless {
    ($($type:ty),* $(,)?) => { $(impl Textless for $type {})* };
}

textless!(bool, u8, u16, u32, u64, u128, usize, SystemTime, CallerId, ServiceId, EndpointId);
textless!(Limit, Reject, Facts, Violations);
textless!(
    IdentifiedBy,
    PeerKind,
    Outcome,
    ResultKind,
    ErrorClass,
    UpstreamFacts,
    Attempt,
    CredentialUse,
    CallerRequestId
);
impl<T: Textless> Textless for Option<T> {}
impl<T: Textless, const N: usize> Textless for [T; N] {}

/// Declares a record of which every field is [`Textless`]: a field that could own text of a request
/// does not compile.
#[macro_export]
macro_rules! textless_record {
    ($(#[$attribute:meta])* pub struct $name:ident { $($(#[$doc:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$attribute])*
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }

        const _: () = {
            const fn textless<T: $crate::audit::Textless>() {}
            $(textless::<$type>();)*
        };
    };
}

textless_record! {
    /// The closed set of facts about one request; [`outcome`](super::outcome) gives it its names.
    #[derive(Clone, Copy, Debug)]
    pub struct AuditRecord {
        /// When the head of the request was complete.
        pub started: SystemTime,
        /// The gateway's own id of the request (UUIDv7).
        pub id: u128,
        /// The caller's id of the request, where its form cannot hold personal data.
        pub caller_request_id: Option<CallerRequestId>,
        /// The trace id of a W3C `traceparent`.
        pub trace_id: Option<u128>,
        /// Who called.
        pub caller: Option<CallerId>,
        /// How the caller was known.
        pub identified_by: Option<IdentifiedBy>,
        /// From where the request came.
        pub peer: PeerKind,
        /// Which endpoint was posted to.
        pub endpoint: Option<EndpointId>,
        /// Which service was named.
        pub service: Option<ServiceId>,
        /// Whether its intent was handed to the writer.
        pub intended: bool,
        /// How it ended.
        pub outcome: Outcome,
        /// Why it was refused.
        pub reject: Option<Reject>,
        /// The status the caller was given; 0 where there was no answer.
        pub status: u16,
        /// Where the schema was violated, enforced or not.
        pub violations: Option<Violations>,
        /// Whether those violations refused the request.
        pub enforced: bool,
        /// What the body was, in numbers.
        pub facts: Option<Facts>,
        /// First 16 bytes of the keyed fingerprint of the e-mail.
        pub email_fingerprint: Option<[u8; 16]>,
        /// First 16 bytes of the keyed fingerprint of the reference.
        pub reference_fingerprint: Option<[u8; 16]>,
        /// Which credentials were injected.
        pub credential: Option<CredentialUse>,
        /// What the upstream said.
        pub upstream: UpstreamFacts,
        /// The first attempts; `upstream.attempts` tells how many there were.
        pub tried: [Option<Attempt>; Attempt::SHOWN],
        /// Body bytes received from the caller.
        pub received_bytes: u64,
        /// Body bytes handed to the upstream connection.
        pub sent_bytes: u64,
        /// Body bytes of the upstream's answer.
        pub answer_bytes: u64,
        /// Body bytes handed to the caller's connection.
        pub returned_bytes: u64,
        /// Microseconds spent in each step, indexed by [`Step`].
        pub step_us: [u32; Step::COUNT],
        /// Microseconds from start to end.
        pub total_us: u64,
        /// Refusals of strangers that were not recorded since the last one that was.
        pub swallowed: u32,
    }
}

/// A caller's own request id, recorded only in forms that cannot carry a name or a phone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerRequestId {
    /// A UUID.
    Uuid(u128),
    /// 16 to 64 hexadecimal digits.
    Hex {
        /// The digits, two in a byte, the last byte padded with 0.
        nibbles: [u8; 32],
        /// How many digits.
        digits: u8,
    },
}

/// How a caller was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifiedBy {
    /// Bearer key of that index in the caller's list.
    Key(u16),
    /// User id of the peer of a unix socket.
    Uid(u32),
    /// The anonymous caller of first steps.
    Anonymous,
}

/// From where a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// A loopback address.
    Loopback,
    /// A unix socket.
    Unix,
    /// Another address.
    Remote,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// DCAMS's own answer was handed to the caller's connection; whether the caller read it, nobody knows.
    Forwarded,
    /// The gateway answered with a refusal.
    Refused,
    /// So it did, because the intent was not durable in time: the intent may be found, but nothing was sent.
    NotSent,
    /// The caller left, or the gateway was stopped, before an answer began.
    Abandoned,
    /// The caller left, or the gateway was stopped, while the answer was being handed over.
    Truncated,
}

impl Outcome {
    /// The name in the record and the metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Refused => "refused",
            Self::NotSent => "not_sent",
            Self::Abandoned => "abandoned",
            Self::Truncated => "truncated",
        }
    }
}

/// The member `result` of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultKind {
    /// `Success`
    Success,
    /// `Error`
    Error,
    /// Anything else.
    Other,
}

/// The documented classes of DCAMS's error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The request is wrong.
    InvalidRequest,
    /// No such customer.
    NotFound,
    /// The gateway's credentials are wrong.
    CredentialsRejected,
    /// An undocumented message.
    Other,
}

/// What is known of the exchange with the upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamFacts {
    /// How often the request was tried, connecting included.
    pub attempts: u8,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Its member `result`.
    pub result: Option<ResultKind>,
    /// The class of its `message`.
    pub class: Option<ErrorClass>,
    /// The status returned, in `status` or `target.status`.
    pub returned_status: Option<ReturnedStatus>,
    /// Whether a write may have happened although the caller was told of a failure.
    pub fate_unknown: bool,
    /// Whether the answer held a credential.
    pub credential_reflected: bool,
}

/// One attempt to send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What ended it; `None` where it was answered, or given up because the caller left.
    pub reject: Option<Reject>,
    /// The status of its answer.
    pub status: Option<u16>,
    /// Microseconds from its begin to its end.
    pub us: u32,
    /// Version of the credentials it was sent with.
    pub version: u32,
}

impl Attempt {
    /// So many attempts are told one by one.
    pub const SHOWN: usize = 8;
}

/// The documented values of a customer's `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnedStatus {
    /// `PASS`
    Pass,
    /// `PENDING`
    Pending,
    /// `FAIL`
    Fail,
}

/// Which credentials were injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialUse {
    /// Which pair.
    pub credential: crate::ids::CredentialId,
    /// Its version since the start, from 1.
    pub version: u32,
}

impl AuditRecord {
    /// The record of a request of which only the head is known.
    #[must_use]
    pub fn begin(id: u128, peer: PeerKind) -> Self {
        Self {
            started: SystemTime::now(),
            id,
            caller_request_id: None,
            trace_id: None,
            caller: None,
            identified_by: None,
            peer,
            endpoint: None,
            service: None,
            intended: false,
            outcome: Outcome::Abandoned,
            reject: None,
            status: 0,
            violations: None,
            enforced: false,
            facts: None,
            email_fingerprint: None,
            reference_fingerprint: None,
            credential: None,
            upstream: UpstreamFacts::default(),
            tried: [None; Attempt::SHOWN],
            received_bytes: 0,
            sent_bytes: 0,
            answer_bytes: 0,
            returned_bytes: 0,
            step_us: [0; Step::COUNT],
            total_us: 0,
            swallowed: 0,
        }
    }
}
