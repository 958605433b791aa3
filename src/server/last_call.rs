//! When may a connection be closed that its caller could still use?
//!
//! HTTP/1.1 has no word for "no further request" but an answer's `Connection: close`. A connection that is closed
//! while it is idle may meet a request on its way, which is then neither served nor refused. So a stop waits for one
//! request more, for a while, and looks at the socket itself right before the end. What is left is the time that the
//! end takes to reach the caller; no server can close that gap.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_rustls::server::TlsStream;

use super::activity::Activity;
use crate::upstream::Wire;

/// Where nothing arrives on a connection for this part of the grace, a stop closes it. With a second, a caller that
/// sends at random about once a second meets the gap of some ten microseconds once in three hundred thousand stops;
/// one that sends more often, or far less, meets it less often.
const PART: u32 = 5;
/// The time to a peer on this host and back, and some.
const NEAR: Duration = Duration::from_millis(20);
/// And to any other, on the other side of the world.
const FAR: Duration = Duration::from_millis(500);

/// When connections end that are idle while the gateway is being stopped.
#[derive(Clone)]
pub(super) struct LastCall {
    drained: watch::Receiver<bool>,
    quiet: Duration,
    /// How long a peer may need to learn of the end, whose bytes are on their way until then; `None`: no time.
    linger: Option<Duration>,
}

/// How long what a peer has sent may be on its way, or what it sends upon hearing from us.
pub(super) fn there_and_back(loopback: bool) -> Duration {
    if loopback { NEAR } else { FAR }
}

/// Can be looked at for bytes that nobody has read yet.
pub(super) trait Readable {
    /// Whether bytes, or the end, have arrived at the socket.
    fn has_arrivals(&self) -> bool;
}

impl LastCall {
    /// A stop is told by `drained`; it serves new requests for `grace`. The peer is on this host, or not. What was sent
    /// before the stop may not have been read: so long at least it is waited for.
    pub(super) fn new(drained: watch::Receiver<bool>, grace: Duration, is_near: bool) -> Self {
        let quiet = (grace / PART).max(there_and_back(is_near));
        Self { drained, quiet, linger: (!is_near).then_some(FAR) }
    }

    /// How long a socket must stay open at a stop after the end was sent: closed at once, it would reset what the peer
    /// sends until it has learnt of it.
    pub(super) fn linger(&self) -> Option<Duration> {
        self.linger.filter(|_| self.is_out())
    }

    /// Whether the gateway is being stopped.
    pub(super) fn is_out(&self) -> bool {
        *self.drained.borrow()
    }

    /// Ends when the gateway is told to stop.
    pub(super) async fn begun(&self) {
        // An error means that whoever would tell is gone.
        let _ = self.drained.clone().wait_for(|drained| *drained).await;
    }

    /// Ends when the gateway was told to stop and a while has passed.
    pub(super) async fn over(&self) {
        self.begun().await;
        sleep(self.quiet).await;
    }

    /// Ends when the gateway is being stopped and nothing has arrived for a while.
    pub(super) async fn over_for(&self, activity: &Activity) {
        self.begun().await;
        let begun = Instant::now();
        let mut due = begun + self.quiet;
        loop {
            sleep_until(due).await;
            let now = Instant::now();
            due = activity.quiet_since().map_or(now, |since| since.max(begun)) + self.quiet;
            if due <= now {
                return;
            }
        }
    }
}

/// Whether `socket` has something to read, by the kernel's own word.
fn arrived(socket: impl AsFd) -> bool {
    let mut byte = [0; 1];
    !matches!(recv(socket, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT), Err(Errno::AGAIN))
}

impl Readable for TcpStream {
    fn has_arrivals(&self) -> bool {
        arrived(self)
    }
}

impl Readable for UnixStream {
    fn has_arrivals(&self) -> bool {
        arrived(self)
    }
}

impl Readable for Box<TlsStream<TcpStream>> {
    fn has_arrivals(&self) -> bool {
        arrived(self.get_ref().0)
    }
}

/// There is no socket to ask.
impl Readable for Box<dyn Wire> {
    fn has_arrivals(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_far_peer_has_the_time_that_its_bytes_take_and_a_near_one_does_not_hold_the_stop_up() {
        let (drain, drained) = watch::channel(true);
        for (is_near, quiet, linger) in [(true, NEAR, None), (false, FAR, Some(FAR))] {
            let last_call = LastCall::new(drained.clone(), Duration::ZERO, is_near);
            let begun = Instant::now();
            last_call.over().await;
            assert!((quiet..quiet * 2).contains(&begun.elapsed()));
            assert_eq!(last_call.linger(), linger);
        }
        drop(drain);
        let (_serving, drained) = watch::channel(false);
        assert_eq!(LastCall::new(drained, Duration::ZERO, false).linger(), None, "only at a stop");
    }
}
