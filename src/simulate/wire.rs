//! How does the double reach below HTTP, and see the bytes that arrived?

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::witness::Witness;

/// A connection, with or without TLS, that hyper can serve and that can be taken back from it.
pub(super) struct Wire {
    stream: Stream,
    /// What hyper had read and not used when the connection was taken back.
    unread: Bytes,
    tap: Arc<Tap>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What the service may know and order of the connection while hyper owns it.
pub(super) struct Tap {
    /// Bytes read since the last byte was written: on HTTP/1.1, the head of the request and what follows it.
    head: Mutex<Vec<u8>>,
    reset_on_drop: AtomicBool,
    witness: Arc<Witness>,
}

/// No head that hyper accepts is longer.
const LONGEST_HEAD: usize = 512 * 1024;

impl Wire {
    pub(super) fn plain(stream: TcpStream, witness: Arc<Witness>) -> Self {
        Self::new(Stream::Plain(stream), witness)
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>, witness: Arc<Witness>) -> Self {
        Self::new(Stream::Tls(Box::new(stream)), witness)
    }

    fn new(stream: Stream, witness: Arc<Witness>) -> Self {
        let tap = Tap { head: Mutex::default(), reset_on_drop: AtomicBool::new(false), witness };
        Self { stream, unread: Bytes::new(), tap: Arc::new(tap) }
    }

    pub(super) fn tap(&self) -> Arc<Tap> {
        self.tap.clone()
    }

    /// Puts back what hyper had read ahead.
    pub(super) fn put_back(&mut self, unread: Bytes) {
        self.unread = unread;
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl Tap {
    /// The head's exact bytes, if this is HTTP/1.1 and the request was not pipelined.
    pub(super) fn head(&self) -> Option<Bytes> {
        let read = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let end = memchr::memmem::find(&read, b"\r\n\r\n")?;
        read.get(..end + 4).map(Bytes::copy_from_slice)
    }

    /// When the connection is dropped, it ends with RST instead of FIN.
    pub(super) fn reset_on_drop(&self) {
        self.reset_on_drop.store(true, Ordering::Release);
    }

    fn saw(&self, bytes: &[u8]) {
        self.witness.saw_bytes(bytes.len());
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let room = LONGEST_HEAD.saturating_sub(head.len()).min(bytes.len());
        head.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    fn wrote(&self) {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.tap.reset_on_drop.load(Ordering::Acquire) {
            reset(self.socket());
        }
    }
}

/// Makes the end of `socket` an RST: whatever waits in its buffers is thrown away.
pub(super) fn reset(socket: &TcpStream) {
    if let Err(error) = SockRef::from(socket).set_linger(Some(Duration::ZERO)) {
        tracing::warn!(%error, "the connection ends with FIN instead of RST");
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let now = self.unread.len().min(buffer.remaining());
            buffer.put_slice(self.unread.get(..now).unwrap_or_default());
            self.unread.advance(now);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match &mut self.stream {
            Stream::Plain(stream) => ready!(Pin::new(stream).poll_read(cx, buffer))?,
            Stream::Tls(stream) => ready!(Pin::new(stream).poll_read(cx, buffer))?,
        }
        self.tap.saw(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.tap.wrote();
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
