//! How is a listener opened, and who may come in?

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustls::ServerConfig;
use tokio::net::{TcpListener, UnixListener};

use super::doors::Doors;
use super::porch::Porch;
use super::worker::{Accepted, Senders, Stream};
use crate::arrival::Peer;
use crate::config::Listen;
use crate::gateway::Gateway;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// The pause after an accept that failed for want of descriptors or memory, so that the loop does not
/// spin.
const PAUSE: Duration = Duration::from_millis(50);

/// An open listener.
pub(super) struct Listener {
    socket: Socket,
    address: Listen,
    tls: Option<Arc<ServerConfig>>,
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
    pub(super) fn open(address: &Listen, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
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
                Ok(Self { socket, address: Listen::Tcp(bound), tls })
            }
            Listen::Unix(path) => {
                let listener = open_unix(path)?;
                Ok(Self { socket: Socket::Unix(listener), address: address.clone(), tls: None })
            }
        }
    }

    /// Where it listens, with the port that was taken for port 0.
    pub(super) fn address(&self) -> &Listen {
        &self.address
    }

    /// Accepts for ever and hands each connection to the next worker.
    pub(super) async fn accept_all(self, gateway: Arc<Gateway>, doors: Arc<Doors>, workers: Senders) {
        let mut wanting = false;
        let porch = Porch::new();
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
                    // A peer that was gone before it was accepted costs nobody else a pause.
                    if is_want(&error) {
                        // Told once: the attempts that follow are counted.
                        if !std::mem::replace(&mut wanting, true) {
                            tracing::warn!(os = error.raw_os_error(), "connections cannot be accepted");
                        }
                        // An accept fails so, too, while nobody waits to be accepted.
                        if self.is_waited_for() {
                            doors.make_room();
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                    continue;
                }
            };
            match doors.enter(peer) {
                Ok(entry) => {
                    gateway.metrics.connection("accepted");
                    workers.hand_over(Accepted { stream, peer, tls: self.tls.clone(), entry });
                }
                Err(event) => {
                    gateway.metrics.connection(event);
                    if self.tls.is_none() {
                        porch.refuse(stream);
                    }
                }
            }
        }
    }

    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Socket::Tcp { listener, loopback } => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let peer = Peer::Tcp { address: address.ip().to_canonical(), loopback_listener: *loopback };
                Ok((Stream::Tcp(stream.into_std()?), peer))
            }
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Stream::Unix(stream.into_std()?), Peer::Unix { uid }))
            }
        }
    }
}

impl Listener {
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
}

/// Whether `address` could be listened on now: opens it and closes it again. Needs a runtime around it.
///
/// # Errors
///
/// What [`start`](super::start) would fail with.
pub fn try_address(address: &Listen) -> io::Result<()> {
    let folder = match address {
        Listen::Unix(path) => {
            path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        }
        Listen::Tcp(_) => None,
    };
    let tried = Listener::open(address, None).map(drop);
    if let Some(folder) = folder {
        // Made by the trial, perhaps as another user than the gateway's. It may not have been made.
        let _ = std::fs::remove_dir(folder);
    }
    tried
}

/// Out of descriptors or memory: the next accept would fail as well.
fn is_want(error: &io::Error) -> bool {
    let wants = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| wants.contains(&code))
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listen::Unix(path) = &self.address {
            // It may be gone already; a socket file without a listener is removed at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A socket of mode 0660 in a folder that only our own user can change and only our group can enter.
fn open_unix(path: &Path) -> io::Result<UnixListener> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.exists() {
        std::fs::DirBuilder::new().mode(0o750).create(folder)?;
    }
    let metadata = std::fs::metadata(folder)?;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    if !own || metadata.permissions().mode() & 0o027 != 0 {
        let problem =
            "the folder of a unix socket must belong to the gateway's own user, with mode 0750 or stricter";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    }
    remove_stale(path)?;
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// A socket file that nobody listens on is left over from a process that was killed.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is in the way"));
    }
    let probe = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    // Else a listener that accepts nothing, and has as many waiting as it takes, would be waited for.
    probe.set_nonblocking(true)?;
    match probe.connect(&socket2::SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there")),
    }
}
