//! What does one attempt come to?

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::Parts;
use super::attempts::{Times, Tries, rejected};
use crate::audit::{Attempt, ResultKind, UpstreamFacts};
use crate::credentials::Version;
use crate::reject::{Fate, Reject};
use crate::stages::Sealed;
use crate::track::Tracks;
use crate::upstream::{Answered, Ended, Exchange, Judged, Left, Pass, Unanswered, judge};

/// What is sent, and how long is waited for its answer.
pub(super) struct Plan {
    pub(super) version: Arc<Version>,
    /// The body with that version of the credentials.
    pub(super) parts: [Bytes; 2],
    pub(super) times: Times,
    /// Whether idle connections are left alone.
    pub(super) fresh: bool,
}

/// One attempt at its end.
pub(super) struct Attempted {
    pub(super) result: Result<(Answered<Bytes>, Judged), Reject>,
    /// The pause before the next one; `None`: there is none.
    pub(super) again: Option<Duration>,
}

impl Parts {
    /// Sends once, judges the answer, and tells the record and the breakers what came of it.
    pub(super) async fn attempt(
        &self,
        sealed: &Sealed,
        plan: &Plan,
        pass: Pass,
        tries: &mut Tries<'_>,
    ) -> Attempted {
        let rejections = plan.version.rejections();
        let mut under_way = UnderWay::begin(sealed, plan);
        let mut pass = Some(pass);
        let (answered, cut_short) = self.exchange(sealed, plan, &mut pass, tries).await;
        let (result, ended) = match answered {
            Ok(answered) => {
                let status = answered.status;
                let judged = self.judged(sealed, plan, rejections, &answered);
                let ended = Ended::judged(status, &judged);
                (judged.map(|judged| (answered.judged(), judged)), ended)
            }
            Err(Unanswered { reject, left }) => {
                // Where not a byte of the body was handed over, nothing can have happened.
                let (reject, left) = match under_way.has_begun() {
                    true => (reject, left),
                    false if matches!(reject, Reject::UpstreamTimeout(_)) && left != Left::Answered => {
                        (harmless(reject), Left::Nothing)
                    }
                    false => (harmless(reject), left),
                };
                (Err(reject), Ended::unanswered(&reject, left))
            }
        };
        under_way.ended(&result, ended);
        drop(under_way);
        if let Some(pass) = pass {
            pass.settle(ended);
        }
        Attempted { result, again: cut_short.or_else(|| tries.again(ended)) }
    }

    /// One exchange. A read is given up before its deadline where it may be sent again, and then the pause
    /// before that is given too. A write is seen through after it, which its breakers need not wait for.
    async fn exchange(
        &self,
        sealed: &Sealed,
        plan: &Plan,
        pass: &mut Option<Pass>,
        tries: &mut Tries<'_>,
    ) -> (Result<Answered, Unanswered>, Option<Duration>) {
        let fate = plan.times.fate();
        let waits = pass.as_ref().map(Pass::waits).unwrap_or_default();
        let mut exchange = pin!(self.client.exchange(Exchange {
            caller: sealed.caller,
            endpoint: sealed.endpoint,
            parts: plan.parts.clone(),
            deadline: plan.times.until,
            fate,
            needles: Arc::clone(&plan.version.needles),
            sent: Arc::clone(&sealed.sent),
            waits: Arc::clone(&waits),
            fresh: plan.fresh,
        }));
        if let Ok(answered) = timeout_at(plan.times.patience(), &mut exchange).await {
            return (answered, None);
        }
        // It was answered in time, and it is our own memory that the answer waits for: another one would, too.
        if waits.is_waiting() {
            return (exchange.await, None);
        }
        let again = tries.again(Ended::TimedOut);
        if again.is_some() {
            let reject = Reject::UpstreamTimeout(fate);
            return (Err(Unanswered { reject, left: Left::Something }), again);
        }
        if let Some(pass) = pass.take_if(|_| Instant::now() >= plan.times.deadline) {
            pass.settle(Ended::TimedOut);
        }
        (exchange.await, None)
    }

