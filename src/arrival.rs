//! What does the server hand to the stack?

use std::net::IpAddr;

use crate::audit::PeerKind;

/// A request with what is known of the connection it came on.
pub struct Arrival<B> {
    /// As hyper read it.
    pub request: http::Request<B>,
    /// Who is at the other end.
    pub peer: Peer,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP connection.
    Tcp {
        /// Of the peer.
        address: IpAddr,
        /// Whether the listener is bound to a loopback address.
        loopback_listener: bool,
    },
    /// A unix socket.
    Unix {
        /// User id by `SO_PEERCRED`.
        uid: u32,
    },
}

impl Peer {
    /// From where the request came.
    #[must_use]
    pub fn kind(&self) -> PeerKind {
        match self {
            Self::Tcp { address, .. } if address.is_loopback() => PeerKind::Loopback,
            Self::Tcp { .. } => PeerKind::Remote,
            Self::Unix { .. } => PeerKind::Unix,
        }
    }
}
