//! Where does the gateway under test write its audit records?
//!
//! The one place of the self test that knows the keys of `[audit]`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use toml::{Table, Value};

use super::canary::{Allowed, Mint};
use crate::config::{AuditOutput, Config};

/// Where records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Records {
    /// To standard output, which is searched.
    Stdout,
    /// Into a chain of signed segments, which is searched.
    Folder,
    /// To standard output, which is a device that is always full.
    Lost,
}

impl Records {
    /// Where the operator has them.
    pub(super) fn of(config: &Config) -> Self {
        match config.audit.output {
            AuditOutput::Stdout => Self::Stdout,
            AuditOutput::Folder(_) => Self::Folder,
        }
    }

    /// What standard output is, unless it is a file that is searched.
    pub(super) fn device(self) -> Option<&'static str> {
        match self {
            Self::Stdout | Self::Folder => None,
            Self::Lost => Some("/dev/full"),
        }
    }

    /// What stands in place of the operator's `[audit]`, for the report.
    pub(super) fn replacement(self) -> &'static str {
        match self {
            Self::Stdout | Self::Lost => {
                "standard output, a key of this run; every stranger is recorded; nowhere in the act of lost records"
            }
            Self::Folder => {
                "a folder and keys of this run; segments of 64KiB, a checkpoint each second, nothing removed, no \
                 reserve; every stranger is recorded; nowhere in the act of lost records"
            }
        }
    }
}

/// The folder of the records, beside the configuration.
pub(super) const AUDIT_FOLDER: &str = "audit";

const FINGERPRINT_KEY: &str = "fingerprint-key";
const CHAIN_KEY: &str = "chain-key";
const SIGNING_KEY: &str = "signing-key";

/// The files with keys that the table below refers to, beside the configuration.
pub(super) const KEY_FILES: [&str; 3] = [FINGERPRINT_KEY, CHAIN_KEY, SIGNING_KEY];

/// What stands in front of the 32 bytes of an Ed25519 private key in its DER form (RFC 8410, section 7).
const PKCS8_PREFIX: &[u8] = &[48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];

/// The files with keys for `config`, and what is in them; each key is a canary.
pub(super) fn keys(config: &Config, mint: &mut Mint) -> Vec<(&'static str, String)> {
    let mut secret = |name: &str, length: usize| {
        let text = mint.reserve(name, |mint| mint.letters(length));
        mint.plant(name, &text, Allowed::Nowhere);
        text
    };
    let mut keys = vec![(FINGERPRINT_KEY, secret("fingerprint key", 64))];
    if Records::of(config) == Records::Folder {
        keys.push((CHAIN_KEY, secret("chain key", 64)));
        // Any 32 bytes are a key: letters are found in every encoding.
        let body = STANDARD.encode([PKCS8_PREFIX, secret("signing key", 32).as_bytes()].concat());
        // All Ed25519 keys begin alike.
        let own = body.get(PKCS8_PREFIX.len().div_ceil(3) * 4..).unwrap_or_default();
        mint.plant("signing key, its PEM", own, Allowed::Nowhere);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        keys.push((SIGNING_KEY, pem));
    }
    keys
}

/// The `[audit]` table in place of the operator's.
pub(super) fn audit_table(config: &Config, records: Records) -> Table {
    let of = |key: &str, value: &str| Value::Table(Table::from_iter([(key.to_owned(), value.into())]));
    let mut table = Table::from_iter([
        ("output".to_owned(), "stdout".into()),
        ("fingerprint_key".to_owned(), of("file", FINGERPRINT_KEY)),
        ("fingerprint_key_id".to_owned(), config.audit.fingerprint_key_id.as_ref().into()),
        // So that what strangers send is recorded, too.
        ("stranger_rate".to_owned(), super::stand::ample()),
    ]);
    if records == Records::Folder {
        table.extend([
            ("output".to_owned(), of("folder", AUDIT_FOLDER)),
            ("signing_key".to_owned(), of("file", SIGNING_KEY)),
            ("chain_key".to_owned(), of("file", CHAIN_KEY)),
            // So that a run of seconds has several of each.
            ("segment_bytes".to_owned(), "64KiB".into()),
            ("checkpoint_interval".to_owned(), "1s".into()),
            ("reserve".to_owned(), "0B".into()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::SigningKey;
    use crate::config::{Source, load};
    use crate::secret::Secret;
    use crate::selftest::scanner::Scanner;

    #[test]
    fn the_keys_of_a_folder_are_good_ones_and_found_however_they_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let output = format!("{{ folder = \"{}\" }}", folder.path().display());
        let overrides = vec![("audit.output".to_owned(), output)];
        let source = Source { path: "config/gateway.toml".into(), overrides, ..Source::default() };
        let config = load(&source).map_err(|faults| faults.render(false)).unwrap().config;
        let mut mint = Mint::seeded(1);
        let keys = keys(&config, &mut mint);
        assert_eq!(keys.iter().map(|(file, _)| *file).collect::<Vec<_>>(), KEY_FILES);
        let pem = &keys[2].1;
        SigningKey::of_pem(&Secret::new(pem.clone().into_bytes())).unwrap();
        let scanner = Scanner::new(mint.planted().map(|planted| &planted.canary)).unwrap();
        let found = |bytes: &[u8]| {
            let hits = scanner.hits(bytes);
            hits.into_iter().map(|hit| (hit.canary, hit.encoding)).collect::<Vec<_>>()
        };
        let hit = |canary: &str, encoding: &str| (canary.to_owned(), encoding.to_owned());
        assert_eq!(found(pem.as_bytes()), [hit("signing key", "base64"), hit("signing key, its PEM", "raw")]);
        let body = pem.lines().nth(1).unwrap();
        assert_eq!(found(&STANDARD.decode(body).unwrap()), [hit("signing key", "raw")]);
        assert_eq!(found(keys[1].1.as_bytes()), [hit("chain key", "raw")]);
        // What every key of this kind begins with is no finding.
        assert_eq!(found(&STANDARD.encode(PKCS8_PREFIX).into_bytes()), []);
    }
}
