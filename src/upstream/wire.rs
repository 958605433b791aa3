//! Over what do the bytes of a connection to the upstream travel?

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::config::UpstreamUrl;
use crate::turns;

/// Another way to an upstream than TCP, for where there is no network but a simulated one.
pub trait Reach: Send + Sync {
    /// Opens a connection to `url`, below TLS.
    fn reach<'r>(
        &'r self,
        url: &'r UpstreamUrl,
    ) -> Pin<Box<dyn Future<Output = io::Result<Reached>> + Send + 'r>>;
}

/// What [`Reach`] opened.
pub struct Reached {
    /// Its bytes.
    pub wire: Box<dyn Wire>,
    /// Whether the peer keeps it open and has sent nothing that was not read.
    pub silent: Box<dyn Fn() -> bool + Send + Sync>,
}

/// Bytes in both directions.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<IO: AsyncRead + AsyncWrite + Send + Unpin> Wire for IO {}

/// A second look at a connection, at what has come and was not read.
pub enum Look {
    /// Asks the kernel and not the runtime, which learns of new bytes only when it next waits.
    Socket(Socket),
    /// See [`Reached::silent`].
    Other(Box<dyn Fn() -> bool + Send + Sync>),
}

impl Look {
    /// Whether the peer keeps the connection open and has sent nothing that was not read.
    pub(super) fn is_silent(&self) -> bool {
        match self {
            Self::Socket(socket) => {
                let mut byte = [MaybeUninit::uninit()];
                matches!(socket.peek(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            Self::Other(silent) => silent(),
        }
    }
}

/// What TLS, or plain HTTP, is spoken over.
pub(super) enum Raw {
    Tcp(TcpStream),
    Other(Box<dyn Wire>),
}

/// Plain (to loopback, by an explicit setting) or TLS.
pub(super) enum Stream {
    Plain(Raw),
    Tls(Box<TlsStream<Raw>>),
}

/// Both are one of two streams, and pass on all that is asked of them. `$passed` is told how many bytes have passed.
macro_rules! one_of_two {
    ($name:ident: $first:ident | $second:ident, $passed:expr) => {
        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let before = buffer.filled().len();
                let read = match self.get_mut() {
                    Self::$first(stream) => Pin::new(stream).poll_read(context, buffer),
                    Self::$second(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
                };
                $passed(context, buffer.filled().len() - before);
                read
            }
        }

        impl AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                let written = match self.get_mut() {
                    Self::$first(stream) => Pin::new(stream).poll_write(context, bytes),
                    Self::$second(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
                };
                written.map_ok(|bytes| {
                    $passed(context, bytes);
                    bytes
                })
            }

            fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::$first(stream) => Pin::new(stream).poll_flush(context),
                    Self::$second(stream) => Pin::new(stream.as_mut()).poll_flush(context),
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::$first(stream) => Pin::new(stream).poll_shutdown(context),
                    Self::$second(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                slices: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let written = match self.get_mut() {
                    Self::$first(stream) => Pin::new(stream).poll_write_vectored(context, slices),
                    Self::$second(stream) => Pin::new(stream.as_mut()).poll_write_vectored(context, slices),
                };
                written.map_ok(|bytes| {
                    $passed(context, bytes);
                    bytes
                })
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    Self::$first(stream) => stream.is_write_vectored(),
                    Self::$second(stream) => stream.is_write_vectored(),
                }
            }
        }
    };
}

one_of_two!(Raw: Tcp | Other, turns::spend);
// What passes here has passed below.
one_of_two!(Stream: Plain | Tls, |_: &mut Context<'_>, _: usize| ());
