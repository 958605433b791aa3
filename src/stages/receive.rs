//! Is the whole body here, in time, within its budget?

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};
use tower::{Layer, Service};

use super::Admitted;
use crate::arriving::{Arrived, Arriving};
use crate::budget::{Room, Shares, Short};
use crate::config::{Caller, Config};
use crate::ids::{CallerId, EndpointId};
use crate::json::Caps;
use crate::limits::Slot;
use crate::reject::{Exceeded, Limit, Reject};
use crate::track::{Step, Track, Tracks};

/// Larger bodies claim their rest when so much of them has come.
const SMALL_BYTES: u64 = 64 << 10;
/// So many times as fast as `min_body_rate`, and after so small a part of its grace, a body must come to keep its
/// claim: by default 1 MiB/s, after half a second.
const PACE: u64 = 64;
const PACE_GRACE: u32 = 10;

/// A request whose body has arrived whole. Made only here.
pub struct Received {
    track: Track,
    caller: CallerId,
    endpoint: EndpointId,
    hold: Hold,
    body: Arrived,
}

/// What a request holds until it is over. The bytes of its body hold their own room.
pub struct Hold {
    slot: Slot,
}

impl Hold {
    /// Keeps the slot, for the answer.
    pub(super) fn into_slot(self) -> Slot {
        self.slot
    }
}

impl Received {
    pub(super) fn into_parts(self) -> (Track, CallerId, EndpointId, Hold, Arrived) {
        (self.track, self.caller, self.endpoint, self.hold, self.body)
    }
}

impl Tracks for Received {
    fn track(&self) -> &Track {
        &self.track
    }
}

/// Puts [`Receive`] into the stack.
#[derive(Clone)]
pub struct ReceiveLayer(Arc<Rules>);

/// What a body may cost; shared by all requests.
struct Rules {
    config: Arc<Config>,
    bodies: Shares,
    /// Per caller: the largest body that its share and any of its services take.
    limits: Box<[u64]>,
}

impl ReceiveLayer {
    /// Receives within the limits of `config`; all bodies together within `bodies`.
    #[must_use]
    pub fn new(config: Arc<Config>, bodies: Shares) -> Self {
        let limit = |caller: &Caller| {
            let services = caller.services.iter().filter_map(|id| config.services.get(usize::from(id.0)));
            let largest = services.map(|service| service.body_limit_bytes).max().unwrap_or(0);
            // What is larger than all that the caller may hold never fits, however long it waits.
            largest.min(caller.max_body_bytes)
        };
        let limits = config.callers.iter().map(limit).collect();
        Self(Arc::new(Rules { bodies, limits, config }))
    }
}

impl<Inner> Layer<Inner> for ReceiveLayer {
    type Service = Receive<Inner>;

    fn layer(&self, inner: Inner) -> Receive<Inner> {
        Receive { rules: Arc::clone(&self.0), inner }
    }
}

/// Collects a body as it arrives, reserving its bytes as they come and never for a mere promise.
#[derive(Clone)]
pub struct Receive<Inner> {
    rules: Arc<Rules>,
    inner: Inner,
}

impl<B, Inner> Service<Admitted<B>> for Receive<Inner>
where
    B: Body<Data = Bytes> + Send + 'static,
    Inner: Service<Received, Error = Reject> + Clone + Send + 'static,
    Inner::Future: Send,
{
    type Response = Inner::Response;
    type Error = Reject;
    type Future = Pin<Box<dyn Future<Output = Result<Inner::Response, Reject>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Reject>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, admitted: Admitted<B>) -> Self::Future {
        let rules = Arc::clone(&self.rules);
        // The service that was polled ready must be the one that is called.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let received = rules.receive(admitted).await?;
            received.track.lap(Step::Receive);
            inner.call(received).await
        })
    }
}

impl Rules {
    async fn receive<B>(&self, admitted: Admitted<B>) -> Result<Received, Reject>
    where
        B: Body<Data = Bytes>,
    {
        let (track, caller, endpoint, slot, body) = admitted.into_parts();
        let limit_bytes = *self.limits.get(usize::from(caller.0)).ok_or(Reject::Internal)?;
        let room = self.bodies.room(caller).ok_or(Reject::Internal)?;
        let promised = promise(&body, limit_bytes)?;
        // Before a byte of it is read.
        if promised.is_some_and(|bytes| bytes > SMALL_BYTES) {
            room.fits(promised.unwrap_or(limit_bytes)).map_err(refusal)?;
        }
        let mut collecting = Collecting {
            rules: self,
            limit_bytes,
            promised,
            arriving: Arriving::new(promised, limit_bytes, &Caps::REQUEST),
            room,
            begun: Instant::now(),
            waited: Duration::ZERO,
            claimed: None,
        };
        collecting.collect(body, &track).await?;
        let Collecting { mut room, arriving, .. } = collecting;
        room.settle();
        Ok(Received { track, caller, endpoint, hold: Hold { slot }, body: arriving.end(room) })
    }
}

