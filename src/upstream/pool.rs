//! Which open connection serves a caller's next request?

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connect::Connection;
use crate::config::Config;
use crate::ids::{CallerId, EndpointId};

/// Idle connections, kept apart by caller and endpoint: an upstream that answers late then answers
/// into the same caller's connection, never into another's.
pub struct Pool {
    shelves: Box<[Mutex<VecDeque<Idle>>]>,
    endpoints: usize,
    most: usize,
    idle_timeout: Duration,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// An empty pool for the callers and endpoints of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let shelves = config.callers.len() * config.endpoints.len();
        Self {
            shelves: (0..shelves).map(|_| Mutex::default()).collect(),
            endpoints: config.endpoints.len(),
            most: config.upstream.max_idle_per_caller,
            idle_timeout: config.upstream.idle_timeout,
        }
    }

    /// Takes the connection that was used last, if it is still good; of one that serves many requests at
    /// once, a share.
    pub fn take(&self, caller: CallerId, endpoint: EndpointId) -> Option<Connection> {
        let mut shelf = self.shelf(caller, endpoint)?.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(idle) = shelf.pop_back() {
            if idle.since.elapsed() >= self.idle_timeout || !idle.connection.is_reusable() {
                continue;
            }
            if let Some(share) = idle.connection.share() {
                shelf.push_back(Idle { connection: share, since: Instant::now() });
            }
            return Some(idle.connection);
        }
        None
    }

    /// Keeps a connection whose last answer was read to its end, or that serves many requests at once.
    pub fn put(&self, caller: CallerId, endpoint: EndpointId, connection: Connection) {
        let Some(shelf) = self.shelf(caller, endpoint) else { return };
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.push_back(Idle { connection, since: Instant::now() });
        while shelf.len() > self.most {
            shelf.pop_front();
        }
    }

    /// Closes what has been idle for too long, and what the upstream has closed.
    pub fn sweep(&self) {
        for shelf in &self.shelves {
            let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            shelf.retain(|idle| idle.since.elapsed() < self.idle_timeout && idle.connection.is_reusable());
        }
    }

    fn shelf(&self, caller: CallerId, endpoint: EndpointId) -> Option<&Mutex<VecDeque<Idle>>> {
        self.shelves.get(usize::from(caller.0) * self.endpoints + usize::from(endpoint.0))
    }
}
