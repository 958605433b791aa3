//! On which thread is a connection served?

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use rustls::ServerConfig;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::connection::{Context, serve};
use super::doors::Entry;
use super::newest::newest;
use crate::arrival::Peer;
use crate::gateway::{Gateway, StartFault};
use crate::wiped::wipe_stack;

/// A connection on its way to its worker.
pub(super) struct Accepted {
    pub(super) stream: Stream,
    pub(super) peer: Peer,
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) entry: Entry,
}

/// A socket that no runtime has taken yet.
pub(super) enum Stream {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// Threads with a runtime of their own each: a request stays on one core from its first byte to its
/// last, and each has its own upstream connections.
pub(super) struct Workers {
    senders: Vec<UnboundedSender<Accepted>>,
    threads: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

/// Hands connections to the workers in turn.
#[derive(Clone)]
pub(super) struct Senders {
    senders: Arc<[UnboundedSender<Accepted>]>,
    next: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `count` workers.
    pub(super) fn start(
        gateway: &Arc<Gateway>,
        count: usize,
        drained: &watch::Receiver<bool>,
    ) -> Result<Self, StartFault> {
        let (stop, stopped) = watch::channel(false);
        let mut workers = Self { senders: Vec::new(), threads: Vec::new(), stop };
        for number in 0..count.max(1) {
            let fault = |source| StartFault::Io { what: format!("start worker {number}"), source };
            let mut builder = tokio::runtime::Builder::new_current_thread();
            if cfg!(feature = "clear-on-free") {
                builder.on_thread_park(wipe_stack);
            }
            let runtime = builder.enable_all().build().map_err(fault)?;
            let (sender, receiver) = unbounded_channel();
            let worker = Worker {
                gateway: Arc::clone(gateway),
                receiver,
                drained: drained.clone(),
                stopped: stopped.clone(),
            };
            let thread = std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || {
                    runtime.block_on(worker.work());
                    // Drops, and thereby records, what is still in progress. Not waited for is what
                    // blocks: a look-up of a name may take half a minute.
                    runtime.shutdown_background();
                })
                .map_err(fault)?;
            workers.senders.push(sender);
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    pub(super) fn senders(&self) -> Senders {
        Senders { senders: self.senders.clone().into(), next: Arc::new(AtomicUsize::new(0)) }
    }

    /// Ends all workers, whatever they are doing; blocks until they are gone.
    pub(super) fn stop(self) {
        let _ = self.stop.send(true);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

impl Senders {
    /// To the next worker in turn; a connection to a worker that is gone is closed.
    pub(super) fn hand_over(&self, accepted: Accepted) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.senders.len().max(1);
        if let Some(sender) = self.senders.get(turn) {
            let _ = sender.send(accepted);
        }
    }
}

struct Worker {
    gateway: Arc<Gateway>,
    receiver: UnboundedReceiver<Accepted>,
    drained: watch::Receiver<bool>,
    stopped: watch::Receiver<bool>,
}

impl Worker {
    async fn work(mut self) {
        let newest = Arc::new(newest(&self.gateway, None));
        let mut changed = self.gateway.watch();
        loop {
            tokio::select! {
                accepted = self.receiver.recv() => {
                    let Some(accepted) = accepted else { return };
                    let is_near = !matches!(accepted.peer, Peer::Tcp { loopback_listener: false, .. });
                    let context = Context::new(&self.gateway, self.drained.clone(), is_near);
                    tokio::spawn(serve(accepted, Arc::clone(&newest), Arc::new(context)));
                }
                // Also without a request: what is out of force, its secrets among it, is not kept.
                Ok(()) = changed.changed() => drop(newest.stack()),
                _ = self.stopped.changed() => return,
            }
        }
    }
}
