//! Whatever becomes of this request: who writes its record?

use std::any::Any;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{CatchUnwind, Either};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use pin_project_lite::pin_project;
use tower::{BoxError, Layer, Service};

use crate::arrival::{Arrival, Peer};
use crate::audit::{CallerRequestId, Recorder};
use crate::limits::Slot;
use crate::reject::Reject;
use crate::track::{Track, Tracks};

/// Names a request: the caller's own id, echoed in the answer.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A request whose end will be recorded. Made only here.
pub struct Tracked<B> {
    track: Track,
    peer: Peer,
    request: Request<B>,
}

impl<B> Tracked<B> {
    /// What the caller sent.
    pub fn request(&self) -> &Request<B> {
        &self.request
    }

    /// The other end of its connection.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    pub(super) fn into_parts(self) -> (Track, Peer, Request<B>) {
        (self.track, self.peer, self.request)
    }
}

impl<B> Tracks for Tracked<B> {
    fn track(&self) -> &Track {
        &self.track
    }
}

/// A refusal together with the hold on the record of the request that was refused.
pub struct Refused {
    /// Why.
    pub reject: Reject,
    /// Whose.
    pub track: Track,
}

/// An answer of the upstream that passed every check; held whole.
pub struct Answer {
    /// The body, byte for byte; it holds the room that it takes.
    pub body: Bytes,
    /// The caller's slot, taken until the answer is handed over.
    pub slot: Slot,
}

/// Puts [`Audit`] into the stack.
#[derive(Clone)]
pub struct AuditLayer {
    recorder: Arc<Recorder>,
}

impl AuditLayer {
    /// Records to `recorder`.
    #[must_use]
    pub fn new(recorder: Arc<Recorder>) -> Self {
        Self { recorder }
    }
}

impl<Inner> Layer<Inner> for AuditLayer {
    type Service = Audit<Inner>;

    fn layer(&self, inner: Inner) -> Audit<Inner> {
        Audit { recorder: Arc::clone(&self.recorder), inner }
    }
}

/// Begins the record of every request and keeps it to the end, through refusals, departures and
/// panics.
#[derive(Clone)]
pub struct Audit<Inner> {
    recorder: Arc<Recorder>,
    inner: Inner,
}

impl<B, Inner> Service<Arrival<B>> for Audit<Inner>
where
    Inner: Service<Tracked<B>, Response = Response<Answer>, Error = BoxError>,
{
    type Response = (Response<Answer>, Track);
    type Error = Refused;
    type Future = Watched<Inner::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        // The layer below sheds load and is therefore always ready.
        self.inner.poll_ready(context).map(|_| Ok(()))
    }

    fn call(&mut self, arrival: Arrival<B>) -> Self::Future {
        let Arrival { request, peer } = arrival;
        let http1 = request.version() <= Version::HTTP_11;
        let id = uuid::Uuid::now_v7();
        let echo = echoed(request.headers());
        let track = Track::begin(Arc::clone(&self.recorder), id, echo.cloned(), peer.kind(), http1);
        track.note(|record| {
            record.caller_request_id = echo.and_then(recordable);
            record.trace_id = trace_id(request.headers());
        });
        let tracked = Tracked { track: track.clone(), peer, request };
        // The stages that do not wait run in this very call.
        let inner = match catch_unwind(AssertUnwindSafe(|| self.inner.call(tracked))) {
            Ok(inner) => Either::Left(AssertUnwindSafe(inner).catch_unwind()),
            Err(panic) => Either::Right(ready(Err(panic))),
        };
        Watched { inner, track: Some(track) }
    }
}

/// What a future ended with, or what it panicked with.
type Ended<F> = Result<<F as Future>::Output, Box<dyn Any + Send>>;

pin_project! {
    /// The rest of a request, under watch.
    pub struct Watched<F: Future> {
        #[pin]
        inner: Either<CatchUnwind<AssertUnwindSafe<F>>, Ready<Ended<F>>>,
        track: Option<Track>,
    }
}

