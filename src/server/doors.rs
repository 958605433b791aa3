//! How many connections may be open, in total and per peer, and which one gives way to another?
//!
//! Where all are taken, a new connection takes the place of one that does nothing: the oldest on which nobody was
//! identified as a caller, else one that a caller keeps idle. So neither a hoard of strangers nor one of idle
//! connections keeps good callers out, even where all of them have the same address.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use super::seat::Seat;
use crate::arrival::Peer;

/// Connections that were told to end and have not yet ended: with more of them, no further one is accepted.
pub(super) const MOST_LEAVING: usize = 32;

/// Counts open connections.
pub(crate) struct Doors {
    most: usize,
    most_per_peer: usize,
    open: Mutex<Open>,
    left: Notify,
    gauge: Option<Gauge>,
}

#[derive(Default)]
struct Open {
    seats: BTreeMap<u64, (PeerKey, Arc<Seat>)>,
    /// Of those, on which nobody was identified: the oldest first.
    strangers: BTreeMap<u64, Arc<Seat>>,
    next: u64,
    leaving: usize,
    /// Peers without a connection are removed, so it is bounded by `most`.
    per_peer: HashMap<PeerKey, OfPeer>,
}

#[derive(Default)]
struct OfPeer {
    open: usize,
    leaving: usize,
}

/// Whose connections are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum PeerKey {
    Address(IpAddr),
    Uid(u32),
}

/// One open connection.
pub(crate) struct Entry {
    doors: Arc<Doors>,
    key: PeerKey,
    number: u64,
    seat: Arc<Seat>,
}

impl Doors {
    /// `gauge` follows how many are open.
    pub(crate) fn new(most: usize, most_per_peer: usize, gauge: Option<Gauge>) -> Self {
        Self { most, most_per_peer, open: Mutex::default(), left: Notify::new(), gauge }
    }

    /// Lets a connection in, or says by which limit it is refused: all others are in use.
    pub(crate) fn enter(self: &Arc<Self>, peer: Peer) -> Result<Entry, &'static str> {
        let key = match peer {
            Peer::Tcp { address, .. } => PeerKey::Address(address),
            Peer::Unix { uid } => PeerKey::Uid(uid),
        };
        let mut open = self.lock();
        let of_peer = open.per_peer.get(&key).map_or(0, |of_peer| of_peer.open - of_peer.leaving);
        if of_peer >= self.most_per_peer && !open.send_one_away(Some(key)) {
            return Err("refused_peer");
        }
        if open.seats.len() - open.leaving >= self.most && !open.send_one_away(None) {
            return Err("refused_total");
        }
        let (number, seat) = (open.next, Arc::new(Seat::default()));
        open.next += 1;
        open.per_peer.entry(key).or_default().open += 1;
        open.seats.insert(number, (key, Arc::clone(&seat)));
        open.strangers.insert(number, Arc::clone(&seat));
        if let Some(gauge) = &self.gauge {
            gauge.inc();
        }
        Ok(Entry { doors: Arc::clone(self), key, number, seat })
    }

    /// Ends one connection that does nothing, if there is one: descriptors are short.
    pub(crate) fn make_room(&self) -> bool {
        self.lock().send_one_away(None)
    }

    /// Ends when few enough of those that were told to end are still there.
    pub(crate) async fn settled(&self) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if self.lock().leaving < MOST_LEAVING {
                return;
            }
            left.await;
        }
    }

    /// Open connections.
    pub(crate) fn open(&self) -> usize {
        self.lock().seats.len()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn send_one_away(&mut self, of_peer: Option<PeerKey>) -> bool {
        let Some(number) = self.stranger(of_peer).or_else(|| self.idle(of_peer)) else { return false };
        let Some((key, seat)) = self.seats.get(&number) else { return false };
        seat.send_away();
        self.strangers.remove(&number);
        self.leaving += 1;
        if let Some(of_peer) = self.per_peer.get_mut(key) {
            of_peer.leaving += 1;
        }
        true
    }

    /// The oldest connection on which nobody was identified and nothing is being decided.
    fn stranger(&mut self, of_peer: Option<PeerKey>) -> Option<u64> {
        let is_of = |number: &u64| {
            of_peer.is_none_or(|key| self.seats.get(number).is_some_and(|(other, _)| *other == key))
        };
        let (mut none_any_more, mut found) = (Vec::new(), None);
        for (number, seat) in &self.strangers {
            // Noticed here, and not at each request.
            if seat.holder().is_some() {
                none_any_more.push(*number);
            } else if seat.may_leave() && is_of(number) {
                found = Some(*number);
                break;
            }
        }
        for number in none_any_more {
            self.strangers.remove(&number);
        }
        found
    }

    /// Of the caller who has most of them, the connection that is idle for longest.
    fn idle(&self, of_peer: Option<PeerKey>) -> Option<u64> {
        let mut per_holder: HashMap<_, usize> = HashMap::new();
        for (_, seat) in self.seats.values().filter(|(_, seat)| !seat.is_leaving()) {
            *per_holder.entry(seat.holder()).or_default() += 1;
        }
        let candidates = self.seats.iter().filter(|(_, (key, seat))| {
            of_peer.is_none_or(|peer| peer == *key) && !seat.is_leaving() && seat.may_leave()
        });
        let preference = |seat: &Seat| {
            let of_holder = per_holder.get(&seat.holder()).copied().unwrap_or_default();
            (of_holder, std::cmp::Reverse(seat.idle_since()))
        };
        candidates.max_by_key(|(_, (_, seat))| preference(seat)).map(|(number, _)| *number)
    }

    fn stays(&mut self, key: PeerKey) {
        self.leaving -= 1;
        if let Some(of_peer) = self.per_peer.get_mut(&key) {
            of_peer.leaving -= 1;
        }
    }
}

