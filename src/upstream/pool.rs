//! Which open connection serves a caller's next request?

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connect::Connection;
use super::shelves::{Shelf, Shelves};
use crate::config::{Caller, Config, Endpoint};
use crate::ids::{CallerId, EndpointId};

/// Idle connections, kept apart by caller and endpoint: an upstream that answers late then answers
/// into the same caller's connection, never into another's.
pub struct Pool {
    idle: AllIdle,
    /// Of each caller with each endpoint; shared with the pool of the next configuration.
    places: Box<[Arc<Place>]>,
    endpoints: usize,
    most: usize,
    most_in_all: usize,
    idle_timeout: Duration,
}

type AllIdle = Arc<Mutex<Shelves<Idle>>>;

struct Idle {
    connection: Connection,
    since: Instant,
}

/// Where the idle connections of one caller to one endpoint are. They close with it.
struct Place {
    shelf: Shelf,
    idle: AllIdle,
}

impl Pool {
    /// An empty pool for the callers and endpoints of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let idle = AllIdle::default();
        let places = places(config).map(|_| Place::new(&idle)).collect();
        Self::of(idle, places, config)
    }

    /// The pool of `config`, which follows `before`: where a caller and the address of an endpoint are the same, so
    /// are its connections.
    #[must_use]
    pub fn succeeded_by(&self, before: &Config, config: &Config) -> Self {
        let known = |(caller, endpoint): (&Caller, &Endpoint)| {
            let of_caller = before.callers.iter().position(|known| known.name == caller.name)?;
            let to_endpoint = before.endpoints.iter().position(|known| known.url == endpoint.url)?;
            self.places.get(of_caller * self.endpoints + to_endpoint).cloned()
        };
        let place = |of| known(of).unwrap_or_else(|| Place::new(&self.idle));
        Self::of(Arc::clone(&self.idle), places(config).map(place).collect(), config)
    }

    fn of(idle: AllIdle, places: Box<[Arc<Place>]>, config: &Config) -> Self {
        Self {
            idle,
            places,
            endpoints: config.endpoints.len(),
            most: config.upstream.max_idle_per_caller,
            most_in_all: config.upstream.max_idle.div_ceil(config.data.workers.max(1)),
            idle_timeout: config.upstream.idle_timeout,
        }
    }

    /// Takes the connection that was used last, if it is still good; of one that serves many requests at
    /// once, a share.
    pub fn take(&self, caller: CallerId, endpoint: EndpointId) -> Option<Connection> {
        let shelf = self.shelf(caller, endpoint)?;
        let mut all = locked(&self.idle);
        while let Some(idle) = all.take_newest(shelf) {
            if !self.is_fit(&idle) {
                continue;
            }
            if let Some(share) = idle.connection.share() {
                all.put(shelf, Idle::since_now(share));
            }
            return Some(idle.connection);
        }
        None
    }

    /// Keeps a connection whose last answer was read to its end, or that serves many requests at once.
    pub fn put(&self, caller: CallerId, endpoint: EndpointId, connection: Connection) {
        let Some(shelf) = self.shelf(caller, endpoint) else { return };
        let mut all = locked(&self.idle);
        all.put(shelf, Idle::since_now(connection));
        while all.len_of(shelf) > self.most {
            all.take_oldest(shelf);
        }
        while all.len() > self.most_in_all {
            all.take_oldest_of_all();
        }
    }

    /// Closes what has been idle for too long, and what the upstream has closed.
    pub fn sweep(&self) {
        locked(&self.idle).retain(|idle| self.is_fit(idle));
    }

    /// Closes those of one caller that serve no further request.
    fn drop_unfit(&self, caller: CallerId, endpoint: EndpointId) {
        if let Some(shelf) = self.shelf(caller, endpoint) {
            locked(&self.idle).retain_on(shelf, |idle| idle.connection.is_reusable());
        }
    }

    /// Closes all of them: their descriptors are needed.
    pub fn clear(&self) {
        locked(&self.idle).retain(|_| false);
    }

    fn is_fit(&self, idle: &Idle) -> bool {
        idle.since.elapsed() < self.idle_timeout && idle.connection.is_reusable()
    }

    fn shelf(&self, caller: CallerId, endpoint: EndpointId) -> Option<Shelf> {
        let place = usize::from(caller.0) * self.endpoints + usize::from(endpoint.0);
        self.places.get(place).map(|place| place.shelf)
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

/// Each caller with each endpoint, in the order of the places.
fn places(config: &Config) -> impl Iterator<Item = (&Caller, &Endpoint)> {
    config.callers.iter().flat_map(|caller| config.endpoints.iter().map(move |endpoint| (caller, endpoint)))
}

impl Idle {
    fn since_now(connection: Connection) -> Self {
        Self { connection, since: Instant::now() }
    }
}

impl Place {
    fn new(idle: &AllIdle) -> Arc<Self> {
        let shelf = locked(idle).open();
        Arc::new(Self { shelf, idle: Arc::clone(idle) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        locked(&self.idle).close(self.shelf);
    }
}

fn locked(idle: &AllIdle) -> MutexGuard<'_, Shelves<Idle>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::{fs, io};

    use tokio::io::DuplexStream;

    use super::*;
    use crate::config::{HttpVersion, Roots, Source, UpstreamUrl, load};
    use crate::upstream::{Connector, Reach, Reached};

    /// Callers of one endpoint, a single worker and four requests at once.
    fn config(callers: impl IntoIterator<Item = usize>) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        let mut text = fs::read_to_string("config/minimal.toml").unwrap();
        let caller = text.split_off(text.find("[[callers]]").unwrap());
        for number in callers {
            let named = caller.replace("kyc-api", &format!("caller-{number}"));
            text.push_str(&named.replace("5f1d7a84db00d2fc", &format!("{number:016x}")));
        }
        fs::write(&path, text).unwrap();
        let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let overrides =
            vec![set("data.workers", "1"), set("data.max_requests", "4"), set("audit.output", "stdout")];
        let source = Source { path, overrides, ..Source::default() };
        load(&source).unwrap_or_else(|faults| panic!("{faults}")).config
    }

    /// An upstream that says nothing: the other ends of what was opened to it.
    #[derive(Clone, Default)]
    struct Silent(Arc<Mutex<Vec<DuplexStream>>>);

    impl Reach for Silent {
        fn reach<'r>(
            &'r self,
            _: &'r UpstreamUrl,
        ) -> Pin<Box<dyn Future<Output = io::Result<Reached>> + Send + 'r>> {
            let (wire, other) = tokio::io::duplex(64);
            self.0.lock().unwrap().push(other);
            let reached = Reached { wire: Box::new(wire), silent: Box::new(|| true) };
            Box::pin(std::future::ready(Ok(reached)))
        }
    }

    impl Silent {
        async fn connection(&self) -> Connection {
            crate::tls::install_provider();
            let tls = crate::tls::client(&Roots::Webpki, HttpVersion::Http1).unwrap();
            let connector = Connector::new(tls, HttpVersion::Http1, Duration::from_secs(1));
            let url = UpstreamUrl {
                tls: false,
                host: "localhost".into(),
                port: 80,
                path: "/".into(),
                authority: "localhost".into(),
            };
            let opened = connector.over(Some(Arc::new(self.clone()))).connect(&url).await;
            let mut opened = opened.unwrap_or_else(|_| panic!("it can be reached"));
            if let Connection::Http1 { sender, .. } = &mut opened {
                sender.ready().await.unwrap();
            }
            opened
        }

        async fn fill(&self, pool: &Pool, callers: impl IntoIterator<Item = u16>) {
            for caller in callers {
                pool.put(CallerId(caller), ENDPOINT, self.connection().await);
            }
        }
    }

    const ENDPOINT: EndpointId = EndpointId(0);

    /// How many idle connections each caller has.
    fn kept(pool: &Pool, callers: u16) -> Vec<usize> {
        let taken = |caller| std::iter::from_fn(move || pool.take(CallerId(caller), ENDPOINT));
        (0..callers).map(|caller| taken(caller).count()).collect()
    }

    #[tokio::test]
    async fn each_of_many_callers_in_turn_has_a_connection_of_its_own() {
        let (pool, upstream) = (Pool::new(&config(0..20)), Silent::default());
        upstream.fill(&pool, 0..20).await;
        assert_eq!(kept(&pool, 20), [1; 20]);
    }

    #[tokio::test]
    async fn a_caller_keeps_so_many() {
        let (pool, upstream) = (Pool::new(&config(0..20)), Silent::default());
        upstream.fill(&pool, [3; 12]).await;
        assert_eq!(kept(&pool, 5), [0, 0, 0, 8, 0]);
    }

    #[tokio::test]
    async fn the_oldest_of_all_makes_room() {
        let (pool, upstream) = (Pool::new(&config(0..3)), Silent::default());
        upstream.fill(&pool, [0, 1, 0, 0]).await;
        // Three callers and four requests.
        upstream.fill(&pool, [2; 5]).await;
        assert_eq!(kept(&pool, 3), [2, 0, 5]);
    }

    #[tokio::test]
    async fn connections_go_over_by_the_callers_name_and_others_close() {
        let (before, upstream) = (config([0, 1, 2]), Silent::default());
        let pool = Pool::new(&before);
        upstream.fill(&pool, [0, 1, 1, 2, 2, 2]).await;
        let next = pool.succeeded_by(&before, &config([3, 2, 0]));
        assert_eq!(locked(&next.idle).len(), 6, "requests of the configuration before may be in progress");
        drop(pool);
        assert_eq!(locked(&next.idle).len(), 4);
        assert_eq!(kept(&next, 3), [0, 3, 1]);
    }
}
