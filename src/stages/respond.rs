//! How does an answer, or a refusal, become HTTP?

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use serde::Serialize;
use tower::{Layer, Service};

use super::Refused;
use super::audit::{Answer, X_REQUEST_ID};
use crate::ids::CallerId;
use crate::limits::Slot;
use crate::reject::{Exceeded, Limit, Reject};
use crate::schema::{LocationId, Violations};
use crate::track::Track;

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// An answer is handed over in pieces of this size, so that a caller who leaves half-way is noticed.
const PIECE_BYTES: usize = 256 << 10;

/// Puts [`Respond`] into the stack.
#[derive(Clone)]
pub struct RespondLayer;

impl<Inner> Layer<Inner> for RespondLayer {
    type Service = Respond<Inner>;

    fn layer(&self, inner: Inner) -> Respond<Inner> {
        Respond(inner)
    }
}

/// Turns whatever came of a request into a response: the one place that writes problems.
#[derive(Clone)]
pub struct Respond<Inner>(Inner);

impl<In, Inner> Service<In> for Respond<Inner>
where
    Inner: Service<In, Response = (Response<Answer>, Track), Error = Refused>,
{
    type Response = Response<Reply>;
    type Error = Infallible;
    type Future = Responding<Inner::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context).map(|_| Ok(()))
    }

    fn call(&mut self, request: In) -> Self::Future {
        Responding { inner: self.0.call(request) }
    }
}

pin_project! {
    /// The response to come.
    pub struct Responding<F> {
        #[pin]
        inner: F,
    }
}

impl<F> Future for Responding<F>
where
    F: Future<Output = Result<(Response<Answer>, Track), Refused>>,
{
    type Output = Result<Response<Reply>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(context).map(|ended| {
            Ok(match ended {
                Ok((response, track)) => forwarded(response, track),
                Err(refused) => problem(&refused.reject, refused.track),
            })
        })
    }
}

fn forwarded(response: Response<Answer>, track: Track) -> Response<Reply> {
    let (head, answer) = response.into_parts();
    track.note(|record| record.status = head.status.as_u16());
    let mut response = Response::from_parts(head, Reply::new(answer.body, Some(answer.slot), &track));
    common(response.headers_mut(), &track);
    response
}

fn common(headers: &mut HeaderMap, track: &Track) {
    headers.insert(X_REQUEST_ID, track.request_id().clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// RFC 9457, with the members `result` and `message` that a DCAMS client reads.
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    result: &'static str,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    violations: Option<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Violation<'a>>,
}

#[derive(Serialize)]
struct Violation<'a> {
    pointer: &'a str,
    keyword: &'a str,
}

fn problem(reject: &Reject, track: Track) -> Response<Reply> {
    let record = track.record();
    let problem = Problem {
        kind: format!("urn:dcams-gateway:problem:{}", reject.code()),
        title: reject.title(),
        status: reject.status().as_u16(),
        code: reject.code(),
        instance: Some(format!("urn:uuid:{}", uuid::Uuid::from_u128(record.id))),
        result: "Error",
        message: reject.title(),
        outcome: record.upstream.fate_unknown.then_some("unknown"),
        limit: match reject {
            Reject::RateLimited(exceeded) => Some(exceeded.limit.name()),
            _ => None,
        },
        limit_bytes: match reject {
            Reject::BodyTooLarge { limit_bytes } => Some(*limit_bytes),
            _ => None,
        },
        offset: match reject {
            Reject::MalformedJson { offset }
            | Reject::DuplicateMember { offset }
            | Reject::TooComplex { offset } => Some(*offset),
            _ => None,
        },
        violations: match reject {
            Reject::SchemaViolation(violations) => Some(violations.total()),
            _ => None,
        },
        errors: match reject {
            Reject::SchemaViolation(violations) => locations(&track, record.service, violations),
            _ => Vec::new(),
        },
    };
    // Serialising names and numbers into memory cannot fail; an empty problem still has its status.
    let body = Bytes::from(serde_json::to_vec(&problem).unwrap_or_default());
    let mut response = Response::new(Reply::new(body, None, &track));
    *response.status_mut() = reject.status();
    refusal_headers(response.headers_mut(), reject, &track);
    response
}

