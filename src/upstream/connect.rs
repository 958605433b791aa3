//! How does a connection to the upstream come about?

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::outgoing::Outgoing;
use super::resolve::Resolver;
use super::wire::{Look, Raw, Reach, Reached, Stream};
use crate::config::{HttpVersion, UpstreamUrl};
use crate::reject::Reject;

/// The flow-control windows of HTTP/2. With the standard 64 KiB a 5 MB answer over 20 ms takes
/// dozens of round trips.
const WINDOW_BYTES: u32 = 16 << 20;

/// Opens connections of one kind.
pub struct Connector {
    tls: Arc<ClientConfig>,
    http: HttpVersion,
    timeout: Duration,
    resolver: Resolver,
    /// `None`: over TCP.
    reach: Option<Arc<dyn Reach>>,
}

/// An open connection, ready for a request.
pub enum Connection {
    /// One request at a time; a look shows whether bytes came while it was idle.
    Http1 {
        /// hyper's end of it.
        sender: http1::SendRequest<Outgoing>,
        /// Sees what has not been read.
        look: Look,
        /// Ends with the connection.
        driver: Driver,
    },
    /// Many requests at a time.
    Http2 {
        /// One of hyper's ends of it.
        sender: http2::SendRequest<Outgoing>,
        /// Its other shares have the same.
        common: Arc<Common>,
    },
}

/// What the shares of one HTTP/2 connection have in common. Its tasks end with the last share: left alone, they
/// would wait for a peer that no longer reads.
pub struct Common {
    doubtful: AtomicBool,
    _last: watch::Sender<()>,
}

/// Runs the tasks of an HTTP/2 connection for as long as somebody has a share of it.
#[derive(Clone)]
struct Tasks(watch::Receiver<()>);

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut shares = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = future => {}
                // Nothing is ever sent: it is the end of the last share.
                _ = shares.changed() => {}
            }
        });
    }
}

impl Connector {
    /// Connects with `tls`, speaks `http`, and gives up after `timeout`.
    #[must_use]
    pub fn new(tls: Arc<ClientConfig>, http: HttpVersion, timeout: Duration) -> Self {
        Self { tls, http, timeout, resolver: Resolver::default(), reach: None }
    }

    /// As it is, but over `reach`, where there is one, instead of TCP.
    #[must_use]
    pub fn over(self, reach: Option<Arc<dyn Reach>>) -> Self {
        Self { reach, ..self }
    }

    /// Whether it is given another way than TCP.
    pub(super) fn is_simulated(&self) -> bool {
        self.reach.is_some()
    }

    /// Connects to `url`; the way there, TLS and the HTTP handshake together take at most the timeout.
    ///
    /// # Errors
    ///
    /// [`Reject::UpstreamUnreachable`], [`Reject::UpstreamTls`], or [`Reject::Internal`] when this
    /// process is out of descriptors. Nothing of a request has been sent.
    pub async fn connect(&self, url: &UpstreamUrl) -> Result<Connection, Reject> {
        let connecting = async {
            let (stream, look) = self.open(url).await?;
            self.handshake(stream, look).await
        };
        tokio::time::timeout(self.timeout, connecting).await.unwrap_or(Err(Reject::UpstreamUnreachable))
    }

