//! Is every line of the audit of the published form, and does that form say no more than there is?

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dcams_gateway::audit::{
    self, Attempt, AuditRecord, CallerRequestId, CredentialUse, ErrorClass, Fingerprinter, IdentifiedBy,
    Names, Outcome, PeerKind, ResultKind, ReturnedStatus, UpstreamFacts,
};
use dcams_gateway::config::Config;
use dcams_gateway::ids::{CallerId, CredentialId, EndpointId, ServiceId};
use dcams_gateway::json::{self, Caps, Malformed};
use dcams_gateway::reject::{self, Exceeded, Fate, Limit, Reject};
use dcams_gateway::schema::{MediaType, Normalise};
use dcams_gateway::secret::Secret;
use dcams_gateway::track::Step;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::fixture::Fixture;

/// Every value of an enum, given its first and which one follows which. `next` is a `match`: a new value does
/// not compile until it has its place in it.
fn all<T: Copy>(first: T, next: fn(T) -> Option<T>) -> Vec<T> {
    std::iter::successors(Some(first), |last| next(*last)).collect()
}

fn outcomes() -> Vec<Outcome> {
    all(Outcome::Forwarded, |outcome| match outcome {
        Outcome::Forwarded => Some(Outcome::Refused),
        Outcome::Refused => Some(Outcome::NotSent),
        Outcome::NotSent => Some(Outcome::Abandoned),
        Outcome::Abandoned => Some(Outcome::Truncated),
        Outcome::Truncated => None,
    })
}

fn peers() -> Vec<PeerKind> {
    all(PeerKind::Loopback, |peer| match peer {
        PeerKind::Loopback => Some(PeerKind::Unix),
        PeerKind::Unix => Some(PeerKind::Remote),
        PeerKind::Remote => None,
    })
}

fn identities() -> Vec<IdentifiedBy> {
    all(IdentifiedBy::Key(0), |identity| match identity {
        IdentifiedBy::Key(0) => Some(IdentifiedBy::Key(u16::MAX)),
        IdentifiedBy::Key(_) => Some(IdentifiedBy::Uid(0)),
        IdentifiedBy::Uid(0) => Some(IdentifiedBy::Uid(u32::MAX)),
        IdentifiedBy::Uid(_) => Some(IdentifiedBy::Anonymous),
        IdentifiedBy::Anonymous => None,
    })
}

fn limits() -> Vec<Limit> {
    all(Limit::Caller, |limit| match limit {
        Limit::Caller => Some(Limit::CallerService),
        Limit::CallerService => Some(Limit::CallerRequests),
        Limit::CallerRequests => Some(Limit::CallerBytes),
        Limit::CallerBytes => Some(Limit::Account),
        Limit::Account => None,
    })
}

fn results() -> Vec<ResultKind> {
    all(ResultKind::Success, |result| match result {
        ResultKind::Success => Some(ResultKind::Error),
        ResultKind::Error => Some(ResultKind::Other),
        ResultKind::Other => None,
    })
}

fn classes() -> Vec<ErrorClass> {
    all(ErrorClass::InvalidRequest, |class| match class {
        ErrorClass::InvalidRequest => Some(ErrorClass::NotFound),
        ErrorClass::NotFound => Some(ErrorClass::CredentialsRejected),
        ErrorClass::CredentialsRejected => Some(ErrorClass::Other),
        ErrorClass::Other => None,
    })
}

fn returned_statuses() -> Vec<ReturnedStatus> {
    all(ReturnedStatus::Pass, |status| match status {
        ReturnedStatus::Pass => Some(ReturnedStatus::Pending),
        ReturnedStatus::Pending => Some(ReturnedStatus::Fail),
        ReturnedStatus::Fail => None,
    })
}

fn media_types() -> Vec<MediaType> {
    all(MediaType::Jpeg, |media| match media {
        MediaType::Jpeg => Some(MediaType::Png),
        MediaType::Png => Some(MediaType::Webp),
        MediaType::Webp => Some(MediaType::Tiff),
        MediaType::Tiff => Some(MediaType::Heic),
        MediaType::Heic => Some(MediaType::Pdf),
        MediaType::Pdf => None,
    })
}

