//! Is the intent to forward durable?

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::timeout;
use tower::{Layer, Service};

use super::{Parsed, Validated};
use crate::audit::{Recorder, Waiters};
use crate::config::Recording;
use crate::reject::Reject;
use crate::track::{Step, Track, Tracks};

/// An intent that is not durable by then is not waited for any longer: 503 comes within a second.
const PATIENCE: Duration = Duration::from_millis(750);

/// A request of which it is recorded that it will be forwarded. Made only here.
pub struct Recorded(Parsed);

impl Recorded {
    pub(super) fn into_parsed(self) -> Parsed {
        self.0
    }
}

impl Tracks for Recorded {
    fn track(&self) -> &Track {
        self.0.track()
    }
}

/// Puts [`Record`] into the stack.
#[derive(Clone)]
pub struct RecordLayer {
    recorder: Arc<Recorder>,
}

impl RecordLayer {
    /// Records to `recorder`.
    #[must_use]
    pub fn new(recorder: Arc<Recorder>) -> Self {
        Self { recorder }
    }
}

impl<Inner> Layer<Inner> for RecordLayer {
    type Service = Record<Inner>;

    /// To be called once for each runtime: those who wait on one are woken together.
    fn layer(&self, inner: Inner) -> Record<Inner> {
        let desk = Desk { recorder: Arc::clone(&self.recorder), waiters: self.recorder.waiters() };
        Record { desk: Arc::new(desk), inner }
    }
}

/// Writes the intent of a request and, where its service is `required`, lets it pass only when that is durable.
#[derive(Clone)]
pub struct Record<Inner> {
    desk: Arc<Desk>,
    inner: Inner,
}

/// Where intents are handed in.
struct Desk {
    recorder: Arc<Recorder>,
    waiters: Arc<Waiters>,
}

impl<Inner> Service<Validated> for Record<Inner>
where
    Inner: Service<Recorded, Error = Reject> + Clone + Send + 'static,
    Inner::Future: Send,
{
    type Response = Inner::Response;
    type Error = Reject;
    type Future = Pin<Box<dyn Future<Output = Result<Inner::Response, Reject>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Reject>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, validated: Validated) -> Self::Future {
        let desk = Arc::clone(&self.desk);
        // The service that was polled ready must be the one that is called.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let recorded = desk.record(validated).await?;
            recorded.track().lap(Step::Record);
            inner.call(recorded).await
        })
    }
}

impl Desk {
    /// An intent that is given up on here may still become durable: the outcome then says that nothing was sent.
    async fn record(&self, validated: Validated) -> Result<Recorded, Reject> {
        let parsed = validated.into_parsed();
        let (ticket, recording) = self.recorder.intend(parsed.track());
        if recording == Recording::Required {
            let durable = self.waiters.wait(ticket.ok_or(Reject::AuditUnavailable)?);
            timeout(PATIENCE, durable).await.map_err(|_| Reject::AuditUnavailable)?;
        }
        Ok(Recorded(parsed))
    }
}
