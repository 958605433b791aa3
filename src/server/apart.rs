//! How is a connection served that no listener of ours accepted?

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;

use super::connection::{Context, OtherEnd, serve_http1};
use super::newest::Newest;
use crate::arrival::Peer;
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::stack::stack;
use crate::upstream::{Client, Wire};

/// What a worker is beside its thread and its sockets: the stack with a client of its own, and the deadlines of
/// connections. For simulations, which bring a runtime and streams of their own.
pub struct Apart {
    serve: Box<dyn Fn(Box<dyn Wire>, Peer) -> Served>,
}

/// One connection to its end.
type Served = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Apart {
    /// Serves with the stack of `gateway`'s current generation, forwards through `client`, and closes what is idle once `drained` says so. To be
    /// called once for each runtime.
    #[must_use]
    pub fn new(gateway: &Arc<Gateway>, client: Arc<Client>, drained: watch::Receiver<bool>) -> Self {
        let of_gateway = Arc::clone(gateway);
        // One client for all generations: a simulation has one.
        let build = move |generation: &Arc<Generation>| stack(&of_gateway, generation, Arc::clone(&client));
        let newest = Arc::new(Newest::new(gateway, Box::new(build)));
        let context = Arc::new(Context::new(gateway, drained, true));
        let serve = move |stream, peer| -> Served {
            let (newest, context) = (Arc::clone(&newest), Arc::clone(&context));
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
