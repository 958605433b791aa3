//! What did the upstream answer?

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower::Service;

use super::Sealed;
use super::audit::Answer;
use crate::audit::{CredentialUse, ErrorClass, UpstreamFacts};
use crate::config::{Config, Effect};
use crate::credentials::{Credentials, Version};
use crate::limits::Slot;
use crate::reject::{Fate, Reject};
use crate::splice::splice;
use crate::track::{Step, Tracks};
use crate::upstream::{Answered, Client, Exchange, Judged, allowed_headers, judge};

/// Sends sealed requests and believes only answers that pass every check. The end of the stack.
#[derive(Clone)]
pub struct Forward(Arc<Parts>);

struct Parts {
    config: Arc<Config>,
    credentials: Arc<Credentials>,
    client: Arc<Client>,
}

impl Forward {
    /// Sends through `client`.
    #[must_use]
    pub fn new(config: Arc<Config>, credentials: Arc<Credentials>, client: Arc<Client>) -> Self {
        Self(Arc::new(Parts { config, credentials, client }))
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
        let credential = self.credentials.of(sealed.credential.credential).ok_or(Reject::Internal)?;
        credential.charge_account()?;
        let endpoint = self.config.endpoints.get(usize::from(sealed.endpoint.0)).ok_or(Reject::Internal)?;
        let service = self.config.services.get(usize::from(sealed.service.0)).ok_or(Reject::Internal)?;
        let deadline = Instant::now() + endpoint.deadline;
        match service.effect {
            Effect::Read => self.attempt(sealed, deadline, Fate::Harmless).await,
            Effect::Write => Arc::clone(&self).see_through(sealed, deadline, endpoint.deadline).await,
        }
    }

    /// Once a byte of a write is on its way, neither the caller's leaving nor the deadline may cut it off
    /// half-way: a task of its own finishes it within `grace` and holds its record until then.
    async fn see_through(
        self: Arc<Self>,
        sealed: Sealed,
        deadline: Instant,
        grace: Duration,
    ) -> Result<Response<Answer>, Reject> {
        let sent = Arc::clone(&sealed.sent);
        let task = tokio::spawn(self.attempt_owned(sealed, deadline + grace));
        let mut writing = Writing { task, sent };
        match tokio::time::timeout_at(deadline, &mut writing.task).await {
            Ok(Ok(ended)) => ended,
            // The task panicked; nothing of what it carried is looked at.
            Ok(Err(_)) => Err(Reject::Internal),
            Err(_) if writing.has_begun() => Err(Reject::UpstreamTimeout(Fate::Unknown)),
            Err(_) => Err(Reject::UpstreamTimeout(Fate::Harmless)),
        }
    }

    async fn attempt_owned(
        self: Arc<Self>,
        sealed: Sealed,
        deadline: Instant,
    ) -> Result<Response<Answer>, Reject> {
        self.attempt(sealed, deadline, Fate::Unknown).await
    }

    /// Sends once; and once more with another version of the credentials where DCAMS rejected the
    /// first, because then it did nothing.
    async fn attempt(
        &self,
        sealed: Sealed,
        deadline: Instant,
        fate: Fate,
    ) -> Result<Response<Answer>, Reject> {
        let parts = sealed.parts.clone();
        let first = self.exchange(&sealed, &sealed.version, parts, deadline, fate).await;
        let ended = match first {
            Ok((_, judged)) if rejected(&judged) => self.again(&sealed, deadline, fate).await,
            other => other,
        };
        sealed.track().lap(Step::Forward);
        let (answered, judged) = ended?;
        if rejected(&judged) {
            return Err(Reject::UpstreamCredentialsRejected);
        }
        Ok(respond(answered, sealed.hold.into_slot()))
    }

    /// Reads the source again and tries a version that differs from the rejected one.
    async fn again(
        &self,
        sealed: &Sealed,
        deadline: Instant,
        fate: Fate,
    ) -> Result<(Answered, Judged), Reject> {
        let id = sealed.credential.credential;
        self.credentials.rejected(id, &sealed.version);
        tracing::error!(credential = self.name_of(sealed), "DCAMS rejected the credentials");
        let (config, credentials) = (Arc::clone(&self.config), Arc::clone(&self.credentials));
        let reread = tokio::task::spawn_blocking(move || credentials.reread(&config, id)).await;
        let credential = self.credentials.of(id).ok_or(Reject::Internal)?;
        let current = credential.current();
        let is_new = matches!(reread, Ok(true)) || current.number != sealed.version.number;
        if !is_new || current.is_suspended() {
            return Err(Reject::UpstreamCredentialsRejected);
        }
        let used = CredentialUse { credential: id, version: current.number };
        sealed.track().note(|record| record.credential = Some(used));
        let parts = splice(&current.prefix, &sealed.document);
        let second = self.exchange(sealed, &current, parts, deadline, fate).await?;
        if rejected(&second.1) {
            self.credentials.rejected(id, &current);
        }
        Ok(second)
    }

