//! Who is calling?

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request};
use jiff::Timestamp;

use super::Tracked;
use crate::arrival::Peer;
use crate::audit::IdentifiedBy;
use crate::config::Config;
use crate::digest::{first, sha256};
use crate::ids::CallerId;
use crate::reject::Reject;
use crate::stage::Stage;
use crate::track::{Step, Track, Tracks};

/// The user id that the kernel shows for users it cannot name (a user namespace without a mapping):
/// it could be anybody.
const OVERFLOW_UID: u32 = 65_534;
/// Longer than any key that `hash-key` makes.
const MAX_KEY_BYTES: usize = 256;

/// A request whose caller is known. Made only here.
pub struct Identified<B> {
    track: Track,
    caller: CallerId,
    peer: Peer,
    request: Request<B>,
}

impl<B> Identified<B> {
    pub(super) fn into_parts(self) -> (Track, CallerId, Peer, Request<B>) {
        (self.track, self.caller, self.peer, self.request)
    }
}

impl<B> Tracks for Identified<B> {
    fn track(&self) -> &Track {
        &self.track
    }
}

/// Knows callers by bearer key, by user id on a unix socket, or as the anonymous caller.
#[derive(Clone)]
pub struct Identify(Arc<Directory>);

struct Directory {
    keys: Keys,
    uids: Box<[(u32, CallerId)]>,
    anonymous: Option<CallerId>,
}

/// Keys by the beginning of their hash, so that a thousand callers cost no more than one. What the time of a lookup
/// could tell of a hash's beginning helps nobody: to find a key for it takes 2^64 tries, and the rest is compared in
/// constant time.
#[derive(Default)]
struct Keys(HashMap<[u8; 8], Vec<Key>>);

struct Key {
    sha256: [u8; 32],
    expires: Option<Timestamp>,
    caller: CallerId,
    /// Position in the caller's list.
    index: u16,
}

impl Identify {
    /// Knows the callers of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let callers = || (0_u16..).map(CallerId).zip(config.callers.iter());
        let keys = callers().flat_map(|(id, caller)| {
            (0_u16..).zip(caller.known_by.keys.iter()).map(move |(index, key)| Key {
                sha256: key.sha256,
                expires: key.expires,
                caller: id,
                index,
            })
        });
        Self(Arc::new(Directory {
            keys: Keys::of(keys),
            uids: callers().filter_map(|(id, caller)| caller.known_by.uid.map(|uid| (uid, id))).collect(),
            anonymous: callers().find(|(_, caller)| caller.known_by.anonymous).map(|(id, _)| id),
        }))
    }
}

impl<B> Stage<Tracked<B>> for Identify {
    type Next = Identified<B>;
    const STEP: Step = Step::Identify;

    fn advance(&self, tracked: Tracked<B>) -> Result<Identified<B>, Reject> {
        let found = self.0.find(tracked.request().headers(), tracked.peer());
        let (caller, by) = found.ok_or(Reject::Unauthenticated)?;
        let (track, peer, request) = tracked.into_parts();
        track.note(|record| {
            record.caller = Some(caller);
            record.identified_by = Some(by);
        });
        Ok(Identified { track, caller, peer, request })
    }
}

impl Directory {
    /// A key that is sent decides alone: a wrong one never falls back to another identity.
    fn find(&self, headers: &HeaderMap, peer: Peer) -> Option<(CallerId, IdentifiedBy)> {
        if headers.contains_key(AUTHORIZATION) {
            return self.by_key(bearer(headers)?);
        }
        let by_uid = match peer {
            Peer::Unix { uid } if uid != OVERFLOW_UID => {
                self.uids.iter().find(|(known, _)| *known == uid).map(|(_, id)| (*id, IdentifiedBy::Uid(uid)))
            }
            _ => None,
        };
        by_uid.or_else(|| self.anonymous(peer))
    }

    fn by_key(&self, key: &[u8]) -> Option<(CallerId, IdentifiedBy)> {
        let valid = |known: &&Key| known.expires.is_none_or(|expires| Timestamp::now() < expires);
        let found = self.keys.find(&key_hash(key)).filter(valid);
        found.map(|known| (known.caller, IdentifiedBy::Key(known.index)))
    }

