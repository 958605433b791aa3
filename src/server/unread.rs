//! What becomes of a body that was refused before it was read?

use std::error::Error;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;

use super::activity::{Activity, InProgress};

/// A rest of a body up to this size is read and thrown away, so that the connection can serve the next
/// request. Beyond it a new connection costs less.
const DRAIN_BYTES: u64 = 256 << 10;
/// How long that rest is waited for.
const DRAIN: Duration = Duration::from_secs(2);

/// A request's body, which is not simply dropped on an HTTP/1 connection: what is unread there stands in
/// the way of the next request.
pub(super) struct Unread {
    /// `None` only while it is dropped.
    body: Option<Incoming>,
    activity: Arc<Activity>,
    /// A caller that waits for `100 Continue` sends nothing until the body is asked for.
    held_back: bool,
    ended: bool,
    broken_off: bool,
}

impl Unread {
    /// Takes over the body of `request`.
    pub(super) fn of(request: Request<Incoming>, activity: &Arc<Activity>) -> Request<Self> {
        let held_back = request.headers().contains_key(EXPECT);
        request.map(|body| Self {
            body: Some(body),
            activity: Arc::clone(activity),
            held_back,
            ended: false,
            broken_off: false,
        })
    }
}

impl Body for Unread {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        this.held_back = false;
        if this.broken_off {
            return Poll::Pending;
        }
        let Some(body) = this.body.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(task);
        this.ended |= matches!(polled, Poll::Ready(None | Some(Err(_))));
        match &polled {
            // Nobody is left to be refused: the request ends with its connection or stream.
            Poll::Ready(Some(Err(error))) if this.activity.is_multiplexed() || is_broken_off(error) => {
                this.broken_off = true;
                this.activity.caller_left();
                Poll::Pending
            }
            _ => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

/// The connection ended within the body; any other fault is one of its framing, which can be answered.
fn is_broken_off(error: &hyper::Error) -> bool {
    let broken = |error: &io::Error| {
        matches!(
            error.kind(),
            ErrorKind::UnexpectedEof
                | ErrorKind::ConnectionReset
                | ErrorKind::BrokenPipe
                | ErrorKind::TimedOut
        )
    };
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.is_incomplete_message() || source.is_some_and(broken)
}

impl Drop for Unread {
    fn drop(&mut self) {
        // On HTTP/2 a stream ends alone.
        if self.ended || self.is_end_stream() || self.activity.is_multiplexed() {
            return;
        }
        let small = self.size_hint().upper().is_some_and(|bytes| bytes <= DRAIN_BYTES);
        match (self.body.take(), Handle::try_current()) {
            (Some(body), Ok(runtime)) if small && !self.held_back => {
                runtime.spawn(drain(body, self.activity.unwanted()));
            }
            _ => self.activity.leave_unread(),
        }
    }
}

async fn drain(mut body: Incoming, in_progress: InProgress) {
    let reading = async { while let Some(Ok(_)) = body.frame().await {} };
    // Dropped unread, the connection closes.
    let _ = tokio::time::timeout(DRAIN, reading).await;
    drop(in_progress);
}