    fn judged(
        &self,
        sealed: &Sealed,
        Plan { version, times, .. }: &Plan,
        rejections: u64,
        answered: &Answered,
    ) -> Result<Judged, Reject> {
        sealed.track().note(|record| {
            record.upstream.status = Some(answered.status.as_u16());
            record.answer_bytes = answered.body.bytes().len() as u64;
        });
        let (request, needles) = (&sealed.document, &version.needles);
        let judged =
            judge(answered.status, &answered.headers, &answered.body, request, needles, times.fate());
        let judged = judged.inspect_err(|reject| {
            if matches!(reject, Reject::ResponseWithheld(_)) {
                tracing::error!(credential = self.name_of(sealed), "an answer held the password: withheld");
                sealed.track().note(|record| record.upstream.credential_reflected = true);
            }
        })?;
        let id = sealed.credential.credential;
        // An answer of something that stands before DCAMS says nothing of them.
        let answered_by_dcams = judged.result != ResultKind::Other;
        if rejected(&judged) {
            self.credentials.rejected(id, version, rejections);
            tracing::error!(credential = self.name_of(sealed), "DCAMS rejected the credentials");
        } else if answered_by_dcams && self.credentials.accepted(id, version, rejections) {
            tracing::info!(credential = self.name_of(sealed), "DCAMS accepts the credentials again");
        }
        sealed.track().note(|record| {
            record.upstream.result = Some(judged.result);
            record.upstream.class = judged.class;
            record.upstream.returned_status = judged.returned_status;
        });
        Ok(judged)
    }
}

/// An attempt that has not come to its end: what was sent is noted also when it is dropped half-way, by a
/// caller who left, a stop or a panic.
struct UnderWay<'a> {
    sealed: &'a Sealed,
    began: Instant,
    /// Body bytes sent by earlier attempts.
    before: u64,
    fate: Fate,
    version: u32,
    /// What ended it, where that was no answer that is believed.
    reject: Option<Reject>,
    settled: bool,
}

impl<'a> UnderWay<'a> {
    fn begin(sealed: &'a Sealed, plan: &Plan) -> Self {
        sealed.track().note(|record| {
            // What DCAMS said to an earlier attempt is not what it said to this one.
            let UpstreamFacts { attempts, fate_unknown, .. } = record.upstream;
            let attempts = attempts.saturating_add(1);
            record.upstream = UpstreamFacts { attempts, fate_unknown, ..UpstreamFacts::default() };
            record.answer_bytes = 0;
        });
        Self {
            sealed,
            began: Instant::now(),
            before: sealed.sent.load(Ordering::Relaxed),
            fate: plan.times.fate(),
            version: plan.version.number,
            reject: None,
            settled: false,
        }
    }

    fn has_begun(&self) -> bool {
        self.sealed.sent.load(Ordering::Relaxed) > self.before
    }

    fn ended(&mut self, result: &Result<(Answered<Bytes>, Judged), Reject>, ended: Ended) {
        self.settled = result.is_ok() && ended.is_conclusive();
        self.reject = match result {
            Ok((_, judged)) if rejected(judged) => Some(Reject::UpstreamCredentialsRejected),
            Ok(_) => None,
            Err(reject) => Some(*reject),
        };
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let unknown = !self.settled && self.fate == Fate::Unknown && self.has_begun();
        let sent = self.sealed.sent.load(Ordering::Relaxed);
        let us = u32::try_from(self.began.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.sealed.track().note(|record| {
            record.sent_bytes = sent;
            record.upstream.fate_unknown |= unknown;
            let status = record.upstream.status;
            let index = usize::from(record.upstream.attempts.saturating_sub(1));
            if let Some(place) = record.tried.get_mut(index) {
                *place = Some(Attempt { reject: self.reject, status, us, version: self.version });
            }
        });
    }
}

fn harmless(reject: Reject) -> Reject {
    match reject {
        Reject::UpstreamInvalid(_) => Reject::UpstreamInvalid(Fate::Harmless),
        Reject::UpstreamTruncated(_) => Reject::UpstreamTruncated(Fate::Harmless),
        Reject::UpstreamTimeout(_) => Reject::UpstreamTimeout(Fate::Harmless),
        other => other,
    }
}
