//! Is every record one line of the published form without a word of the request, whatever the record?
//!
//! An input is a byte that tells how many bytes the numbers of a record are, those, and the body that its facts are taken
//! from.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use dcams_gateway::audit::{
    self, Attempt, AuditRecord, CallerRequestId, CredentialUse, ErrorClass, Fingerprinter, IdentifiedBy,
    Names, Outcome, PeerKind, ResultKind, ReturnedStatus, UpstreamFacts,
};
use dcams_gateway::config::Config;
use dcams_gateway::ids::{CallerId, CredentialId, EndpointId, ServiceId};
use dcams_gateway::json::{Caps, Document, parse};
use dcams_gateway::reject::{self, Fate, Reject};
use dcams_gateway::schema::Normalise;
use dcams_gateway::secret::Secret;
use jsonschema::Validator;
use serde_json::Value;

use crate::fixture::Fixture;

/// What a record says of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// There was none that could be read.
    Bodyless,
    /// Facts, and that it obeys its schema.
    Valid,
    /// Facts, and where it violates its schema.
    Violating,
}

struct Stand {
    config: Arc<Config>,
    names: Names,
    validator: Validator,
    fingerprinter: Fingerprinter,
    /// Every text that a line may hold: of the configuration, the schemas and the published form.
    vocabulary: String,
}

static STAND: LazyLock<Stand> = LazyLock::new(|| {
    dcams_gateway::tls::install_provider();
    let fixture = Fixture::new(&[]);
    let published: Value = serde_json::from_str(audit::SCHEMA).unwrap();
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    let config = Arc::clone(&fixture.gateway.current().config);
    let schemas = config.services.iter().map(|service| {
        let schema = &service.schema;
        format!("{:?} {:?} {}", schema.members(), schema.recorded_values(), &*service.name)
    });
    let mut vocabulary: String = schemas.collect();
    vocabulary.push_str(audit::SCHEMA);
    vocabulary.push_str(include_str!("../../tests/stack/gateway.toml"));
    Stand {
        names: Names::of(&config),
        validator: options.build(&published).unwrap(),
        fingerprinter: Fingerprinter::new(&Secret::new(vec![7; 32])),
        vocabulary,
        config,
    }
});

/// Shorter texts occur in any line by chance.
const TELLING_BYTES: usize = 7;

/// Writes the record that `input` stands for as intent and as outcome, and panics unless both are of the form.
pub fn check(input: &[u8]) -> Option<Verdict> {
    let (count, rest) = input.split_first()?;
    let (numbers, body) = rest.split_at_checked(usize::from(*count))?;
    let mut record = record(&mut Numbers(numbers));
    let document = parse(Bytes::copy_from_slice(body), &Caps::REQUEST).ok();
    let verdict = describe(&mut record, document.as_ref());
    settle(&mut record);
    for write in [audit::intent, audit::outcome] {
        // An intent is written of what was validated.
        let mut line = b"{\"seq\":1,".to_vec();
        let start = line.len();
        write(&STAND.names, &record, &mut line);
        // The writer puts the number in the place of the opening brace.
        line.remove(start);
        if record.service.is_some() || line[start..].starts_with(b"\"v\":1,\"kind\":\"outcome\"") {
            assert_of_the_form(&line);
        }
        assert_tells_nothing(&line, document.as_ref());
    }
    Some(verdict)
}

