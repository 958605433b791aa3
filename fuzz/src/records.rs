//! Is every record one line of the published form without a word of the request, whatever the record?
//!
//! An input is a byte that tells how many bytes the numbers of a record are, those, and the body that its facts are taken
//! from.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use dcams_gateway::audit::{
    self, Attempt, AuditRecord, CallerRequestId, Fingerprinter, Names, Outcome, UpstreamFacts,
};
use dcams_gateway::config::Config;
use dcams_gateway::json::{Caps, Document, parse};
use dcams_gateway::reject::Reject;
use dcams_gateway::schema::Normalise;
use dcams_gateway::secret::Secret;
use jsonschema::Validator;
use serde_json::Value;

use crate::filled::record;
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

/// What is compared with the record: each as the line and as the record has it.
#[derive(Debug, PartialEq, Eq)]
struct Numbered {
    ids: [Option<String>; 3],
    numbers: [Option<u64>; NUMBERS.len()],
    tried: Option<usize>,
}

const NUMBERS: [&str; 6] =
    ["/bytes/received", "/bytes/sent", "/bytes/answer", "/bytes/returned", "/us/total", "/status"];

/// Shorter texts occur in any line by chance.
const TELLING_BYTES: usize = 7;

/// Writes the record that `input` stands for as intent and as outcome, and panics unless both are of the form.
pub fn check(input: &[u8]) -> Option<Verdict> {
    let (count, rest) = input.split_first()?;
    let (numbers, body) = rest.split_at_checked(usize::from(*count))?;
    let mut record = record(numbers, &STAND.config);
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
            let line = of_the_form(&line);
            assert_eq!(told(&line), meant(&record, line["kind"] == "outcome"), "{line}");
        }
        assert_tells_nothing(&line, document.as_ref());
    }
    Some(verdict)
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

fn of_the_form(line: &[u8]) -> Value {
    let text = std::str::from_utf8(line).unwrap();
    assert!(!text.contains(['\n', '\r']), "{text}");
    // A member twice is what the form cannot see.
    let strict = parse(Bytes::copy_from_slice(line), &Caps::ANSWER);
    assert!(strict.is_ok(), "{text}");
    let line: Value = serde_json::from_str(text).unwrap();
    let fault = STAND.validator.iter_errors(&line).next();
    assert!(fault.is_none(), "{}: {text}", fault.unwrap());
    line
}

/// What a line tells of ids, times and sizes.
fn told(line: &Value) -> Numbered {
    let text = |member: &str| line[member].as_str().map(|id| id.replace('-', ""));
    let number = |member: &str| line.pointer(member).and_then(Value::as_u64);
    Numbered {
        ids: [text("id"), text("caller_request_id"), text("trace_id")],
        numbers: NUMBERS.map(number),
        tried: line["upstream"]["tried"].as_array().map(Vec::len),
    }
}

/// The same of the record itself.
fn meant(record: &AuditRecord, ended: bool) -> Numbered {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let request_id = record.caller_request_id.map(|id| match id {
        CallerRequestId::Uuid(id) => format!("{id:032x}"),
        CallerRequestId::Hex { nibbles, digits } => hex(&nibbles)[..usize::from(digits)].to_owned(),
    });
    let status = (record.status > 0).then_some(u64::from(record.status));
    let (ends, attempts) = (|number: u64| ended.then_some(number), usize::from(record.upstream.attempts));
    Numbered {
        ids: [
            Some(format!("{:032x}", record.id)),
            request_id,
            record.trace_id.map(|id| format!("{id:032x}")),
        ],
        numbers: [
            Some(record.received_bytes),
            ends(record.sent_bytes),
            ends(record.answer_bytes),
            ends(record.returned_bytes),
            ends(record.total_us),
            status.filter(|_| ended),
        ],
        tried: (ended && attempts > 1).then_some(attempts.min(Attempt::SHOWN)),
    }
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
