//! What does a connection of HTTP/1.1 hold while nothing happens on it?
//!
//! hyper keeps two buffers of 8 KiB for a connection as long as it serves it. Where nothing has happened for a moment,
//! hyper is done with it: only the stream is kept, and the first byte that comes is handed to the next hyper.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tower::BoxError;

use super::activity::{Activity, Noted};
use super::last_call::Readable;

/// A connection rests when nothing has happened on it for so long. To wake costs one more read, a timer and two buffers:
/// little beside requests that come so seldom.
const PAUSE: Duration = Duration::from_millis(20);

/// A connection, served or at rest.
pub(super) enum Line<IO, S: HttpService<Incoming>> {
    /// Nobody waits for anything on it but its next byte.
    Resting(Noted<IO>),
    /// hyper has it.
    Served(Box<http1::Connection<TokioIo<Noted<IO>>, S>>),
    /// Only while it changes.
    Changing,
}

/// What has become of a line.
pub(super) enum Pulse {
    /// Something came on one that rested: it must be [served](Line::serve).
    Woken,
    /// It is over, well or not.
    Ended(hyper::Result<()>),
}

impl<IO, S> Line<IO, S>
where
    IO: AsyncRead + AsyncWrite + Readable + Unpin,
    S: HttpService<Incoming, ResBody: Body<Error: Into<BoxError>> + 'static, Error: Into<BoxError>> + Unpin,
    S::Future: Unpin,
{
    /// Goes on until there is something to do.
    pub(super) fn poll(&mut self, task: &mut Context<'_>) -> Poll<Pulse> {
        match self {
            Self::Served(connection) => connection.poll_without_shutdown(task).map(Pulse::Ended),
            // A peer that is gone while nobody waits for it ends the connection like any other.
            Self::Resting(stream) => match ready!(stream.poll_first(task)) {
                Ok(true) => Poll::Ready(Pulse::Woken),
                Ok(false) | Err(_) => Poll::Ready(Pulse::Ended(Ok(()))),
            },
            Self::Changing => Poll::Ready(Pulse::Ended(Ok(()))),
        }
    }

    /// Has one that rested served by what `serve` makes of its stream.
    pub(super) fn serve(
        &mut self,
        serve: impl FnOnce(TokioIo<Noted<IO>>) -> http1::Connection<TokioIo<Noted<IO>>, S>,
    ) {
        *self = match mem::replace(self, Self::Changing) {
            Self::Resting(stream) => Self::Served(Box::new(serve(TokioIo::new(stream)))),
            other => other,
        };
    }

    /// Lets go of all but the stream. Only for one that [`can_rest`]: nothing else is lost with hyper then.
    pub(super) fn rest(&mut self) {
        *self = match mem::replace(self, Self::Changing) {
            Self::Served(connection) => {
                let parts = connection.into_parts();
                Self::Resting(parts.io.into_inner().behind(without_empty_lines(parts.read_buf)))
            }
            other => other,
        };
    }

    /// Whether hyper has it.
    pub(super) fn is_served(&self) -> bool {
        matches!(self, Self::Served(_))
    }

    /// Serves no further request; `Some`: it is over at once.
    pub(super) fn leave(&mut self) -> Option<Pulse> {
        match self {
            Self::Served(connection) => {
                Pin::new(&mut **connection).graceful_shutdown();
                None
            }
            _ => Some(Pulse::Ended(Ok(()))),
        }
    }

    /// What is left of it in the end.
    pub(super) fn into_stream(self) -> Option<IO> {
        match self {
            Self::Served(connection) => Some(connection.into_parts().io.into_inner().into_inner()),
            Self::Resting(stream) => Some(stream.into_inner()),
            Self::Changing => None,
        }
    }
}

/// Some clients end a body with an empty line, which is no beginning of a head (RFC 9112, section 2.2).
fn without_empty_lines(mut bytes: Bytes) -> Bytes {
    let lines = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    bytes.split_off(lines)
}

/// Ends when nothing has happened for a moment. Has no timer while something does: to be polled after whatever may end
/// that.
pub(super) async fn can_rest(activity: &Activity) {
    loop {
        let since = poll_fn(|_| activity.at_rest_since().map_or(Poll::Pending, Poll::Ready)).await;
        if since + PAUSE <= Instant::now() {
            return;
        }
        sleep_until(since + PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;
    use std::sync::Arc;

    use futures_util::FutureExt;
    use http::{Request, Response};
    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::upstream::Wire;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn a_line_rests_when_all_is_answered_and_loses_nothing_of_what_came_before() {
        let (ours, mut caller) = tokio::io::duplex(1 << 10);
        let activity = Activity::new(false, Arc::default());
        let wire: Box<dyn Wire> = Box::new(ours);
        let mut line = Line::Resting(Noted::new(wire, Arc::clone(&activity)));
        let serve = |io| {
            let service = service_fn(|_: Request<Incoming>| {
                let in_progress = activity.request();
                Box::pin(async move {
                    tokio::time::sleep(3 * PAUSE).await;
                    drop(in_progress);
                    Ok::<_, Infallible>(Response::new(String::new()))
                })
            });
            http1::Builder::new().serve_connection(io, service)
        };
        let mut answer = [0; 512];
        // What is left of each turn is the beginning of the next head.
        let ended = [&HEAD[20..], b"\r\n"].concat();
        for turn in [&[HEAD, &HEAD[..1]].concat(), &[&HEAD[1..], &HEAD[..20]].concat(), &ended] {
            assert!(!line.is_served());
            caller.write_all(turn).await.unwrap();
            assert!(matches!(poll_fn(|task| line.poll(task)).await, Pulse::Woken));
            line.serve(serve);
            {
                let mut resting = pin!(can_rest(&activity));
                let (asked, mut polls) = (Instant::now(), 0);
                let rested = async {
                    tokio::select! {
                        biased;
                        _ = poll_fn(|task| { polls += 1; line.poll(task) }) => unreachable!("it is not over"),
                        () = &mut resting => {}
                    }
                };
                tokio::time::timeout(100 * PAUSE, rested).await.expect("all that came was read");
                assert_eq!(asked.elapsed(), 4 * PAUSE, "not while a request is in progress");
                assert!(polls < 10, "{polls}: it is left alone while it is busy");
            }
            assert!(caller.read(&mut answer).await.unwrap() > 0, "it was answered");
            line.rest();
        }
        assert!(poll_fn(|task| line.poll(task)).now_or_never().is_none(), "an empty line is no head");
        drop(caller);
        assert!(matches!(poll_fn(|task| line.poll(task)).await, Pulse::Ended(Ok(()))));
    }
}
