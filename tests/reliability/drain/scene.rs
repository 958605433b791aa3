//! Which gateway is stopped, and in front of what?

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Gateway, Setup, Upstream};
use crate::trail::{customer, keeping, plain_upstream, read_of, write_of};

/// How long a stop may take, as the gateway is told.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A gateway with its trail, before a double that can be held still.
pub struct Scene {
    pub upstream: Upstream,
    pub setup: Setup,
    pub gateway: Gateway,
    told: Option<Instant>,
}

/// Dropped, it lets the double go on.
pub struct Held(#[allow(dead_code, reason = "its drop is what counts")] Sender<()>);

impl Scene {
    pub fn new(tls: bool) -> Self {
        let upstream = plain_upstream();
        // Bodies of which half came wait for the other half until all others are begun.
        let setup =
            roomy(keeping(&upstream)).set("data.drain_grace", "20s").set("data.min_body_rate_grace", "60s");
        let setup = if tls { setup.tls() } else { setup };
        let gateway = setup.run();
        Self { upstream, setup, gateway, told: None }
    }

    /// Stops the one thread of the double: what is sent to it waits.
    pub fn hold_upstream(&self) -> Held {
        let (release, released) = channel::<()>();
        let (held, holding) = channel();
        self.upstream.runtime().spawn(async move {
            held.send(()).unwrap();
            // An error is the release.
            let _ = released.recv();
        });
        holding.recv().unwrap();
        Held(release)
    }

    /// Whether so many requests are between their head and the end of their answer.
    pub fn has_in_progress(&self, count: usize) -> bool {
        self.gateway.metric("dcams_gateway_requests_in_progress") == Some(count as f64)
    }

    /// Stops the process from doing anything; what is sent to it waits in the kernel.
    pub fn freeze(&self) {
        self.gateway.signal(Signal::STOP);
    }

    /// SIGTERM to a process that is frozen: it is told as soon as it can do anything.
    pub fn tell_to_stop(&mut self) {
        self.gateway.terminate();
        self.told = Some(Instant::now());
    }

    pub fn thaw(&self) {
        self.gateway.signal(Signal::CONT);
    }

    pub fn is_draining(&self) -> bool {
        self.gateway.stderr().contains("\"draining\"")
    }

    /// How long the process took from SIGTERM to its end, which must be the best one.
    pub fn ended_whole(&mut self) -> Duration {
        assert_eq!(self.gateway.wait().code(), Some(0));
        let took = self.told.expect("SIGTERM").elapsed();
        let log = self.gateway.stderr();
        assert!(log.contains("stopped: every request was answered and recorded"), "{log}");
        took
    }
}

/// Without a limit that hundreds of callers at once would meet.
pub fn roomy(setup: Setup) -> Setup {
    let each = |text: &mut String| *text = text.replace("\nrate = {", "\nmax_requests = 4000\nrate = {");
    setup
        .edit(each)
        .set("data.workers", "2")
        .set("data.max_connections", "4000")
        .set("data.max_connections_per_peer", "4000")
        .set("data.max_requests", "4000")
        .set("data.answer_budget", "1GiB")
}

/// The request for a customer of its own; every second one is a write.
pub fn body_for(number: u64) -> String {
    let email = customer(number);
    if number.is_multiple_of(2) { write_of(&email) } else { read_of(&email) }
}