    async fn open(&self, url: &UpstreamUrl) -> Result<(Stream, Look), Reject> {
        let (raw, look) = self.reach(url).await.map_err(|error| unreachable(&error))?;
        if !url.tls {
            return Ok((Stream::Plain(raw), look));
        }
        let name = ServerName::try_from(url.host.to_string()).map_err(|_| Reject::UpstreamTls)?;
        let connected = TlsConnector::from(Arc::clone(&self.tls)).connect(name, raw).await;
        let tls = connected.map_err(|error| {
            // rustls reports its own errors as InvalidData; anything else is the connection's.
            if error.kind() == io::ErrorKind::InvalidData { Reject::UpstreamTls } else { unreachable(&error) }
        })?;
        // An upstream without ALPN speaks HTTP/1.1 whatever we would like.
        if self.http == HttpVersion::Http2 && tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(Reject::UpstreamTls);
        }
        Ok((Stream::Tls(Box::new(tls)), look))
    }

    async fn reach(&self, url: &UpstreamUrl) -> io::Result<(Raw, Look)> {
        if let Some(other) = &self.reach {
            let Reached { wire, silent } = other.reach(url).await?;
            return Ok((Raw::Other(wire), Look::Other(silent)));
        }
        let tcp = self.reach_tcp(url).await?;
        tcp.set_nodelay(true)?;
        let look = Look::Socket(SockRef::from(&tcp).try_clone()?);
        Ok((Raw::Tcp(tcp), look))
    }

    /// Tries every address of the host, each for its share of the time: one that swallows packets must
    /// not use up what the next would need.
    async fn reach_tcp(&self, url: &UpstreamUrl) -> io::Result<TcpStream> {
        let addresses = self.resolver.addresses(&url.host, url.port).await?;
        let share = self.timeout / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut last = io::Error::from(io::ErrorKind::HostUnreachable);
        for &address in &*addresses {
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::Error::from(io::ErrorKind::TimedOut),
            }
        }
        Err(last)
    }

    async fn handshake(&self, mut stream: Stream, look: Look) -> Result<Connection, Reject> {
        // What answers before it was asked would pass for the answer to the first request. HTTP/2 has numbers
        // for its requests, and there the server may speak first.
        if self.http == HttpVersion::Http1 && !is_waiting(&mut stream).await {
            return Err(Reject::UpstreamUnreachable);
        }
        let io = TokioIo::new(stream);
        match self.http {
            HttpVersion::Http1 => {
                let handshake =
                    http1::Builder::new().max_headers(64).max_buf_size(64 << 10).handshake(io).await;
                let (sender, connection) = handshake.map_err(|_| Reject::UpstreamUnreachable)?;
                let driver = Driver(tokio::spawn(connection).abort_handle());
                Ok(Connection::Http1 { sender, look, driver })
            }
            HttpVersion::Http2 => {
                let (last, shares) = watch::channel(());
                let tasks = Tasks(shares);
                let mut builder = http2::Builder::new(tasks.clone());
                builder
                    .timer(TokioTimer::new())
                    .initial_stream_window_size(WINDOW_BYTES)
                    .initial_connection_window_size(WINDOW_BYTES)
                    .max_header_list_size(64 << 10)
                    .keep_alive_interval(Duration::from_secs(20))
                    .keep_alive_timeout(Duration::from_secs(10));
                let (sender, connection) =
                    builder.handshake(io).await.map_err(|_| Reject::UpstreamUnreachable)?;
                tasks.execute(connection);
                let common = Common { doubtful: AtomicBool::new(false), _last: last };
                Ok(Connection::Http2 { sender, common: Arc::new(common) })
            }
        }
    }
}

/// Whether a connection to `url` comes about; for `check`.
///
/// # Errors
///
/// As [`Connector::connect`].
pub async fn probe(connector: &Connector, url: &UpstreamUrl) -> Result<(), Reject> {
    connector.connect(url).await.map(drop)
}

/// Out of descriptors is our fault and not the upstream's.
fn unreachable(error: &io::Error) -> Reject {
    let ours = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(rustix::io::Errno::raw_os_error);
    if error.raw_os_error().is_some_and(|code| ours.contains(&code)) {
        tracing::error!("out of file descriptors: no connection to the upstream can be opened");
        return Reject::Internal;
    }
    Reject::UpstreamUnreachable
}

/// The task that moves a connection's bytes. Left alone, it would try for ever to hand the rest of a
/// body to an upstream that has stopped reading, and hold that body outside of every budget.
pub struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    /// Whether a connection that was idle may serve another request: it is open, and the peer has
    /// sent nothing since. Bytes that nobody asked for could be a late answer to somebody else's
    /// request.
    pub fn is_reusable(&self) -> bool {
        match self {
            Self::Http1 { sender, look, .. } => sender.is_ready() && look.is_silent(),
            Self::Http2 { sender, common } => !sender.is_closed() && !common.doubtful.load(Ordering::Relaxed),
        }
    }

    /// Another handle on the same connection, where it serves many requests at once.
    pub fn share(&self) -> Option<Self> {
        match self {
            Self::Http1 { .. } => None,
            Self::Http2 { sender, common } => {
                Some(Self::Http2 { sender: sender.clone(), common: Arc::clone(common) })
            }
        }
    }

    /// A request on it was not answered, or not well: no further one is put on it, in case that it would fare no
    /// better. Those that are under way are left alone.
    pub fn doubt(&self) {
        if let Self::Http2 { common, .. } = self {
            common.doubtful.store(true, Ordering::Relaxed);
        }
    }

    /// Sends a request. The error says whether the request is untouched and can be sent elsewhere.
    pub fn send(
        &mut self,
        request: Request<Outgoing>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Outgoing>>>> {
        match self {
            Self::Http1 { sender, .. } => Either::Left(sender.try_send_request(request)),
            Self::Http2 { sender, .. } => Either::Right(sender.try_send_request(request)),
        }
    }
}

/// Whether nothing has come out of a stream that was just opened, and it has not ended.
async fn is_waiting(stream: &mut Stream) -> bool {
    let mut byte = [0];
    poll_fn(|context| {
        let mut byte = ReadBuf::new(&mut byte);
        Poll::Ready(Pin::new(&mut *stream).poll_read(context, &mut byte).is_pending())
    })
    .await
}
