//! What of a request's body has left, and may any more of it leave?
//!
//! hyper keeps a request that waits for its turn on a connection of HTTP/2, also when nobody waits for its answer any
//! more, and would send it once there is room. So each body leaves through a gate, which its attempt closes at its end.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

/// The two slices of a sealed request, as the body of one attempt. It is small, because hyper keeps room for many
/// requests on each connection.
pub struct Outgoing {
    gate: Arc<Gate>,
    handed: usize,
}

/// A slice that was handed to a connection.
pub struct Piece {
    bytes: Bytes,
    _gate: Arc<Gate>,
}

/// What the attempt keeps of its body. When this is dropped, nothing leaves that has not begun to, and what was counted
/// until then is all.
pub struct Keeper {
    gate: Weak<Gate>,
    held: oneshot::Receiver<Infallible>,
}

/// The attempt that the body belongs to is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp;

struct Gate {
    parts: [Bytes; 2],
    /// Counts the bytes that leave; `None`: it is closed.
    sent: Mutex<Option<Arc<AtomicU64>>>,
    /// Ends with the last slice of the body.
    _held: oneshot::Sender<Infallible>,
}

impl Outgoing {
    /// A body of `parts`; `sent` counts those of its bytes that are handed to a connection.
    #[must_use]
    pub fn new(parts: [Bytes; 2], sent: Arc<AtomicU64>) -> (Self, Keeper) {
        let (holding, held) = oneshot::channel();
        let gate = Arc::new(Gate { parts, sent: Mutex::new(Some(sent)), _held: holding });
        let keeper = Keeper { gate: Arc::downgrade(&gate), held };
        (Self { gate, handed: 0 }, keeper)
    }

    /// What was not handed over yet.
    fn left(&self) -> impl Iterator<Item = &Bytes> {
        self.gate.parts.iter().skip(self.handed)
    }
}

impl Keeper {
    /// Ends when no connection holds any of the body any more.
    pub async fn let_go(mut self) {
        // Nothing is ever sent.
        let _ = (&mut self.held).await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.upgrade() {
            *gate.lock() = None;
        }
    }
}

impl Gate {
    /// Counts so many bytes, or has them stay. Under a lock: who closes it knows then what has left.
    fn pass(&self, bytes: usize) -> Result<(), GivenUp> {
        let gate = self.lock();
        gate.as_ref().ok_or(GivenUp)?.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<AtomicU64>>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for Outgoing {
    type Data = Piece;
    type Error = GivenUp;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, GivenUp>>> {
        let this = self.get_mut();
        let next = this.left().cloned().enumerate().find(|(_, part)| !part.is_empty());
        Poll::Ready(next.map(|(skipped, bytes)| {
            this.handed += skipped + 1;
            this.gate.pass(bytes.len())?;
            Ok(Frame::data(Piece { bytes, _gate: Arc::clone(&this.gate) }))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left().map(|part| part.len() as u64).sum())
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl fmt::Display for GivenUp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the request was given up")
    }
}

impl std::error::Error for GivenUp {}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::*;

    fn body() -> (Outgoing, Keeper, Arc<AtomicU64>) {
        let sent = Arc::new(AtomicU64::new(0));
        let (body, keeper) =
            Outgoing::new([Bytes::from_static(b"{"), Bytes::from_static(b"}}")], Arc::clone(&sent));
        (body, keeper, sent)
    }

    fn next(body: &mut Outgoing) -> Option<Result<Piece, GivenUp>> {
        let frame = body.frame().now_or_never().unwrap();
        frame.map(|frame| frame.map(|frame| frame.into_data().ok().unwrap()))
    }

    #[test]
    fn what_leaves_is_counted() {
        let (mut body, _keeper, sent) = body();
        assert_eq!(next(&mut body).unwrap().unwrap().chunk(), b"{");
        assert_eq!(sent.load(Ordering::Relaxed), 1);
        assert_eq!(next(&mut body).unwrap().unwrap().chunk(), b"}}");
        assert_eq!((next(&mut body).is_none(), sent.load(Ordering::Relaxed)), (true, 3));
    }

    #[test]
    fn nothing_leaves_after_its_attempt_is_over() {
        for before in 0..=1 {
            let (mut body, keeper, sent) = body();
            (0..before).for_each(|_| drop(next(&mut body)));
            drop(keeper);
            assert_eq!(next(&mut body).unwrap().err(), Some(GivenUp));
            assert_eq!(sent.load(Ordering::Relaxed), before);
        }
    }

    #[test]
    fn a_body_is_let_go_of_with_its_last_slice() {
        let (mut body, keeper, _) = body();
        let mut let_go = Box::pin(keeper.let_go());
        let pieces: Vec<_> = std::iter::from_fn(|| next(&mut body)).collect();
        drop(body);
        assert!(let_go.as_mut().now_or_never().is_none());
        drop(pieces);
        assert!(let_go.now_or_never().is_some());
    }
}
