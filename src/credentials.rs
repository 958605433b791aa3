//! Which version of a credential pair is injected, and when is it held back?

mod held;
mod suspension;
mod version;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::audit::{self, Class, CredentialState, Writer};
use crate::config::{self, Config, Pair, Secrets};
use crate::ids::CredentialId;
use crate::limits::NamedLimiter;
use crate::reject::{Limit, Reject};
use crate::splice::NotText;
use held::{Held, Reading};
pub use version::Version;

/// Every pair of one configuration, with the version in use. What becomes of a version is recorded.
pub struct Credentials {
    pairs: Box<[Credential]>,
    writer: Arc<Writer>,
    /// Of all configurations.
    reading: Arc<Mutex<()>>,
}

/// One configured pair.
pub struct Credential {
    name: Box<str>,
    held: Arc<Held>,
    limiter: Option<Arc<NamedLimiter>>,
}

/// What was read of a configured pair.
#[derive(Clone, Copy)]
struct Read<'r> {
    configured: &'r config::Credential,
    first: &'r Pair,
    next: Option<&'r Pair>,
}

/// What came of reading the sources of a pair again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reread {
    /// Another version is in use.
    pub renewed: bool,
    /// One of user and password changed alone: the other is waited for, and the sources are to be read again soon.
    pub half: bool,
}

impl Credentials {
    /// Prepares the first version of every pair, and tells `writer` of it.
    ///
    /// # Errors
    ///
    /// [`NotText`] when a secret is not UTF-8, which JSON could not carry unchanged.
    pub fn new(config: &Config, secrets: &Secrets, writer: Arc<Writer>) -> Result<Self, NotText> {
        let pairs = each(config, secrets).map(Credential::new).collect::<Result<_, _>>()?;
        let credentials = Self { pairs, writer, reading: Arc::default() };
        credentials.iter().for_each(|pair| credentials.tell_current(pair));
        Ok(credentials)
    }

    /// The pairs of `config`, which follows. A pair of the same name, the same source and the same secrets goes on
    /// with its version, suspended or not, and so does one of which half a new pair was read; any other begins a new
    /// version.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn succeeded_by(&self, config: &Config, secrets: &Secrets) -> Result<Self, NotText> {
        let pairs = each(config, secrets).map(|read| {
            match self.iter().find(|known| known.name == read.configured.name) {
                Some(known) => known.succeeded_by(read),
                None => Credential::new(read),
            }
        });
        Ok(Self {
            pairs: pairs.collect::<Result<_, _>>()?,
            writer: Arc::clone(&self.writer),
            reading: Arc::clone(&self.reading),
        })
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

    /// Reads the sources of a pair again and uses what is new and whole of them: where one of user and password changed
    /// alone, it is waited for the other, for a second.
    ///
    /// A source that cannot be read leaves its version in use as it is. Blocks on the file system, and on who else reads.
    pub fn reread(&self, id: CredentialId) -> Option<Reread> {
        let credential = self.of(id)?;
        let _alone = self.reading();
        let before = credential.current().number;
        let readings = credential.held.read(&credential.name);
        let renewed = readings.contains(&Reading::Renewed) && credential.current().number != before;
        if renewed {
            self.tell_current(credential);
        }
        Some(Reread { renewed, half: readings.contains(&Reading::Half) })
    }

    /// To be held by whoever reads a source until what was read is in use: else what was read first could come into
    /// use last, and an old pair come back.
    pub fn reading(&self) -> MutexGuard<'_, ()> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every pair, in the order of [`CredentialId`].
    pub fn iter(&self) -> impl Iterator<Item = &Credential> {
        self.pairs.iter()
    }

    /// DCAMS rejected this version in a request that was sent after `before` rejections: it is held back.
    pub fn rejected(&self, id: CredentialId, version: &Version, before: u64) {
        if version.suspension.begin(before)
            && let Some(credential) = self.of(id)
        {
            self.tell(credential, version.number, CredentialState::Suspended);
            if credential.current().number != version.number {
                self.tell_current(credential);
            }
        }
    }

