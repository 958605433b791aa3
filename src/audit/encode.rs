//! How does the record of a request become a line?
//!
//! All text comes from the configuration, the schemas or this file. The lines are described by
//! `schemas/audit.schema.json`; a test compares the two.

use jiff::Timestamp;

use super::names::{Names, ServiceNames};
use super::object::Object;
use super::record::{
    AuditRecord, CallerRequestId, ErrorClass, IdentifiedBy, PeerKind, ResultKind, ReturnedStatus,
    UpstreamFacts,
};
use crate::reject::Reject;
use crate::schema::{DocumentFacts, Facts, LocationId, MediaType, Violations};
use crate::track::Step;

/// Digits that are lost: 0, except where the fuzz targets must find a bug.
const CUT: u8 = if cfg!(feature = "planted-bug") { 1 } else { 0 };

/// Appends to `buffer` the object of an intent: what is known before a request is forwarded.
pub fn intent(names: &Names, record: &AuditRecord, buffer: &mut Vec<u8>) {
    let mut line = Object::open("intent", buffer);
    request(names, record, &mut line);
    body(names, record, &mut line);
    line.object("bytes", |bytes| bytes.number("received", record.received_bytes));
    line.close();
}

/// Appends to `buffer` the object of an outcome: what became of a request.
pub fn outcome(names: &Names, record: &AuditRecord, buffer: &mut Vec<u8>) {
    let mut line = Object::open("outcome", buffer);
    request(names, record, &mut line);
    line.word("outcome", record.outcome.name());
    if let Some(reject) = &record.reject {
        line.word("code", reject.code());
    }
    if let Some(Reject::RateLimited(exceeded)) = &record.reject {
        line.word("limit", exceeded.limit.name());
    }
    if record.status > 0 {
        line.number("status", u64::from(record.status));
    }
    if let Some((service, found)) = service(names, record).zip(record.violations.as_ref()) {
        violations(service, found, record.enforced, &mut line);
    }
    body(names, record, &mut line);
    if let Some(used) = record.credential
        && let Some(name) = names.credentials.get(usize::from(used.credential.0))
    {
        line.object("credential", |credential| {
            credential.written(name);
            credential.number("version", u64::from(used.version));
        });
    }
    if record.upstream.attempts > 0 {
        line.object("upstream", |line| {
            upstream(&record.upstream, line);
            // Of a single attempt the rest of the line tells.
            if record.upstream.attempts > 1 {
                tried(record, line);
            }
        });
    }
    line.object("bytes", |bytes| {
        bytes.number("received", record.received_bytes);
        bytes.number("sent", record.sent_bytes);
        bytes.number("answer", record.answer_bytes);
        bytes.number("returned", record.returned_bytes);
    });
    line.object("us", |times| {
        let reached = Step::ALL.iter().zip(record.step_us).filter(|(_, us)| *us > 0);
        reached.for_each(|((_, name), us)| times.number(name, u64::from(us)));
        times.number("total", record.total_us);
    });
    if record.swallowed > 0 {
        line.number("swallowed", u64::from(record.swallowed));
    }
    line.close();
}

/// Who asked for what.
fn request(names: &Names, record: &AuditRecord, line: &mut Object<'_>) {
    line.time("time", Timestamp::try_from(record.started).unwrap_or(Timestamp::UNIX_EPOCH));
    line.uuid("id", record.id);
    match record.caller_request_id {
        Some(CallerRequestId::Uuid(id)) => line.uuid("caller_request_id", id),
        Some(CallerRequestId::Hex { nibbles, digits }) => {
            line.hex("caller_request_id", &nibbles, usize::from(digits.saturating_sub(CUT)));
        }
        None => {}
    }
    if let Some(id) = record.trace_id {
        line.hex("trace_id", &id.to_be_bytes(), 32);
    }
    line.written(&names.gateway);
    if let Some(caller) = record.caller.and_then(|id| names.callers.get(usize::from(id.0))) {
        line.written(caller);
    }
    if let Some(by) = record.identified_by {
        line.object("identified_by", |identity| match by {
            IdentifiedBy::Key(key) => {
                identity.word("by", "key");
                identity.number("key", u64::from(key));
            }
            IdentifiedBy::Uid(uid) => {
                identity.word("by", "uid");
                identity.number("uid", u64::from(uid));
            }
            IdentifiedBy::Anonymous => identity.word("by", "anonymous"),
        });
    }
    line.word(
        "peer",
        match record.peer {
            PeerKind::Loopback => "loopback",
            PeerKind::Unix => "unix",
            PeerKind::Remote => "remote",
        },
    );
    if let Some(endpoint) = record.endpoint.and_then(|id| names.endpoints.get(usize::from(id.0))) {
        line.written(endpoint);
    }
    if let Some(service) = service(names, record) {
        line.written(&service.service);
    }
}