/// A configuration, and the published form of its audit lines.
pub struct Form {
    config: Arc<Config>,
    names: Names,
    validator: Validator,
}

impl Form {
    pub fn new() -> Self {
        let fixture = Fixture::new(&[]);
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        let validator = options.build(&published()).unwrap();
        let config = Arc::clone(&fixture.gateway.current().config);
        Self { names: Names::of(&config), config, validator }
    }

    fn config(&self) -> &Config {
        &self.config
    }

    /// The line of the outcome; fails unless it is one line of the published form.
    fn line(&self, record: &AuditRecord) -> Value {
        self.written(|buffer| audit::outcome(&self.names, record, buffer))
    }

    /// The line of the intent; fails as [`Self::line`].
    fn intent(&self, record: &AuditRecord) -> Value {
        self.written(|buffer| audit::intent(&self.names, record, buffer))
    }

    /// A line as it stands on standard output.
    fn written(&self, write: impl FnOnce(&mut Vec<u8>)) -> Value {
        let mut line = b"{\"seq\":1,".to_vec();
        write(&mut line);
        // The writer puts the number in the place of the opening brace.
        line.remove("{\"seq\":1,".len());
        self.judged_line(&line)
    }

    /// The object of an intent, as it is handed to the writer, and its id.
    pub fn intent_object(&self) -> (Vec<u8>, u128) {
        let record = self.judged(ServiceId(0), b"{}");
        let mut object = Vec::new();
        audit::intent(&self.names, &record, &mut object);
        (object, record.id)
    }

    /// Fails unless `line` is one line of the published form.
    pub fn judged_line(&self, line: &[u8]) -> Value {
        let text = std::str::from_utf8(line).unwrap();
        assert!(!text.contains('\n'), "{text}");
        // A member twice is what the form cannot see.
        let strict = json::parse(Bytes::copy_from_slice(line), &Caps::REQUEST);
        assert!(!matches!(strict, Err(Malformed::Duplicate { .. })), "{text}");
        let line: Value = serde_json::from_str(text).unwrap();
        let faults: Vec<String> = self
            .validator
            .iter_errors(&line)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{faults:#?}\n{line:#}");
        line
    }

    /// What is known of `body` after validation.
    fn judged(&self, service: ServiceId, body: &[u8]) -> AuditRecord {
        let schema = &self.config().services[usize::from(service.0)].schema;
        let document = json::parse(Bytes::copy_from_slice(body), &Caps::REQUEST).unwrap();
        let fingerprinter = Fingerprinter::new(&Secret::new(vec![7; 32]));
        let mut record = named();
        record.service = Some(service);
        record.facts = Some(schema.facts(&document));
        schema.fingerprinted(&document, |normalise, text| {
            let print = Some(fingerprinter.of_text(normalise, text));
            match normalise {
                Normalise::Email => record.email_fingerprint = print,
                Normalise::Reference => record.reference_fingerprint = print,
            }
        });
        record.violations = schema.violations(&document);
        record
    }

    /// A record in which every member has its largest value.
    fn full(&self) -> AuditRecord {
        let service = (0_u16..).zip(self.config().services.iter());
        let create =
            service.into_iter().find(|(_, service)| &*service.name == "createOrUpdateCustomer").unwrap().0;
        let body =
            fs::read(documents().join("createOrUpdateCustomer/invalid/many-things-are-wrong.json")).unwrap();
        let mut record = self.judged(ServiceId(create), &body);
        let valid = documents().join("createOrUpdateCustomer/valid/all-members-with-both-images.json");
        let good = self.judged(ServiceId(create), &fs::read(valid).unwrap());
        (record.facts, record.email_fingerprint) = (good.facts, good.email_fingerprint);
        record.reference_fingerprint = good.reference_fingerprint;
        let facts = record.facts.as_mut().unwrap();
        let document = facts.documents[0]
            .map(|document| dcams_gateway::schema::DocumentFacts { decoded_bytes: u64::MAX, ..document });
        (facts.documents, facts.document_count) = ([document; 4], u16::MAX);
        record.trace_id = Some(u128::MAX);
        record.caller_request_id = Some(CallerRequestId::Hex { nibbles: [0xff; 32], digits: 64 });
        record.outcome = Outcome::Forwarded;
        record.status = 999;
        record.credential = Some(CredentialUse { credential: CredentialId(0), version: u32::MAX });
        record.upstream = UpstreamFacts {
            attempts: u8::MAX,
            status: Some(999),
            result: Some(ResultKind::Error),
            class: Some(ErrorClass::Other),
            returned_status: Some(ReturnedStatus::Pending),
            fate_unknown: true,
            credential_reflected: true,
        };
        let reject = Some(Reject::UpstreamTimeout(Fate::Unknown));
        record.tried =
            [Some(Attempt { reject, status: Some(999), us: u32::MAX, version: 1 }); Attempt::SHOWN];
        (record.received_bytes, record.sent_bytes) = (u64::MAX, u64::MAX);
        (record.answer_bytes, record.returned_bytes) = (u64::MAX, u64::MAX);
        (record.step_us, record.total_us) = ([u32::MAX; Step::COUNT], u64::MAX);
        record.swallowed = u32::MAX;
        record
    }
}

pub fn published() -> Value {
    serde_json::from_str(audit::SCHEMA).unwrap()
}

fn documents() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/documents"))
}

