//! What is sent, and what is answered?

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

pub const PATH: &str = "/v3/stable/api/storage";
pub const BEARER: &str = "a-key-of-the-benchmark-0123456789";
pub const USER: &str = "user-of-the-benchmark";
pub const PASS: &str = "pass-of-the-benchmark-0123456789abcdef";

/// Bytes of one of the two base64 texts of an upload or a download.
const IMAGE_BYTES: usize = 2_500_000;

/// One kind of request with its answer.
pub struct Case {
    /// What callers send who hold no credentials.
    pub bare: Bytes,
    /// The same with credentials: what the upstream must receive.
    pub full: Bytes,
    /// What `full` says.
    pub meaning: Value,
    /// What the upstream answers.
    pub answer: Bytes,
}

/// The three requests of all workloads, and uploads of other sizes.
pub struct Traffic {
    pub small: Case,
    pub upload: Case,
    pub download: Case,
    pub sized: Vec<Case>,
}

/// Bytes of the uploads in `sized`, about.
pub const SIZES: [usize; 6] = [1_000, 10_000, 100_000, 1_000_000, 5_000_000, 20_000_000];

impl Traffic {
    pub fn new() -> Self {
        let documents_of = |bytes: usize| json!({ "front": image(1, bytes), "back": image(2, bytes) });
        let person = json!({
            "email": "customer@example.com", "fn": "Sample", "ln": "Specimen", "addr": "123 Main St",
            "city": "Stratford", "state": "CT", "zip": "06614", "dob": "19690820", "phone": "2015106000",
        });
        let with = |member: &str, value: Value| {
            let mut target = person.clone();
            target[member] = value;
            target
        };
        let documents = documents_of(IMAGE_BYTES);
        let uploaded = json!({
            "result": "Success", "reference": "888888812", "status": "PENDING", "type": "updateCustomer",
            "customer_link": "https://example.com/customers.php?id=1", "target": person,
        });
        let upload = |documents: Value| {
            let request = json!({
                "service": "createOrUpdateCustomer", "reference": "888888812",
                "target": with("documents", documents),
            });
            Case::new(request, uploaded.clone())
        };
        let without_images = upload(documents_of(4)).bare.len();
        let sized = SIZES.map(|size| upload(documents_of(size.saturating_sub(without_images) / 2)));
        Self {
            small: Case::new(
                json!({ "service": "updateStatus", "target": { "email": "customer@example.com", "status": "PASS" } }),
                json!({ "result": "Success", "reference": "888888812", "target": with("status", json!("PASS")) }),
            ),
            upload: upload(documents.clone()),
            sized: sized.into(),
            download: Case::new(
                json!({ "service": "getDocumentImages", "target": { "email": "customer@example.com" } }),
                json!({
                    "result": "Success", "reference": "888888812", "status": "PENDING",
                    "target": with("documents", documents),
                }),
            ),
        }
    }

    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        [&self.small, &self.upload, &self.download].into_iter().chain(&self.sized)
    }
}

impl Case {
    fn new(request: Value, answer: Value) -> Self {
        let mut meaning = request.clone();
        meaning["user"] = json!(USER);
        meaning["pass"] = json!(PASS);
        Self {
            bare: request.to_string().into(),
            full: meaning.to_string().into(),
            meaning,
            answer: answer.to_string().into(),
        }
    }

    /// What a caller sends through a contestant that injects, or does not.
    pub fn sent(&self, injects: bool) -> &Bytes {
        if injects { &self.bare } else { &self.full }
    }
}

/// The key of one of many callers.
pub fn bearer_of(caller: usize) -> String {
    format!("{BEARER}-of-caller-{caller:04}")
}

/// The head and the body of an HTTP/1.1 request, in one piece.
pub fn http1(body: &Bytes, bearer: &str) -> Bytes {
    let mut message = format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    message.extend_from_slice(body);
    message.into()
}

/// So many bytes of base64, of what begins as a JPEG and goes on without pattern, the same in every run.
fn image(seed: u64, length: usize) -> String {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed);
    let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE0];
    while bytes.len() < length / 4 * 3 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.push((state >> 32) as u8);
    }
    STANDARD.encode(bytes)
}
