//! How is a listener opened, and who may come in?

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::SockFilter;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;

use super::doors::Doors;
use super::last_call::there_and_back;
use super::passed::{Passed, PassedSocket};
use super::porch::Porch;
use super::unix_socket::{self, SocketFile};
use super::worker::{Accepted, Senders, Stream};
use crate::arrival::Peer;
use crate::config::Listen;
use crate::gateway::Gateway;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// The pause after an accept that failed for want of descriptors or memory, so that the loop does not
/// spin.
const PAUSE: Duration = Duration::from_millis(50);
/// Accepts that may fail at a stop before what is still queued is given up.
const MOST_FAILURES: usize = 100;
/// Drops what begins a TCP connection (a segment with SYN; byte 13 of its header holds the flags), and nothing else. A
/// peer whose SYN is dropped sends it again after a second, and finds who listens then, or is refused. Without this,
/// a connection that completes between the last accept and the close would be reset with its request.
const NO_BEGINNING: [SockFilter; 4] = [
    SockFilter::new(0x30, 0, 0, 13),       // A = flags
    SockFilter::new(0x45, 0, 1, 0x02),     // SYN?
    SockFilter::new(0x06, 0, 0, 0),        // drop
    SockFilter::new(0x06, 0, 0, u32::MAX), // take
];

/// An open listener.
pub(super) struct Listener {
    /// The socket file that was made here, and is removed before the socket is closed.
    _file: Option<SocketFile>,
    socket: Socket,
    address: Listen,
    /// It was there before this process, and stays.
    passed: bool,
    porch: Porch,
}

enum Socket {
    Tcp { listener: TcpListener, loopback: bool },
    Unix(UnixListener),
}

/// For messages.
pub(super) fn shown(address: &Listen) -> String {
    match address {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => format!("unix:{}", path.display()),
    }
}

impl Listener {
    /// Binds `address`. Not with `SO_REUSEPORT`: another process of the same user could then take a
    /// share of the callers and their keys.
    pub(super) fn open(address: &Listen) -> io::Result<Self> {
        match address {
            Listen::Tcp(wanted) => {
                let domain = socket2::Domain::for_address(*wanted);
                let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
                socket.set_reuse_address(true)?;
                socket.set_nonblocking(true)?;
                socket.bind(&(*wanted).into())?;
                socket.listen(BACKLOG)?;
                let listener = TcpListener::from_std(socket.into())?;
                let bound = listener.local_addr()?;
                let socket = Socket::Tcp { listener, loopback: bound.ip().is_loopback() };
                let address = Listen::Tcp(bound);
                Ok(Self { _file: None, socket, address, passed: false, porch: Porch::new() })
            }
            Listen::Unix(path) => {
                let (listener, file) = unix_socket::open(path)?;
                let socket = Socket::Unix(UnixListener::from_std(listener)?);
                let address = address.clone();
                Ok(Self { _file: Some(file), socket, address, passed: false, porch: Porch::new() })
            }
        }
    }

