//! How does one step of a request become a layer of the stack?

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures_util::future::Either;
use tower::{Layer, Service};

use crate::reject::Reject;
use crate::track::{Step, Tracks};

/// A step that does not wait: a plain function from the type above it to the type below it.
pub trait Stage<In> {
    /// What this step makes. Only this step can make it, so the step cannot be left out.
    type Next: Tracks;

    /// Under which name the time spent here is recorded.
    const STEP: Step;

    /// Takes the step.
    ///
    /// # Errors
    ///
    /// The refusal that ends the request here.
    fn advance(&self, input: In) -> Result<Self::Next, Reject>;
}

/// Lifts a [`Stage`] into the stack.
#[derive(Clone)]
pub struct StageLayer<S>(pub S);

impl<S: Clone, Inner> Layer<Inner> for StageLayer<S> {
    type Service = Staged<S, Inner>;

    fn layer(&self, inner: Inner) -> Self::Service {
        Staged { stage: self.0.clone(), inner }
    }
}

/// A [`Stage`] in front of the service that takes what it makes.
#[derive(Clone)]
pub struct Staged<S, Inner> {
    stage: S,
    inner: Inner,
}

impl<In, S, Inner> Service<In> for Staged<S, Inner>
where
    S: Stage<In>,
    Inner: Service<S::Next, Error = Reject>,
{
    type Response = Inner::Response;
    type Error = Reject;
    type Future = Either<Inner::Future, Ready<Result<Inner::Response, Reject>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Reject>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, input: In) -> Self::Future {
        match self.stage.advance(input) {
            Ok(next) => {
                next.track().lap(S::STEP);
                Either::Left(self.inner.call(next))
            }
            Err(reject) => Either::Right(ready(Err(reject))),
        }
    }
}
