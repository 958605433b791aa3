//! Through which stack does the next request of a worker go?

use std::sync::{Arc, Mutex, PoisonError};

use crate::gateway::Gateway;
use crate::generation::Generation;

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

impl<S: Clone> Newest<S> {
    /// Builds the first stack, and each that follows, by `build`.
    pub(super) fn new(gateway: &Arc<Gateway>, mut build: Build<S>) -> Self {
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