impl Entry {
    /// What its connection is doing.
    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Ends when the connection must make room for another.
    pub(crate) async fn must_leave(&self) {
        loop {
            self.seat.told().await;
            if self.seat.leaves() {
                return;
            }
            // A request came in between.
            self.doors.lock().stays(self.key);
            self.doors.left.notify_waiters();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.doors.lock();
        open.seats.remove(&self.number);
        open.strangers.remove(&self.number);
        if self.seat.is_leaving() {
            open.stays(self.key);
        }
        if let Some(of_peer) = open.per_peer.get_mut(&self.key) {
            of_peer.open -= 1;
            if of_peer.open == 0 {
                open.per_peer.remove(&self.key);
            }
        }
        drop(open);
        self.doors.left.notify_waiters();
        if let Some(gauge) = &self.doors.gauge {
            gauge.dec();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;

    use super::*;
    use crate::ids::CallerId;

    fn peer(last: u8) -> Peer {
        Peer::Tcp { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), loopback_listener: true }
    }

    fn doors(most: usize, most_per_peer: usize) -> Arc<Doors> {
        Arc::new(Doors::new(most, most_per_peer, None))
    }

    /// A connection on which `caller` asked, and got its answer.
    fn of_caller(doors: &Arc<Doors>, last: u8, caller: u16) -> Entry {
        let entry = doors.enter(peer(last)).unwrap();
        drop(entry.seat().request());
        entry.seat().identified(CallerId(caller));
        entry
    }

    fn is_told(entry: &Entry) -> bool {
        entry.must_leave().now_or_never().is_some()
    }

    #[test]
    fn connections_in_use_are_not_given_up_for_others() {
        let doors = doors(3, 2);
        let held: Vec<_> = (0..2).map(|_| doors.enter(peer(1)).unwrap()).collect();
        let in_use: Vec<_> = held.iter().map(|entry| entry.seat().undecided()).collect();
        assert_eq!(doors.enter(peer(1)).err(), Some("refused_peer"));
        let other = doors.enter(peer(2)).unwrap();
        let other_in_use = other.seat().undecided();
        assert_eq!(doors.enter(peer(3)).err(), Some("refused_total"));
        drop(other_in_use);
        drop(in_use);
        drop(held);
        assert!(doors.enter(peer(1)).is_ok());
    }

    #[test]
    fn the_oldest_stranger_makes_room_before_any_caller() {
        let doors = doors(3, 3);
        let known = of_caller(&doors, 1, 0);
        let (first, second) = (doors.enter(peer(1)).unwrap(), doors.enter(peer(1)).unwrap());
        let third = doors.enter(peer(1));
        assert!(third.is_ok());
        assert_eq!([&known, &first, &second].map(is_told), [false, true, false]);
        drop(first);
        assert_eq!(doors.open(), 3);
    }

    #[test]
    fn of_callers_the_one_with_most_connections_makes_room() {
        let doors = doors(3, 3);
        let one = of_caller(&doors, 1, 0);
        let [older, newer] = [1, 1].map(|caller| of_caller(&doors, 1, caller));
        let third = doors.enter(peer(2)).unwrap();
        let _asking = third.seat().undecided();
        assert_eq!([&one, &older, &newer].map(is_told), [false, true, false]);
    }

    #[test]
    fn a_connection_whose_request_comes_meanwhile_stays() {
        let doors = doors(1, 1);
        let first = doors.enter(peer(1)).unwrap();
        let second = doors.enter(peer(2));
        assert!(second.is_ok());
        let request = first.seat().undecided();
        assert!(!is_told(&first));
        drop(request);
        drop(first);
        assert_eq!(doors.open(), 1);
    }

    #[test]
    fn no_more_leave_at_once_than_a_few() {
        let doors = doors(100, 100);
        let held: Vec<_> = (0..100).map(|_| doors.enter(peer(1)).unwrap()).collect();
        let more: Vec<_> = (0..MOST_LEAVING).map(|_| doors.enter(peer(1)).unwrap()).collect();
        assert!(doors.settled().now_or_never().is_none());
        drop(held);
        assert!(doors.settled().now_or_never().is_some());
        drop(more);
        assert_eq!(doors.open(), 0);
    }
}
