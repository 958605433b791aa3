//! How often is a request sent, and with which credentials?

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio::time::{Instant, timeout_at};

use super::Parts;
use super::attempt::{Attempted, Plan};
use crate::audit::{CredentialUse, ErrorClass};
use crate::config::{Effect, Retry};
use crate::credentials::Version;
use crate::ids::CredentialId;
use crate::limits::Slot;
use crate::reject::{Fate, Reject};
use crate::splice::splice;
use crate::stages::Sealed;
use crate::stages::audit::Answer;
use crate::track::{Step, Tracks};
use crate::upstream::{Again, Answered, Ended, Judged, Pass, allowed_headers, pause};

/// So soon sources are read again of which half is waited for.
const READ_AGAIN: Duration = Duration::from_millis(100);
/// So long before its deadline a request is told that it was rejected: at the deadline itself, a write would be told
/// that nobody knows what became of it.
const TELL_BEFORE: Duration = Duration::from_millis(20);

/// Until when a request may be sent, and until when its answer is waited for.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) effect: Effect,
    /// No attempt begins later, and a read is given up.
    pub(super) deadline: Instant,
    /// A write that was begun is seen through until then.
    pub(super) until: Instant,
    /// After this, a read that may be sent again is not waited for.
    patience: Duration,
}

/// What is left of the retry rule's allowance for one request.
pub(super) struct Tries<'p> {
    parts: &'p Parts,
    sealed: &'p Sealed,
    times: Times,
    retried: u32,
    /// An idle connection was closed under the request: the next one is fresh.
    stale: bool,
}

impl Times {
    /// From now on.
    pub(super) fn within(deadline: Duration, retry: &Retry, effect: Effect) -> Self {
        let now = Instant::now();
        let grace = match effect {
            Effect::Read => Duration::ZERO,
            Effect::Write => deadline,
        };
        let patience = retry.attempt_timeout.unwrap_or(deadline / 2);
        Self { effect, deadline: now + deadline, until: now + deadline + grace, patience }
    }

    /// Until when an attempt that begins now has its time.
    pub(super) fn patience(&self) -> Instant {
        match self.effect {
            Effect::Read => self.deadline.min(Instant::now() + self.patience),
            Effect::Write => self.deadline,
        }
    }

    /// What a failure after the first byte means.
    pub(super) fn fate(&self) -> Fate {
        match self.effect {
            Effect::Read => Fate::Harmless,
            Effect::Write => Fate::Unknown,
        }
    }
}

impl Tries<'_> {
    /// How long to wait before the request is sent again after an attempt that ended so; `None`: it is not.
    pub(super) fn again(&mut self, ended: Ended) -> Option<Duration> {
        let (lanes, sealed) = (&self.parts.lanes, self.sealed);
        match ended.again(self.times.effect) {
            Again::Never => None,
            Again::AtOnce => (!std::mem::replace(&mut self.stale, true)).then_some(Duration::ZERO),
            Again::Later => {
                let made = self.retried + 1;
                let pause = pause(lanes.retry(), made, lanes.jitter());
                let allowed = made < lanes.retry().attempts
                    && Instant::now() + pause < self.times.deadline
                    && lanes.may_retry(sealed.caller, sealed.endpoint);
                self.retried += u32::from(allowed);
                allowed.then_some(pause)
            }
        }
    }
}

impl Parts {
    /// Sends until there is an answer, or the retry rule has no more to give, and hands DCAMS's answer over.
    pub(super) async fn attempts(
        &self,
        sealed: Sealed,
        pass: Pass,
        times: Times,
    ) -> Result<Response<Answer>, Reject> {
        let ended = self.send(&sealed, pass, times).await;
        sealed.track().lap(Step::Forward);
        let (answered, judged) = ended?;
        if rejected(&judged) {
            return Err(Reject::UpstreamCredentialsRejected);
        }
        Ok(respond(answered, sealed.hold.into_slot()))
    }

    async fn send(
        &self,
        sealed: &Sealed,
        mut pass: Pass,
        times: Times,
    ) -> Result<(Answered<Bytes>, Judged), Reject> {
        let mut tries = Tries { parts: self, sealed, times, retried: 0, stale: false };
        let mut plan =
            Plan { version: Arc::clone(&sealed.version), parts: sealed.parts.clone(), times, fresh: false };
        loop {
            let Attempted { result, again } = self.attempt(sealed, &plan, pass, &mut tries).await;
            if let Ok((_, judged)) = &result
                && rejected(judged)
            {
                // With a second version only, and only once: the account must not be locked out.
                if plan.version.number != sealed.version.number || Instant::now() >= times.deadline {
                    return result;
                }
                let other = self.other_version(sealed.credential.credential, &plan.version, times);
                plan.version = Box::pin(other).await?;
                let used = CredentialUse { version: plan.version.number, ..sealed.credential };
                sealed.track().note(|record| record.credential = Some(used));
                plan.parts = splice(&plan.version.prefix, &sealed.document);
                pass = self.let_through(sealed, times.effect)?;
                continue;
            }
            let Some(pause) = again else { return result };
            tokio::time::sleep(pause).await;
            plan.fresh = tries.stale;
            // Another request has met its rejection meanwhile: the account must not be locked out.
            if plan.version.is_suspended() {
                return result;
            }
            // What refuses another attempt is no news for the caller: the failure is.
            let Ok(next) = self.let_through(sealed, times.effect) else { return result };
            pass = next;
        }
    }

