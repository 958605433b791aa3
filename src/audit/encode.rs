//! How does a record become a line?

use jiff::Timestamp;
use serde::Serialize;

use super::record::{
    AuditRecord, CallerRequestId, CredentialUse, ErrorClass, IdentifiedBy, PeerKind, ResultKind,
    ReturnedStatus, UpstreamFacts,
};
use crate::config::{Config, Effect};
use crate::reject::Reject;
use crate::schema::{Facts, LocationId, MediaType, Schema, Violations};
use crate::track::Step;

/// What stands in every line of one configuration.
pub struct Names {
    config: String,
    schemas: Box<[String]>,
}

impl Names {
    /// Renders the digests of `config` once.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let short = |digest: &[u8; 32]| hex(digest.get(..8).unwrap_or_default());
        Self {
            config: short(&config.digest),
            schemas: config.services.iter().map(|service| short(&service.schema.digest())).collect(),
        }
    }
}

/// One line of JSON with its line feed. All text in it comes from the configuration, the schemas or
/// this file.
#[must_use]
pub fn encode(config: &Config, names: &Names, record: &AuditRecord) -> Vec<u8> {
    let mut line = Vec::with_capacity(1024);
    if serde_json::to_writer(&mut line, &Line::of(config, names, record)).is_err() {
        // Serialising numbers and names into memory cannot fail; a line that says so beats none.
        line.clear();
        line.extend_from_slice(br#"{"v":1,"kind":"outcome","outcome":"unencodable"}"#);
    }
    line.push(b'\n');
    line
}

#[derive(Serialize)]
struct Line<'a> {
    v: u8,
    kind: &'static str,
    time: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller_request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    instance: &'a str,
    config: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identified_by: Option<Identity>,
    peer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
    #[serde(skip_serializing_if = "is_zero")]
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    violations: Option<ViolationList<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<List<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<List<DocumentLine<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_set: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprints: Option<Fingerprints<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<CredentialLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<UpstreamLine>,
    bytes: Bytes,
    us: Times,
    #[serde(skip_serializing_if = "is_zero_u32")]
    swallowed: u32,
}

#[derive(Serialize)]
struct Identity {
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
}

#[derive(Serialize)]
struct List<T> {
    total: u16,
    shown: Vec<T>,
}

#[derive(Serialize)]
struct ViolationList<'a> {
    enforced: bool,
    total: u16,
    shown: Vec<Violation<'a>>,
}

#[derive(Serialize)]
struct Violation<'a> {
    pointer: &'a str,
    keyword: &'a str,
}

#[derive(Serialize)]
struct DocumentLine<'a> {
    member: &'a str,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<&'static str>,
}

#[derive(Serialize)]
struct Fingerprints<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
}

#[derive(Serialize)]
struct CredentialLine<'a> {
    name: &'a str,
    version: u32,
}

#[derive(Serialize)]
struct UpstreamLine {
    attempts: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_returned: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    outcome_unknown: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    credential_reflected: bool,
}

#[derive(Serialize)]
struct Bytes {
    received: u64,
    sent: u64,
    answer: u64,
    returned: u64,
}

struct Times {
    steps: [u32; Step::COUNT],
    total: u64,
}

impl Serialize for Times {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reached = Step::ALL.iter().zip(self.steps).filter(|(_, us)| *us > 0);
        serializer.collect_map(
            reached
                .map(|((_, name), us)| (*name, u64::from(us)))
                .chain(std::iter::once(("total", self.total))),
        )
    }
}

impl<'a> Line<'a> {
    fn of(config: &'a Config, names: &'a Names, record: &AuditRecord) -> Self {
        let service = record.service.and_then(|id| config.services.get(usize::from(id.0)));
        let schema = service.map(|service| service.schema.as_ref());
        let facts = record.facts.as_ref();
        let limit = match &record.reject {
            Some(Reject::RateLimited(exceeded)) => Some(exceeded.limit.name()),
            _ => None,
        };
        Self {
            v: 1,
            kind: "outcome",
            time: time(record),
            id: uuid::Uuid::from_u128(record.id).to_string(),
            caller_request_id: record.caller_request_id.map(caller_request_id),
            trace_id: record.trace_id.map(|id| format!("{id:032x}")),
            instance: &config.instance,
            config: &names.config,
            caller: record
                .caller
                .and_then(|id| config.callers.get(usize::from(id.0)))
                .map(|caller| &*caller.name),
            identified_by: record.identified_by.map(identity),
            peer: match record.peer {
                PeerKind::Loopback => "loopback",
                PeerKind::Unix => "unix",
                PeerKind::Remote => "remote",
            },
            endpoint: record
                .endpoint
                .and_then(|id| config.endpoints.get(usize::from(id.0)))
                .map(|endpoint| &*endpoint.name),
            service: service.map(|service| &*service.name),
            effect: service.map(|service| match service.effect {
                Effect::Read => "read",
                Effect::Write => "write",
            }),
            schema: record.service.and_then(|id| names.schemas.get(usize::from(id.0))).map(String::as_str),
            outcome: record.outcome.name(),
            code: record.reject.as_ref().map(Reject::code),
            limit,
            status: record.status,
            violations: schema
                .zip(record.violations.as_ref())
                .map(|(schema, violations)| violation_list(schema, violations, record.enforced)),
            members: schema.zip(facts).map(|(schema, facts)| members(schema, facts)),
            documents: schema.zip(facts).and_then(|(schema, facts)| documents(schema, facts)),
            status_set: schema
                .zip(facts.and_then(|facts| facts.value))
                .and_then(|(schema, value)| schema.recorded_values().get(usize::from(value)))
                .map(|value| &**value),
            fingerprints: fingerprints(config, record),
            credential: record.credential.and_then(|used| credential(config, used)),
            upstream: (record.upstream.attempts > 0).then(|| upstream(&record.upstream)),
            bytes: Bytes {
                received: record.received_bytes,
                sent: record.sent_bytes,
                answer: record.answer_bytes,
                returned: record.returned_bytes,
            },
            us: Times { steps: record.step_us, total: record.total_us },
            swallowed: record.swallowed,
        }
    }
}

