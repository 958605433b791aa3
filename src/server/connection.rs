//! What happens on one connection, from its first byte to its last?

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceExt};

use super::activity::{Activity, Noted, Overdue, Patience};
use super::delivery::Delivered;
use super::last_call::{LastCall, Readable};
use super::line::{Line, Pulse, can_rest};
use super::newest::Newest;
use super::seat::Seat;
use super::unread::Unread;
use super::worker::{Accepted, Stream};
use crate::arrival::{Arrival, Peer};
use crate::gateway::Gateway;
use crate::metrics::Metrics;
use crate::stages::Reply;

/// For how much that is read at once, in no budget, connections may have room: all together, unless heads need more, and
/// one of them. The more, the fewer calls into the kernel a large body takes. A connection keeps that room until it rests.
const READ_AT_ONCE_BYTES: usize = 32 << 20;
const MOST_READ_AT_ONCE_BYTES: usize = 400 << 10;
/// Streams at once on an HTTP/2 connection.
const MAX_STREAMS: u32 = 64;
/// Streams that a peer may open and reset before it is cut off (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;
/// How much of an unwanted body is read, and for how long, so that closing does not reset the
/// connection before the peer has read the refusal.
const LINGER_BYTES: u64 = 32 << 20;
const LINGER: Duration = Duration::from_secs(2);

/// What a connection is allowed, by the configuration that was in force when it was accepted.
pub(super) struct Context {
    patience: Patience,
    max_head_bytes: usize,
    read_at_once_bytes: usize,
    last_call: LastCall,
    metrics: Arc<Metrics>,
}

impl Context {
    /// Of a peer that is on this host, or not.
    pub(super) fn new(gateway: &Gateway, drained: watch::Receiver<bool>, is_near: bool) -> Self {
        let generation = gateway.current();
        let data = &generation.config.data;
        Self {
            patience: Patience {
                first_byte: data.first_byte_timeout,
                head: data.header_timeout,
                idle: data.idle_timeout,
                min_rate_bytes_per_s: data.min_body_rate_bytes_per_s,
            },
            max_head_bytes: data.max_head_bytes,
            read_at_once_bytes: (READ_AT_ONCE_BYTES / data.max_connections.max(1))
                .min(MOST_READ_AT_ONCE_BYTES)
                .max(data.max_head_bytes)
                .max(8 << 10),
            last_call: LastCall::new(drained, data.drain_grace, is_near),
            metrics: Arc::clone(&gateway.metrics),
        }
    }
}

/// What a request is answered by.
pub(super) trait Stack:
    Service<Arrival<Unread>, Response = Response<Reply>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Stack for S where
    S: Service<Arrival<Unread>, Response = Response<Reply>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// Serves one connection to its end.
pub(super) async fn serve(accepted: Accepted, newest: Arc<Newest<impl Stack>>, context: Arc<Context>) {
    let Accepted { stream, peer, tls, entry } = accepted;
    let seat = Arc::clone(entry.seat());
    tokio::select! {
        // First: a request that has come is begun before its connection is asked to leave.
        biased;
        () = serve_stream(stream, tls, OtherEnd { peer, seat }, newest, &context) => {}
        // Nothing is lost with it: neither a request nor an answer of a caller.
        () = entry.must_leave() => context.metrics.connection("gave_way"),
    }
    drop(entry);
}

/// The other end, and the place that its connection takes.
pub(super) struct OtherEnd {
    pub(super) peer: Peer,
    pub(super) seat: Arc<Seat>,
}

