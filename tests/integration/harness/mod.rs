//! How do the tests start the gateway and its upstream, speak to them, and read what they leave behind?
//!
//! ```ignore
//! let upstream = Upstream::start();
//! let gateway = Setup::before(&upstream).set("data.max_requests", "1").start();
//! let answer = gateway.post(KYC_API, GET_STATUS);
//! assert_eq!(answer.status, 200);
//! let line = gateway.record_of(&answer);
//! ```
//!
//! Everything blocks, and everything that is waited for has one generous deadline: nothing sleeps for
//! a time that a slow machine could overrun. What is started is ended by what holds it.

mod client;
mod gateway;
pub mod http2;
mod setup;
mod upstream;

use std::time::{Duration, Instant};

pub use client::{Answer, Connection, message};
pub use gateway::Gateway;
pub use setup::{Setup, key_hash_hex, write_private};
pub use upstream::Upstream;

/// What callers post to and what it is forwarded to.
pub const PATH: &str = "/v3/stable/api/storage";
/// The key of the caller that may use every service.
pub const KYC_API: &str = "dcg_kyc-api-key-of-the-tests-0123456789abcdef";
/// The key of the caller that may use `getStatus` and `updateStatus`.
pub const OPS_PORTAL: &str = "dcg_ops-portal-key-of-the-tests-0123456789ab";
/// The key of the caller that may use `getStatus` alone.
pub const BATCH: &str = "dcg_batch-key-of-the-tests-0123456789abcdefgh";
/// The smallest request that is forwarded.
pub const GET_STATUS: &str = r#"{"service":"getStatus","target":{"email":"jane@example.com"}}"#;
/// The smallest request that changes something.
pub const UPDATE_STATUS: &str =
    r#"{"service":"updateStatus","target":{"email":"jane@example.com","status":"PASS"}}"#;

/// How long anything is waited for before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Asks again and again until there is something, and fails the test after [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
