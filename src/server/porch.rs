//! What is said to a connection for which there is no room?
//!
//! On a plain listener, 503 with `Retry-After`, so that a client waits and does not take the gateway for dead. Over
//! TLS nothing can be said without a handshake, which costs more than serving a request: it is closed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::worker::Stream;
use crate::stages::no_room;

/// Connections that are being refused at once; beyond them, one is closed without a word.
pub(super) const MOST: usize = 16;
/// How long, and how much of what was sent, is read: closed with unread bytes, the connection would be reset, and
/// the refusal lost.
const LINGER: Duration = Duration::from_millis(250);
const LINGER_BYTES: u64 = 64 << 10;

/// Where connections are refused.
pub(super) struct Porch {
    places: Arc<Semaphore>,
    refusal: Bytes,
}

impl Porch {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST)), refusal: Bytes::from(no_room()) }
    }

    /// Refuses in a task of its own, and closes.
    pub(super) fn refuse(&self, stream: Stream) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        let refusal = self.refusal.clone();
        tokio::spawn(async move {
            let told = async {
                match stream {
                    Stream::Tcp(stream) => {
                        if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
                            tell(stream, &refusal).await;
                        }
                    }
                    Stream::Unix(stream) => {
                        if let Ok(stream) = tokio::net::UnixStream::from_std(stream) {
                            tell(stream, &refusal).await;
                        }
                    }
                }
            };
            // A peer that does not end is not waited for.
            let _ = tokio::time::timeout(LINGER, told).await;
            drop(place);
        });
    }
}

async fn tell<IO: AsyncRead + AsyncWrite + Unpin>(mut stream: IO, refusal: &[u8]) {
    if stream.write_all(refusal).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut unwanted = stream.take(LINGER_BYTES);
    let mut buffer = [0; 4 << 10];
    while let Ok(1..) = unwanted.read(&mut buffer).await {}
}