/// What was in the body, as far as the audit may know.
fn body(names: &Names, record: &AuditRecord, line: &mut Object<'_>) {
    if let Some((service, facts)) = service(names, record).zip(record.facts.as_ref()) {
        members(service, facts, line);
        if facts.document_count > 0 {
            documents(service, facts, line);
        }
        if let Some(value) = facts.value.and_then(|value| service.values.get(usize::from(value))) {
            line.value("status_set", value);
        }
    }
    let prints = [("email", record.email_fingerprint), ("reference", record.reference_fingerprint)];
    if prints.iter().any(|(_, print)| print.is_some()) {
        line.object("fingerprints", |line| {
            line.written(&names.fingerprint_key);
            for (name, print) in prints {
                print.iter().for_each(|print| line.hex(name, print, 32));
            }
        });
    }
}

fn service<'n>(names: &'n Names, record: &AuditRecord) -> Option<&'n ServiceNames> {
    record.service.and_then(|id| names.services.get(usize::from(id.0)))
}

fn violations(service: &ServiceNames, found: &Violations, enforced: bool, line: &mut Object<'_>) {
    line.object("violations", |line| {
        line.flag("enforced", enforced);
        line.number("total", u64::from(found.total()));
        line.list("shown", |list| {
            for LocationId(id) in found.shown() {
                if let Some(place) = service.locations.get(usize::from(*id)) {
                    list.item(|item| item.written(place));
                }
            }
        });
    });
}

fn members(service: &ServiceNames, facts: &Facts, line: &mut Object<'_>) {
    line.object("members", |line| {
        line.number("total", u64::from(facts.member_count));
        line.list("shown", |list| {
            let known = service.members.iter().zip(0_u32..64);
            known
                .filter(|(_, bit)| facts.members >> bit & 1 == 1)
                .for_each(|(member, _)| list.written(member));
        });
    });
}

fn documents(service: &ServiceNames, facts: &Facts, line: &mut Object<'_>) {
    line.object("documents", |line| {
        line.number("total", u64::from(facts.document_count));
        line.list("shown", |list| {
            for document in facts.documents.iter().flatten() {
                if let Some(member) = service.members.get(usize::from(document.member)) {
                    list.item(|item| one_document(member, document, item));
                }
            }
        });
    });
}

fn one_document(member: &str, document: &DocumentFacts, item: &mut Object<'_>) {
    item.value("member", member);
    item.number("bytes", document.decoded_bytes);
    if let Some(media) = document.media.map(MediaType::name) {
        item.word("media", media);
    }
}

fn tried(record: &AuditRecord, line: &mut Object<'_>) {
    let used = record.credential.map(|used| used.version);
    line.list("tried", |list| {
        for attempt in record.tried.iter().flatten() {
            list.item(|item| {
                if let Some(reject) = &attempt.reject {
                    item.word("code", reject.code());
                }
                if let Some(status) = attempt.status {
                    item.number("status", u64::from(status));
                }
                // Only where it is not the version that the line names.
                if used != Some(attempt.version) {
                    item.number("version", u64::from(attempt.version));
                }
                item.number("us", u64::from(attempt.us));
            });
        }
    });
}

fn upstream(facts: &UpstreamFacts, line: &mut Object<'_>) {
    line.number("attempts", u64::from(facts.attempts));
    if let Some(status) = facts.status {
        line.number("status", u64::from(status));
    }
    if let Some(result) = facts.result {
        line.word(
            "result",
            match result {
                ResultKind::Success => "Success",
                ResultKind::Error => "Error",
                ResultKind::Other => "other",
            },
        );
    }
    if let Some(class) = facts.class {
        line.word(
            "class",
            match class {
                ErrorClass::InvalidRequest => "invalid_request",
                ErrorClass::NotFound => "not_found",
                ErrorClass::CredentialsRejected => "credentials_rejected",
                ErrorClass::Other => "other",
            },
        );
    }
    if let Some(status) = facts.returned_status {
        line.word(
            "status_returned",
            match status {
                ReturnedStatus::Pass => "PASS",
                ReturnedStatus::Pending => "PENDING",
                ReturnedStatus::Fail => "FAIL",
            },
        );
    }
    if facts.fate_unknown {
        line.flag("outcome_unknown", true);
    }
    if facts.credential_reflected {
        line.flag("credential_reflected", true);
    }
}
