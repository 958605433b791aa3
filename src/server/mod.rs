//! How do connections reach the stack, and how does the gateway come to its end?

mod activity;
mod apart;
mod certificates;
mod connection;
mod delivery;
pub mod descriptors;
pub(crate) mod doors;
mod last_call;
mod line;
mod listen;
mod newest;
mod passed;
mod porch;
pub(crate) mod seat;
mod unix_socket;
mod unread;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::Listen;
use crate::gateway::{Gateway, StartFault};
use crate::ops;

pub use apart::Apart;
pub(crate) use certificates::Certificates;
use doors::Doors;
use listen::Listener;
pub use listen::{try_address, try_passed};
pub use passed::{Passed, PassedFault};
use worker::Workers;

/// A gateway that serves.
pub struct Running {
    gateway: Arc<Gateway>,
    addresses: Vec<Listen>,
    ops: Option<SocketAddr>,
    accepting: JoinSet<()>,
    workers: Workers,
    drain: watch::Sender<bool>,
    doors: Arc<Doors>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request was answered and recorded.
    Whole,
    /// The time was up with this many requests in progress; all were recorded.
    Cut(u64),
    /// This many audit lines could not be written.
    Unrecorded(u64),
}

/// Opens all listeners and starts to serve. Nothing is served when one of them cannot be opened.
///
/// # Errors
///
/// [`StartFault`], naming the listener.
pub async fn start(gateway: Arc<Gateway>) -> Result<Running, StartFault> {
    start_on(gateway, Passed::default()).await
}

/// As [`start`], on the sockets that were passed; those that were not are opened.
///
/// # Errors
///
/// [`StartFault`], naming the listener.
pub async fn start_on(gateway: Arc<Gateway>, mut passed: Passed) -> Result<Running, StartFault> {
    let config = Arc::clone(&gateway.current().config);
    let data = &config.data;
    let mut listeners = Vec::new();
    for address in &data.listen {
        let fault = |source| StartFault::Io { what: format!("listen on {}", listen::shown(address)), source };
        let listener = match passed.socket_on(address) {
            Some(socket) => Listener::adopt(socket, address),
            None => Listener::open(address),
        };
        listeners.push(listener.map_err(fault)?);
    }
    let ops = match config.ops.listen {
        Some(address) => {
            let fault = |source| StartFault::Io { what: format!("listen on {address} (ops)"), source };
            let listener = match passed.tcp_on(address) {
                Some(listener) => {
                    listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener))
                }
                None => TcpListener::bind(address).await,
            };
            let listener = listener.map_err(fault)?;
            let bound = listener.local_addr().map_err(fault)?;
            tokio::spawn(ops::serve(listener, Arc::clone(&gateway)));
            Some(bound)
        }
        None => None,
    };
    let (drain, drained) = watch::channel(false);
    let doors = Arc::new(Doors::new(
        data.max_connections,
        data.max_connections_per_peer,
        Some(gateway.metrics.connections_open.clone()),
    ));
    let workers = Workers::start(&gateway, data.workers, &drained)?;
    let addresses = listeners.iter().map(|listener| listener.address().clone()).collect();
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let (gateway, doors) = (Arc::clone(&gateway), Arc::clone(&doors));
        accepting.spawn(listener.accept_until(drained.clone(), gateway, doors, workers.senders()));
    }
    Ok(Running { gateway, addresses, ops, accepting, workers, drain, doors })
}

impl Running {
    /// Where callers are served, with the ports that were taken for port 0.
    #[must_use]
    pub fn addresses(&self) -> &[Listen] {
        &self.addresses
    }

    /// Where operators are served.
    #[must_use]
    pub fn ops(&self) -> Option<SocketAddr> {
        self.ops
    }

    /// Serves what was accepted and what waits to be, refuses new connections, answers what is in progress within the
    /// drain limit, writes every record, and ends the workers.
    pub async fn drain(self) -> Drained {
        self.drain_until(std::future::pending()).await
    }

    /// As [`drain`](Self::drain), but what is in progress when `cut` ends is cut off.
    pub async fn drain_until(self, cut: impl Future<Output = ()>) -> Drained {
        let Self { gateway, mut accepting, workers, drain, doors, .. } = self;
        let begun = Instant::now();
        let config = Arc::clone(&gateway.current().config);
        let data = &config.data;
        let (refusing, deadline) = (begun + data.drain_grace, begun + data.drain_timeout);
        gateway.draining.store(data.drain_grace.is_zero(), Ordering::Release);
        gateway.stopping.store(true, Ordering::Release);
        let _ = drain.send(true);
        let whole = async {
            // The queues of the listeners first: what waits there is in no count.
            while accepting.join_next().await.is_some() {}
            while (gateway.in_progress() > 0 || doors.open() > 0) && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(10)).await;
                gateway.draining.store(Instant::now() >= refusing, Ordering::Release);
            }
        };
        tokio::select! {
            () = whole => {}
            () = cut => {}
        }
        let left = gateway.in_progress();
        // What is cut off here is recorded as its futures are dropped with their workers.
        let joined = tokio::task::spawn_blocking(move || {
            workers.stop();
            gateway.writer.finish(left)
        });
        match (joined.await.unwrap_or(0), left) {
            (0, 0) => Drained::Whole,
            (0, left) => Drained::Cut(left),
            (unwritten, _) => Drained::Unrecorded(unwritten),
        }
    }
}
