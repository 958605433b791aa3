//! Which requests pass before memory is searched?

use crate::harness::{BATCH, Connection, Gateway, KYC_API, OPS_PORTAL};

use super::people::Person;

/// A key that no caller has.
const WRONG: &str = "dcg_nobodys-key-of-the-memory-tests-0123456789";

/// Every key that is sent.
pub const KEYS: [&str; 4] = [KYC_API, OPS_PORTAL, BATCH, WRONG];

/// Sizes of documents, in turn: in one piece of hyper's buffer, in some, and mapped by the allocator.
const DOCUMENTS: [usize; 4] = [900, 40_000, 4_000, 600_000];

/// Sends so many requests, as three callers and one who is none: most are forwarded, some refused at a step that
/// sees the body, some before. Gives the connections that are still open.
pub fn send(gateway: &Gateway, requests: usize) -> Vec<Connection> {
    let mut kept: Vec<Connection> = (0..4).map(|_| gateway.connect()).collect();
    for number in 0..requests {
        let person = Person(number);
        let create = person.create(DOCUMENTS[number / 8 % DOCUMENTS.len()]);
        let (key, body, status) = match number % 8 {
            0..=2 => (KYC_API, create, 200),
            3 => (OPS_PORTAL, Person(number - 1).of("getStatus"), 200),
            4 => (KYC_API, Person(number - 2).of("getDocumentImages"), 200),
            5 => (KYC_API, create.replacen("\"fn\"", "\"first\"", 1), 422),
            6 => (BATCH, create, 403),
            _ => (WRONG, create, 401),
        };
        let place = number / 2 % kept.len();
        let answer =
            if number % 2 == 0 { kept[place].post(key, body.as_bytes()) } else { gateway.post(key, &body) };
        assert_eq!(answer.status, status, "{number}: {}", answer.text());
        // A refused body that is large is not read to its end.
        if number % 2 == 0 && answer.header("connection") == Some("close") {
            kept[place] = gateway.connect();
        }
    }
    kept
}