    /// Reads the sources again after DCAMS, which then did nothing, rejected `used`: a version that differs. Of a pair
    /// that is being exchanged it is waited for both halves. Files that cannot be read in time are not waited for.
    async fn other_version(
        &self,
        id: CredentialId,
        used: &Version,
        times: Times,
    ) -> Result<Arc<Version>, Reject> {
        let until = times.deadline.checked_sub(TELL_BEFORE).unwrap_or(times.deadline);
        let in_time = timeout_at(until, self.reread_until_other(id, used, times));
        in_time.await.unwrap_or(Err(Reject::UpstreamCredentialsRejected))
    }

    async fn reread_until_other(
        &self,
        id: CredentialId,
        used: &Version,
        times: Times,
    ) -> Result<Arc<Version>, Reject> {
        loop {
            // Files that hang keep one thread, and not one for each request.
            let turn = Arc::clone(&self.rereading).lock_owned().await;
            let credentials = Arc::clone(&self.credentials);
            let reread = move || {
                let _turn = turn;
                credentials.reread(id)
            };
            let reread = self.client.aside(reread).await.flatten();
            let current = self.credentials.of(id).ok_or(Reject::Internal)?.current();
            if current.number != used.number && !current.is_suspended() {
                return Ok(current);
            }
            let waits = reread.is_some_and(|reread| reread.half);
            if !waits || Instant::now() + READ_AGAIN >= times.deadline {
                return Err(Reject::UpstreamCredentialsRejected);
            }
            tokio::time::sleep(READ_AGAIN).await;
        }
    }

    pub(super) fn name_of(&self, sealed: &Sealed) -> &str {
        let id = usize::from(sealed.credential.credential.0);
        self.config.credentials.get(id).map_or("", |credential| &credential.name)
    }
}

pub(super) fn rejected(judged: &Judged) -> bool {
    judged.class == Some(ErrorClass::CredentialsRejected)
}

/// DCAMS's own answer: its status and its bytes, and of its headers those on the allow-list.
fn respond(answered: Answered<Bytes>, slot: Slot) -> Response<Answer> {
    let mut headers = HeaderMap::new();
    for (name, value) in allowed_headers(&answered.headers).into_iter().flatten() {
        headers.insert(name, value);
    }
    let mut response = Response::new(Answer { body: answered.body, slot });
    *response.status_mut() = answered.status;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::gateway::tests::gateway_in;
    use crate::revocation::Revocation;

    fn parts(folder: &std::path::Path) -> Parts {
        let (gateway, _) = gateway_in(folder);
        let generation = gateway.current();
        Parts {
            config: Arc::clone(&generation.config),
            credentials: Arc::clone(&generation.credentials),
            lanes: Arc::clone(&generation.lanes),
            client: Arc::new(generation.client(None, None)),
            revocation: Revocation::new(gateway, generation),
            rereading: Arc::default(),
        }
    }

    #[tokio::test]
    async fn files_that_cannot_be_read_in_time_keep_neither_a_request_nor_a_thread_for_each() {
        let folder = tempfile::tempdir().unwrap();
        let parts = parts(folder.path());
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let credentials = Arc::clone(&parts.credentials);
        let hanging = std::thread::spawn(move || {
            let _reading = credentials.reading();
            begun.send(()).unwrap();
            // Ends with the test, also where it fails.
            let _ = released.recv();
        });
        has_begun.await.unwrap();
        let users = Arc::strong_count(&parts.credentials);
        let id = CredentialId(0);
        let version = parts.credentials.of(id).unwrap().current();
        let times = Times::within(Duration::from_millis(100), parts.lanes.retry(), Effect::Write);
        let rejected = async || parts.other_version(id, &version, times).await.err();
        let told = timeout(Duration::from_secs(30), async { tokio::join!(rejected(), rejected()) });
        let refusal = Some(Reject::UpstreamCredentialsRejected);
        let told = told.await;
        let waiting = Arc::strong_count(&parts.credentials) - users;
        drop(release);
        assert_eq!(told, Ok((refusal, refusal)));
        assert_eq!(waiting, 1, "threads");
        hanging.join().unwrap();
    }
}
