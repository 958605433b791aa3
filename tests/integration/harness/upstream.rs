//! Where does the double of DCAMS run?

use std::ops::Deref;
use std::sync::mpsc;
use std::thread::JoinHandle;

use dcams_gateway::simulate::{Double, Received, Settings};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::wait_for;

/// A double in this process, on a thread and a runtime of its own.
pub struct Upstream {
    double: Double,
    runtime: Handle,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// A double with its defaults: TLS on a free port of 127.0.0.1, `localhost` in its certificate.
    pub fn start() -> Self {
        Self::start_with(Settings::default())
    }

    pub fn start_with(settings: Settings) -> Self {
        dcams_gateway::tls::install_provider();
        let (started, starting) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                started.send((Double::start(settings).await.unwrap(), Handle::current())).unwrap();
                // Dropped or sent, it is the end.
                let _ = ended.await;
            });
        });
        let (double, runtime) = starting.recv().unwrap();
        Self { double, runtime, end: Some(end), thread: Some(thread) }
    }

    /// Where endpoints are forwarded to.
    pub fn url(&self) -> String {
        let scheme = if self.double.ca_pem().is_empty() { "http" } else { "https" };
        format!("{scheme}://localhost:{}{}", self.double.address().port(), super::PATH)
    }

    /// The runtime that the double runs on, for what a test lets run beside it.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Waits until so many requests arrived whole, and gives all that arrived.
    pub fn wait_for_received(&self, count: usize) -> Vec<Received> {
        wait_for("requests at the upstream", || {
            let received = self.double.received();
            let complete = received.iter().filter(|request| request.complete).count();
            (complete >= count).then_some(received)
        })
    }
}

impl Deref for Upstream {
    type Target = Double;

    fn deref(&self) -> &Double {
        &self.double
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            // It panicked only if the double did not start, which its test has been told.
            let _ = thread.join();
        }
    }
}
