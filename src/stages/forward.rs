//! What did the upstream answer?
//!
//! The account's limit, then the breakers, then attempts by the retry rule (`forward/attempts.rs`), each of which
//! is one exchange whose answer is judged (`forward/attempt.rs`).

mod attempt;
mod attempts;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::Response;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tower::Service;

use super::Sealed;
use super::audit::Answer;
use crate::config::{Config, Effect};
use crate::credentials::Credentials;
use crate::reject::{Fate, Reject};
use crate::revocation::Revocation;
use crate::upstream::{Client, Lanes, Pass};
use attempts::Times;

/// Sends sealed requests and believes only answers that pass every check. The end of the stack.
#[derive(Clone)]
pub struct Forward(Arc<Parts>);

struct Parts {
    config: Arc<Config>,
    credentials: Arc<Credentials>,
    lanes: Arc<Lanes>,
    client: Arc<Client>,
    revocation: Revocation,
    /// Held by the one request that reads the sources of credentials again.
    rereading: Arc<Mutex<()>>,
}

impl Forward {
    /// Sends through `client` what `lanes` let pass.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        credentials: Arc<Credentials>,
        lanes: Arc<Lanes>,
        client: Arc<Client>,
        revocation: Revocation,
    ) -> Self {
        Self(Arc::new(Parts { config, credentials, lanes, client, revocation, rereading: Arc::default() }))
    }
}

impl Service<Sealed> for Forward {
    type Response = Response<Answer>;
    type Error = Reject;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Reject>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Reject>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, sealed: Sealed) -> Self::Future {
        let parts = Arc::clone(&self.0);
        Box::pin(async move { parts.forward(sealed).await })
    }
}

impl Parts {
    async fn forward(self: Arc<Self>, sealed: Sealed) -> Result<Response<Answer>, Reject> {
        let endpoint = self.config.endpoints.get(usize::from(sealed.endpoint.0)).ok_or(Reject::Internal)?;
        let service = self.config.services.get(usize::from(sealed.service.0)).ok_or(Reject::Internal)?;
        let pass = self.let_through(&sealed, service.effect)?;
        self.lanes.requested(sealed.caller, sealed.endpoint);
        let times = Times::within(endpoint.deadline, self.lanes.retry(), service.effect);
        let (sent, effect) = (Arc::clone(&sealed.sent), service.effect);
        let parts = Arc::clone(&self);
        // Boxed, because a runtime moves what it is given to run, and moves it away again, and this is large.
        let attempts = Box::pin(async move { parts.attempts(sealed, pass, times).await });
        match effect {
            Effect::Read => attempts.await,
            Effect::Write => see_through(attempts, sent, times.deadline).await,
        }
    }

    /// What was taken back meanwhile, the account's limit, then the breakers of the caller and of the endpoint.
    fn let_through(&self, sealed: &Sealed, effect: Effect) -> Result<Pass, Reject> {
        self.revocation.check(sealed.caller, sealed.service, sealed.track.identity().1)?;
        let credential = self.credentials.of(sealed.credential.credential).ok_or(Reject::Internal)?;
        credential.charge_account()?;
        self.lanes.admit(sealed.caller, sealed.endpoint, effect)
    }
}

/// Once a byte of a write is on its way, neither the caller's leaving nor the deadline may cut it off
/// half-way: a task of its own finishes it within its grace and holds its record until then.
async fn see_through(
    attempts: Pin<Box<impl Future<Output = Result<Response<Answer>, Reject>> + Send + 'static>>,
    sent: Arc<AtomicU64>,
    deadline: Instant,
) -> Result<Response<Answer>, Reject> {
    let mut writing = Writing { task: tokio::spawn(attempts), sent };
    match timeout_at(deadline, &mut writing.task).await {
        Ok(Ok(ended)) => ended,
        // The task panicked; nothing of what it carried is looked at.
        Ok(Err(_)) => Err(Reject::Internal),
        Err(_) if writing.has_begun() => Err(Reject::UpstreamTimeout(Fate::Unknown)),
        Err(_) => {
            // Called off first, and then judged: its connection may be about to take it.
            writing.task.abort();
            if let Ok(ended) = (&mut writing.task).await {
                return ended;
            }
            let fate = if writing.has_begun() { Fate::Unknown } else { Fate::Harmless };
            Err(Reject::UpstreamTimeout(fate))
        }
    }
}

/// A write in a task of its own, which is cancelled with its caller only while nothing was sent.
struct Writing {
    task: JoinHandle<Result<Response<Answer>, Reject>>,
    sent: Arc<AtomicU64>,
}

impl Writing {
    fn has_begun(&self) -> bool {
        self.sent.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.has_begun() {
            self.task.abort();
        }
    }
}
