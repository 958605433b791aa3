//! Which version of a credential pair is injected, and when is it held back?

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::audit::{self, Class, CredentialState, Writer};
use crate::config::{Config, Pair, Secrets};
use crate::digest::sha256;
use crate::ids::CredentialId;
use crate::limits::NamedLimiter;
use crate::reject::{Limit, Reject};
use crate::secret::Secret;
use crate::splice::{NotText, Prefix};
use crate::upstream::Needles;

/// After a rejection the first request to try again is let through after this.
const FIRST_PROBE: Duration = Duration::from_secs(30);
/// The pause between probes doubles up to this.
const SLOWEST_PROBE: Duration = Duration::from_secs(15 * 60);

/// How often the source of a suspended pair is read again.
const REREAD_EVERY: Duration = Duration::from_secs(2);

/// Every configured pair, with the version in use. What becomes of a version is recorded.
pub struct Credentials {
    pairs: Box<[Credential]>,
    writer: Arc<Writer>,
}

/// One configured pair.
pub struct Credential {
    name: Box<str>,
    current: ArcSwap<Version>,
    limiter: Option<NamedLimiter>,
}

/// `user` and `pass` as they were read together, and what follows from them.
pub struct Version {
    /// From 1, counted per pair.
    pub number: u32,
    /// When it was read.
    pub since: Instant,
    /// What is put in front of a body.
    pub prefix: Prefix,
    /// What no answer may hold.
    pub needles: Needles,
    /// To see whether a source that is read again holds anything new.
    digest: [u8; 32],
    suspension: Suspension,
}

/// A version that DCAMS rejected is held back, so that the account is not locked out; one request
/// after each pause probes it.
struct Suspension {
    suspended: AtomicBool,
    /// Since `epoch`, milliseconds.
    probe_at_ms: AtomicU64,
    rejected_probes: AtomicU32,
    epoch: Instant,
    probe: Mutex<()>,
}

impl Credentials {
    /// Prepares the first version of every pair, and tells `writer` of it.
    ///
    /// # Errors
    ///
    /// [`NotText`] when a secret is not UTF-8, which JSON could not carry unchanged.
    pub fn new(config: &Config, secrets: &Secrets, writer: Arc<Writer>) -> Result<Self, NotText> {
        let pairs = (0_u16..).map(CredentialId).zip(config.credentials.iter());
        let pairs = pairs
            .filter_map(|(id, configured)| Some((configured, secrets.pair(id)?)))
            .map(|(configured, Pair { user, pass })| {
                Ok(Credential {
                    name: configured.name.clone(),
                    current: ArcSwap::from_pointee(Version::new(1, user, pass)?),
                    limiter: configured.rate.map(|rate| NamedLimiter::new(Limit::Account, rate)),
                })
            })
            .collect::<Result<_, _>>()?;
        let credentials = Self { pairs, writer };
        for pair in credentials.iter() {
            credentials.tell(pair, pair.current().number, CredentialState::Current);
        }
        Ok(credentials)
    }

    /// The pair of that id.
    #[must_use]
    pub fn of(&self, id: CredentialId) -> Option<&Credential> {
        self.pairs.get(usize::from(id.0))
    }

    /// Reads the source of a pair again; `true` when it holds a new version, which is then in use.
    ///
    /// A source that cannot be read leaves the version in use as it is. Blocks on the file system.
    pub fn reread(&self, config: &Config, id: CredentialId) -> bool {
        let source = config.credentials.get(usize::from(id.0));
        let (Some(credential), Some(source)) = (self.of(id), source) else { return false };
        let read = source.user.read().and_then(|user| Ok((user, source.pass.read()?)));
        match read {
            Ok((user, pass)) => {
                let renewed = credential.renew(&user, &pass).unwrap_or(false);
                if renewed {
                    self.tell(credential, credential.current().number, CredentialState::Current);
                }
                renewed
            }
            Err(fault) => {
                tracing::error!(credential = &*source.name, %fault, "the credentials cannot be read again");
                false
            }
        }
    }

    /// Reads the sources of suspended pairs again, for ever: a corrected password is in use seconds after it
    /// was written, without another attempt with the rejected one.
    pub async fn follow_suspended(self: Arc<Self>, config: Arc<Config>) {
        loop {
            tokio::time::sleep(REREAD_EVERY).await;
            let suspended = |credential: &Credential| credential.current().is_suspended();
            for id in
                (0_u16..).map(CredentialId).zip(self.iter()).filter(|(_, it)| suspended(it)).map(|(id, _)| id)
            {
                let (credentials, config) = (Arc::clone(&self), Arc::clone(&config));
                let reread = tokio::task::spawn_blocking(move || credentials.reread(&config, id)).await;
                if matches!(reread, Ok(true)) {
                    tracing::info!("a suspended pair of credentials was replaced by a new version");
                }
            }
        }
    }

    /// Every pair, in the order of [`CredentialId`].
    pub fn iter(&self) -> impl Iterator<Item = &Credential> {
        self.pairs.iter()
    }

    /// DCAMS rejected this version: it is held back.
    pub fn rejected(&self, id: CredentialId, version: &Version) {
        if version.suspension.begin()
            && let Some(credential) = self.of(id)
        {
            self.tell(credential, version.number, CredentialState::Suspended);
        }
    }

    /// DCAMS accepted this version: a suspension ends. Whether there was one.
    pub fn accepted(&self, id: CredentialId, version: &Version) -> bool {
        let ended = version.suspension.end();
        if let Some(credential) = self.of(id).filter(|_| ended) {
            self.tell(credential, version.number, CredentialState::Accepted);
        }
        ended
    }