/// The texts that the published form lists at `pointer`.
pub fn listed(pointer: &str) -> BTreeSet<String> {
    let published = published();
    let list = published.pointer(pointer).and_then(Value::as_array).unwrap();
    let texts: BTreeSet<String> = list.iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    assert_eq!(texts.len(), list.len(), "{pointer} has no text twice");
    texts
}

fn empty() -> AuditRecord {
    AuditRecord::begin(uuid::Uuid::now_v7().as_u128(), PeerKind::Loopback)
}

/// A record of which the caller and the endpoint are known.
fn named() -> AuditRecord {
    let mut record = empty();
    (record.caller, record.identified_by) = (Some(CallerId(0)), Some(IdentifiedBy::Key(0)));
    record.endpoint = Some(EndpointId(0));
    record
}

fn refused(mut record: AuditRecord, reject: Reject) -> AuditRecord {
    record.outcome = Outcome::Refused;
    record.status = reject.status().as_u16();
    record.reject = Some(reject);
    record
}

#[test]
fn a_record_of_which_nothing_is_known_is_of_the_form() {
    let form = Form::new();
    let line = form.line(&empty());
    let members: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    let required = published().pointer("/$defs/outcome/required").unwrap().clone();
    let mut required: BTreeSet<&str> =
        required.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    // Always, but beside the outcome that is no request's.
    required.extend(["config", "peer", "bytes", "us"]);
    assert_eq!(members.into_iter().collect::<BTreeSet<_>>(), required, "what is always known is required");
}

#[test]
fn every_refusal_is_of_the_form_and_every_code_of_the_form_is_one() {
    let form = Form::new();
    let mut codes = BTreeSet::new();
    for reject in reject::every() {
        let record = match reject {
            Reject::SchemaViolation(_) => {
                let mut record = form.judged(ServiceId(0), b"{}");
                record.enforced = true;
                refused(record, Reject::SchemaViolation(record.violations.unwrap()))
            }
            _ => refused(named(), reject),
        };
        codes.insert(form.line(&record)["code"].as_str().unwrap().to_owned());
    }
    assert_eq!(codes, listed("/$defs/code/enum"));
}

#[test]
fn every_limit_is_of_the_form_and_every_limit_of_the_form_is_one() {
    let form = Form::new();
    let limit = |limit| {
        let exceeded = Exceeded { limit, quota: 1, window_s: 1, retry_after_s: 1 };
        form.line(&refused(named(), Reject::RateLimited(exceeded)))["limit"].as_str().unwrap().to_owned()
    };
    let limits: BTreeSet<String> = limits().into_iter().map(limit).collect();
    assert_eq!(limits, listed("/$defs/outcome/properties/limit/enum"));
}

