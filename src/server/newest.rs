//! Through which stack does the next request of a worker go?

use std::sync::{Arc, Mutex, PoisonError};

use super::connection::Stack;
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::stack::stack;
use crate::upstream::Reach;

/// The stack of the newest generation, for one worker. It is built anew when a request arrives and another generation
/// came into force: the change is one instant for all workers, and no request sees two.
pub(super) struct Newest<S> {
    gateway: Arc<Gateway>,
    built: Mutex<Built<S>>,
}

struct Built<S> {
    number: u64,
    stack: S,
    build: Build<S>,
}

type Build<S> = Box<dyn FnMut(&Arc<Generation>) -> S + Send>;

/// The stacks of one worker, each with a client that goes on with the connections of the one before; connections are
/// over `reach`, where there is one, instead of TCP.
pub(super) fn newest(gateway: &Arc<Gateway>, reach: Option<Arc<dyn Reach>>) -> Newest<impl Stack + use<>> {
    let of_gateway = Arc::clone(gateway);
    let mut before = None;
    let build = move |generation: &Arc<Generation>| {
        let client = Arc::new(generation.client(reach.clone(), before.as_ref()));
        tokio::spawn(Arc::clone(&client).sweep());
        before = Some((Arc::clone(generation), Arc::clone(&client)));
        stack(&of_gateway, generation, client)
    };
    Newest::new(gateway, Box::new(build))
}

impl<S: Clone> Newest<S> {
    /// Builds the first stack, and each that follows, by `build`.
    fn new(gateway: &Arc<Gateway>, mut build: Build<S>) -> Self {
        let generation = gateway.current();
        let built = Built { number: generation.number, stack: build(&generation), build };
        Self { gateway: Arc::clone(gateway), built: Mutex::new(built) }
    }

    /// The stack for a request that arrives now.
    pub(super) fn stack(&self) -> S {
        let number = self.gateway.number();
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if built.number < number {
            let generation = self.gateway.current();
            built.stack = (built.build)(&generation);
            built.number = generation.number;
        }
        built.stack.clone()
    }
}
