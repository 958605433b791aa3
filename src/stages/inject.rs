//! Are the credentials in?

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;

use super::Recorded;
use super::receive::Hold;
use crate::audit::CredentialUse;
use crate::config::Config;
use crate::credentials::{Credentials, Version};
use crate::ids::{CallerId, EndpointId, ServiceId};
use crate::json::Document;
use crate::reject::Reject;
use crate::splice::splice;
use crate::stage::Stage;
use crate::track::{Step, Track, Tracks};

/// A request that carries credentials and may be sent. Made only here.
///
/// Its body is two slices: the pre-escaped credential members, and the caller's own bytes after their
/// opening brace.
pub struct Sealed {
    pub(super) track: Track,
    pub(super) caller: CallerId,
    pub(super) endpoint: EndpointId,
    pub(super) service: ServiceId,
    pub(super) credential: CredentialUse,
    pub(super) version: Arc<Version>,
    pub(super) document: Document,
    pub(super) parts: [Bytes; 2],
    pub(super) hold: Hold,
    /// Body bytes handed to a connection, over all attempts.
    pub(super) sent: Arc<AtomicU64>,
}

impl Tracks for Sealed {
    fn track(&self) -> &Track {
        &self.track
    }
}

/// Puts one version of the caller's credentials in front of the caller's bytes.
#[derive(Clone)]
pub struct Inject {
    config: Arc<Config>,
    credentials: Arc<Credentials>,
}

impl Inject {
    /// Injects `credentials` as `config` assigns them to callers.
    #[must_use]
    pub fn new(config: Arc<Config>, credentials: Arc<Credentials>) -> Self {
        Self { config, credentials }
    }
}

impl Stage<Recorded> for Inject {
    type Next = Sealed;
    const STEP: Step = Step::Inject;

    fn advance(&self, recorded: Recorded) -> Result<Sealed, Reject> {
        let (track, caller, endpoint, service, hold, document) = recorded.into_parsed().into_parts();
        let id = self.config.callers.get(usize::from(caller.0)).ok_or(Reject::Internal)?.credentials;
        let version = self.credentials.of(id).ok_or(Reject::Internal)?.usable()?;
        let credential = CredentialUse { credential: id, version: version.number };
        track.note(|record| record.credential = Some(credential));
        let parts = splice(&version.prefix, &document);
        Ok(Sealed {
            track,
            caller,
            endpoint,
            service,
            credential,
            version,
            document,
            parts,
            hold,
            sent: Arc::default(),
        })
    }
}