    fn anonymous(&self, peer: Peer) -> Option<(CallerId, IdentifiedBy)> {
        let local = match peer {
            Peer::Tcp { address, loopback_listener } => address.is_loopback() && loopback_listener,
            Peer::Unix { uid } => uid != OVERFLOW_UID,
        };
        self.anonymous.filter(|_| local).map(|id| (id, IdentifiedBy::Anonymous))
    }
}

impl Keys {
    fn of(keys: impl Iterator<Item = Key>) -> Self {
        let mut known = Self::default();
        keys.for_each(|key| known.0.entry(first(&key.sha256)).or_default().push(key));
        known
    }

    fn find(&self, hash: &[u8; 32]) -> Option<&Key> {
        let mut alike = self.0.get(&first::<8>(hash)).into_iter().flatten();
        alike.find(|known| verify_slices_are_equal(&known.sha256, hash).is_ok())
    }
}

/// The token of the one `Authorization: Bearer` header; `None` for any other form or number.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    let well_formed = scheme.eq_ignore_ascii_case(b"Bearer ")
        && (1..=MAX_KEY_BYTES).contains(&token.len())
        && token.iter().all(u8::is_ascii_graphic);
    well_formed.then_some(token)
}

/// How a key is stored: SHA-256 of its text. The keys are 256-bit random, so no slow hash is needed.
#[must_use]
pub fn key_hash(key: &[u8]) -> [u8; 32] {
    sha256([key])
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use http::HeaderValue;

    use super::*;

    const LOOPBACK: Peer = Peer::Tcp { address: IpAddr::V4(Ipv4Addr::LOCALHOST), loopback_listener: true };

    fn directory() -> Directory {
        let key = |text: &str, caller, expires| Key {
            sha256: key_hash(text.as_bytes()),
            expires,
            caller,
            index: 0,
        };
        Directory {
            keys: Keys::of(
                [
                    key("first", CallerId(0), None),
                    key("second", CallerId(1), None),
                    key("old", CallerId(1), Some(Timestamp::UNIX_EPOCH)),
                ]
                .into_iter(),
            ),
            uids: [(1000, CallerId(2))].into(),
            anonymous: Some(CallerId(3)),
        }
    }

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_key_names_its_caller() {
        let found = directory().find(&headers(&["bearer second"]), LOOPBACK);
        assert_eq!(found, Some((CallerId(1), IdentifiedBy::Key(0))));
    }

    #[test]
    fn a_hash_that_only_begins_like_that_of_a_key_is_none() {
        let known = |sha256, caller| Key { sha256, expires: None, caller, index: 0 };
        let hash = |last| std::array::from_fn(|at| if at == 31 { last } else { 7 });
        let keys = Keys::of([known(hash(1), CallerId(0)), known(hash(2), CallerId(1))].into_iter());
        let found = |last| keys.find(&hash(last)).map(|key| key.caller);
        assert_eq!([found(1), found(2), found(3)], [Some(CallerId(0)), Some(CallerId(1)), None]);
    }

    #[test]
    fn a_wrong_key_never_falls_back_to_another_identity() {
        let refused = [
            &["Bearer wrong"][..],
            &["Bearer old"],
            &["Basic first"],
            &["Bearer"],
            &["Bearer "],
            &["Bearer  first"],
            &["Bearer first", "Bearer second"],
            &["Bearer first", "Bearer first"],
        ];
        for values in refused {
            for peer in [LOOPBACK, Peer::Unix { uid: 1000 }] {
                assert_eq!(directory().find(&headers(values), peer), None, "{values:?}");
            }
        }
    }

    #[test]
    fn without_a_key_the_uid_decides_and_then_the_anonymous_caller() {
        let none = HeaderMap::new();
        let found = |peer| directory().find(&none, peer);
        assert_eq!(found(Peer::Unix { uid: 1000 }), Some((CallerId(2), IdentifiedBy::Uid(1000))));
        assert_eq!(found(LOOPBACK), Some((CallerId(3), IdentifiedBy::Anonymous)));
        assert_eq!(found(Peer::Unix { uid: OVERFLOW_UID }), None);
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(found(Peer::Tcp { address, loopback_listener: true }), None);
    }
}