/// A record as the steps fill it: what is refused has a code, what is not sent was refused.
fn record(numbers: &mut Numbers<'_>) -> AuditRecord {
    let peers = [PeerKind::Loopback, PeerKind::Unix, PeerKind::Remote];
    let mut record = AuditRecord::begin(id(numbers), *numbers.pick(&peers));
    let config = &STAND.config;
    record.caller = numbers.maybe(|_| CallerId(0));
    record.identified_by = record.caller.map(|_| match numbers.byte() % 3 {
        0 => IdentifiedBy::Key(numbers.short()),
        1 => IdentifiedBy::Uid(numbers.wide() as u32),
        _ => IdentifiedBy::Anonymous,
    });
    record.endpoint = record.caller.map(|_| EndpointId(0));
    let services = config.services.len() as u16;
    record.service =
        record.endpoint.and_then(|_| numbers.maybe(|numbers| ServiceId(numbers.short() % services)));
    record.caller_request_id = numbers.maybe(|numbers| match numbers.byte() {
        0..=127 => CallerRequestId::Uuid(numbers.wide()),
        digits => {
            let digits = 16 + digits % 49;
            let mut nibbles = [0; 32];
            nibbles.fill_with(|| numbers.byte());
            // Digits alone could be a phone number, and are no id.
            nibbles[0] = 0xab;
            CallerRequestId::Hex { nibbles, digits }
        }
    });
    // 0 is none (W3C Trace Context, section 3.2.2.3).
    record.trace_id = numbers.maybe(Numbers::wide).filter(|id| *id != 0);
    record.received_bytes = numbers.wide() as u64;
    record.sent_bytes = numbers.wide() as u64;
    record.answer_bytes = numbers.wide() as u64;
    record.returned_bytes = numbers.wide() as u64;
    record.step_us.fill_with(|| numbers.short().into());
    record.total_us = numbers.wide() as u64;
    record.swallowed = numbers.short().into();
    end(&mut record, numbers);
    record
}

/// As the gateway makes them: a UUIDv7.
fn id(numbers: &mut Numbers<'_>) -> u128 {
    let (milliseconds, random) = (numbers.wide() as u64 >> 16, numbers.wide().to_be_bytes());
    let random = random.first_chunk().unwrap();
    uuid::Builder::from_unix_timestamp_millis(milliseconds, random).into_uuid().as_u128()
}

fn end(record: &mut AuditRecord, numbers: &mut Numbers<'_>) {
    record.outcome = match numbers.byte() % 5 {
        0 => Outcome::Refused,
        1 => Outcome::NotSent,
        2 => Outcome::Abandoned,
        3 => Outcome::Truncated,
        _ => Outcome::Forwarded,
    };
    let every = reject::every();
    let reject = match record.outcome {
        Outcome::Refused => Some(*numbers.pick(&every)),
        Outcome::NotSent => Some(Reject::AuditUnavailable),
        _ => None,
    };
    // Of which violations, the body decides.
    record.reject = reject.filter(|reject| !matches!(reject, Reject::SchemaViolation(_)));
    record.status = match (record.outcome, record.reject) {
        (Outcome::Abandoned, _) => 0,
        (_, Some(reject)) => reject.status().as_u16(),
        _ => 200 + numbers.short() % 400,
    };
    record.outcome = if record.outcome == Outcome::Refused && record.reject.is_none() {
        Outcome::Forwarded
    } else {
        record.outcome
    };
    record.credential = record.service.and_then(|_| {
        numbers.maybe(|numbers| CredentialUse {
            credential: CredentialId(0),
            version: 1 + u32::from(numbers.short()),
        })
    });
    let attempts = numbers.byte() % 12;
    if attempts > 0 {
        record.upstream = UpstreamFacts {
            attempts,
            status: numbers.maybe(|numbers| 200 + numbers.short() % 400),
            result: numbers
                .maybe(|numbers| *numbers.pick(&[ResultKind::Success, ResultKind::Error, ResultKind::Other])),
            class: None,
            returned_status: numbers.maybe(|numbers| {
                *numbers.pick(&[ReturnedStatus::Pass, ReturnedStatus::Pending, ReturnedStatus::Fail])
            }),
            fate_unknown: numbers.flag(),
            credential_reflected: numbers.flag(),
        };
        let classes = [
            ErrorClass::InvalidRequest,
            ErrorClass::NotFound,
            ErrorClass::CredentialsRejected,
            ErrorClass::Other,
        ];
        // Only of an error there is a class, and of every one.
        let is_error = record.upstream.result == Some(ResultKind::Error);
        record.upstream.class = is_error.then(|| *numbers.pick(&classes));
        record.tried.iter_mut().take(usize::from(attempts)).for_each(|tried| *tried = Some(attempt(numbers)));
    }
}

