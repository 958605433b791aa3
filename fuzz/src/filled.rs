//! How do numbers become a record that the steps of a request could have filled?

use dcams_gateway::audit::{
    Attempt, AuditRecord, CallerRequestId, CredentialUse, ErrorClass, IdentifiedBy, Outcome, PeerKind,
    ResultKind, ReturnedStatus, UpstreamFacts,
};
use dcams_gateway::config::Config;
use dcams_gateway::ids::{CallerId, CredentialId, EndpointId, ServiceId};
use dcams_gateway::reject::{self, Fate, Reject};

/// A record as the steps fill it: what is refused has a code, what is not sent was refused.
pub fn record(numbers: &[u8], config: &Config) -> AuditRecord {
    let numbers = &mut Numbers(numbers);
    let peers = [PeerKind::Loopback, PeerKind::Unix, PeerKind::Remote];
    let mut record = AuditRecord::begin(id(numbers), *numbers.pick(&peers));
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
