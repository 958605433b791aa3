//! Which listening sockets was this process given by who started it?
//!
//! Systemd's socket activation (sd_listen_fds(3)): the sockets stay open while one gateway ends and the next begins, so
//! that no connection is refused meanwhile. They are recognised by the addresses that they are bound to.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use socket2::SockRef;

use super::listen::shown;
use crate::config::{Config, Listen};

/// The first descriptor that is passed.
const FIRST: usize = 3;
/// More than any configuration has addresses; the number comes from the environment.
const MOST: usize = 256;

/// The sockets that were passed and not yet used.
#[derive(Default)]
pub struct Passed {
    sockets: Vec<(Listen, PassedSocket)>,
}

/// One of them.
pub(super) enum PassedSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What was passed is not what the configuration asks for.
#[derive(Debug, thiserror::Error)]
pub enum PassedFault {
    /// Not as sd_listen_fds(3) says.
    #[error("LISTEN_FDS is not a number up to {MOST}")]
    Count,
    /// A datagram socket, a pipe, a connection.
    #[error("descriptor {0} was passed by LISTEN_FDS and is no listening stream socket")]
    NoListener(usize),
    /// Bound to an address that is not configured.
    #[error("a socket on {0} was passed, and neither data.listen nor ops.listen has this address")]
    Unwanted(String),
    /// Another process could listen there as well.
    #[error(
        "the socket on {0} was passed with SO_REUSEPORT: another process could take callers (ReusePort=no)"
    )]
    Shared(String),
}

impl Passed {
    /// Takes them; to be called once, before this process opens anything. Takes `LISTEN_FDS` and `LISTEN_PID` out of
    /// the environment.
    ///
    /// # Errors
    ///
    /// [`PassedFault`]: one of them cannot be listened on.
    pub fn take() -> Result<Self, PassedFault> {
        // Without, they may be meant for a parent of this process.
        let Some(count) = std::env::var_os("LISTEN_PID").and_then(|_| std::env::var_os("LISTEN_FDS")) else {
            return Ok(Self::default());
        };
        let count = count.to_str().and_then(|count| count.parse::<usize>().ok());
        count.filter(|count| *count <= MOST).ok_or(PassedFault::Count)?;
        let mut given = ListenFd::from_env();
        let sockets = (0..given.len())
            .map(|index| listening(&mut given, index).map_err(|_| PassedFault::NoListener(FIRST + index))?)
            .collect::<Result<_, _>>()?;
        Ok(Self { sockets })
    }

    /// Whether a socket on this address was passed.
    #[must_use]
    pub fn has(&self, address: &Listen) -> bool {
        self.sockets.iter().any(|(bound, _)| are_same(bound, address))
    }

    /// That each of them is one that `config` asks for.
    ///
    /// # Errors
    ///
    /// [`PassedFault::Unwanted`].
    pub fn expect_wanted(&self, config: &Config) -> Result<(), PassedFault> {
        let ops = config.ops.listen.map(Listen::Tcp);
        let wanted = |bound: &Listen| config.data.listen.iter().chain(&ops).any(|one| are_same(bound, one));
        match self.sockets.iter().find(|(bound, _)| !wanted(bound)) {
            Some((bound, _)) => Err(PassedFault::Unwanted(shown(bound))),
            None => Ok(()),
        }
    }

    pub(super) fn socket_on(&mut self, address: &Listen) -> Option<PassedSocket> {
        let index = self.sockets.iter().position(|(bound, _)| are_same(bound, address))?;
        Some(self.sockets.swap_remove(index).1)
    }

    pub(super) fn tcp_on(&mut self, address: SocketAddr) -> Option<TcpListener> {
        match self.socket_on(&Listen::Tcp(address)) {
            Some(PassedSocket::Tcp(listener)) => Some(listener),
            _ => None,
        }
    }
}

type Given = Result<(Listen, PassedSocket), PassedFault>;

fn listening(given: &mut ListenFd, index: usize) -> io::Result<Given> {
    let absent = || io::Error::from(io::ErrorKind::InvalidInput);
    let (address, socket) = match given.take_tcp_listener(index) {
        Ok(listener) => {
            let listener = listener.ok_or_else(absent)?;
            (Listen::Tcp(listener.local_addr()?), PassedSocket::Tcp(listener))
        }
        Err(_) => {
            let listener = given.take_unix_listener(index)?.ok_or_else(absent)?;
            let path = listener.local_addr()?.as_pathname().ok_or_else(absent)?.to_owned();
            (Listen::Unix(path), PassedSocket::Unix(listener))
        }
    };
    let (listens, reuses) = match &socket {
        PassedSocket::Tcp(listener) => {
            let socket = SockRef::from(listener);
            (socket.is_listener()?, socket.reuse_port()?)
        }
        PassedSocket::Unix(listener) => (SockRef::from(listener).is_listener()?, false),
    };
    if !listens {
        return Err(absent());
    }
    Ok(if reuses { Err(PassedFault::Shared(shown(&address))) } else { Ok((address, socket)) })
}

fn are_same(bound: &Listen, wanted: &Listen) -> bool {
    match (bound, wanted) {
        (Listen::Tcp(bound), Listen::Tcp(wanted)) => {
            (bound.ip(), bound.port()) == (wanted.ip(), wanted.port())
        }
        (Listen::Unix(bound), Listen::Unix(wanted)) => {
            // /var/run and /run are one.
            let real = std::fs::canonicalize;
            bound == wanted
                || matches!((real(bound), real(wanted)), (Ok(bound), Ok(wanted)) if bound == wanted)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    fn passed(address: &str) -> Passed {
        let listener = TcpListener::bind(address).unwrap();
        Passed { sockets: vec![(Listen::Tcp(listener.local_addr().unwrap()), PassedSocket::Tcp(listener))] }
    }

    fn config(data: &str, ops: &str) -> Config {
        let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let overrides = vec![set("data.listen", data), set("ops.listen", ops), set("audit.output", "stdout")];
        let source = Source { path: "config/minimal.toml".into(), overrides, ..Source::default() };
        load(&source).unwrap_or_else(|faults| panic!("{faults}")).config
    }

    #[test]
    fn a_passed_socket_belongs_to_the_address_that_it_is_bound_to() {
        let mut passed = passed("127.0.0.1:0");
        let Listen::Tcp(address) = passed.sockets[0].0 else { panic!("not TCP") };
        assert!(passed.expect_wanted(&config(&format!("[\"{address}\"]"), "off")).is_ok());
        assert!(passed.expect_wanted(&config("[\"127.0.0.1:1\"]", &address.to_string())).is_ok());
        let fault = passed.expect_wanted(&config("[\"127.0.0.1:1\"]", "127.0.0.1:2")).unwrap_err();
        let told = format!(
            "a socket on {address} was passed, and neither data.listen nor ops.listen has this address"
        );
        assert_eq!(fault.to_string(), told);
        assert!(passed.has(&Listen::Tcp(address)));
        assert!(passed.tcp_on(address).is_some());
        assert!(passed.tcp_on(address).is_none(), "it is used once");
    }
}
