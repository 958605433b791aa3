//! Which upstream does the gateway meet here?

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::problem::Problem;
use super::stand::Secrets;
use crate::simulate::{Double, Settings};

/// The double of DCAMS on a thread of its own.
pub(super) struct Upstream {
    double: Arc<Double>,
    _stop: oneshot::Sender<()>,
}

impl Upstream {
    /// Accepts the credentials of this run.
    pub(super) fn start(secrets: &Secrets) -> Result<Self, Problem> {
        let (stop, stopped) = oneshot::channel();
        let settings =
            Settings { user: secrets.user.clone(), pass: secrets.pass.clone(), ..Settings::default() };
        let started = on_a_thread(settings, stopped);
        let double = started.recv().ok().flatten().ok_or(Problem::Double)?;
        Ok(Self { double, _stop: stop })
    }

    pub(super) fn double(&self) -> &Double {
        &self.double
    }

    pub(super) fn url(&self) -> String {
        url(self.double.address().port())
    }
}

/// The URL of the storage services at `port` of this machine.
fn url(port: u16) -> String {
    format!("https://localhost:{port}/v3/stable/api/storage")
}

fn on_a_thread(settings: Settings, stopped: oneshot::Receiver<()>) -> Receiver<Option<Arc<Double>>> {
    let (hand_over, started) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let double = Double::start(settings).await.ok().map(Arc::new);
            if hand_over.send(double).is_ok() {
                let _ = stopped.await;
            }
        });
    });
    started
}

/// A server that answers a TLS handshake with something else, until it is dropped: then nobody listens.
pub(super) struct Stranger {
    address: SocketAddr,
    accepting: Option<thread::JoinHandle<()>>,
    stop: Arc<std::sync::atomic::AtomicBool>,
}

impl Stranger {
    /// Says `answer` to everybody.
    pub(super) fn start(answer: String) -> Result<Self, Problem> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(Problem::Io)?;
        let address = listener.local_addr().map_err(Problem::Io)?;
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(std::sync::atomic::Ordering::Acquire) {
                    return;
                }
                answer_handshake(stream, answer.as_bytes());
            }
        });
        Ok(Self { address, accepting: Some(accepting), stop })
    }

    pub(super) fn url(&self) -> String {
        url(self.address.port())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Release);
        // Wakes it from its waiting.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn answer_handshake(mut stream: TcpStream, answer: &[u8]) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut buffer = [0; 4096];
    let _ = stream.read(&mut buffer);
    // The gateway may have closed it already; that is its right.
    let _ = stream.write_all(answer);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    while let Ok(1..) = stream.read(&mut buffer) {}
}
