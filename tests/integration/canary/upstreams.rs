//! Which upstreams does the gateway meet here?

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use dcams_gateway::selftest;
use dcams_gateway::simulate::{Double, FailureStyle, Settings};
use tokio::sync::oneshot;

use super::canaries::{self, core, named};
use crate::scanner::Canary;

/// The double of DCAMS, which knows the canaries as its credentials, on a thread of its own.
pub struct Upstream {
    double: Arc<Double>,
    _stop: oneshot::Sender<()>,
}

impl Upstream {
    pub fn start(failure_style: FailureStyle) -> Self {
        dcams_gateway::tls::install_provider();
        let (stop, stopped) = oneshot::channel();
        let (hand_over, started) = channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let settings = Settings {
                    user: canaries::user(),
                    pass: canaries::pass(),
                    failure_style,
                    ..Settings::default()
                };
                hand_over.send(Arc::new(Double::start(settings).await.unwrap())).unwrap();
                let _ = stopped.await;
            });
        });
        Self { double: started.recv().unwrap(), _stop: stop }
    }

    pub fn double(&self) -> &Double {
        &self.double
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}{}", self.double.address().port(), super::scene::PATH)
    }
}

/// A server that gives each connection the next of its answers.
pub struct Scripted {
    pub address: SocketAddr,
    scripted: selftest::Scripted,
}

impl Scripted {
    pub fn start() -> Self {
        let scripted = selftest::Scripted::start().unwrap();
        Self { address: scripted.address(), scripted }
    }

    pub fn next(&self, answer: &[u8]) {
        self.scripted.next(answer);
    }
}

/// Answers full of canaries: what a hostile or broken DCAMS could say, in every part of a message.
pub fn hostile_answers() -> (Vec<Vec<u8>>, Vec<Canary>) {
    let mut canaries = Vec::new();
    let answers = selftest::hostile_answers(&mut |name| {
        let name = format!("answer: {name}");
        canaries.push(named(&name, core(&name)));
        core(&name)
    });
    (answers, canaries)
}
