//! What must be true of every refusal, whatever its code?

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use dcams_gateway::reject::{self, Reject};
use dcams_gateway::simulate::Settings;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::harness::{Answer, Connection, Gateway, KYC_API, PATH, Setup, Upstream};

/// Code, status, seconds of `Retry-After`, whether it must end an HTTP/1 connection, and the error in
/// `Proxy-Status`: written down here a second time, so that a slip in `reject.rs` shows.
type Row = (&'static str, u16, Option<RangeInclusive<u64>>, bool, Option<&'static str>);
const TABLE: [Row; 28] = [
    ("bad_request", 400, None, true, None),
    ("malformed_json", 400, None, false, None),
    ("duplicate_member", 400, None, false, None),
    ("too_complex", 400, None, false, None),
    ("credentials_not_allowed", 400, None, false, None),
    ("unknown_service", 400, None, false, None),
    ("unauthenticated", 401, None, false, None),
    ("service_not_permitted", 403, None, false, None),
    ("not_found", 404, None, false, None),
    ("method_not_allowed", 405, None, false, None),
    ("body_timeout", 408, None, true, None),
    ("body_too_large", 413, None, true, None),
    ("unsupported_media_type", 415, None, false, None),
    ("schema_violation", 422, None, false, None),
    ("rate_limited", 429, Some(1..=1), false, None),
    ("internal", 500, None, true, None),
    ("upstream_unreachable", 502, None, false, Some("destination_unavailable")),
    ("upstream_tls", 502, None, false, Some("tls_protocol_error")),
    ("upstream_invalid", 502, None, false, Some("http_protocol_error")),
    ("upstream_truncated", 502, None, false, Some("http_response_incomplete")),
    ("upstream_credentials_rejected", 502, None, false, Some("http_request_denied")),
    ("response_withheld", 502, None, false, Some("http_protocol_error")),
    ("overloaded", 503, Some(1..=1), false, None),
    ("draining", 503, Some(5..=5), true, None),
    ("audit_unavailable", 503, Some(5..=5), false, None),
    ("credentials_unavailable", 503, Some(1..=30), false, None),
    ("upstream_suspended", 503, Some(1..=5), false, Some("destination_unavailable")),
    ("upstream_timeout", 504, None, false, Some("http_response_timeout")),
];

/// A gateway before its upstream, and one caller's connection to it.
pub struct Scene {
    // Dropped first: its end must not look like a fault of the upstream.
    pub gateway: Gateway,
    pub connection: Connection,
    pub upstream: Upstream,
}

impl Scene {
    pub fn new() -> Self {
        Self::with(|setup| setup)
    }

    /// As configured by `change`.
    pub fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        Self::before(Upstream::start(), change)
    }

    pub fn before(upstream: Upstream, change: impl FnOnce(Setup) -> Setup) -> Self {
        let gateway = change(Setup::before(&upstream)).start();
        let connection = gateway.connect();
        Self { gateway, connection, upstream }
    }

    /// Posts as `kyc-api`.
    pub fn post(&mut self, body: impl AsRef<[u8]>) -> Answer {
        self.connection.post(KYC_API, body.as_ref())
    }

    /// Sends exactly `bytes` and reads the answer.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.connection.send(bytes.as_ref());
        self.connection.read_answer()
    }
}

/// The head of an ordinary request of `kyc-api` with some lines more, and without a body.
pub fn head(method: &str, target: &str, lines: &[&str]) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    for line in lines {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head + "\r\n"
}

/// The lines of an ordinary head, for [`head`].
pub const HOST: &str = "Host: localhost";
pub const JSON: &str = "Content-Type: application/json";
pub const EMPTY: &str = "Content-Length: 0";
pub fn key_line() -> String {
    format!("Authorization: Bearer {KYC_API}")
}

