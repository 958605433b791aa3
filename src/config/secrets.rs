//! Are all secrets of the configuration there, and fit for their use?

use super::faults::{Fault, Faults, Origin, Severity};
use super::model::{Config, SecretRef};
use super::secret_source::{SecretFault, read_together};
use crate::audit::SigningKey;
use crate::ids::CredentialId;
use crate::secret::Secret;

/// A shorter password can be guessed, and cannot be searched for in answers in encoded forms.
const SHORT_PASS_BYTES: usize = 12;

/// HMAC-SHA-256 wants as many bytes as its digest has (RFC 2104, section 3).
const LEAST_KEY_BYTES: usize = 32;

/// What may be sent as user name or password: more than any account has.
const LARGEST_CREDENTIAL_BYTES: usize = 4096;

/// All secrets of one configuration, as they were when read.
pub struct Secrets {
    read: Read,
    warnings: Faults,
}

/// What was read, each in its place.
pub(super) struct Read {
    credentials: Box<[Both]>,
    fingerprint_key: Secret,
    signing_key: Option<Secret>,
    chain_key: Option<Secret>,
}

/// What is known of one account.
struct Both {
    first: Pair,
    next: Option<Pair>,
}

/// User name and password of one account, read together: both of one version.
pub struct Pair {
    /// API user name.
    pub user: Secret,
    /// API password.
    pub pass: Secret,
}

impl Pair {
    /// Reads both as they are now, and of one version as far as that can be seen from reading.
    ///
    /// # Errors
    ///
    /// [`SecretFault`] of the one or the other.
    pub fn read(user: &SecretRef, pass: &SecretRef) -> Result<Self, SecretFault> {
        let mut read = read_together([user, pass].into_iter()).into_iter();
        let mut next = || read.next().unwrap_or_else(|| user.read());
        Ok(Self { user: next()?, pass: next()? })
    }
}

impl Secrets {
    /// The pair of `id`; `None` only when `id` is of another configuration.
    #[must_use]
    pub fn pair(&self, id: CredentialId) -> Option<&Pair> {
        self.read.credentials.get(usize::from(id.0)).map(|both| &both.first)
    }

    /// The second pair of `id`, where it has one.
    #[must_use]
    pub fn next_pair(&self, id: CredentialId) -> Option<&Pair> {
        self.read.credentials.get(usize::from(id.0))?.next.as_ref()
    }

    /// Key of the fingerprints, 32 bytes or more.
    #[must_use]
    pub fn fingerprint_key(&self) -> &Secret {
        &self.read.fingerprint_key
    }

    /// Key of the checkpoints, PKCS#8 in PEM; `None` where records go to standard output.
    #[must_use]
    pub fn signing_key(&self) -> Option<&Secret> {
        self.read.signing_key.as_ref()
    }

    /// What a new chain begins with, 32 bytes or more; `None` where none is begun.
    #[must_use]
    pub fn chain_key(&self) -> Option<&Secret> {
        self.read.chain_key.as_ref()
    }

    /// What the operator should know, such as short passwords.
    #[must_use]
    pub fn warnings(&self) -> &Faults {
        &self.warnings
    }
}

/// Where the configuration refers to a secret.
#[derive(Clone)]
pub(super) struct SecretUse {
    pub(super) role: Role,
    /// For example `credentials.production.pass`.
    pub(super) key: String,
    pub(super) origin: Origin,
    pub(super) reference: SecretRef,
    /// Whether its name may be shown; else it may be the secret itself.
    pub(super) quotable: bool,
}

/// What a secret is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    FingerprintKey,
    SigningKey,
    ChainKey,
    User,
    Pass,
    NextUser,
    NextPass,
}

impl Role {
    /// Whether it is one of the audit's own keys, which are no other secret.
    fn is_key(self) -> bool {
        matches!(self, Self::FingerprintKey | Self::SigningKey | Self::ChainKey)
    }

    /// What makes a key of that role.
    fn command(self) -> &'static str {
        match self {
            Self::SigningKey => "openssl genpkey -algorithm ed25519",
            _ => "openssl rand -hex 32",
        }
    }
}

/// Where a configuration refers to secrets: the keys of the audit, then user and password of each credential in
/// their order. Holds places and names, no secrets.
#[derive(Clone, Default)]
pub struct SecretUses {
    pub(super) list: Box<[SecretUse]>,
}

/// Reads every secret that `config` refers to.
///
/// # Errors
///
/// All faults at once: each with the line that refers to the secret, and never a byte of it.
pub fn read_secrets(config: &Config) -> Result<Secrets, Faults> {
    let (read, faults) = read_all(&config.secret_uses.list);
    let refused = faults.iter().any(|fault| fault.severity() == Severity::Error);
    match read.filter(|_| !refused) {
        Some(read) => Ok(Secrets { read, warnings: Faults::sorted(faults) }),
        None => Err(Faults::sorted(faults)),
    }
}

