//! Which open connection serves a caller's next request?

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connect::Connection;
use crate::config::{Caller, Config, Endpoint};
use crate::ids::{CallerId, EndpointId};

/// Idle connections, kept apart by caller and endpoint: an upstream that answers late then answers
/// into the same caller's connection, never into another's.
pub struct Pool {
    shelves: Box<[Arc<Shelf>]>,
    endpoints: usize,
    most: usize,
    /// On all shelves, and how many there may be: as many as requests in progress, each of which left one.
    kept: Arc<AtomicUsize>,
    most_in_all: usize,
    idle_timeout: Duration,
}

/// The idle connections of one caller to one endpoint; shared with the pool of the next configuration.
struct Shelf {
    idle: Mutex<VecDeque<Idle>>,
    kept: Arc<AtomicUsize>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// An empty pool for the callers and endpoints of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let kept = Arc::default();
        Self {
            shelves: places(config).map(|_| Arc::new(Shelf::new(&kept))).collect(),
            endpoints: config.endpoints.len(),
            most: config.upstream.max_idle_per_caller,
            kept,
            most_in_all: config.data.max_requests.div_ceil(config.data.workers.max(1)),
            idle_timeout: config.upstream.idle_timeout,
        }
    }

    /// The pool of `config`, which follows `before`: where a caller and the address of an endpoint are the same, so
    /// are its connections.
    #[must_use]
    pub fn succeeded_by(&self, before: &Config, config: &Config) -> Self {
        let known = |(caller, endpoint): (&Caller, &Endpoint)| {
            let of_caller = before.callers.iter().position(|known| known.name == caller.name)?;
            let to_endpoint = before.endpoints.iter().position(|known| known.url == endpoint.url)?;
            self.shelves.get(of_caller * self.endpoints + to_endpoint).cloned()
        };
        let shelf = |place| known(place).unwrap_or_else(|| Arc::new(Shelf::new(&self.kept)));
        let shelves = places(config).map(shelf).collect();
        Self { shelves, kept: Arc::clone(&self.kept), ..Self::new(config) }
    }

    /// Takes the connection that was used last, if it is still good; of one that serves many requests at
    /// once, a share.
    pub fn take(&self, caller: CallerId, endpoint: EndpointId) -> Option<Connection> {
        let mut shelf = locked(self.shelf(caller, endpoint)?);
        while let Some(idle) = shelf.pop_back() {
            self.kept.fetch_sub(1, Ordering::Relaxed);
            if idle.since.elapsed() >= self.idle_timeout || !idle.connection.is_reusable() {
                continue;
            }
            if let Some(share) = idle.connection.share() {
                self.keep(&mut shelf, share);
            }
            return Some(idle.connection);
        }
        None
    }

    /// Keeps a connection whose last answer was read to its end, or that serves many requests at once.
    pub fn put(&self, caller: CallerId, endpoint: EndpointId, connection: Connection) {
        let Some(shelf) = self.shelf(caller, endpoint) else { return };
        let mut shelf = locked(shelf);
        self.keep(&mut shelf, connection);
        while shelf.len() > self.most {
            shelf.pop_front();
            self.kept.fetch_sub(1, Ordering::Relaxed);
        }
        drop(shelf);
        if self.kept.load(Ordering::Relaxed) > self.most_in_all {
            self.drop_oldest();
        }
    }

    /// Closes what has been idle for too long, and what the upstream has closed.
    pub fn sweep(&self) {
        self.retain(|idle| idle.since.elapsed() < self.idle_timeout && idle.connection.is_reusable());
    }

    /// Closes those of one caller that serve no further request.
    fn drop_unfit(&self, caller: CallerId, endpoint: EndpointId) {
        if let Some(shelf) = self.shelf(caller, endpoint) {
            shelf.retain(|idle| idle.connection.is_reusable());
        }
    }

    /// Closes all of them: their descriptors are needed.
    pub fn clear(&self) {
        self.retain(|_| false);
    }

    fn retain(&self, is_kept: impl Fn(&Idle) -> bool) {
        self.shelves.iter().for_each(|shelf| shelf.retain(&is_kept));
    }

    fn drop_oldest(&self) {
        let since = |shelf: &&Arc<Shelf>| locked(shelf).front().map(|idle| idle.since);
        let oldest = self.shelves.iter().filter(|shelf| since(shelf).is_some()).min_by_key(since);
        if oldest.and_then(|shelf| locked(shelf).pop_front()).is_some() {
            self.kept.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn keep(&self, shelf: &mut VecDeque<Idle>, connection: Connection) {
        shelf.push_back(Idle { connection, since: Instant::now() });
        self.kept.fetch_add(1, Ordering::Relaxed);
    }

    fn shelf(&self, caller: CallerId, endpoint: EndpointId) -> Option<&Shelf> {
        self.shelves.get(usize::from(caller.0) * self.endpoints + usize::from(endpoint.0)).map(Arc::as_ref)
    }
}

/// What an attempt has of a connection that serves many requests at once. However the attempt ends, if not well, the
/// connection serves no further one, in case that it would fare no better; it ends with those that are under way.
pub struct Share<'p> {
    pool: &'p Pool,
    caller: CallerId,
    endpoint: EndpointId,
    connection: Option<Connection>,
}

impl<'p> Share<'p> {
    /// Of none yet.
    pub fn none(pool: &'p Pool, caller: CallerId, endpoint: EndpointId) -> Self {
        Self { pool, caller, endpoint, connection: None }
    }

    /// The attempt goes on with this one.
    pub fn is_of(&mut self, connection: &Connection) {
        self.connection = connection.share();
    }

    /// The attempt ended well.
    pub fn settle(mut self) {
        self.connection = None;
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.doubt();
            self.pool.drop_unfit(self.caller, self.endpoint);
        }
    }
}

/// Each caller with each endpoint, in the order of the shelves.
fn places(config: &Config) -> impl Iterator<Item = (&Caller, &Endpoint)> {
    config.callers.iter().flat_map(|caller| config.endpoints.iter().map(move |endpoint| (caller, endpoint)))
}

impl Shelf {
    fn new(kept: &Arc<AtomicUsize>) -> Self {
        Self { idle: Mutex::default(), kept: Arc::clone(kept) }
    }

    fn retain(&self, is_kept: impl Fn(&Idle) -> bool) {
        let mut shelf = locked(self);
        let before = shelf.len();
        shelf.retain(is_kept);
        self.kept.fetch_sub(before - shelf.len(), Ordering::Relaxed);
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.kept.fetch_sub(locked(self).len(), Ordering::Relaxed);
    }
}

fn locked(shelf: &Shelf) -> MutexGuard<'_, VecDeque<Idle>> {
    shelf.idle.lock().unwrap_or_else(PoisonError::into_inner)
}
