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
use crate::budget::{Room, Shares, Short};
use crate::config::{Caller, Config};
use crate::ids::{CallerId, EndpointId};
use crate::limits::Slot;
use crate::reject::{Exceeded, Limit, Reject};
use crate::track::{Step, Track, Tracks};
use crate::wiped::Wiped;

/// A request whose body has arrived whole. Made only here.
pub struct Received {
    track: Track,
    caller: CallerId,
    endpoint: EndpointId,
    hold: Hold,
    body: Bytes,
}

/// The slot and the bytes in memory that a request holds until it is over.
pub struct Hold {
    slot: Slot,
    _room: Room,
}

impl Hold {
    /// Gives the bytes back and keeps the slot, for the answer.
    pub(super) fn into_slot(self) -> Slot {
        self.slot
    }
}

impl Received {
    pub(super) fn into_parts(self) -> (Track, CallerId, EndpointId, Hold, Bytes) {
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
        let limit_bytes = self.limits.get(usize::from(caller.0)).ok_or(Reject::Internal)?;
        let mut collecting = Collecting {
            rules: self,
            limit_bytes: *limit_bytes,
            room: self.bodies.room(caller).ok_or(Reject::Internal)?,
            begun: Instant::now(),
            waited: Duration::ZERO,
            buffer: Buffer::Empty,
        };
        collecting.collect(body, &track).await?;
        let hold = Hold { slot, _room: collecting.room };
        Ok(Received { track, caller, endpoint, hold, body: collecting.buffer.into_bytes() })
    }
}

/// A body of which a part is here.
struct Collecting<'a> {
    rules: &'a Rules,
    limit_bytes: u64,
    room: Room,
    begun: Instant,
    /// For the budget: time that says nothing of the caller's rate.
    waited: Duration,
    buffer: Buffer,
}

impl Collecting<'_> {
    async fn collect<B: Body<Data = Bytes>>(&mut self, body: B, track: &Track) -> Result<(), Reject> {
        let promised = body.size_hint();
        if promised.lower() > self.limit_bytes {
            return Err(self.too_large());
        }
        let promised = promised.exact().and_then(|bytes| usize::try_from(bytes).ok());
        tokio::pin!(body);
        loop {
            let frame = timeout_at(self.deadline(), body.frame()).await.map_err(|_| Reject::BodyTimeout)?;
            // With a caller left to answer, its framing is wrong.
            let Some(frame) = frame.transpose().map_err(|_| Reject::BadRequest)? else {
                let whole = promised.is_none_or(|bytes| bytes == self.buffer.len());
                return if whole { Ok(()) } else { Err(Reject::BadRequest) };
            };
            if let Ok(chunk) = frame.into_data() {
                self.take(chunk, promised).await?;
                // Piece by piece, because a caller who leaves ends this at any point.
                track.note(|record| record.received_bytes = self.buffer.len() as u64);
            }
        }
    }

    /// The total deadline, or the instant at which this many bytes become too few, whichever is first.
    fn deadline(&self) -> Instant {
        let data = &self.rules.config.data;
        // A least rate of 0 is none.
        let Some(earned_ms) =
            (self.buffer.len() as u64).saturating_mul(1_000).checked_div(data.min_body_rate_bytes_per_s)
        else {
            return self.begun + data.body_timeout;
        };
        let earned = Duration::from_millis(earned_ms);
        let slowest = data.min_body_rate_grace.saturating_add(earned).saturating_add(self.waited);
        self.begun + slowest.min(data.body_timeout)
    }

    async fn take(&mut self, chunk: Bytes, promised: Option<usize>) -> Result<(), Reject> {
        let (bytes, patience) = (chunk.len() as u64, self.rules.config.data.budget_wait);
        if self.buffer.len() as u64 + bytes > self.limit_bytes {
            return Err(self.too_large());
        }
        let waiting = Instant::now();
        self.room.grow(bytes, patience).await.map_err(refusal)?;
        self.waited += waiting.elapsed();
        self.buffer.push(chunk, promised);
        Ok(())
    }

    fn too_large(&self) -> Reject {
        Reject::BodyTooLarge { limit_bytes: self.limit_bytes }
    }
}

fn refusal(short: Short) -> Reject {
    match short {
        Short::OfCaller(quota) => {
            Reject::RateLimited(Exceeded { limit: Limit::CallerBytes, quota, window_s: 0, retry_after_s: 1 })
        }
        Short::OfAll => Reject::Overloaded,
    }
}

/// The bytes so far. A body that came in one piece is never copied.
enum Buffer {
    Empty,
    One(Bytes),
    Many(Wiped),
}

impl Buffer {
    fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, chunk: Bytes, promised: Option<usize>) {
        *self = match std::mem::replace(self, Self::Empty) {
            Self::Empty => Self::One(chunk),
            Self::One(first) => {
                let together = first.len() + chunk.len();
                let mut bytes = Wiped::with_room(promised.unwrap_or(together).max(together));
                bytes.push(&first);
                bytes.push(&chunk);
                Self::Many(bytes)
            }
            Self::Many(mut bytes) => {
                bytes.push(&chunk);
                Self::Many(bytes)
            }
        };
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.into_bytes(),
        }
    }
}