/// Reads all `uses`; the secrets are there only where none is missing.
pub(super) fn read_all(uses: &[SecretUse]) -> (Option<Read>, Vec<Fault>) {
    let mut faults = Vec::new();
    let mut secrets = Vec::with_capacity(uses.len());
    for (used, read) in uses.iter().zip(read_together(uses.iter().map(|used| &used.reference))) {
        match read {
            Ok(secret) => {
                judge(used, &secret, &mut faults);
                secrets.push((used, secret));
            }
            Err(fault) => faults.push(unreadable(used, &fault)),
        }
    }
    for (at, (used, key)) in secrets.iter().enumerate().filter(|(_, (used, _))| used.role.is_key()) {
        // Those behind it: of two keys that are one secret, the first is reported.
        let mut others = secrets.iter().skip(at + 1);
        if let Some((other, _)) = others.find(|(_, secret)| secret.expose() == key.expose()) {
            let problem = format!("{}: is the same secret as {}", used.key, other.key);
            let remedy = format!("make a key of its own, for example with `{}`", used.role.command());
            faults.push(Fault::new(Severity::Error, problem, remedy, used.origin.clone()));
        }
    }
    let complete = secrets.len() == uses.len();
    (complete.then(|| arrange(secrets)).flatten(), faults)
}

fn arrange(secrets: Vec<(&SecretUse, Secret)>) -> Option<Read> {
    let (mut fingerprint_key, mut signing_key, mut chain_key) = (None, None, None);
    let (mut pairs, mut users) = (Vec::<Both>::new(), Vec::new());
    for (used, secret) in secrets {
        match used.role {
            Role::FingerprintKey => fingerprint_key = Some(secret),
            Role::SigningKey => signing_key = Some(secret),
            Role::ChainKey => chain_key = Some(secret),
            Role::User | Role::NextUser => users.push(secret),
            Role::Pass => {
                let pair = users.pop().map(|user| Pair { user, pass: secret });
                pairs.extend(pair.map(|first| Both { first, next: None }));
            }
            Role::NextPass => {
                let pair = users.pop().map(|user| Pair { user, pass: secret });
                pairs.iter_mut().last().into_iter().zip(pair).for_each(|(both, pair)| both.next = Some(pair));
            }
        }
    }
    Some(Read { credentials: pairs.into(), fingerprint_key: fingerprint_key?, signing_key, chain_key })
}

fn judge(used: &SecretUse, secret: &Secret, faults: &mut Vec<Fault>) {
    let bytes = secret.expose();
    let mut add = |severity, problem: &str, remedy: &str| {
        let problem = format!("{}: {problem}", used.key);
        faults.push(Fault::new(severity, problem, remedy.to_owned(), used.origin.clone()));
    };
    match used.role {
        Role::FingerprintKey | Role::ChainKey if bytes.len() < LEAST_KEY_BYTES => {
            add(
                Severity::Error,
                "has fewer than 32 bytes",
                &format!("make one with `{}`", used.role.command()),
            );
        }
        Role::SigningKey => {
            if let Err(fault) = SigningKey::of_pem(secret) {
                add(
                    Severity::Error,
                    &format!("is {fault}"),
                    &format!("make one with `{}`", used.role.command()),
                );
            }
        }
        Role::FingerprintKey | Role::ChainKey => {}
        // It becomes a JSON string, which is UTF-8 (RFC 8259, section 8.1).
        _ if std::str::from_utf8(bytes).is_err() => {
            add(Severity::Error, "is not UTF-8", "write it in UTF-8, as JSON needs it");
        }
        _ if bytes.len() > LARGEST_CREDENTIAL_BYTES => {
            add(Severity::Error, "has more than 4096 bytes", "name the file that holds the secret alone");
        }
        Role::Pass | Role::NextPass if bytes.len() < SHORT_PASS_BYTES => {
            let remedy = "use 12 bytes or more: a shorter one is easy to guess, and its encoded forms are not \
                          searched for in answers";
            add(Severity::Warning, "has fewer than 12 bytes", remedy);
        }
        Role::Pass | Role::User | Role::NextUser | Role::NextPass => {}
    }
}

fn unreadable(used: &SecretUse, fault: &SecretFault) -> Fault {
    let place = match &used.reference {
        _ if used.quotable => fault.place(),
        SecretRef::File(_) => "the file that is named here",
        SecretRef::Env(_) => "the environment variable that is named here",
        SecretRef::Credential(_) => "the credential that is named here",
    };
    let problem = format!("{}: {place} {}", used.key, fault.problem());
    Fault::new(Severity::Error, problem, fault.remedy().to_owned(), used.origin.clone())
}