/// As the forward ends them.
fn attempt(numbers: &mut Numbers<'_>) -> Attempt {
    let ends = [
        Reject::Internal,
        Reject::Overloaded,
        Reject::UpstreamUnreachable,
        Reject::UpstreamTls,
        Reject::UpstreamCredentialsRejected,
        Reject::UpstreamInvalid(Fate::Harmless),
        Reject::UpstreamTruncated(Fate::Unknown),
        Reject::UpstreamTimeout(Fate::Unknown),
        Reject::ResponseWithheld(Fate::Unknown),
    ];
    Attempt {
        reject: numbers.maybe(|numbers| *numbers.pick(&ends)),
        status: numbers.maybe(|numbers| 200 + numbers.short() % 400),
        us: numbers.wide() as u32,
        version: 1 + u32::from(numbers.short()),
    }
}

/// Adds what is known of the body after validation.
fn describe(record: &mut AuditRecord, document: Option<&Document>) -> Verdict {
    let config = &STAND.config;
    let service = record.service.and_then(|id| config.services.get(usize::from(id.0)));
    let (Some(document), Some(service)) = (document, service) else {
        record.service = None;
        return Verdict::Bodyless;
    };
    record.facts = Some(service.schema.facts(document));
    service.schema.fingerprinted(document, |normalise, text| {
        let print = Some(STAND.fingerprinter.of_text(normalise, text));
        match normalise {
            Normalise::Email => record.email_fingerprint = print,
            Normalise::Reference => record.reference_fingerprint = print,
        }
    });
    let Some(violations) = service.schema.violations(document) else { return Verdict::Valid };
    record.violations = Some(violations);
    if record.outcome == Outcome::Refused {
        record.enforced = true;
        record.reject = Some(Reject::SchemaViolation(violations));
        record.status = 422;
    }
    Verdict::Violating
}

/// What is not sent came as far as its service, and no further.
fn settle(record: &mut AuditRecord) {
    if record.outcome == Outcome::NotSent {
        (record.credential, record.upstream) = (None, UpstreamFacts::default());
        record.outcome = if record.service.is_some() { Outcome::NotSent } else { Outcome::Refused };
    }
    // What an answer says is known of an answer alone.
    if record.upstream.status.is_none() {
        let UpstreamFacts { attempts, fate_unknown, .. } = record.upstream;
        record.upstream = UpstreamFacts { attempts, fate_unknown, ..UpstreamFacts::default() };
    }
}

fn assert_of_the_form(line: &[u8]) {
    let text = std::str::from_utf8(line).unwrap();
    assert!(!text.contains(['\n', '\r']), "{text}");
    // A member twice is what the form cannot see.
    let strict = parse(Bytes::copy_from_slice(line), &Caps::ANSWER);
    assert!(strict.is_ok(), "{text}");
    let line: Value = serde_json::from_str(text).unwrap();
    let fault = STAND.validator.iter_errors(&line).next();
    assert!(fault.is_none(), "{}: {text}", fault.unwrap());
}

/// No name or string of the body that the schemas do not know, whole or without its ends.
fn assert_tells_nothing(line: &[u8], document: Option<&Document>) {
    let text = std::str::from_utf8(line).unwrap();
    for word in document.into_iter().flat_map(Document::strings) {
        let word = word.unescape();
        let telling = word.len() >= TELLING_BYTES && !STAND.vocabulary.contains(&*word);
        // Of digits alone there are numbers enough in a line.
        let telling =
            telling && !word.bytes().all(|byte| byte.is_ascii_hexdigit() || b"-:,.TZ".contains(&byte));
        assert!(!telling || !text.contains(&*word), "{word:?} of the request in {text}");
    }
}

/// The numbers of a record, from the front of an input; 0 where it is over.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Of any size, most often small.
    fn wide(&mut self) -> u128 {
        let bytes = usize::from(self.byte() % 17);
        (0..bytes).fold(0, |number, _| number << 8 | u128::from(self.byte()))
    }

    fn maybe<T>(&mut self, of: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| of(self))
    }

    fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[usize::from(self.byte()) % of.len()]
    }
}