    fn tell(&self, credential: &Credential, version: u32, state: CredentialState) {
        // There are few, and without them it cannot be said what a request was sent with.
        self.writer.send(Class::Required, &audit::credentials(&credential.name, version, state));
    }
}

impl Credential {
    /// The version in use, if it may be used now.
    ///
    /// # Errors
    ///
    /// [`Reject::CredentialsUnavailable`] while it is suspended.
    pub fn usable(&self) -> Result<Arc<Version>, Reject> {
        let version = self.current.load_full();
        version.suspension.admit()?;
        Ok(version)
    }

    /// The version in use, suspended or not.
    #[must_use]
    pub fn current(&self) -> Arc<Version> {
        self.current.load_full()
    }

    /// Charges the account's limit, all callers together.
    ///
    /// # Errors
    ///
    /// [`Reject::RateLimited`].
    pub fn charge_account(&self) -> Result<(), Reject> {
        self.limiter.as_ref().map_or(Ok(()), NamedLimiter::charge)
    }

    /// Puts `user` and `pass` in use when they differ from the current version; `true` when they did.
    ///
    /// # Errors
    ///
    /// [`NotText`]; the current version stays.
    pub fn renew(&self, user: &Secret, pass: &Secret) -> Result<bool, NotText> {
        let current = self.current.load();
        if digest(user, pass) == current.digest {
            return Ok(false);
        }
        self.current.store(Arc::new(Version::new(current.number + 1, user, pass)?));
        Ok(true)
    }
}

impl Version {
    fn new(number: u32, user: &Secret, pass: &Secret) -> Result<Self, NotText> {
        Ok(Self {
            number,
            since: Instant::now(),
            prefix: Prefix::new(user, pass)?,
            needles: Needles::of(pass),
            digest: digest(user, pass),
            suspension: Suspension::none(),
        })
    }

    /// Whether it is held back.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.suspension.is_on()
    }
}

impl Suspension {
    fn none() -> Self {
        Self {
            suspended: AtomicBool::new(false),
            probe_at_ms: AtomicU64::new(0),
            rejected_probes: AtomicU32::new(0),
            epoch: Instant::now(),
            probe: Mutex::new(()),
        }
    }

    /// Holds back from now on, and for twice as long each time a probe is rejected. Whether it begins here.
    fn begin(&self) -> bool {
        let _one_at_a_time = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        let rejected_before = if self.suspended.load(Ordering::Acquire) {
            self.rejected_probes.fetch_add(1, Ordering::AcqRel).saturating_add(1).min(8)
        } else {
            self.rejected_probes.store(0, Ordering::Release);
            0
        };
        let pause = FIRST_PROBE.saturating_mul(1 << rejected_before).min(SLOWEST_PROBE);
        self.probe_at_ms.store(self.now_ms() + millis(pause), Ordering::Release);
        !self.suspended.swap(true, Ordering::AcqRel)
    }

    /// Whether there was one.
    fn end(&self) -> bool {
        self.is_on() && self.suspended.swap(false, Ordering::AcqRel)
    }

    fn is_on(&self) -> bool {
        self.suspended.load(Ordering::Acquire)
    }

    /// Lets everything pass while there is no suspension, and one request after each pause while
    /// there is. A probe that never reaches DCAMS is followed by another after the first pause.
    fn admit(&self) -> Result<(), Reject> {
        if !self.suspended.load(Ordering::Acquire) {
            return Ok(());
        }
        let _one_at_a_time = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, probe_at) = (self.now_ms(), self.probe_at_ms.load(Ordering::Acquire));
        if now < probe_at {
            let retry_after_s = u32::try_from((probe_at - now).div_ceil(1_000)).unwrap_or(u32::MAX);
            return Err(Reject::CredentialsUnavailable { retry_after_s });
        }
        self.probe_at_ms.store(now + millis(FIRST_PROBE), Ordering::Release);
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        millis(self.epoch.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Of both secrets with their lengths, so that no other pair gives the same.
fn digest(user: &Secret, pass: &Secret) -> [u8; 32] {
    let lengths = [user, pass].map(|secret| (secret.expose().len() as u64).to_le_bytes());
    sha256([&lengths[0][..], user.expose(), &lengths[1][..], pass.expose()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Version {
        Version::new(1, &Secret::new(b"user".to_vec()), &Secret::new(b"a long password".to_vec())).unwrap()
    }

    #[test]
    fn a_rejected_version_is_held_back_until_its_probe() {
        let version = version();
        assert_eq!(version.suspension.admit(), Ok(()));
        version.suspension.begin();
        assert!(matches!(
            version.suspension.admit(),
            Err(Reject::CredentialsUnavailable { retry_after_s: 1..=30 })
        ));
        version.suspension.probe_at_ms.store(0, Ordering::Release);
        assert_eq!(version.suspension.admit(), Ok(()), "the probe passes");
        assert!(version.suspension.admit().is_err(), "and only the probe");
        version.suspension.begin();
        assert!(matches!(
            version.suspension.admit(),
            Err(Reject::CredentialsUnavailable { retry_after_s: 31..=60 })
        ));
        version.suspension.end();
        assert_eq!(version.suspension.admit(), Ok(()));
    }

    #[test]
    fn the_same_secrets_read_again_are_no_new_version() {
        let credential =
            Credential { name: "pair".into(), current: ArcSwap::from_pointee(version()), limiter: None };
        let (user, pass) = (Secret::new(b"user".to_vec()), Secret::new(b"a long password".to_vec()));
        assert_eq!(credential.renew(&user, &pass), Ok(false));
        assert_eq!(credential.renew(&user, &Secret::new(b"another password".to_vec())), Ok(true));
        assert_eq!(credential.current().number, 2);
    }
}