/// The bytes that the head promises, if it does.
fn promise<B: Body>(body: &B, limit_bytes: u64) -> Result<Option<u64>, Reject> {
    let promised = body.size_hint();
    if promised.lower() > limit_bytes {
        return Err(Reject::BodyTooLarge { limit_bytes });
    }
    Ok(promised.exact())
}

/// A body of which a part is here.
struct Collecting<'a> {
    rules: &'a Rules,
    limit_bytes: u64,
    promised: Option<u64>,
    /// Dropped before their room is given back.
    arriving: Arriving,
    room: Room,
    begun: Instant,
    /// For the budget: time that says nothing of the caller's rate.
    waited: Duration,
    /// Since when the rest of it is claimed.
    claimed: Option<Instant>,
}

impl Collecting<'_> {
    async fn collect<B: Body<Data = Bytes>>(&mut self, body: B, track: &Track) -> Result<(), Reject> {
        tokio::pin!(body);
        loop {
            let looked = self.next_look();
            // With a caller left to answer, a fault is one of its framing.
            let next = async { body.frame().await.transpose().map_err(|_| Reject::BadRequest) };
            let frame = tokio::select! {
                frame = timeout_at(looked, next) => frame,
                () = self.room.sent_away() => return Err(Reject::Overloaded),
            };
            let Ok(frame) = frame else {
                self.look()?;
                continue;
            };
            let Some(frame) = frame? else {
                let whole = self.promised.is_none_or(|bytes| bytes == self.arriving.len_bytes());
                return if whole { Ok(()) } else { Err(Reject::BadRequest) };
            };
            if let Ok(chunk) = frame.into_data() {
                self.take(chunk).await?;
                // Piece by piece, because a caller who leaves ends this at any point.
                track.note(|record| record.received_bytes = self.arriving.len_bytes());
            }
        }
    }

    /// The total deadline, or the instant at which this many bytes become too few, whichever is first.
    fn deadline(&self) -> Instant {
        let data = &self.rules.config.data;
        let rate = data.min_body_rate_bytes_per_s;
        let slowest = earned(self.arriving.len_bytes(), rate, data.min_body_rate_grace + self.waited);
        self.begun + slowest.min(data.body_timeout)
    }

    /// The instant at which this many bytes become too few for a claim, if there is one.
    fn claim_ends(&self) -> Option<Instant> {
        let data = &self.rules.config.data;
        let rate = data.min_body_rate_bytes_per_s.saturating_mul(PACE);
        let slowest =
            earned(self.arriving.len_bytes(), rate, data.min_body_rate_grace / PACE_GRACE + self.waited);
        self.claimed.and_then(|since| since.checked_add(slowest))
    }

    fn next_look(&self) -> Instant {
        self.claim_ends().map_or_else(|| self.deadline(), |ends| ends.min(self.deadline()))
    }

    fn look(&mut self) -> Result<(), Reject> {
        let now = Instant::now();
        if self.deadline() <= now {
            return Err(Reject::BodyTimeout);
        }
        if self.claim_ends().is_some_and(|ends| ends <= now) {
            self.claimed = None;
            self.room.straggle();
        }
        Ok(())
    }

    async fn take(&mut self, chunk: Bytes) -> Result<(), Reject> {
        let (bytes, patience) = (chunk.len() as u64, self.rules.config.data.budget_wait);
        let (before, after) = (self.arriving.len_bytes(), self.arriving.len_bytes() + bytes);
        if after > self.limit_bytes {
            return Err(Reject::BodyTooLarge { limit_bytes: self.limit_bytes });
        }
        if before <= SMALL_BYTES && after > SMALL_BYTES {
            // Most of it is still to come; where that does not fit, it would come in vain.
            let rest = self.promised.unwrap_or(self.limit_bytes).saturating_sub(before);
            self.room.claim(rest).map_err(refusal)?;
            self.claimed = Some(Instant::now());
        }
        let waiting = Instant::now();
        self.room.grow(bytes, patience).await.map_err(refusal)?;
        self.waited += waiting.elapsed();
        self.arriving.push(chunk);
        Ok(())
    }
}

/// How long so many bytes may take at `rate`, bytes per second, beside `grace`. A rate of 0 is none.
fn earned(bytes: u64, rate: u64, grace: Duration) -> Duration {
    let millis = bytes.saturating_mul(1_000).checked_div(rate);
    millis.map_or(Duration::MAX, |millis| grace.saturating_add(Duration::from_millis(millis)))
}

fn refusal(short: Short) -> Reject {
    match short {
        Short::OfCaller(quota) => {
            Reject::RateLimited(Exceeded { limit: Limit::CallerBytes, quota, window_s: 0, retry_after_s: 1 })
        }
        Short::OfAll => Reject::Overloaded,
    }
}
