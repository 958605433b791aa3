//! How does a log come about in a test, without a gateway?
//!
//! Lines are sealed by the chain itself, and hold what the gateway's lines hold.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use dcams_gateway::audit::{Chain, ChainKey, Segment};
use dcams_gateway::secret::Secret;
use jiff::Timestamp;

/// Where commands that are started keep their indices, in place of the cache of who runs the tests.
pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("audit-questions-cache")
}

/// 2026-11-01T00:00:00Z.
pub const BEGIN_US: i64 = 1_793_491_200_000_000;
pub const HOUR_US: i64 = 3_600_000_000;

/// A folder with segments, which grows line by line.
pub struct Log {
    pub folder: PathBuf,
    chain: Chain,
    id: uuid::Uuid,
    segment: Option<File>,
    buffer: Vec<u8>,
    object: String,
}

/// What the lines of a request say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub time_us: i64,
    pub id: u128,
    pub caller: Option<&'static str>,
    pub service: Option<&'static str>,
    pub outcome: &'static str,
    pub code: Option<&'static str>,
    pub status: Option<u16>,
    pub email: Option<[u8; 16]>,
    pub reference: Option<[u8; 16]>,
    /// Id of the key of both.
    pub key: &'static str,
}

impl Log {
    /// Begins a log; `id` makes its chain another one than any other's.
    pub fn begin(folder: &Path, id: u128) -> Self {
        let id = uuid::Uuid::from_u128(id);
        let chain = Chain::begin(ChainKey::of_chain(&Secret::new(vec![7; 32]), id));
        let (segment, buffer, object) = (None, Vec::new(), String::new());
        let mut log = Self { folder: folder.to_owned(), chain, id, segment, buffer, object };
        log.rotate(BEGIN_US);
        log
    }

