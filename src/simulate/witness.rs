//! What arrived at the double?

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Version};

/// One request as it arrived. It holds credentials and personal data: that is what a test looks for.
#[derive(Clone, Debug)]
pub struct Received {
    /// Counted from 1 over the double's life, in the order in which heads arrived.
    pub number: u64,
    /// The TCP connection it came on, counted from 1 in the order of acceptance.
    pub connection: u64,
    /// HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// The request's method.
    pub method: Method,
    /// The request target: path and query.
    pub target: String,
    /// The headers, names in lower case.
    pub headers: HeaderMap,
    /// The head's exact bytes up to and with the blank line; empty on HTTP/2 and for a pipelined request.
    pub head: Bytes,
    /// The body's exact bytes, chunked framing removed; what arrived of it if it is not `complete`.
    pub body: Bytes,
    /// Whether the body arrived to its end.
    pub complete: bool,
}

/// What was counted since the start; control requests are not among the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// TCP connections accepted, including those that a fault reset at once.
    pub connections: u64,
    /// TLS handshakes completed.
    pub handshakes: u64,
    /// TLS handshakes that failed or were given up by the peer.
    pub failed_handshakes: u64,
    /// Requests whose head arrived.
    pub requests: u64,
    /// Bytes that came out of TLS (or off the socket without TLS), heads and control requests included.
    pub bytes: u64,
}

/// Keeps requests and counts. Beyond [`MOST_REQUESTS`] or [`MOST_BYTES`] of bodies the oldest are dropped.
#[derive(Default)]
pub(super) struct Witness {
    connections: AtomicU64,
    handshakes: AtomicU64,
    failed_handshakes: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
    paused: AtomicBool,
    kept: Mutex<VecDeque<Received>>,
}

/// How many requests are kept.
pub const MOST_REQUESTS: usize = 4096;
/// How many bytes of bodies are kept.
pub const MOST_BYTES: usize = 512 * 1024 * 1024;

impl Witness {
    pub(super) fn accepted(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn shook_hands(&self, well: bool) {
        let counter = if well { &self.handshakes } else { &self.failed_handshakes };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn saw_bytes(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            connections: self.connections.load(Ordering::Relaxed),
            handshakes: self.handshakes.load(Ordering::Relaxed),
            failed_handshakes: self.failed_handshakes.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// Files a head; its body follows through the [`Arrival`], which also files what arrived if it is dropped.
    pub(super) fn head_arrived(self: &Arc<Self>, mut received: Received) -> Arrival {
        let mut kept = self.kept();
        received.number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let number = received.number;
        if !self.paused.load(Ordering::Relaxed) {
            kept.push_back(received);
        }
        Arrival { witness: self.clone(), number, body: BytesMut::new() }
    }

    pub(super) fn keep(&self, on: bool) {
        self.paused.store(!on, Ordering::Relaxed);
    }

    pub(super) fn keeps(&self) -> bool {
        !self.paused.load(Ordering::Relaxed)
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.kept().iter().cloned().collect()
    }

    pub(super) fn forget(&self) {
        self.kept().clear();
    }

    fn file(&self, number: u64, body: Bytes, complete: bool) {
        let mut kept = self.kept();
        if let Some(received) = kept.iter_mut().rev().find(|received| received.number == number) {
            received.body = body;
            received.complete = complete;
        }
        let mut total: usize = kept.iter().map(|received| received.body.len()).sum();
        while total > MOST_BYTES || kept.len() > MOST_REQUESTS {
            let Some(oldest) = kept.pop_front() else { break };
            total -= oldest.body.len();
        }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Received>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body on its way in.
pub(super) struct Arrival {
    witness: Arc<Witness>,
    number: u64,
    body: BytesMut,
}

impl Arrival {
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }

    pub(super) fn length(&self) -> usize {
        self.body.len()
    }

    /// Files the whole body, before it is answered: whoever has the answer finds the request.
    pub(super) fn complete(mut self) -> Bytes {
        let body = std::mem::take(&mut self.body).freeze();
        self.witness.file(self.number, body.clone(), true);
        body
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        // After `complete` nothing is left here, and an empty remainder must not undo it.
        if !self.body.is_empty() {
            self.witness.file(self.number, std::mem::take(&mut self.body).freeze(), false);
        }
    }
}
