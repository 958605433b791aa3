//! Which version of a credential pair is injected, and when is it held back?

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::audit::{self, Class, CredentialState, Writer};
use crate::config::{self, Config, Pair, SecretRef, Secrets};
use crate::digest::sha256;
use crate::ids::CredentialId;
use crate::limits::NamedLimiter;
use crate::reject::{Limit, Reject};
use crate::splice::{NotText, Prefix};
use crate::upstream::Needles;

/// After a rejection the first request to try again is let through after this.
const FIRST_PROBE: Duration = Duration::from_secs(30);
/// The pause between probes doubles up to this.
const SLOWEST_PROBE: Duration = Duration::from_secs(15 * 60);

/// Where only one of user and password changed, the other may be about to follow: it is waited for so long.
const OTHER_FOLLOWS: Duration = Duration::from_secs(1);

/// Every pair of one configuration, with the version in use. What becomes of a version is recorded.
pub struct Credentials {
    pairs: Box<[Credential]>,
    writer: Arc<Writer>,
}

/// One configured pair.
pub struct Credential {
    name: Box<str>,
    user: SecretRef,
    pass: SecretRef,
    next: Option<[SecretRef; 2]>,
    held: Arc<Held>,
    limiter: Option<Arc<NamedLimiter>>,
}

/// What is known of a pair; shared by all configurations that refer to the same source.
struct Held {
    first: ArcSwap<Version>,
    /// Of the second pair, where there is one.
    next: ArcSwapOption<Version>,
    /// Of the newest version, whichever configuration read it.
    newest: Arc<AtomicU32>,
    /// What was read, and since when, while the other half is waited for.
    half: Mutex<Option<([u8; 32], Instant)>>,
}

/// What was read of a source.
#[derive(Clone, Copy)]
struct Read<'r> {
    first: &'r Pair,
    next: Option<&'r Pair>,
}