/// `body` as it must arrive at DCAMS.
pub fn spliced(body: &str) -> String {
    let Settings { user, pass, .. } = Settings::default();
    format!(r#"{{"user":"{user}","pass":"{pass}",{}"#, &body[1..])
}

/// Everything that is expected of one refusal. What is not said must be absent.
pub struct Expected {
    code: &'static str,
    problem: Map<String, Value>,
    headers: BTreeMap<String, String>,
    record: Map<String, Value>,
    is_recorded: bool,
    sent: Vec<String>,
    connects: bool,
}

/// The proof that a refusal of this code was met and everything held.
pub struct Met {
    pub code: &'static str,
}

impl Expected {
    /// A refusal before anybody was identified.
    pub fn stranger(code: &'static str) -> Self {
        Self {
            code,
            problem: Map::new(),
            headers: BTreeMap::new(),
            record: Map::new(),
            is_recorded: true,
            sent: Vec::new(),
            connects: false,
        }
    }

    /// A refusal of `kyc-api` before the endpoint was known.
    pub fn caller(code: &'static str) -> Self {
        Self::stranger(code).record("caller", json!("kyc-api"))
    }

    /// A refusal of `kyc-api` before the service was known.
    pub fn endpoint(code: &'static str) -> Self {
        Self::caller(code).record("endpoint", json!("storage"))
    }

    /// A refusal of `kyc-api` that named `service`.
    pub fn service(code: &'static str, service: &str) -> Self {
        Self::endpoint(code).record("service", json!(service))
    }

    /// A failure beyond the gateway, with what the record says of the upstream.
    pub fn beyond(code: &'static str, service: &str, upstream: Value) -> Self {
        let credential = json!({"name": "production", "version": 1});
        let expected = Self::service(code, service).record("credential", credential);
        Self { connects: true, ..expected.record("upstream", upstream) }
    }

    /// A refusal of `kyc-api` because a breaker is open, after the credentials were put in.
    pub fn suspended(service: &str) -> Self {
        let credential = json!({"name": "production", "version": 1});
        Self::service("upstream_suspended", service).record("credential", credential)
    }

    /// Another member of the problem.
    pub fn problem(mut self, member: &str, value: Value) -> Self {
        self.problem.insert(member.to_owned(), value);
        self
    }

    /// Another header of the answer.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Another member of the record.
    pub fn record(mut self, member: &str, value: Value) -> Self {
        self.record.insert(member.to_owned(), value);
        self
    }

    /// No record, because none can be written.
    pub fn unrecorded(mut self) -> Self {
        self.is_recorded = false;
        self
    }

    /// What DCAMS received, this request's bytes and those before it: the callers' bodies.
    pub fn sent(mut self, bodies: &[&str]) -> Self {
        self.sent = bodies.iter().map(|body| spliced(body)).collect();
        self.connects = true;
        self
    }

    /// What DCAMS received, byte for byte.
    pub fn sent_exactly(mut self, bodies: Vec<String>) -> Self {
        self.sent = bodies;
        self
    }

    /// Checks the answer that came on the scene's own connection, and all that it leaves behind.
    pub fn meets(self, scene: &mut Scene, answer: &Answer) -> Met {
        self.check_answer(answer);
        let closed = answer.header("connection") == Some("close");
        if closed {
            assert!(scene.connection.is_closed(), "more came after the last answer");
        }
        self.check_records(scene, answer);
        self.check_sent(scene);
        if !closed {
            // The connection is in order: the next request on it is understood.
            let probe = scene.send(head("GET", "/probe", &[HOST]));
            assert_eq!(probe.status, 401);
        }
        Met { code: self.code }
    }

    fn check_answer(&self, answer: &Answer) {
        let (code, status, retry_after, closes, proxy_error) =
            TABLE.iter().find(|row| row.0 == self.code).cloned().expect("a row of the table");
        assert_eq!(answer.json()["code"], code);
        assert_eq!(answer.status, status);
        let title = reject::every().iter().find(|reject| reject.code() == code).map(Reject::title).unwrap();
        let id = answer.id();
        assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 7);
        let mut problem = json!({
            "type": format!("urn:dcams-gateway:problem:{code}"),
            "title": title,
            "status": status,
            "code": code,
            "instance": format!("urn:uuid:{id}"),
            "result": "Error",
            "message": title,
        });
        problem.as_object_mut().unwrap().extend(self.problem.clone());
        assert_eq!(answer.json(), problem);

        let mut headers = self.headers.clone();
        let mut expect = |name: &str, value: &str| {
            headers.entry(name.to_owned()).or_insert(value.to_owned());
        };
        expect("content-type", "application/problem+json");
        expect("content-length", &answer.body.len().to_string());
        expect("x-content-type-options", "nosniff");
        expect("cache-control", "no-store");
        expect("x-request-id", &id);
        expect("date", answer.header("date").expect("a date"));
        if closes {
            expect("connection", "close");
        }
        if let Some(error) = proxy_error {
            expect("proxy-status", &format!("dcams-gateway; error={error}"));
        }
        if let Some(seconds) = retry_after {
            let said = answer.header("retry-after").expect("Retry-After");
            assert!(seconds.contains(&said.parse().unwrap()), "Retry-After: {said}");
            expect("retry-after", said);
        }
        let said =
            answer.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let said: Vec<(String, String)> = said.collect();
        let said_once: BTreeMap<String, String> = said.iter().cloned().collect();
        assert_eq!(said.len(), said_once.len(), "a header is repeated: {said:?}");
        assert_eq!(said_once, headers);
    }

    fn check_records(&self, scene: &Scene, answer: &Answer) {
        if !self.is_recorded {
            assert_eq!(scene.gateway.outcomes(), Vec::<Value>::new());
            return;
        }
        let mut line = scene.gateway.record_of(answer);
        assert_published_form(&line);
        let upstream = line.get_mut("upstream").and_then(Value::as_object_mut);
        if let Some(tried) = upstream.and_then(|upstream| upstream.remove("tried")) {
            let tried = tried.as_array().unwrap();
            assert_eq!(line["upstream"]["attempts"], tried.len());
            // The last one is what the caller was told of.
            assert_eq!(tried.last().unwrap()["code"], self.code);
        }
        let ids = scene.gateway.outcomes().into_iter().filter(|other| other["id"] == line["id"]);
        assert_eq!(ids.count(), 1, "more than one record of one request");

        let mut expected = self.record.clone();
        expected.insert("outcome".to_owned(), json!("refused"));
        expected.insert("code".to_owned(), json!(self.code));
        expected.insert("status".to_owned(), json!(answer.status));
        if let Some(limit) = self.problem.get("limit") {
            expected.insert("limit".to_owned(), limit.clone());
        }
        let told =
            ["outcome", "code", "status", "caller", "endpoint", "service", "limit", "credential", "upstream"];
        let told = told.iter().chain(&["violations", "caller_request_id", "swallowed"]);
        let said: Map<String, Value> =
            told.filter_map(|member| Some(((*member).to_owned(), line.get(*member)?.clone()))).collect();
        assert_eq!(Value::Object(said), Value::Object(expected));
        assert_eq!(line["bytes"]["returned"], answer.body.len());
        let sent: usize = self.sent_by_this().map(String::len).sum();
        assert_eq!(line["bytes"]["sent"], sent, "{line}");
    }

    /// Of what was sent, the part of the refused request: its attempts are the last.
    fn sent_by_this(&self) -> impl Iterator<Item = &String> {
        let attempts =
            self.record.get("upstream").and_then(|upstream| upstream["attempts"].as_u64()).unwrap_or(0);
        self.sent.iter().rev().take(usize::try_from(attempts).unwrap())
    }

    fn check_sent(&self, scene: &Scene) {
        if !self.connects {
            assert_eq!(scene.upstream.counts().connections, 0, "DCAMS was connected to");
        }
        let received = scene.upstream.received();
        let bodies: Vec<String> =
            received.iter().map(|request| String::from_utf8(request.body.to_vec()).unwrap()).collect();
        assert_eq!(bodies, self.sent);
        for request in received {
            let host = scene.upstream.url();
            let host = host.split('/').nth(2).unwrap();
            let expected = format!(
                "POST {PATH} HTTP/1.1\r\nhost: {host}\r\nuser-agent: dcams-gateway/{}\r\n\
                 content-type: application/json\r\naccept: application/json\r\naccept-encoding: identity\r\n\
                 content-length: {}\r\n\r\n",
                env!("CARGO_PKG_VERSION"),
                request.body.len()
            );
            assert_eq!(String::from_utf8_lossy(&request.head), expected);
        }
    }
}

/// A line of the audit is of the form that `schemas/audit.schema.json` publishes.
pub fn assert_published_form(line: &Value) {
    let errors = AUDIT_SCHEMA.iter_errors(line);
    let errors: Vec<String> = errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new(), "{line}");
}

static AUDIT_SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let text = include_str!("../../../schemas/audit.schema.json");
    jsonschema::options().should_validate_formats(true).build(&serde_json::from_str(text).unwrap()).unwrap()
});

#[test]
fn the_table_has_every_code_with_its_status_once() {
    let expected: Vec<(&str, u16)> =
        reject::every().iter().map(|reject| (reject.code(), reject.status().as_u16())).collect();
    let rows: Vec<(&str, u16)> = TABLE.iter().map(|row| (row.0, row.1)).collect();
    assert_eq!(rows, expected);
}