    /// DCAMS accepted this version in a request that was sent after `before` rejections: a suspension that began before
    /// that ends. Whether there was one.
    pub fn accepted(&self, id: CredentialId, version: &Version, before: u64) -> bool {
        let ended = version.suspension.end(before);
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
fn each<'c>(config: &'c Config, secrets: &'c Secrets) -> impl Iterator<Item = Read<'c>> {
    let pairs = (0_u16..).map(CredentialId).zip(config.credentials.iter());
    pairs.filter_map(|(id, configured)| {
        Some(Read { configured, first: secrets.pair(id)?, next: secrets.next_pair(id) })
    })
}

impl<'r> Read<'r> {
    fn first(&self) -> held::Read<'r> {
        ([self.configured.user.clone(), self.configured.pass.clone()], self.first)
    }

    fn next(&self) -> Option<held::Read<'r>> {
        self.configured.next.clone().zip(self.next)
    }
}

impl Credential {
    fn new(read: Read<'_>) -> Result<Self, NotText> {
        let held = Arc::new(Held::new(read.first(), read.next())?);
        let limiter = |rate| Arc::new(NamedLimiter::new(Limit::Account, rate));
        Ok(Self { name: read.configured.name.clone(), held, limiter: read.configured.rate.map(limiter) })
    }

