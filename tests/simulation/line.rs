//! How does the gateway's connector reach a simulated host?

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use dcams_gateway::config::UpstreamUrl;
use dcams_gateway::upstream::{Reach, Reached};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::TcpStream;

use crate::UPSTREAM;
use crate::flaw::Flaw;
use crate::planted::Doubling;
use crate::witness::{Witness, attempt_in};

/// Every URL leads to the upstream.
pub struct Net {
    pub witness: Witness,
    pub flaw: Option<Flaw>,
}

impl Reach for Net {
    fn reach<'r>(
        &'r self,
        url: &'r UpstreamUrl,
    ) -> Pin<Box<dyn Future<Output = io::Result<Reached>> + Send + 'r>> {
        Box::pin(async move {
            let line = Line::over(TcpStream::connect((UPSTREAM, url.port)).await?, self.witness.clone());
            let other = line.clone();
            let silent = Box::new(move || other.is_silent());
            if self.flaw == Some(Flaw::SendsTwice) {
                let second = TcpStream::connect((UPSTREAM, url.port)).await?;
                return Ok(Reached { wire: Box::new(Doubling { line: Box::new(line), second }), silent });
            }
            Ok(Reached { wire: Box::new(line), silent })
        })
    }
}

/// A connection with a second look at it.
#[derive(Clone)]
struct Line(Arc<Mutex<Inner>>);

struct Inner {
    stream: TcpStream,
    witness: Witness,
    /// Who waits for bytes: a look takes their place.
    reader: Option<Waker>,
}

impl Line {
    fn over(stream: TcpStream, witness: Witness) -> Self {
        Self(Arc::new(Mutex::new(Inner { stream, witness, reader: None })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    fn is_silent(&self) -> bool {
        let mut inner = self.lock();
        let mut byte = [0];
        let mut look = Context::from_waker(Waker::noop());
        let silent = inner.stream.poll_peek(&mut look, &mut ReadBuf::new(&mut byte)).is_pending();
        if let Some(reader) = inner.reader.take() {
            reader.wake();
        }
        silent
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        inner.reader = Some(context.waker().clone());
        Pin::new(&mut inner.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.lock();
        if let Some(attempt) = attempt_in(bytes) {
            let mut facts = inner.witness.facts();
            let now_ms = facts.now_ms;
            facts.written.push((now_ms, attempt));
        }
        Pin::new(&mut inner.stream).poll_write(context, bytes)
    }

    /// In one segment, as a kernel would send it.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.poll_write(context, &all)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_shutdown(context)
    }
}