/// What came of reading a source again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reread {
    /// It holds what it held.
    Same,
    /// A new version is in use.
    Renewed,
    /// One of user and password changed, and the other is waited for.
    Half,
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
    /// Of user and password each.
    halves: [[u8; 32]; 2],
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
        let pairs = each(config, secrets).map(|(configured, read)| Credential::new(configured, read));
        let credentials = Self { pairs: pairs.collect::<Result<_, _>>()?, writer };
        credentials.iter().for_each(|pair| credentials.tell_current(pair));
        Ok(credentials)
    }

    /// The pairs of `config`, which follows. A pair of the same name, the same source and the same secrets goes on
    /// with its version, suspended or not; any other begins a new version.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn succeeded_by(&self, config: &Config, secrets: &Secrets) -> Result<Self, NotText> {
        let pairs = each(config, secrets).map(|(configured, read)| {
            match self.iter().find(|known| known.name == configured.name) {
                Some(known) => known.succeeded_by(configured, read),
                None => Credential::new(configured, read),
            }
        });
        Ok(Self { pairs: pairs.collect::<Result<_, _>>()?, writer: Arc::clone(&self.writer) })
    }

    /// Tells the writer of the versions that came into use with these pairs, after those of `before`.
    pub fn announce(&self, before: &Self) {
        let was_used = |pair: &&Credential| before.iter().any(|known| Arc::ptr_eq(&known.held, &pair.held));
        self.iter().filter(|pair| !was_used(pair)).for_each(|pair| self.tell_current(pair));
    }

    /// The pair of that id.
    #[must_use]
    pub fn of(&self, id: CredentialId) -> Option<&Credential> {
        self.pairs.get(usize::from(id.0))
    }

    /// Reads the source of a pair again; `true` when it holds a new version, which is then in use.
    ///
    /// A source that cannot be read leaves the version in use as it is. Blocks on the file system.
    pub fn reread(&self, id: CredentialId) -> bool {
        self.of(id).is_some_and(|credential| self.read(credential, Credential::renew) == Reread::Renewed)
    }

    /// As [`reread`](Self::reread), after a change of its files. Two files that are written one after the other are a
    /// mixed pair in between: where one changed alone, it is waited for the other, for a second.
    pub fn reread_whole(&self, id: CredentialId) -> Reread {
        self.of(id).map_or(Reread::Same, |credential| self.read(credential, Credential::renew_whole))
    }

    fn read(
        &self,
        credential: &Credential,
        renew: fn(&Credential, &Pair) -> Result<Reread, NotText>,
    ) -> Reread {
        credential.read_next();
        let name = &*credential.name;
        match Pair::read(&credential.user, &credential.pass) {
            Ok(pair) => {
                let reread = renew(credential, &pair).unwrap_or_else(|fault| {
                    tracing::error!(credential = name, %fault, "the credentials cannot be used");
                    Reread::Same
                });
                if reread == Reread::Renewed {
                    self.tell_current(credential);
                }
                reread
            }
            Err(fault) => {
                tracing::error!(credential = name, %fault, "the credentials cannot be read again");
                Reread::Same
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
            if credential.current().number != version.number {
                self.tell_current(credential);
            }
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

    fn tell_current(&self, credential: &Credential) {
        self.tell(credential, credential.current().number, CredentialState::Current);
    }

    fn tell(&self, credential: &Credential, version: u32, state: CredentialState) {
        // There are few, and without them it cannot be said what a request was sent with.
        self.writer.send(Class::Required, &audit::credentials(&credential.name, version, state));
    }
}

/// Each configured pair with its secrets.
fn each<'c>(
    config: &'c Config,
    secrets: &'c Secrets,
) -> impl Iterator<Item = (&'c config::Credential, Read<'c>)> {
    let pairs = (0_u16..).map(CredentialId).zip(config.credentials.iter());
    pairs.filter_map(|(id, configured)| {
        Some((configured, Read { first: secrets.pair(id)?, next: secrets.next_pair(id) }))
    })
}

impl Credential {
    fn new(configured: &config::Credential, read: Read<'_>) -> Result<Self, NotText> {
        let limiter = |rate| Arc::new(NamedLimiter::new(Limit::Account, rate));
        let held = Arc::new(Held::new(Arc::default(), read)?);
        Ok(Self::of(configured, held, configured.rate.map(limiter)))
    }

    fn succeeded_by(&self, configured: &config::Credential, read: Read<'_>) -> Result<Self, NotText> {
        let limiter = |rate| match &self.limiter {
            Some(limiter) => limiter.succeeded_by(rate),
            None => Arc::new(NamedLimiter::new(Limit::Account, rate)),
        };
        let same_source =
            (&self.user, &self.pass, &self.next) == (&configured.user, &configured.pass, &configured.next);
        let held = if same_source && self.held.is_of(read) {
            Arc::clone(&self.held)
        } else {
            // Not put in use here: until the configuration is in force, nothing may be sent with it.
            Arc::new(self.held.succeeded_by(read)?)
        };
        Ok(Self::of(configured, held, configured.rate.map(limiter)))
    }

    fn of(configured: &config::Credential, held: Arc<Held>, limiter: Option<Arc<NamedLimiter>>) -> Self {
        let config::Credential { name, user, pass, next, .. } = configured;
        Self { name: name.clone(), user: user.clone(), pass: pass.clone(), next: next.clone(), held, limiter }
    }

    /// The name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version in use, if it may be used now.
    ///
    /// # Errors
    ///
    /// [`Reject::CredentialsUnavailable`] while it is suspended.
    pub fn usable(&self) -> Result<Arc<Version>, Reject> {
        let version = self.current();
        let Err(refusal) = version.suspension.admit() else { return Ok(version) };
        // While both are suspended, each has its probes: either may be the one that DCAMS accepts first.
        let other = self.held.next.load_full().filter(|next| next.number != version.number);
        other.filter(|next| next.suspension.admit().is_ok()).ok_or(refusal)
    }

    /// The version in use, suspended or not: of the second pair while the first is suspended and the second is not.
    #[must_use]
    pub fn current(&self) -> Arc<Version> {
        let first = self.held.first.load_full();
        let other = || self.held.next.load_full().filter(|next| !next.is_suspended());
        if first.is_suspended() { other().unwrap_or(first) } else { first }
    }

    /// Charges the account's limit, all callers together.
    ///
    /// # Errors
    ///
    /// [`Reject::RateLimited`].
    pub fn charge_account(&self) -> Result<(), Reject> {
        self.limiter.as_ref().map_or(Ok(()), |limiter| limiter.charge())
    }

    /// Puts `pair` in use when it differs from the current version.
    ///
    /// # Errors
    ///
    /// [`NotText`]; the current version stays.
    pub fn renew(&self, pair: &Pair) -> Result<Reread, NotText> {
        *self.half() = None;
        let read = digest(pair);
        if read == self.held.first.load().digest {
            return Ok(Reread::Same);
        }
        // What came next has come: it is the same version, suspended or not.
        let promoted = self.held.next.load_full().filter(|next| next.digest == read);
        let version = match promoted {
            Some(version) => version,
            None => Arc::new(Version::new(next(&self.held.newest), pair)?),
        };
        self.held.first.store(version);
        Ok(Reread::Renewed)
    }

    /// Keeps `pair` as the second one when it differs from what was read before.
    fn renew_next(&self, pair: &Pair) -> Result<(), NotText> {
        let read = digest(pair);
        let known = [self.held.next.load_full(), Some(self.held.first.load_full())];
        let known = known.into_iter().flatten().find(|known| known.digest == read);
        let version = match known {
            Some(version) => version,
            None => Arc::new(Version::new(next(&self.held.newest), pair)?),
        };
        self.held.next.store(Some(version));
        Ok(())
    }

    /// Reads the source of the second pair, where there is one.
    fn read_next(&self) {
        let Some([user, pass]) = &self.next else { return };
        let credential = &*self.name;
        match Pair::read(user, pass) {
            Ok(pair) => {
                if let Err(fault) = self.renew_next(&pair) {
                    tracing::error!(credential, %fault, "the second pair of credentials cannot be used");
                }
            }
            Err(fault) => {
                tracing::error!(credential, %fault, "the second pair of credentials cannot be read")
            }
        }
    }

    fn renew_whole(&self, pair: &Pair) -> Result<Reread, NotText> {
        let (now, before) = (halves(pair), self.held.first.load().halves);
        let changed = now.iter().zip(&before).filter(|(now, before)| now != before).count();
        if changed == 1 {
            let read = digest(pair);
            let mut half = self.half();
            let since =
                half.filter(|(known, _)| *known == read).map_or_else(Instant::now, |(_, since)| since);
            if since.elapsed() < OTHER_FOLLOWS {
                *half = Some((read, since));
                return Ok(Reread::Half);
            }
        }
        self.renew(pair)
    }

    fn half(&self) -> MutexGuard<'_, Option<([u8; 32], Instant)>> {
        self.held.half.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn new(newest: Arc<AtomicU32>, read: Read<'_>) -> Result<Self, NotText> {
        Self::with(newest, read, &[])
    }

    /// With what was `read` for another configuration. A pair that is held already stays the same version, suspended
    /// or not.
    fn succeeded_by(&self, read: Read<'_>) -> Result<Self, NotText> {
        let known: Vec<_> =
            [Some(self.first.load_full()), self.next.load_full()].into_iter().flatten().collect();
        Self::with(Arc::clone(&self.newest), read, &known)
    }

    fn with(newest: Arc<AtomicU32>, read: Read<'_>, known: &[Arc<Version>]) -> Result<Self, NotText> {
        let version = |pair: &Pair| {
            let read = digest(pair);
            match known.iter().find(|version| version.digest == read) {
                Some(version) => Ok(Arc::clone(version)),
                None => Version::new(next(&newest), pair).map(Arc::new),
            }
        };
        let first = version(read.first)?;
        let second = match read.next {
            Some(pair) if digest(pair) == first.digest => Some(Arc::clone(&first)),
            Some(pair) => Some(version(pair)?),
            None => None,
        };
        let (first, next) = (ArcSwap::new(first), ArcSwapOption::new(second));
        Ok(Self { first, next, newest, half: Mutex::new(None) })
    }

    /// Whether nothing else was `read` than what is held.
    fn is_of(&self, read: Read<'_>) -> bool {
        let next = self.next.load().as_ref().map(|version| version.digest);
        self.first.load().digest == digest(read.first) && next == read.next.map(digest)
    }
}

fn next(newest: &AtomicU32) -> u32 {
    newest.fetch_add(1, Ordering::AcqRel).saturating_add(1)
}

impl Version {
    fn new(number: u32, pair: &Pair) -> Result<Self, NotText> {
        Ok(Self {
            number,
            since: Instant::now(),
            prefix: Prefix::new(&pair.user, &pair.pass)?,
            needles: Needles::of(&pair.pass),
            digest: digest(pair),
            halves: halves(pair),
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

fn halves(Pair { user, pass }: &Pair) -> [[u8; 32]; 2] {
    [user, pass].map(|secret| sha256([secret.expose()]))
}

/// Of both secrets with their lengths, so that no other pair gives the same.
fn digest(Pair { user, pass }: &Pair) -> [u8; 32] {
    let lengths = [user, pass].map(|secret| (secret.expose().len() as u64).to_le_bytes());
    sha256([&lengths[0][..], user.expose(), &lengths[1][..], pass.expose()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn pair(pass: &str) -> Pair {
        Pair { user: Secret::new(b"user".to_vec()), pass: Secret::new(pass.as_bytes().to_vec()) }
    }

    fn configured(source: &str) -> config::Credential {
        let reference = |what: &str| SecretRef::File(format!("{source}/{what}").into());
        config::Credential {
            name: "pair".into(),
            user: reference("user"),
            pass: reference("pass"),
            next: None,
            rate: None,
        }
    }

    fn read(pair: &Pair) -> Read<'_> {
        Read { first: pair, next: None }
    }

    fn version() -> Version {
        Version::new(1, &pair("a long password")).unwrap()
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
        let credential = Credential::new(&configured("/a"), read(&pair("a long password"))).unwrap();
        assert_eq!(credential.renew(&pair("a long password")), Ok(Reread::Same));
        assert_eq!(credential.renew(&pair("another password")), Ok(Reread::Renewed));
        assert_eq!(credential.current().number, 2);
    }

    #[test]
    fn half_of_a_new_pair_is_not_used_before_the_other_half_had_its_time() {
        let credential = Credential::new(&configured("/a"), read(&pair("a long password"))).unwrap();
        let other_user = |pass: &str| Pair { user: Secret::new(b"other".to_vec()), ..pair(pass) };
        assert_eq!(credential.renew_whole(&other_user("a long password")), Ok(Reread::Half));
        assert_eq!(credential.renew_whole(&other_user("another password")), Ok(Reread::Renewed));
        assert_eq!(credential.renew_whole(&other_user("a third password")), Ok(Reread::Half));
        let long_ago = Instant::now().checked_sub(OTHER_FOLLOWS).unwrap();
        let read = credential.half().take().map(|(read, _)| (read, long_ago));
        *credential.half() = read;
        assert_eq!(credential.renew_whole(&other_user("a third password")), Ok(Reread::Renewed));
        assert_eq!(credential.current().number, 3);
    }

    #[test]
    fn a_pair_goes_on_in_the_next_configuration_unless_its_source_or_secrets_changed() {
        let credential = Credential::new(&configured("/a"), read(&pair("a long password"))).unwrap();
        credential.current().suspension.begin();
        let same = credential.succeeded_by(&configured("/a"), read(&pair("a long password"))).unwrap();
        assert!(Arc::ptr_eq(&same.current(), &credential.current()), "suspended as it was");
        let other = credential.succeeded_by(&configured("/a"), read(&pair("another password"))).unwrap();
        assert_eq!((other.current().number, other.current().is_suspended()), (2, false));
        let moved = credential.succeeded_by(&configured("/b"), read(&pair("a long password"))).unwrap();
        assert!(Arc::ptr_eq(&moved.current(), &credential.current()), "the account must not be locked out");
        let second = pair("another password");
        let first = pair("a long password");
        let more =
            credential.succeeded_by(&configured("/b"), Read { first: &first, next: Some(&second) }).unwrap();
        assert_eq!((more.current().number, credential.current().number), (3, 1), "a second pair is used");
        assert!(more.held.first.load().is_suspended(), "and the rejected one is not sent again for it");
        assert_eq!(credential.current().number, 1, "and the configuration in force is as it was");
    }

    #[test]
    fn the_second_pair_is_used_while_the_first_is_suspended_and_is_the_same_version_when_it_takes_its_place()
    {
        let (first, next) = (pair("a long password"), pair("another password"));
        let source = Read { first: &first, next: Some(&next) };
        let credential = Credential::new(&configured("/a"), source).unwrap();
        assert_eq!(credential.usable().map(|version| version.number), Ok(1));
        credential.current().suspension.begin();
        assert_eq!(credential.usable().map(|version| version.number), Ok(2));
        assert_eq!(credential.renew(&next), Ok(Reread::Renewed));
        assert_eq!((credential.current().number, credential.current().is_suspended()), (2, false));
        credential.current().suspension.begin();
        assert!(credential.usable().is_err(), "both are one version now");
    }
}