/// What a connection is sent for which there is no room, whatever it would have asked: the whole answer.
#[must_use]
pub fn no_room() -> Vec<u8> {
    let reject = Reject::Overloaded;
    let problem = Problem {
        kind: format!("urn:dcams-gateway:problem:{}", reject.code()),
        title: reject.title(),
        status: reject.status().as_u16(),
        code: reject.code(),
        // There is no request that could have an id.
        instance: None,
        result: "Error",
        message: reject.title(),
        outcome: None,
        limit: None,
        limit_bytes: None,
        offset: None,
        violations: None,
        errors: Vec::new(),
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let wait = reject.retry_after().map_or(1, |wait| wait.as_secs());
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\nRetry-After: {wait}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        reject.status(),
        body.len(),
    );
    [head.into_bytes(), body].concat()
}

fn locations<'a>(
    track: &'a Track,
    service: Option<crate::ids::ServiceId>,
    violations: &Violations,
) -> Vec<Violation<'a>> {
    let services = &track.recorder().config().services;
    let Some(service) = service.and_then(|id| services.get(usize::from(id.0))) else { return Vec::new() };
    let location = |LocationId(id): &LocationId| service.schema.locations().get(usize::from(*id));
    let violation = |location: &'a crate::schema::Location| Violation {
        pointer: &location.pointer,
        keyword: &location.keyword,
    };
    violations.shown().iter().filter_map(location).map(violation).collect()
}

fn refusal_headers(headers: &mut HeaderMap, reject: &Reject, track: &Track) {
    common(headers, track);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(wait) = reject.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    if let Some(error) = reject.proxy_status() {
        insert(headers, PROXY_STATUS, &format!("dcams-gateway; error={error}"));
    }
    match reject {
        Reject::Unauthenticated => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Reject::MethodNotAllowed => {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        Reject::RateLimited(exceeded) => rate_limit(headers, exceeded),
        _ => {}
    }
    if track.http1() && closes(reject) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// The fields of draft-ietf-httpapi-ratelimit-headers: the policy with its quota, and what is left of it. A
/// rate has a window; what is counted while it is held has none, but a unit.
fn rate_limit(headers: &mut HeaderMap, exceeded: &Exceeded) {
    let Exceeded { limit, quota, window_s, retry_after_s } = exceeded;
    let name = limit.name();
    let extent = match limit {
        Limit::Caller | Limit::CallerService | Limit::Account => format!("w={window_s}"),
        Limit::CallerRequests => "qu=\"concurrent-requests\"".to_owned(),
        Limit::CallerBytes => "qu=\"content-bytes\"".to_owned(),
    };
    insert(headers, RATELIMIT_POLICY, &format!("\"{name}\";q={quota};{extent}"));
    insert(headers, RATELIMIT, &format!("\"{name}\";r=0;t={retry_after_s}"));
}

/// Refusals after which the rest of a body may still be on its way, or that end the connection.
fn closes(reject: &Reject) -> bool {
    matches!(
        reject,
        Reject::BadRequest
            | Reject::BodyTooLarge { .. }
            | Reject::BodyTimeout
            | Reject::Draining
            | Reject::Internal
    )
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The body of every response: held whole and handed over in pieces. It counts as returned once hyper has
/// taken the last piece; what lies in buffers then may still be lost with its connection.
pub struct Reply {
    rest: Bytes,
    _slot: Option<Slot>,
    track: Track,
}

impl Reply {
    fn new(body: Bytes, slot: Option<Slot>, track: &Track) -> Self {
        Self { rest: body, _slot: slot, track: track.clone() }
    }
}

impl Reply {
    /// Keeps `guard` until the last byte is sent or given up: hyper may hold pieces for a caller who does not read.
    pub fn held_with<G: Send + 'static>(&mut self, guard: G) {
        let bytes = std::mem::take(&mut self.rest);
        self.rest = Bytes::from_owner(Held { bytes, _guard: guard });
    }

    /// Who asked, where that was found out.
    #[must_use]
    pub fn caller(&self) -> Option<CallerId> {
        self.track.identity().0
    }
}

/// Bytes that somebody waits for the end of.
struct Held<G> {
    bytes: Bytes,
    _guard: G,
}

impl<G> AsRef<[u8]> for Held<G> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        this.track.returned(piece.len());
        if this.rest.is_empty() {
            this.track.delivered();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