impl<F> Future for Watched<F>
where
    F: Future<Output = Result<Response<Answer>, BoxError>>,
{
    type Output = Result<(Response<Answer>, Track), Refused>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let ended = std::task::ready!(this.inner.poll(context));
        // Polled again after its end, a future may stay silent for ever.
        let Some(track) = this.track.take() else { return Poll::Pending };
        let reject = match ended {
            Ok(Ok(response)) => return Poll::Ready(Ok((response, track))),
            Ok(Err(error)) => rejected(&*error),
            Err(panic) => panicked(&*panic),
        };
        track.refused(&reject);
        Poll::Ready(Err(Refused { reject, track }))
    }
}

/// Below stands [`tower::load_shed`], which boxes every error.
fn rejected(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Reject {
    if let Some(reject) = error.downcast_ref::<Reject>() {
        return *reject;
    }
    if error.is::<tower::load_shed::error::Overloaded>() { Reject::Overloaded } else { Reject::Internal }
}

/// What a panic carries may quote the request: nothing of it is kept.
fn panicked(_panic: &(dyn Any + Send)) -> Reject {
    tracing::error!("a request panicked");
    Reject::Internal
}

/// The caller's own request id, where it can be echoed safely: one header, 1 to 64 of
/// `[A-Za-z0-9._-]`.
fn echoed(headers: &HeaderMap) -> Option<&HeaderValue> {
    let id = single(headers, &X_REQUEST_ID)?;
    let safe = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    ((1..=64).contains(&id.len()) && id.as_bytes().iter().all(safe)).then_some(id)
}

/// Recorded are only forms that cannot carry a name or a phone number: a UUID, or 16 to 64
/// hexadecimal digits with at least one letter (sixteen decimal digits could be a card number).
fn recordable(id: &HeaderValue) -> Option<CallerRequestId> {
    let text = id.to_str().ok()?;
    if text.len() == 36 {
        return uuid::Uuid::try_parse(text).ok().map(|id| CallerRequestId::Uuid(id.as_u128()));
    }
    let has_letter = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    let digits = u8::try_from(text.len()).ok().filter(|digits| (16..=64).contains(digits) && has_letter)?;
    let mut nibbles = [0; 32];
    for (position, digit) in text.chars().enumerate() {
        let value = u8::try_from(digit.to_digit(16)?).ok()?;
        if let Some(byte) = nibbles.get_mut(position / 2) {
            *byte |= if position % 2 == 0 { value << 4 } else { value };
        }
    }
    Some(CallerRequestId::Hex { nibbles, digits })
}

/// The trace id of a W3C `traceparent` of version 00.
fn trace_id(headers: &HeaderMap) -> Option<u128> {
    let text = single(headers, &TRACEPARENT)?.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let well_formed =
        version == "00" && trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(trace, 16).ok().filter(|id| well_formed && *id != 0)
}

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_that_could_be_a_number_of_a_person_is_not_recorded() {
        for id in ["2015106000", "2015106000201510", "jane.doe", "4111111111111111"] {
            assert_eq!(recordable(&HeaderValue::from_static(id)), None, "{id}");
        }
    }

    #[test]
    fn uuids_and_hexadecimal_ids_are_recorded() {
        let uuid = HeaderValue::from_static("018f2f6e-7c1a-7abc-8def-0123456789ab");
        assert_eq!(recordable(&uuid), Some(CallerRequestId::Uuid(0x018f_2f6e_7c1a_7abc_8def_0123_4567_89ab)));
        let mut nibbles = [0; 32];
        nibbles[..8].copy_from_slice(&[0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89]);
        assert_eq!(
            recordable(&HeaderValue::from_static("abcdef0123456789")),
            Some(CallerRequestId::Hex { nibbles, digits: 16 })
        );
    }

    #[test]
    fn an_unsafe_request_id_is_not_echoed() {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_static("a b"));
        assert_eq!(echoed(&headers), None);
        headers.insert("x-request-id", HeaderValue::from_static("order-17"));
        assert_eq!(echoed(&headers), Some(&HeaderValue::from_static("order-17")));
        headers.append("x-request-id", HeaderValue::from_static("order-18"));
        assert_eq!(echoed(&headers), None);
    }
}