/// Boxes what not every connection comes to: the task of each has room for all that it may come to, as long as it is
/// open.
async fn serve_stream(
    stream: Stream,
    tls: Option<Arc<ServerConfig>>,
    end: OtherEnd,
    newest: Arc<Newest<impl Stack>>,
    context: &Context,
) {
    match (stream, tls) {
        (Stream::Tcp(stream), None) => {
            if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
                serve_http1(stream, end, newest, context).await;
            }
        }
        (Stream::Tcp(stream), Some(tls)) => {
            let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { return };
            let accepting = async {
                speaks(&stream, &context.last_call).await?;
                TlsAcceptor::from(tls).accept(stream).await
            };
            let accepting = async { accepting.await.map(Box::new) };
            match Box::pin(timeout(context.patience.first_byte, accepting)).await {
                Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                    Box::pin(serve_http2(stream, end, newest, context)).await;
                }
                Ok(Ok(stream)) => serve_http1(stream, end, newest, context).await,
                Ok(Err(error)) if error.kind() == ErrorKind::NotConnected => {}
                Ok(Err(_)) => context.metrics.connection("tls_failed"),
                Err(_) => context.metrics.connection("first_byte_timeout"),
            }
        }
        (Stream::Unix(stream), _) => {
            if let Ok(stream) = tokio::net::UnixStream::from_std(stream) {
                serve_http1(stream, end, newest, context).await;
            }
        }
    }
}

pub(super) async fn serve_http1<IO>(
    stream: IO,
    end: OtherEnd,
    newest: Arc<Newest<impl Stack>>,
    context: &Context,
) where
    IO: AsyncRead + AsyncWrite + Readable + Unpin,
{
    let OtherEnd { peer, seat } = end;
    let activity = Activity::new(false, seat);
    let mut line = Line::Resting(Noted::new(stream, Arc::clone(&activity)));
    let served = |io| {
        // Boxed, because hyper gives the stream back only of a connection that can be moved.
        let service = service_fn(|request| {
            Box::pin(answer(request, peer, newest.stack(), Arc::clone(&activity), &context.last_call))
        });
        http1::Builder::new()
            .timer(TokioTimer::new())
            // Heads have their deadline in `Activity`, which tells an idle connection from a slow head.
            .header_read_timeout(None)
            .half_close(false)
            .max_header_size(context.max_head_bytes)
            .max_buf_size(context.read_at_once_bytes)
            .serve_connection(io, service)
    };
    let ended = {
        let mut quiet = pin!(context.last_call.over_for(&activity));
        let mut watchdog = pin!(overdue(&activity, &context.patience));
        let mut pause = pin!(can_rest(&activity));
        loop {
            let pulse = tokio::select! {
                // In this order, so that the same bytes at the same times have the same end.
                biased;
                pulse = poll_fn(|task| line.poll(task)) => Some(pulse),
                overdue = &mut watchdog => {
                    context.metrics.connection(overdue.event());
                    break None;
                }
                () = activity.gone() => {
                    context.metrics.connection("broken");
                    break None;
                }
                () = &mut pause, if line.is_served() => {
                    line.rest();
                    pause.set(can_rest(&activity));
                    None
                }
                () = &mut quiet => {
                    activity.look();
                    let pulse = now_or_never(|task| line.poll(task)).await;
                    let silent = activity.is_silent();
                    quiet.set(context.last_call.over_for(&activity));
                    // Nothing lies between this look and the end.
                    pulse.or_else(|| if silent { line.leave() } else { None })
                }
            };
            match pulse {
                Some(Pulse::Woken) => line.serve(&served),
                Some(Pulse::Ended(ended)) => break Some(ended),
                None => {}
            }
        }
    };
    let mut unread = activity.left_unread();
    if let Some(Err(error)) = &ended {
        unread |= error.is_parse();
        context.metrics.connection(if error.is_parse() { "bad_request_head" } else { "broken" });
    }
    if let (Some(_), Some(stream)) = (ended, line.into_stream()) {
        let linger = if unread { Some(LINGER) } else { context.last_call.linger() };
        Box::pin(close(stream, linger)).await;
    }
}

async fn serve_http2<IO>(stream: IO, end: OtherEnd, newest: Arc<Newest<impl Stack>>, context: &Context)
where
    IO: AsyncRead + AsyncWrite + Readable + Unpin + Send + 'static,
{
    let OtherEnd { peer, seat } = end;
    let activity = Activity::new(true, seat);
    let io = TokioIo::new(Noted::new(stream, Arc::clone(&activity)));
    let of_requests = Arc::clone(&activity);
    let last_call = context.last_call.clone();
    let service = service_fn(move |request| {
        let (stack, activity, last_call) = (newest.stack(), Arc::clone(&of_requests), last_call.clone());
        async move { answer(request, peer, stack, activity, &last_call).await }
    });
    let head_bytes = u32::try_from(context.max_head_bytes).unwrap_or(u32::MAX);
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(head_bytes)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .keep_alive_interval(context.patience.head)
            .keep_alive_timeout(context.patience.head)
            .serve_connection(io, service)
    );
    let mut closing = pin!(told_to_close(&activity, &context.last_call));
    let mut watchdog = pin!(overdue(&activity, &context.patience));
    let mut draining = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if ended.is_err() {
                    context.metrics.connection("broken");
                }
                return;
            }
            overdue = &mut watchdog => {
                context.metrics.connection(overdue.event());
                return;
            }
            () = &mut closing, if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// One request through the stack.