    /// Serves on a socket that was passed, which is neither bound nor removed here.
    pub(super) fn adopt(passed: PassedSocket, address: &Listen) -> io::Result<Self> {
        let socket = match passed {
            PassedSocket::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let loopback = listener.local_addr()?.ip().is_loopback();
                Socket::Tcp { listener: TcpListener::from_std(listener)?, loopback }
            }
            PassedSocket::Unix(listener) => {
                if let Listen::Unix(path) = address {
                    unix_socket::judge_passed(path)?;
                }
                listener.set_nonblocking(true)?;
                Socket::Unix(UnixListener::from_std(listener)?)
            }
        };
        Ok(Self { _file: None, socket, address: address.clone(), passed: true, porch: Porch::new() })
    }

    /// Where it listens, with the port that was taken for port 0.
    pub(super) fn address(&self) -> &Listen {
        &self.address
    }

    /// Accepts until `drained`, and then what was queued, and hands each connection to the next worker. What is queued
    /// at a socket that was passed waits for the next gateway.
    pub(super) async fn accept_until(
        self,
        mut drained: watch::Receiver<bool>,
        gateway: Arc<Gateway>,
        doors: Arc<Doors>,
        workers: Senders,
    ) {
        let accepting = self.accept_all(&gateway, &doors, &workers);
        tokio::select! {
            // An error means that whoever would tell is gone.
            _ = drained.wait_for(|drained| *drained) => {}
            () = accepting => {}
        }
        if self.passed {
            return;
        }
        if let Socket::Tcp { listener, loopback } = &self.socket {
            // Where a kernel cannot, a connection that begins right before the end is reset.
            let _ = socket2::SockRef::from(listener).attach_filter(&NO_BEGINNING);
            let begun = self.accept_all(&gateway, &doors, &workers);
            let limit = gateway.current().config.data.drain_timeout;
            let _ = tokio::time::timeout(there_and_back(*loopback).min(limit), begun).await;
        }
        if let Socket::Unix(listener) = &self.socket {
            let _ = socket2::SockRef::from(listener).shutdown(std::net::Shutdown::Read);
        }
        self.accept_queued(&gateway, &doors, &workers).await;
    }

    /// Accepts for ever and hands each connection to the next worker.
    async fn accept_all(&self, gateway: &Gateway, doors: &Arc<Doors>, workers: &Senders) {
        let mut wanting = false;
        loop {
            doors.settled().await;
            let (stream, peer) = match self.accept().await {
                Ok(accepted) => {
                    if std::mem::take(&mut wanting) {
                        tracing::info!("connections are accepted again");
                    }
                    accepted
                }
                Err(error) => {
                    gateway.metrics.connection("accept_failed");
                    // A peer that was gone before it was accepted costs nobody else a pause. Anything else may
                    // last, and the loop must not spin.
                    if !is_of_peer(&error) {
                        // Told once: the attempts that follow are counted.
                        if !std::mem::replace(&mut wanting, true) {
                            tracing::warn!(os = error.raw_os_error(), "connections cannot be accepted");
                        }
                        // An accept fails so, too, while nobody waits to be accepted.
                        if is_want(&error) && self.is_waited_for() {
                            doors.make_room();
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                    continue;
                }
            };
            self.let_in(stream, peer, gateway, doors, workers);
        }
    }

    /// Whether a connection waits to be accepted.
    fn is_waited_for(&self) -> bool {
        let listener = match &self.socket {
            Socket::Tcp { listener, .. } => listener.as_fd(),
            Socket::Unix(listener) => listener.as_fd(),
        };
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::from_borrowed_fd(listener, PollFlags::IN)], Some(&at_once))
            .is_ok_and(|count| count > 0)
    }

    /// Accepts what waits, by the kernel's own word and not the runtime's, which may not have heard of it yet.
    async fn accept_queued(&self, gateway: &Gateway, doors: &Arc<Doors>, workers: &Senders) {
        let mut failures = 0;
        while failures < MOST_FAILURES {
            match self.accept_now() {
                Ok((stream, peer)) => self.let_in(stream, peer, gateway, doors, workers),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    gateway.metrics.connection("accept_failed");
                    failures += 1;
                    if is_want(&error) {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    fn let_in(&self, stream: Stream, peer: Peer, gateway: &Gateway, doors: &Arc<Doors>, workers: &Senders) {
        let generation = gateway.current();
        match doors.enter(peer) {
            Ok(entry) => {
                gateway.metrics.connection("accepted");
                workers.hand_over(Accepted { stream, peer, tls: generation.listener_tls(), entry });
            }
            Err(event) => {
                gateway.metrics.connection(event);
                if generation.listener_tls().is_none() {
                    self.porch.refuse(stream);
                }
            }
        }
    }

    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Socket::Tcp { listener, loopback } => {
                let (stream, address) = listener.accept().await?;
                introduced(stream, address.ip(), *loopback)
            }
            Socket::Unix(listener) => identified(listener.accept().await?.0),
        }
    }

    fn accept_now(&self) -> io::Result<(Stream, Peer)> {
        let accepted = match &self.socket {
            Socket::Tcp { listener, .. } => socket2::SockRef::from(listener).accept(),
            Socket::Unix(listener) => socket2::SockRef::from(listener).accept(),
        };
        let (stream, address) = accepted?;
        stream.set_nonblocking(true)?;
        match &self.socket {
            Socket::Tcp { loopback, .. } => {
                let address = address.as_socket().ok_or(io::ErrorKind::InvalidData)?;
                introduced(TcpStream::from_std(stream.into())?, address.ip(), *loopback)
            }
            Socket::Unix(_) => identified(UnixStream::from_std(stream.into())?),
        }
    }
}

fn introduced(stream: TcpStream, address: IpAddr, loopback_listener: bool) -> io::Result<(Stream, Peer)> {
    // It fails where the peer has gone, which is seen soon enough.
    let _ = stream.set_nodelay(true);
    let peer = Peer::Tcp { address: address.to_canonical(), loopback_listener };
    Ok((Stream::Tcp(stream.into_std()?), peer))
}

fn identified(stream: UnixStream) -> io::Result<(Stream, Peer)> {
    let uid = stream.peer_cred()?.uid();
    Ok((Stream::Unix(stream.into_std()?), Peer::Unix { uid }))
}

/// Whether `address` could be listened on now: opens it and closes it again. Needs a runtime around it.
///
/// # Errors
///
/// What [`start`](super::start) would fail with.
pub fn try_address(address: &Listen) -> io::Result<()> {
    match address {
        Listen::Tcp(_) => Listener::open(address).map(drop),
        Listen::Unix(path) => unix_socket::try_open(path),
    }
}

/// Whether `address` could be listened on by the socket that was passed for it. Needs a runtime around it.
///
/// # Errors
///
/// What [`start_on`](super::start_on) would fail with.
pub fn try_passed(passed: &mut Passed, address: &Listen) -> io::Result<()> {
    match passed.socket_on(address) {
        Some(socket) => Listener::adopt(socket, address).map(drop),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

/// An end of the connection that was to be accepted (accept(2)): the next one has nothing to do with it.
fn is_of_peer(error: &io::Error) -> bool {
    let of_peer = [
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::NOTCONN,
        Errno::INTR,
        Errno::PROTO,
        Errno::NOPROTOOPT,
        Errno::OPNOTSUPP,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
    ];
    error.raw_os_error().is_some_and(|code| of_peer.map(Errno::raw_os_error).contains(&code))
}

/// Out of descriptors or memory: the next accept would fail as well.
fn is_want(error: &io::Error) -> bool {
    let wants = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| wants.contains(&code))
}
