//! What does DCAMS look like where it can be started, broken and questioned? (The DCAMS double.)
//!
//! A server with the four storage services of the documentation, state in memory, and a switch for every way in which
//! an upstream can fail. `simulate` runs it alone, `demo` and the tests run it in their own process. It keeps what it
//! receives, credentials and personal data included: it is never for real customers.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

mod answer;
mod certificate;
mod control;
mod dcams;
mod duration;
mod fault;
mod grammar;
mod php;
mod plan;
mod reflect;
mod script;
mod serve;
mod spoil;
mod storage;
#[cfg(test)]
mod tests;
mod wire;
mod witness;

pub use dcams::LONGEST_BODY;
pub use duration::{parse_duration, show_duration};
pub use fault::{Encoding, Fault};
pub use grammar::UnknownFault;
pub use storage::{Failure, FailureStyle, UnknownStyle};
pub use witness::{Counts, MOST_BYTES, MOST_REQUESTS, Received};

use dcams::Dcams;
use plan::Plan;
use storage::Storage;
use witness::Witness;

/// How a double is started. `Settings::default()` listens on a free loopback port with TLS.
pub struct Settings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The user that it accepts.
    pub user: String,
    /// The password that it accepts.
    pub pass: String,
    /// The path of the storage services, with its slash.
    pub path: String,
    /// How failures are told.
    pub failure_style: FailureStyle,
    /// DNS names and IP addresses in the certificate.
    pub host_names: Vec<String>,
    /// Whether the certificate's time is over.
    pub expired_certificate: bool,
    /// Whether it speaks TLS. Without, it speaks HTTP/1.1 only.
    pub tls: bool,
    /// Whether it offers HTTP/2 by ALPN beside HTTP/1.1.
    pub http2: bool,
    /// The wait before every answer.
    pub latency: Duration,
    /// The standing fault from the start.
    pub fault: Fault,
    /// Whether requests are kept for [`Double::received`].
    pub keep: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            user: "double-user".to_owned(),
            pass: "double-password-for-tests".to_owned(),
            path: "/v3/stable/api/storage".to_owned(),
            failure_style: FailureStyle::default(),
            host_names: ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
            expired_certificate: false,
            tls: true,
            http2: true,
            latency: Duration::ZERO,
            fault: Fault::None,
            keep: true,
        }
    }
}

/// Why a double did not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulateFault {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// No certificate can be made, most likely because a host name is none.
    #[error("cannot make a certificate for the host names")]
    Certificate,
}

/// A running double. It ends, with all its connections, when it is dropped.
pub struct Double {
    address: SocketAddr,
    path: String,
    ca_pem: String,
    dcams: Arc<Dcams>,
    server: JoinHandle<()>,
}

impl Double {
    /// Starts a double on the current tokio runtime, which must have IO and time enabled.
    ///
    /// # Errors
    ///
    /// [`SimulateFault`]: the address cannot be listened on, or the host names make no certificate.
    pub async fn start(settings: Settings) -> Result<Self, SimulateFault> {
        let certified = settings.tls.then(|| certificate::certify(&settings)).transpose()?;
        let unheard = |source| SimulateFault::Listen { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(unheard)?;
        let address = listener.local_addr().map_err(unheard)?;
        let dcams = Arc::new(Dcams {
            path: settings.path.clone(),
            style: settings.failure_style,
            credentials: Mutex::new(vec![(settings.user, settings.pass)]),
            seen: Mutex::default(),
            storage: Storage::default(),
            plan: Plan::new(settings.fault, settings.latency),
            witness: Arc::new(Witness::default()),
        });
        dcams.witness.keep(settings.keep);
        let (ca_pem, tls) = certified.map_or((String::new(), None), |made| (made.ca_pem, Some(made.server)));
        let server = tokio::spawn(serve::serve(dcams.clone(), listener, tls));
        Ok(Self { address, path: settings.path, ca_pem, dcams, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the storage services, by address.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.ca_pem.is_empty() { "http" } else { "https" };
        format!("{scheme}://{}{}", self.address, self.path)
    }

    /// The certificate of its throw-away CA, as PEM; empty without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Sets the fault that all further requests meet, those excepted for which one is queued.
    pub fn inject(&self, fault: Fault) {
        self.dcams.plan.stand(fault);
    }

    /// Queues a fault for one further request. Queued [`Fault::None`] lets one request through unharmed.
    pub fn inject_once(&self, fault: Fault) {
        self.dcams.plan.queue(fault);
    }

    /// Sets the wait before every further answer.
    pub fn delay(&self, latency: Duration) {
        self.dcams.plan.delay(latency);
    }

    /// Sets the user and password that are accepted from now on: a rotation at the upstream.
    pub fn accept(&self, user: &str, pass: &str) {
        self.dcams.accept(user.to_owned(), pass.to_owned());
    }

    /// Accepts another user and password as well, as an account does while it is rotated.
    pub fn accept_also(&self, user: &str, pass: &str) {
        self.dcams.accept_also(user.to_owned(), pass.to_owned());
    }

    /// Every user and password that came together in one request, accepted or not.
    #[must_use]
    pub fn pairs_seen(&self) -> BTreeSet<(String, String)> {
        self.dcams.pairs_seen()
    }

    /// The kept requests, oldest first; at most [`MOST_REQUESTS`], with at most [`MOST_BYTES`] of bodies.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.dcams.witness.received()
    }

    /// Forgets the kept requests; the counts stay.
    pub fn forget_received(&self) {
        self.dcams.witness.forget();
    }

    /// Switches the keeping of requests on or off.
    pub fn keep(&self, on: bool) {
        self.dcams.witness.keep(on);
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.dcams.witness.counts()
    }

    /// How many customers are stored.
    #[must_use]
    pub fn customers(&self) -> usize {
        self.dcams.storage.customers()
    }

    /// Forgets all customers.
    pub fn forget_customers(&self) {
        self.dcams.storage.forget();
    }

    /// Ends it and waits until its port is free again.
    pub async fn stop(mut self) {
        self.server.abort();
        // It was aborted: the error says so and nothing else.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.server.abort();
    }
}