async fn answer<S>(
    request: Request<Incoming>,
    peer: Peer,
    stack: S,
    activity: Arc<Activity>,
    last_call: &LastCall,
) -> Result<Response<Delivered>, Infallible>
where
    S: Service<Arrival<Unread>, Response = Response<Reply>, Error = Infallible>,
{
    let in_progress = activity.request();
    let undecided = activity.seat().undecided();
    let request = Unread::of(request, &activity);
    let mut response = stack.oneshot(Arrival { request, peer }).await?;
    if let Some(caller) = response.body().caller() {
        activity.seat().identified(caller);
    }
    drop(undecided);
    if activity.left_unread() || last_call.is_out() && !activity.is_multiplexed() {
        // Else the caller would send its next request into a connection that closes.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|reply| Delivered::new(reply, activity, in_progress)))
}

/// Ends when an HTTP/2 connection should serve no further request, which it can say; but not before its first.
async fn told_to_close(activity: &Activity, last_call: &LastCall) {
    last_call.begun().await;
    if !activity.was_asked() {
        last_call.over().await;
    }
}

/// Waits for the first bytes. A connection without any is closed soon when the gateway is being stopped.
async fn speaks(stream: &tokio::net::TcpStream, last_call: &LastCall) -> io::Result<()> {
    tokio::select! {
        arrived = stream.readable() => arrived,
        () = last_call.over() => match stream.has_arrivals() {
            true => Ok(()),
            false => Err(ErrorKind::NotConnected.into()),
        },
    }
}

/// What `poll` comes to without waiting.
async fn now_or_never<T>(mut poll: impl FnMut(&mut task::Context<'_>) -> Poll<T>) -> Option<T> {
    poll_fn(|task| match poll(task) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Ends when the connection must.
async fn overdue(activity: &Activity, patience: &Patience) -> Overdue {
    loop {
        match activity.judge(patience) {
            Ok(until) => sleep_until(until.min(Instant::now() + patience.shortest())).await,
            Err(overdue) => return overdue,
        }
    }
}

/// Says that no more will be sent, and reads what still comes for a while, where there is a time to `linger`. A socket
/// that is closed with unread bytes, or that bytes come to afterwards, resets the connection, and the peer may lose the
/// answer it was about to read.
async fn close<IO: AsyncRead + AsyncWrite + Unpin>(mut stream: IO, linger: Option<Duration>) {
    // A peer that neither reads nor ends is not waited for.
    let ended = timeout(LINGER, stream.shutdown()).await;
    let (Ok(Ok(())), Some(linger)) = (ended, linger) else { return };
    let reading = async {
        let mut unwanted = stream.take(LINGER_BYTES);
        let mut buffer = vec![0; 64 << 10];
        while let Ok(1..) = unwanted.read(&mut buffer).await {}
    };
    let _ = timeout(linger, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_lingers_is_open_until_its_peer_ends_or_the_time_is_up() {
        let linger = Duration::from_millis(500);
        for (ends, took) in [(true, Duration::from_millis(200)), (false, linger)] {
            let (mut ours, theirs) = tokio::io::duplex(64);
            let begun = Instant::now();
            let closing = tokio::spawn(async move {
                close(theirs, Some(linger)).await;
                begun.elapsed()
            });
            assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 0, "it has heard of the end");
            tokio::time::sleep(Duration::from_millis(200)).await;
            ours.write_all(b"on its way").await.unwrap();
            if ends {
                drop(ours);
            }
            let lasted = closing.await.unwrap();
            assert!((took..took + Duration::from_millis(50)).contains(&lasted), "{lasted:?}");
        }
    }
}
