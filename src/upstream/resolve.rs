//! Which addresses has the host of the upstream?
//!
//! The system's look-up blocks a thread, for as long as half a minute where the server of names does not answer, and
//! cannot be called off. A thread for each request that waits would use up those that a process may have.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// So many look-ups of one name are under way at most, whatever the number of requests that wait for it.
const MOST_UNDER_WAY: usize = 4;

/// A look-up that takes longer than this no longer keeps another from being begun: the server of names may
/// be well again, and this one still waiting for an answer that was lost.
const OVERDUE: Duration = Duration::from_secs(1);

/// Looks up names; all who ask for one at the same time get the answer to one look-up.
#[derive(Clone, Default)]
pub struct Resolver {
    hosts: Arc<Mutex<HashMap<Place, Host>>>,
}

type Place = (Box<str>, u16);
/// The addresses, or the error's code where the system gave one.
type Found = Result<Arc<[SocketAddr]>, Option<i32>>;

struct Host {
    under_way: usize,
    begun: Instant,
    found: watch::Sender<Option<Found>>,
}

impl Resolver {
    /// The addresses of `host`, at least one. Takes as long as the system's look-up; to be dropped by who cannot wait.
    ///
    /// # Errors
    ///
    /// There is none, or the look-up failed.
    pub async fn addresses(&self, host: &str, port: u16) -> io::Result<Arc<[SocketAddr]>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok([SocketAddr::new(address, port)].into());
        }
        let mut found = self.ask(host, port);
        // An error means that the thread is gone, with its runtime.
        found.changed().await.map_err(io::Error::other)?;
        let found = found.borrow_and_update().clone();
        let addresses = found.unwrap_or(Err(None)).map_err(|code| {
            code.map_or_else(|| io::Error::from(io::ErrorKind::NotFound), io::Error::from_raw_os_error)
        })?;
        if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) }
    }

    /// Begins a look-up unless one is under way, and gives where its result will stand.
    fn ask(&self, host: &str, port: u16) -> watch::Receiver<Option<Found>> {
        let place: Place = (host.into(), port);
        let mut hosts = self.hosts();
        let known = hosts.entry(place.clone()).or_insert_with(|| Host {
            under_way: 0,
            begun: Instant::now(),
            found: watch::Sender::new(None),
        });
        let found = known.found.subscribe();
        if known.wants_another() {
            known.under_way += 1;
            known.begun = Instant::now();
            let resolver = self.clone();
            tokio::task::spawn_blocking(move || {
                let found = look_up(&place);
                resolver.tell(&place, found);
            });
        }
        found
    }

    fn tell(&self, place: &Place, found: Found) {
        let mut hosts = self.hosts();
        let Some(host) = hosts.get_mut(place) else { return };
        host.under_way = host.under_way.saturating_sub(1);
        // A failure is the answer only where no other look-up can still succeed.
        if found.is_ok() || host.under_way == 0 {
            host.found.send_replace(Some(found));
        }
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<Place, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    fn wants_another(&self) -> bool {
        let overdue = self.begun.elapsed() >= OVERDUE;
        self.under_way == 0 || (overdue && self.under_way < MOST_UNDER_WAY)
    }
}

fn look_up((host, port): &Place) -> Found {
    match (&**host, *port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(error.raw_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_its_own_answer() {
        let resolver = Resolver::default();
        for (host, shown) in [("127.0.0.1", "127.0.0.1:443"), ("::1", "[::1]:443")] {
            let found = resolver.addresses(host, 443).await.unwrap();
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [shown]);
        }
        assert!(resolver.hosts().is_empty());
    }

    #[tokio::test]
    async fn who_asks_while_a_look_up_is_under_way_begins_none() {
        let resolver = Resolver::default();
        let asked: Vec<_> = (0..1000).map(|_| resolver.ask("localhost", 443)).collect();
        assert_eq!(resolver.hosts()[&("localhost".into(), 443)].under_way, 1);
        for mut found in asked {
            found.changed().await.unwrap();
            assert!(found.borrow().clone().unwrap().is_ok_and(|addresses| !addresses.is_empty()));
        }
        assert_eq!(resolver.hosts()[&("localhost".into(), 443)].under_way, 0);
    }

    #[tokio::test]
    async fn a_failure_does_not_answer_for_a_look_up_that_is_still_under_way() {
        let resolver = Resolver::default();
        let place: Place = ("dcams.example".into(), 443);
        let found = watch::Sender::new(None);
        let mut asked = found.subscribe();
        let host = Host { under_way: 2, begun: Instant::now(), found };
        resolver.hosts().insert(place.clone(), host);
        resolver.tell(&place, Err(None));
        assert!(!asked.has_changed().unwrap());
        resolver.tell(&place, Err(Some(5)));
        asked.changed().await.unwrap();
        assert_eq!(*asked.borrow(), Some(Err(Some(5))));
    }

    #[test]
    fn look_ups_that_are_overdue_are_joined_by_three_more_at_most() {
        let wants = |under_way, age| {
            let begun = Instant::now().checked_sub(age).unwrap();
            Host { under_way, begun, found: watch::Sender::new(None) }.wants_another()
        };
        assert_eq!(
            [0, 1, 3, 4].map(|under_way| wants(under_way, Duration::ZERO)),
            [true, false, false, false]
        );
        assert_eq!([0, 1, 3, 4].map(|under_way| wants(under_way, OVERDUE)), [true, true, true, false]);
    }
}