fn time(record: &AuditRecord) -> String {
    let timestamp = Timestamp::try_from(record.started).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{timestamp:.6}")
}

fn caller_request_id(id: CallerRequestId) -> String {
    match id {
        CallerRequestId::Uuid(id) => uuid::Uuid::from_u128(id).to_string(),
        CallerRequestId::Hex { nibbles, digits } => {
            let mut text = hex(&nibbles);
            text.truncate(usize::from(digits));
            text
        }
    }
}

fn identity(by: IdentifiedBy) -> Identity {
    match by {
        IdentifiedBy::Key(key) => Identity { by: "key", key: Some(key), uid: None },
        IdentifiedBy::Uid(uid) => Identity { by: "uid", key: None, uid: Some(uid) },
        IdentifiedBy::Anonymous => Identity { by: "anonymous", key: None, uid: None },
    }
}

fn violation_list<'a>(schema: &'a Schema, violations: &Violations, enforced: bool) -> ViolationList<'a> {
    let shown =
        violations.shown().iter().filter_map(|LocationId(id)| schema.locations().get(usize::from(*id)));
    ViolationList {
        enforced,
        total: violations.total(),
        shown: shown
            .map(|location| Violation { pointer: &location.pointer, keyword: &location.keyword })
            .collect(),
    }
}

fn members<'a>(schema: &'a Schema, facts: &Facts) -> List<&'a str> {
    let present = schema.members().iter().zip(0_u32..64).filter(|(_, bit)| facts.members >> bit & 1 == 1);
    List { total: facts.member_count, shown: present.map(|(member, _)| &**member).collect() }
}

fn documents<'a>(schema: &'a Schema, facts: &Facts) -> Option<List<DocumentLine<'a>>> {
    let line = |document: &crate::schema::DocumentFacts| {
        let member = schema.members().get(usize::from(document.member))?;
        Some(DocumentLine {
            member,
            bytes: document.decoded_bytes,
            media: document.media.map(MediaType::name),
        })
    };
    (facts.document_count > 0).then(|| List {
        total: facts.document_count,
        shown: facts.documents.iter().flatten().filter_map(line).collect(),
    })
}

fn fingerprints<'a>(config: &'a Config, record: &AuditRecord) -> Option<Fingerprints<'a>> {
    let any = record.email_fingerprint.is_some() || record.reference_fingerprint.is_some();
    any.then(|| Fingerprints {
        key: &config.audit.fingerprint_key_id,
        email: record.email_fingerprint.map(|bytes| hex(&bytes)),
        reference: record.reference_fingerprint.map(|bytes| hex(&bytes)),
    })
}

fn credential(config: &Config, used: CredentialUse) -> Option<CredentialLine<'_>> {
    let credential = config.credentials.get(usize::from(used.credential.0))?;
    Some(CredentialLine { name: &credential.name, version: used.version })
}

fn upstream(facts: &UpstreamFacts) -> UpstreamLine {
    UpstreamLine {
        attempts: facts.attempts,
        status: facts.status,
        result: facts.result.map(|result| match result {
            ResultKind::Success => "Success",
            ResultKind::Error => "Error",
            ResultKind::Other => "other",
        }),
        class: facts.class.map(|class| match class {
            ErrorClass::InvalidRequest => "invalid_request",
            ErrorClass::NotFound => "not_found",
            ErrorClass::CredentialsRejected => "credentials_rejected",
            ErrorClass::Other => "other",
        }),
        status_returned: facts.returned_status.map(|status| match status {
            ReturnedStatus::Pass => "PASS",
            ReturnedStatus::Pending => "PENDING",
            ReturnedStatus::Fail => "FAIL",
        }),
        outcome_unknown: facts.fate_unknown,
        credential_reflected: facts.credential_reflected,
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn is_zero(status: &u16) -> bool {
    *status == 0
}

fn is_zero_u32(count: &u32) -> bool {
    *count == 0
}
