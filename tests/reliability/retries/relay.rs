//! A way to the upstream that comes and goes.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Hands bytes on, both ways, while it is up. Down, nobody listens at its address and every connection is cut.
pub struct Relay {
    address: SocketAddr,
    to: SocketAddr,
    up: Option<Up>,
}

struct Up {
    ending: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    accepting: JoinHandle<()>,
}

impl Relay {
    pub fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, to, up: Some(Up::with(listener, to)) }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn down(&mut self) {
        let Some(up) = self.up.take() else { return };
        up.ending.store(true, Ordering::Release);
        // Wakes the thread that accepts; what it accepted last is cut with the others.
        drop(TcpStream::connect(self.address));
        up.accepting.join().unwrap();
        for stream in up.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn up(&mut self) {
        if self.up.is_none() {
            let listener = TcpListener::bind(self.address).unwrap();
            self.up = Some(Up::with(listener, self.to));
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.down();
    }
}

impl Up {
    fn with(listener: TcpListener, to: SocketAddr) -> Self {
        let (ending, streams) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<TcpStream>>>::default());
        let (ended, kept) = (Arc::clone(&ending), Arc::clone(&streams));
        let accepting = thread::spawn(move || {
            for near in listener.incoming() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(near), Ok(far)) = (near, TcpStream::connect(to)) else { continue };
                let clone = |stream: &TcpStream| stream.try_clone().unwrap();
                kept.lock().unwrap().extend([clone(&near), clone(&far)]);
                hand_on(clone(&near), clone(&far));
                hand_on(far, near);
            }
        });
        Self { ending, streams, accepting }
    }
}

/// Until one of the two is closed.
fn hand_on(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
