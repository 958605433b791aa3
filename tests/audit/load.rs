//! Who sends requests, and what became of them as far as the callers know?

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::{BATCH, KYC_API, OPS_PORTAL, PATIENCE, message};
use crate::trail::{customer, read_of, write_of};

/// One answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: String,
    pub took: Duration,
}

impl Reply {
    /// The `code` of a refusal.
    pub fn code(&self) -> Option<String> {
        serde_json::from_str::<serde_json::Value>(&self.body).ok()?["code"].as_str().map(str::to_owned)
    }
}

/// How often it was answered with which status and code.
pub fn tally(replies: &[Reply]) -> BTreeMap<(u16, Option<String>), usize> {
    let mut counts = BTreeMap::new();
    for reply in replies {
        *counts.entry((reply.status, reply.code())).or_default() += 1;
    }
    counts
}

/// That all were served but for what the disk, which others use too, was too slow for.
pub fn assert_served(replies: &[Reply]) {
    let mut counts = tally(replies);
    counts.remove(&(200, None));
    counts.remove(&(503, Some("audit_unavailable".to_owned())));
    assert_eq!(counts, BTreeMap::new());
}

/// A connection that may end at any instant.
pub struct Line {
    stream: TcpStream,
    ahead: Vec<u8>,
}

impl Line {
    /// `None` where nobody listens any more.
    pub fn connect(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        Some(Self { stream, ahead: Vec::new() })
    }

    /// Posts and reads the answer; `None` when the connection ends before it is whole.
    pub fn post(&mut self, key: &str, body: &str) -> Option<Reply> {
        self.exchange(&message(key, body.as_bytes()))
    }

    /// `GET` of the operators' listener.
    pub fn ask(&mut self, path: &str) -> Option<Reply> {
        self.exchange(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
    }

    fn exchange(&mut self, request: &[u8]) -> Option<Reply> {
        let began = Instant::now();
        self.stream.write_all(request).ok()?;
        let head_end = self
            .fill_until(|bytes| bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4))?;
        let head = String::from_utf8(self.ahead[..head_end].to_vec()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.and_then(|length| length.trim().parse().ok()).expect("a length");
        let end = head_end + length;
        self.fill_until(|bytes| (bytes.len() >= end).then_some(end))?;
        let body = String::from_utf8(self.ahead[head_end..end].to_vec()).unwrap();
        self.ahead.drain(..end);
        Some(Reply { status, body, took: began.elapsed() })
    }

    fn fill_until(&mut self, found: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
        let mut buffer = [0; 16 << 10];
        loop {
            if let Some(at) = found(&self.ahead) {
                return Some(at);
            }
            match self.stream.read(&mut buffer) {
                Ok(count @ 1..) => self.ahead.extend_from_slice(&buffer[..count]),
                _ => return None,
            }
        }
    }
}

/// Callers that post reads and writes, each for a customer of its own, until they are told to stop or the gateway is
/// gone.
pub struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Vec<Reply>>>,
}

/// What callers ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Requests {
    /// Half of them are writes, where the caller may write.
    Mixed,
    Reads,
}

impl Load {
    /// Starts `count` callers; customers are numbered by `next`.
    pub fn start(address: SocketAddr, count: usize, next: &Arc<AtomicU64>, requests: Requests) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let caller = |number: usize| {
            let (stop, next) = (Arc::clone(&stop), Arc::clone(next));
            std::thread::spawn(move || {
                let key = [KYC_API, OPS_PORTAL, BATCH][number % 3];
                let mut replies = Vec::new();
                let Some(mut line) = Line::connect(address) else { return replies };
                while !stop.load(Ordering::Relaxed) {
                    let customer_number = next.fetch_add(1, Ordering::Relaxed);
                    let email = customer(customer_number);
                    // The third may read only.
                    let may_write = requests == Requests::Mixed && key != BATCH;
                    let writes = may_write && customer_number.is_multiple_of(2);
                    let body = if writes { write_of(&email) } else { read_of(&email) };
                    let Some(reply) = line.post(key, &body) else { break };
                    replies.push(reply);
                }
                replies
            })
        };
        let callers = (0..count).map(caller).collect();
        Self { stop, callers }
    }

    /// Waits until each caller has stopped or lost the gateway, and gives what was answered.
    pub fn stop(self) -> Vec<Reply> {
        self.stop.store(true, Ordering::Relaxed);
        self.callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    }
}
