//! Where does a peer that breaks the protocol run, and what has it seen?

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ServerConfig;
use socket2::{Domain, Socket, Type};

use super::certificates::{Shown, server};
use super::script::{Line, Step};

/// How connections are met.
#[derive(Clone)]
pub struct Manner {
    pub shown: Shown,
    /// `None`: as DCAMS would.
    pub steps: Option<Arc<[Step]>>,
}

/// What becomes of a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// It is answered, and the connection accepted.
    Open,
    /// RST: nobody listens.
    Refusing,
    /// The kernel answers, the peer never accepts.
    Deaf,
    /// The queue is full: nobody answers.
    BlackHole,
}

/// A peer on a free port, its own threads for all its connections. It ends when it is dropped.
pub struct Peer {
    socket: Socket,
    address: SocketAddr,
    inside: Arc<Inside>,
    accepting: Option<JoinHandle<()>>,
    /// What fills the queue of a black hole.
    filling: Vec<TcpStream>,
}

struct Inside {
    alpn: &'static [u8],
    tls: Mutex<Arc<ServerConfig>>,
    /// `None`: as DCAMS would.
    steps: Mutex<Option<Arc<[Step]>>>,
    seen: Arc<Seen>,
    connections: Mutex<Vec<(Weak<TcpStream>, JoinHandle<()>)>>,
}

/// What came out of TLS.
#[derive(Default)]
pub struct Seen {
    pub bytes: Mutex<Vec<u8>>,
    pub healed: AtomicBool,
    pub ended: AtomicBool,
}

impl Peer {
    pub fn start(door: Door, manner: &Manner, alpn: &'static [u8]) -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), door, manner, alpn)
    }

    pub fn start_at(address: SocketAddr, door: Door, manner: &Manner, alpn: &'static [u8]) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&address.into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let inside = Inside {
            alpn,
            tls: Mutex::new(server(manner.shown, alpn)),
            steps: Mutex::new(manner.steps.clone()),
            seen: Arc::default(),
            connections: Mutex::default(),
        };
        let mut peer =
            Self { socket, address, inside: Arc::new(inside), accepting: None, filling: Vec::new() };
        match door {
            Door::Open => peer.open(),
            Door::Refusing => {}
            Door::Deaf => peer.socket.listen(128).unwrap(),
            Door::BlackHole => {
                peer.socket.listen(0).unwrap();
                while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
                    peer.filling.push(stream);
                }
            }
        }
        peer
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What came out of TLS since the last call.
    pub fn take_seen(&self) -> Vec<u8> {
        std::mem::take(&mut self.inside.seen.bytes.lock().unwrap())
    }

    /// Meets new connections as DCAMS would.
    pub fn heal(&mut self) {
        self.inside.seen.healed.store(true, Ordering::Relaxed);
        *self.inside.tls.lock().unwrap() = server(Shown::Good, self.inside.alpn);
        *self.inside.steps.lock().unwrap() = None;
        if self.accepting.is_none() {
            self.filling.clear();
            self.open();
        }
    }

    fn open(&mut self) {
        self.socket.listen(128).unwrap();
        let listener = TcpListener::from(self.socket.try_clone().unwrap());
        let inside = Arc::clone(&self.inside);
        self.accepting = Some(std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if inside.seen.ended.load(Ordering::Relaxed) {
                    return;
                }
                inside.meet(stream);
            }
        }));
    }
}

impl Inside {
    fn meet(&self, stream: TcpStream) {
        let tls = Arc::clone(&self.tls.lock().unwrap());
        let steps = self.steps.lock().unwrap().clone();
        let stream = Arc::new(stream);
        // Not a second handle: the end of the script must be the end of the connection.
        let kept = Arc::downgrade(&stream);
        let mut line = Line::new(stream, tls, Arc::clone(&self.seen));
        let thread = std::thread::spawn(move || {
            // An error means that the gateway has left.
            let _ = match steps {
                Some(steps) => line.perform(&steps),
                None => line.serve(),
            };
        });
        self.connections.lock().unwrap().push((kept, thread));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.inside.seen.ended.store(true, Ordering::Relaxed);
        if let Some(accepting) = self.accepting.take() {
            // Wakes it up.
            drop(TcpStream::connect(self.address));
            let _ = accepting.join();
        }
        for (stream, thread) in self.inside.connections.lock().unwrap().drain(..) {
            let _ = stream.upgrade().map(|stream| stream.shutdown(Shutdown::Both));
            let _ = thread.join();
        }
    }
}