    async fn exchange(
        &self,
        sealed: &Sealed,
        version: &Version,
        parts: [Bytes; 2],
        deadline: Instant,
        fate: Fate,
    ) -> Result<(Answered, Judged), Reject> {
        let exchange = Exchange {
            caller: sealed.caller,
            endpoint: sealed.endpoint,
            parts,
            deadline,
            fate,
            sent: Arc::clone(&sealed.sent),
            resent: Arc::default(),
        };
        let before = sealed.sent.load(Ordering::Relaxed);
        sealed.track().note(|record| {
            // What DCAMS said to an earlier attempt is not what it said to this one.
            let UpstreamFacts { attempts, fate_unknown, .. } = record.upstream;
            record.upstream =
                UpstreamFacts { attempts: attempts + 1, fate_unknown, ..UpstreamFacts::default() };
            record.answer_bytes = 0;
        });
        let resent = Arc::clone(&exchange.resent);
        let mut under_way = UnderWay { sealed, resent, before, fate, settled: false };
        let answered = self.client.exchange(exchange).await;
        // Where not a byte of the body was handed over, nothing can have happened.
        let answered =
            answered.map_err(|reject| if under_way.has_begun() { reject } else { harmless(reject) })?;
        let judged = self.judged(sealed, version, answered, fate)?;
        under_way.settled = true;
        Ok(judged)
    }

    fn judged(
        &self,
        sealed: &Sealed,
        version: &Version,
        answered: Answered,
        fate: Fate,
    ) -> Result<(Answered, Judged), Reject> {
        sealed.track().note(|record| {
            record.upstream.status = Some(answered.status.as_u16());
            record.answer_bytes = answered.body.len() as u64;
        });
        let (request, needles) = (&sealed.document, &version.needles);
        let judged = judge(answered.status, &answered.headers, &answered.body, request, needles, fate);
        let judged = judged.inspect_err(|reject| {
            if matches!(reject, Reject::ResponseWithheld(_)) {
                tracing::error!(credential = self.name_of(sealed), "an answer held the password: withheld");
                sealed.track().note(|record| record.upstream.credential_reflected = true);
            }
        })?;
        let id = sealed.credential.credential;
        if !rejected(&judged) && self.credentials.accepted(id, version) {
            tracing::info!(credential = self.name_of(sealed), "DCAMS accepts the credentials again");
        }
        sealed.track().note(|record| {
            record.upstream.result = Some(judged.result);
            record.upstream.class = judged.class;
            record.upstream.returned_status = judged.returned_status;
        });
        Ok((answered, judged))
    }

    fn name_of(&self, sealed: &Sealed) -> &str {
        let id = usize::from(sealed.credential.credential.0);
        self.config.credentials.get(id).map_or("", |credential| &credential.name)
    }
}

/// An exchange that has not come to its end: what was sent is noted also when it is dropped half-way, by a
/// caller who left, a stop or a panic.
struct UnderWay<'a> {
    sealed: &'a Sealed,
    resent: Arc<AtomicU8>,
    /// Body bytes sent by earlier attempts.
    before: u64,
    fate: Fate,
    settled: bool,
}

impl UnderWay<'_> {
    fn has_begun(&self) -> bool {
        self.sealed.sent.load(Ordering::Relaxed) > self.before
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let unknown = !self.settled && self.fate == Fate::Unknown && self.has_begun();
        let sent = self.sealed.sent.load(Ordering::Relaxed);
        self.sealed.track().note(|record| {
            record.sent_bytes = sent;
            record.upstream.attempts += self.resent.load(Ordering::Relaxed);
            record.upstream.fate_unknown |= unknown;
        });
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

fn rejected(judged: &Judged) -> bool {
    judged.class == Some(ErrorClass::CredentialsRejected)
}

fn harmless(reject: Reject) -> Reject {
    match reject {
        Reject::UpstreamInvalid(_) => Reject::UpstreamInvalid(Fate::Harmless),
        Reject::UpstreamTruncated(_) => Reject::UpstreamTruncated(Fate::Harmless),
        Reject::UpstreamTimeout(_) => Reject::UpstreamTimeout(Fate::Harmless),
        other => other,
    }
}

/// DCAMS's own answer: its status and its bytes, and of its headers those on the allow-list.
fn respond(answered: Answered, slot: Slot) -> Response<Answer> {
    let mut headers = HeaderMap::new();
    for (name, value) in allowed_headers(&answered.headers).into_iter().flatten() {
        headers.insert(name, value);
    }
    let mut response = Response::new(Answer { body: answered.body, slot });
    *response.status_mut() = answered.status;
    *response.headers_mut() = headers;
    response
}