    fn succeeded_by(&self, read: Read<'_>) -> Result<Self, NotText> {
        let limiter = |rate| match &self.limiter {
            Some(limiter) => limiter.succeeded_by(rate),
            None => Arc::new(NamedLimiter::new(Limit::Account, rate)),
        };
        let held = self.held.succeeded_by(read.first(), read.next())?;
        Ok(Self { name: self.name.clone(), held, limiter: read.configured.rate.map(limiter) })
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
    /// [`Reject::CredentialsUnavailable`] while it is suspended: for a second, where half of another pair was read, which
    /// is used in a second at the latest.
    pub fn usable(&self) -> Result<Arc<Version>, Reject> {
        let version = self.current();
        let Err(refusal) = version.suspension.admit() else { return Ok(version) };
        // While both are suspended, each has its probes: either may be the one that DCAMS accepts first.
        let other = self.next().filter(|next| next.number != version.number);
        other.filter(|next| next.suspension.admit().is_ok()).ok_or_else(|| match self.held.is_half_read() {
            true => Reject::CredentialsUnavailable { retry_after_s: 1 },
            false => refusal,
        })
    }

    /// The version in use, suspended or not: of the second pair while the first is suspended and the second is not.
    #[must_use]
    pub fn current(&self) -> Arc<Version> {
        let first = self.held.first.version();
        let other = || self.next().filter(|next| !next.is_suspended());
        if first.is_suspended() { other().unwrap_or(first) } else { first }
    }

    fn next(&self) -> Option<Arc<Version>> {
        self.held.next.as_ref().map(held::Place::version)
    }

    /// Charges the account's limit, all callers together.
    ///
    /// # Errors
    ///
    /// [`Reject::RateLimited`].
    pub fn charge_account(&self) -> Result<(), Reject> {
        self.limiter.as_ref().map_or(Ok(()), |limiter| limiter.charge())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::audit::{Origin, Output};
    use crate::config::SecretRef;
    use crate::secret::Secret;

    fn pair(pass: &str) -> Pair {
        Pair { user: Secret::new(b"user".to_vec()), pass: Secret::new(pass.as_bytes().to_vec()) }
    }

    fn source(folder: &str) -> [SecretRef; 2] {
        ["user", "pass"].map(|name| SecretRef::File(format!("{folder}/{name}").into()))
    }

    fn configured(first: &str, next: Option<&str>) -> config::Credential {
        let [user, pass] = source(first);
        config::Credential { name: "pair".into(), user, pass, next: next.map(source), rate: None }
    }

    fn credential(configured: &config::Credential, first: &Pair, next: Option<&Pair>) -> Credential {
        Credential::new(Read { configured, first, next }).unwrap()
    }

    #[test]
    fn a_pair_goes_on_in_the_next_configuration_unless_its_source_or_secrets_changed() {
        let first = pair("a long password");
        let credential = credential(&configured("/a", None), &first, None);
        credential.current().suspension.begin(0);
        let with = |folder: &str, first: &Pair, next: Option<&Pair>| {
            let configured = configured(folder, next.map(|_| "/next"));
            credential.succeeded_by(Read { configured: &configured, first, next }).unwrap()
        };
        let same = with("/a", &first, None);
        assert!(Arc::ptr_eq(&same.held, &credential.held), "suspended as it was");
        let both = Pair { user: Secret::new(b"other".to_vec()), ..pair("another password") };
        let other = with("/a", &both, None);
        assert_eq!((other.current().number, other.current().is_suspended()), (2, false));
        let moved = with("/b", &first, None);
        assert!(Arc::ptr_eq(&moved.current(), &credential.current()), "the account must not be locked out");
        let more = with("/b", &first, Some(&both));
        assert_eq!((more.current().number, credential.current().number), (3, 1), "a second pair is used");
        assert!(more.held.first.version().is_suspended(), "and the rejected one is not sent again for it");
        assert_eq!(credential.current().number, 1, "and the configuration in force is as it was");
    }

    #[test]
    fn who_is_refused_while_the_other_half_of_a_pair_is_waited_for_is_told_to_come_back_in_a_second() {
        let credential = credential(&configured("/a", None), &pair("a long password"), None);
        credential.current().suspension.begin(0);
        let retry_after_s = |credential: &Credential| match credential.usable() {
            Err(Reject::CredentialsUnavailable { retry_after_s }) => retry_after_s,
            other => panic!("{:?}", other.map(|version| version.number)),
        };
        assert!(retry_after_s(&credential) > 20);
        let read = |pass: &str| {
            let first = pair(pass);
            let read = Read { configured: &configured("/a", None), first: &first, next: None };
            credential.succeeded_by(read).unwrap()
        };
        read("another password");
        assert_eq!(retry_after_s(&credential), 1);
        read("a long password");
        assert!(retry_after_s(&credential) > 20, "it is the old one again");
        read("another password");
        credential.held.first.have_waited();
        let renewed = read("another password");
        renewed.current().suspension.begin(0);
        assert_eq!(renewed.current().number, 2);
        assert!(retry_after_s(&renewed) > 20, "nothing is waited for any more");
    }

    #[test]
    fn the_second_pair_is_used_while_the_first_is_suspended_and_is_the_same_version_when_it_takes_its_place()
    {
        let (first, next) = (pair("a long password"), pair("another password"));
        let configured = configured("/a", Some("/b"));
        let credential = credential(&configured, &first, Some(&next));
        assert_eq!(credential.usable().map(|version| version.number), Ok(1));
        credential.current().suspension.begin(0);
        assert_eq!(credential.usable().map(|version| version.number), Ok(2));
        let promoted = Read { configured: &configured, first: &next, next: Some(&next) };
        let credential = credential.succeeded_by(promoted).unwrap();
        assert_eq!((credential.current().number, credential.current().is_suspended()), (2, false));
        credential.current().suspension.begin(0);
        assert!(credential.usable().is_err(), "both are one version now");
    }

    fn write(folder: &Path, version: u32) {
        for name in ["user", "pass"] {
            let mut options = fs::OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600).open(folder.join(name));
            std::io::Write::write_all(&mut file.unwrap(), format!("{name} of version {version}").as_bytes())
                .unwrap();
        }
    }

    fn writer() -> Arc<Writer> {
        let (instance, version) = <(String, String)>::default();
        let origin = Origin { instance, version, config: [0; 32], services: Vec::new() };
        Arc::new(Writer::start(Output::Stream(tempfile::tempfile().unwrap()), origin).unwrap())
    }

    #[test]
    fn who_reads_a_pair_again_waits_for_who_reads_it_already_so_that_no_older_one_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let configured = configured(folder.path().to_str().unwrap(), None);
        let pairs = [credential(&configured, &pair("a long password"), None)].into();
        let credentials = Credentials { pairs, writer: writer(), reading: Arc::default() };
        write(folder.path(), 1);
        let (told, heard) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let reading = credentials.reading();
            scope.spawn(|| told.send(credentials.reread(CredentialId(0))).unwrap());
            // Never too short; one that did not wait would be done long before.
            assert!(heard.recv_timeout(Duration::from_millis(300)).is_err());
            write(folder.path(), 2);
            drop(reading);
            assert_eq!(heard.recv().unwrap(), Some(Reread { renewed: true, half: false }));
        });
        let used = credentials.of(CredentialId(0)).unwrap().current();
        let secret = |name: &str| Secret::new(format!("{name} of version 2").into_bytes());
        let written = Pair { user: secret("user"), pass: secret("pass") };
        assert!(used.is_of(&version::halves(&written)));
    }
}