#[test]
fn every_outcome_is_of_the_form_and_every_outcome_of_the_form_is_one() {
    let form = Form::new();
    let outcome = |outcome| {
        let mut record = named();
        (record.outcome, record.status) = (outcome, 200);
        if outcome == Outcome::Refused {
            record = refused(record, Reject::Internal);
        }
        if outcome == Outcome::NotSent {
            record = refused(form.judged(ServiceId(0), b"{}"), Reject::AuditUnavailable);
            (record.outcome, record.violations) = (outcome, None);
        }
        form.line(&record)["outcome"].as_str().unwrap().to_owned()
    };
    let mut outcomes: BTreeSet<String> = outcomes().into_iter().map(outcome).collect();
    // Not of a request, but of a start that finds an intent alone.
    outcomes.insert("unknown".to_owned());
    assert_eq!(outcomes, listed("/$defs/outcome/properties/outcome/enum"));
}

#[test]
fn every_peer_and_identity_is_of_the_form() {
    let form = Form::new();
    for identity in identities() {
        let mut record = named();
        record.identified_by = Some(identity);
        form.line(&record);
    }
    let peer = |peer| form.line(&AuditRecord { peer, ..empty() })["peer"].as_str().unwrap().to_owned();
    let peers: BTreeSet<String> = peers().into_iter().map(peer).collect();
    assert_eq!(peers, listed("/$defs/peer/enum"));
}

#[test]
fn every_id_of_a_caller_is_of_the_form() {
    let form = Form::new();
    let hexadecimal = (16..=64).map(|digits| CallerRequestId::Hex { nibbles: [0xab; 32], digits });
    for id in hexadecimal.chain([0, u128::MAX].map(CallerRequestId::Uuid)) {
        form.line(&AuditRecord { caller_request_id: Some(id), trace_id: Some(1), ..empty() });
    }
}

#[test]
fn every_example_document_gives_a_record_of_the_form_enforced_or_not() {
    let form = Form::new();
    let mut judged = 0;
    for (id, service) in (0_u16..).map(ServiceId).zip(form.config().services.iter()) {
        for kind in ["valid", "invalid"] {
            for entry in fs::read_dir(documents().join(&*service.name).join(kind)).unwrap() {
                let mut record = form.judged(id, &fs::read(entry.unwrap().path()).unwrap());
                assert_eq!(record.violations.is_some(), kind == "invalid");
                record.status = 200;
                record.outcome = Outcome::Forwarded;
                form.line(&record);
                if let Some(violations) = record.violations {
                    record.enforced = true;
                    form.line(&refused(record, Reject::SchemaViolation(violations)));
                }
                judged += 1;
            }
        }
    }
    assert!(judged > 100, "{judged} documents");
}

#[test]
fn every_media_type_is_of_the_form_and_every_media_type_of_the_form_is_one() {
    let form = Form::new();
    let media = |media| {
        let mut record = form.full();
        let documents = &mut record.facts.as_mut().unwrap().documents;
        documents[0].as_mut().unwrap().media = media;
        form.line(&record).pointer("/documents/shown/0/media").map(|media| media.as_str().unwrap().to_owned())
    };
    assert_eq!(media(None), None);
    let types: BTreeSet<String> = media_types().into_iter().filter_map(|kind| media(Some(kind))).collect();
    assert_eq!(types, listed("/$defs/documents/properties/shown/items/properties/media/enum"));
}

#[test]
fn whatever_the_upstream_says_is_of_the_form() {
    let form = Form::new();
    let upstream = |facts: UpstreamFacts| {
        form.line(&AuditRecord { upstream: UpstreamFacts { attempts: 1, ..facts }, ..named() })["upstream"]
            .clone()
    };
    let texts = |member: &str, facts: Vec<UpstreamFacts>| -> BTreeSet<String> {
        facts.into_iter().map(|facts| upstream(facts)[member].as_str().unwrap().to_owned()).collect()
    };
    let none = UpstreamFacts::default();
    let error = UpstreamFacts { result: Some(ResultKind::Error), ..none };
    let result = |result| UpstreamFacts { result: Some(result), ..none };
    let class = |class| UpstreamFacts { class: Some(class), ..error };
    let status = |status| UpstreamFacts { returned_status: Some(status), ..none };
    assert_eq!(upstream(none), json!({"attempts": 1}));
    let place = |member: &str| listed(&format!("/$defs/upstream/properties/{member}/enum"));
    assert_eq!(texts("result", results().into_iter().map(result).collect()), place("result"));
    assert_eq!(texts("class", classes().into_iter().map(class).collect()), place("class"));
    let returned = returned_statuses().into_iter().map(status).collect();
    assert_eq!(texts("status_returned", returned), place("status_returned"));
}