    /// Begins a segment.
    pub fn rotate(&mut self, time_us: i64) {
        self.write();
        let path = self.folder.join(Segment::name_of(self.chain.next_seq()));
        self.segment = Some(OpenOptions::new().append(true).create(true).open(path).unwrap());
        let (chain, epoch) = (self.id, self.chain.epoch());
        let members =
            format!(r#","chain":"{chain}","epoch":{epoch},"instance":"gw-1","version":"0.1.0","open":[]"#);
        self.event("segment", time_us, &members);
    }

    /// A line that is about no request; `members` begin with a comma.
    pub fn event(&mut self, kind: &str, time_us: i64, members: &str) {
        self.object.clear();
        write!(self.object, r#"{{"v":1,"kind":"{kind}","time":"{}"{members}}}"#, time(time_us)).unwrap();
        self.seal();
    }

    /// That a request is going to be forwarded.
    pub fn intent(&mut self, request: &Request) {
        self.begin_request("intent", request);
        self.object.push_str(r#","bytes":{"received":1834}}"#);
        self.seal();
    }

    /// What became of a request.
    pub fn outcome(&mut self, request: &Request) {
        self.begin_request("outcome", request);
        write!(self.object, r#","outcome":"{}""#, request.outcome).unwrap();
        if let Some(code) = request.code {
            write!(self.object, r#","code":"{code}""#).unwrap();
        }
        if let Some(status) = request.status {
            write!(self.object, r#","status":{status}"#).unwrap();
        }
        if request.outcome == "forwarded" {
            self.object.push_str(r#","upstream":{"attempts":1,"status":200,"result":"Success"}"#);
        }
        self.object.push_str(
            r#","bytes":{"received":1834,"sent":1893,"answer":512,"returned":512},"us":{"identify":3,"route":2,"admit":4,"receive":118,"parse":37,"authorize":2,"validate":61,"record":1480,"inject":2,"forward":143276,"total":145011}}"#,
        );
        self.seal();
    }

    /// Everything that was sealed is in its file.
    pub fn write(&mut self) {
        if let Some(segment) = &mut self.segment {
            segment.write_all(&self.buffer).unwrap();
        }
        self.buffer.clear();
    }

    /// Something that no gateway writes.
    pub fn write_raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.write();
    }

    pub fn next_seq(&self) -> u64 {
        self.chain.next_seq()
    }

    fn begin_request(&mut self, kind: &str, request: &Request) {
        self.object.clear();
        let id = uuid::Uuid::from_u128(request.id);
        let object = &mut self.object;
        write!(object, r#"{{"v":1,"kind":"{kind}","time":"{}","id":"{id}""#, time(request.time_us)).unwrap();
        object.push_str(r#","instance":"gw-1","config":"5b1f0c9e8a712d7e""#);
        if let Some(caller) = request.caller {
            write!(object, r#","caller":"{caller}","identified_by":{{"by":"key","key":0}}"#).unwrap();
        }
        object.push_str(r#","peer":"loopback","endpoint":"storage""#);
        if let Some(service) = request.service {
            let effect = if service.starts_with("get") { "read" } else { "write" };
            write!(object, r#","service":"{service}","effect":"{effect}","schema":"0c9e8a712d7e5b1f""#)
                .unwrap();
            object.push_str(
                r#","members":{"total":3,"shown":["/target","/target/email","/target/reference"]}"#,
            );
            object.push_str(r#","credential":{"name":"production","version":1}"#);
        }
        if request.email.is_some() || request.reference.is_some() {
            write!(object, r#","fingerprints":{{"key":"{}""#, request.key).unwrap();
            for (name, fingerprint) in [("email", request.email), ("reference", request.reference)] {
                if let Some(fingerprint) = fingerprint {
                    write!(object, r#","{name}":"{}""#, hex(&fingerprint)).unwrap();
                }
            }
            object.push('}');
        }
    }

    fn seal(&mut self) {
        self.chain.seal(self.object.as_bytes(), &mut self.buffer);
        if self.buffer.len() > 1 << 20 {
            self.write();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.write();
    }
}

/// Of a test that wants the same every time.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[usize::try_from(self.below(values.len() as u64)).unwrap()]
    }
}

/// The traffic of a month, as a gateway sees it.
pub fn request(random: &mut Random, time_us: i64, persons: u64) -> Request {
    let caller = random.one_of(&[
        "kyc-api",
        "kyc-api",
        "kyc-api",
        "kyc-api",
        "kyc-api",
        "kyc-api",
        "ops-portal",
        "ops-portal",
        "ops-portal",
        "batch",
    ]);
    let service = random.one_of(&[
        "getStatus",
        "getStatus",
        "getStatus",
        "getStatus",
        "createOrUpdateCustomer",
        "createOrUpdateCustomer",
        "updateStatus",
        "getDocumentImages",
    ]);
    let forwarded = Request {
        time_us,
        id: id(random, time_us),
        caller: Some(caller),
        service: Some(service),
        outcome: "forwarded",
        status: Some(200),
        email: Some(person(random.below(persons))),
        reference: (random.below(3) == 0).then(|| person(random.below(persons) | 1 << 40)),
        key: "k1",
        code: None,
    };
    let refused =
        |code, status| Request { outcome: "refused", code: Some(code), status: Some(status), ..forwarded };
    let stranger = Request {
        caller: None,
        service: None,
        email: None,
        reference: None,
        ..refused("unauthenticated", 401)
    };
    match random.below(1000) {
        0..20 => refused("rate_limited", 429),
        20..32 => refused("schema_violation", 422),
        32..42 => stranger,
        42..46 => refused("upstream_timeout", 504),
        46 => refused("response_withheld", 502),
        47..49 => Request { outcome: "abandoned", status: None, ..forwarded },
        49 => Request { outcome: "unknown", status: None, ..forwarded },
        _ => forwarded,
    }
}

/// Whether its outcome follows an intent.
pub fn has_intent(request: &Request) -> bool {
    !matches!(request.code, Some("rate_limited" | "schema_violation" | "unauthenticated"))
}

/// The fingerprint of a person.
pub fn person(number: u64) -> [u8; 16] {
    let mut random = Random(number);
    let halves = [random.next(), random.next()];
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&halves[0].to_be_bytes());
    bytes[8..].copy_from_slice(&halves[1].to_be_bytes());
    bytes
}

/// UUIDv7.
fn id(random: &mut Random, time_us: i64) -> u128 {
    let milliseconds = u128::from(time_us.unsigned_abs() / 1000) << 80;
    let low = u128::from(random.next() >> 2) | 0b10 << 62;
    milliseconds | 0x7 << 76 | u128::from(random.below(1 << 12)) << 64 | low
}

fn time(time_us: i64) -> String {
    format!("{:.6}", Timestamp::from_microsecond(time_us).unwrap())
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
