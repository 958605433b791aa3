//! How is a connection served that no listener of ours accepted?

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;

use super::connection::{Context, OtherEnd, serve_http1};
use super::newest::newest;
use crate::arrival::Peer;
use crate::gateway::Gateway;
use crate::upstream::{Reach, Wire};

/// What a worker is beside its thread and its sockets: the stack with a client of its own, and the deadlines of
/// connections. For simulations, which bring a runtime and streams of their own.
pub struct Apart {
    serve: Box<dyn Fn(Box<dyn Wire>, Peer) -> Served>,
}

/// One connection to its end.
type Served = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Apart {
    /// Serves with the stack of the generation that is `gateway`'s current one when a request arrives, forwards over
    /// `reach`, and closes what is idle once `drained` says so. To be called once for each runtime, and on it.
    #[must_use]
    pub fn new(gateway: &Arc<Gateway>, reach: Arc<dyn Reach>, drained: watch::Receiver<bool>) -> Self {
        let newest = Arc::new(newest(gateway, Some(reach)));
        let gateway = Arc::clone(gateway);
        let serve = move |stream, peer| -> Served {
            let newest = Arc::clone(&newest);
            let context = Context::new(&gateway, drained.clone(), true);
            let end = OtherEnd { peer, seat: Arc::default() };
            Box::pin(async move { serve_http1(stream, end, newest, &context).await })
        };
        Self { serve: Box::new(serve) }
    }

    /// Serves HTTP/1.1 on `stream` until it ends.
    pub fn serve(&self, stream: Box<dyn Wire>, peer: Peer) -> impl Future<Output = ()> + Send + use<> {
        (self.serve)(stream, peer)
    }
}