#[test]
fn attempts_are_told_one_by_one_where_there_was_more_than_one() {
    let form = Form::new();
    let credential = Some(CredentialUse { credential: CredentialId(0), version: 2 });
    let first =
        Attempt { reject: Some(Reject::UpstreamCredentialsRejected), status: Some(200), us: 5, version: 1 };
    let unavailable = Attempt { reject: None, status: Some(503), us: 0, version: 2 };
    let last = Attempt { reject: None, status: Some(200), us: 7, version: 2 };
    let told = |attempts: &[Attempt]| {
        let mut record = AuditRecord { credential, ..named() };
        record.upstream.attempts = u8::try_from(attempts.len()).unwrap();
        for (place, attempt) in record.tried.iter_mut().zip(attempts) {
            *place = Some(*attempt);
        }
        form.line(&record)["upstream"].clone()
    };
    assert_eq!(told(&[last]), json!({"attempts": 1}));
    assert_eq!(
        told(&[first, unavailable, last]),
        json!({"attempts": 3, "tried": [
            {"code": "upstream_credentials_rejected", "status": 200, "version": 1, "us": 5},
            {"status": 503, "us": 0},
            {"status": 200, "us": 7},
        ]})
    );
    let many = told(&[last; 12]);
    assert_eq!((&many["attempts"], many["tried"].as_array().unwrap().len()), (&json!(12), 8));
}

#[test]
fn the_largest_values_are_of_the_form_and_all_members_occur() {
    let form = Form::new();
    let mut line = form.line(&form.full());
    line["code"] = "-".into();
    line["limit"] = "-".into();
    line["status_set"] = "-".into();
    line["mac"] = "-".into();
    let members: BTreeSet<String> = line.as_object().unwrap().keys().cloned().collect();
    let published = published();
    let described = |pointer: &str| -> BTreeSet<String> {
        published.pointer(pointer).and_then(Value::as_object).unwrap().keys().cloned().collect()
    };
    assert_eq!(members, described("/$defs/outcome/properties"));
    let within =
        |member: &str| -> BTreeSet<String> { line[member].as_object().unwrap().keys().cloned().collect() };
    assert_eq!(within("upstream"), described("/$defs/upstream/properties"));
    let tried: BTreeSet<String> = line["upstream"]["tried"][7].as_object().unwrap().keys().cloned().collect();
    assert_eq!(tried, described("/$defs/upstream/properties/tried/items/properties"));
    assert_eq!(within("fingerprints"), described("/$defs/fingerprints/properties"));
    assert_eq!(within("us"), described("/$defs/times/properties"));
    assert_eq!(line["violations"]["shown"].as_array().unwrap().len(), 8, "a list that is full");
}

#[test]
fn a_status_that_is_set_is_of_the_form() {
    let form = Form::new();
    let services = (0_u16..).zip(form.config().services.iter());
    let update = services.into_iter().find(|(_, service)| &*service.name == "updateStatus").unwrap().0;
    let body = br#"{"service":"updateStatus","target":{"email":"jane@example.com","status":"PENDING"}}"#;
    assert_eq!(form.line(&form.judged(ServiceId(update), body))["status_set"], "PENDING");
}

#[test]
fn times_before_and_long_after_today_are_of_the_form() {
    let form = Form::new();
    for started in [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_secs(200_000_000_000)] {
        form.line(&AuditRecord { started, ..empty() });
    }
}

#[test]
fn every_example_document_gives_an_intent_of_the_form() {
    let form = Form::new();
    for (id, service) in (0_u16..).map(ServiceId).zip(form.config().services.iter()) {
        for entry in fs::read_dir(documents().join(&*service.name).join("valid")).unwrap() {
            let record = form.judged(id, &fs::read(entry.unwrap().path()).unwrap());
            let intent = form.intent(&record);
            let outcome = form.line(&record);
            for (name, member) in intent.as_object().unwrap() {
                assert!(["kind", "bytes"].contains(&name.as_str()) || outcome[name] == *member, "{name}");
            }
        }
    }
}

