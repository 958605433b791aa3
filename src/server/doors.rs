//! How many connections may be open, in total and per peer?

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::arrival::Peer;
use crate::metrics::Metrics;

/// Counts open connections.
pub(super) struct Doors {
    most: usize,
    most_per_peer: usize,
    open: Mutex<Open>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Open {
    total: usize,
    /// Entries of peers without a connection are removed, so it is bounded by `most`.
    per_peer: HashMap<PeerKey, usize>,
}

/// Whose connections are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum PeerKey {
    Address(IpAddr),
    Uid(u32),
}

/// One open connection.
pub(super) struct Entry {
    doors: Arc<Doors>,
    key: PeerKey,
}

impl Doors {
    pub(super) fn new(most: usize, most_per_peer: usize, metrics: &Arc<Metrics>) -> Self {
        Self { most, most_per_peer, open: Mutex::default(), metrics: Arc::clone(metrics) }
    }

    /// Lets a connection in, or says by which limit it is refused.
    pub(super) fn enter(self: &Arc<Self>, peer: Peer) -> Result<Entry, &'static str> {
        let key = match peer {
            Peer::Tcp { address, .. } => PeerKey::Address(address),
            Peer::Unix { uid } => PeerKey::Uid(uid),
        };
        let mut open = self.lock();
        if open.total >= self.most {
            return Err("refused_total");
        }
        let of_peer = open.per_peer.entry(key).or_default();
        if *of_peer >= self.most_per_peer {
            return Err("refused_peer");
        }
        *of_peer += 1;
        open.total += 1;
        self.metrics.connections_open.inc();
        Ok(Entry { doors: Arc::clone(self), key })
    }

    /// Open connections.
    pub(super) fn open(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.doors.lock();
        open.total -= 1;
        if let Some(of_peer) = open.per_peer.get_mut(&self.key) {
            *of_peer -= 1;
            if *of_peer == 0 {
                open.per_peer.remove(&self.key);
            }
        }
        self.doors.metrics.connections_open.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::Tcp { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), loopback_listener: true }
    }

    #[test]
    fn one_peer_cannot_take_every_connection() {
        let doors = Arc::new(Doors::new(3, 2, &Arc::new(Metrics::new(true))));
        let held: Vec<_> = (0..2).map(|_| doors.enter(peer(1))).collect();
        assert_eq!(doors.enter(peer(1)).err(), Some("refused_peer"));
        let other = doors.enter(peer(2));
        assert!(other.is_ok());
        assert_eq!(doors.enter(peer(3)).err(), Some("refused_total"));
        drop(held);
        assert!(doors.enter(peer(1)).is_ok());
    }
}