#[test]
fn the_largest_intent_is_of_the_form_and_has_all_its_members() {
    let form = Form::new();
    let mut line = form.intent(&form.full());
    // The first comes to a few services only; the second is chosen after the intent; the third is the folder's.
    for member in ["status_set", "credential", "mac"] {
        line[member] = "-".into();
    }
    let members: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    let published = published();
    let described = published.pointer("/$defs/intent/properties").and_then(Value::as_object).unwrap();
    assert_eq!(members, described.keys().map(String::as_str).collect());
}

#[test]
fn an_unknown_outcome_repeats_the_intent_and_says_nothing_else() {
    let form = Form::new();
    let mut unknown = form.intent(&form.full());
    unknown["kind"] = json!("outcome");
    unknown["outcome"] = json!("unknown");
    assert!(!form.validator.is_valid(&unknown), "sizes are not known");
    unknown.as_object_mut().unwrap().remove("bytes");
    assert!(form.validator.is_valid(&unknown));
    for member in ["status", "us", "code"] {
        let mut more = unknown.clone();
        more[member] = form.line(&refused(form.full(), Reject::Internal))[member].clone();
        assert!(!form.validator.is_valid(&more), "{member}");
    }
}

#[test]
fn the_form_refuses_what_no_record_says() {
    let form = Form::new();
    let mut full = form.line(&form.full());
    for pointer in objects(&full) {
        let mut line = full.clone();
        line.pointer_mut(&pointer)
            .and_then(Value::as_object_mut)
            .unwrap()
            .insert("extra".into(), json!("text"));
        assert!(!form.validator.is_valid(&line), "an extra member in {pointer:?}");
    }
    for (pointer, wrong) in [
        ("/seq", json!(0)),
        ("/v", json!(2)),
        ("/id", json!("4")),
        ("/time", json!("today")),
        ("/caller", json!("Jane Doe")),
        ("/outcome", json!("lost")),
        ("/outcome", json!("refused")),
        ("/status", json!("200")),
        ("/trace_id", json!("jane@example.com")),
        ("/caller_request_id", json!("2015106000")),
        ("/fingerprints/email", json!("jane@example.com")),
        ("/documents/shown/0/media", json!("image/gif")),
        ("/upstream/outcome_unknown", json!(false)),
        ("/violations/total", json!(0)),
        ("/bytes/sent", json!(-1)),
    ] {
        let mut line = full.clone();
        *line.pointer_mut(pointer).unwrap() = wrong;
        assert!(!form.validator.is_valid(&line), "{pointer}");
    }
    full["code"] = json!("internal");
    assert!(!form.validator.is_valid(&full), "a forward with a code");
}

/// Pointers to every object inside `value`, itself included.
fn objects(value: &Value) -> Vec<String> {
    let within = |name: &str, inner: &Value| -> Vec<String> {
        objects(inner).iter().map(|pointer| format!("/{name}{pointer}")).collect()
    };
    match value {
        Value::Object(map) => {
            let inner = map.iter().flat_map(|(name, inner)| within(name, inner));
            std::iter::once(String::new()).chain(inner).collect()
        }
        Value::Array(list) => {
            list.iter().enumerate().flat_map(|(index, inner)| within(&index.to_string(), inner)).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn every_member_of_the_form_is_described() {
    fn walk(schema: &Value, place: &str) {
        let Some(map) = schema.as_object() else { return };
        for (name, member) in map.get("properties").and_then(Value::as_object).unwrap_or(&Map::new()) {
            let place = format!("{place}/{name}");
            assert!(member.get("description").is_some(), "{place}");
            walk(member, &place);
        }
        for list in ["oneOf"] {
            for branch in map.get(list).and_then(Value::as_array).into_iter().flatten() {
                walk(branch, place);
            }
        }
        if let Some(items) = map.get("items") {
            walk(items, place);
        }
    }
    let published = published();
    for (name, definition) in published["$defs"].as_object().unwrap() {
        walk(definition, name);
    }
}
