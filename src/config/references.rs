//! Which values are tables of one member, or a string, or a date: files, secrets, key hashes, expiries?

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::canonical::Canonical;
use super::findings::Findings;
use super::model::{Roots, SecretRef};
use super::reader::{Limits, Open, Written, join, nearest};
use super::text::{Text, Wrong};
use super::tree::{Kind, Node};
use super::written::{FileTable, FolderTable, SecretTable};

/// SHA-256 of a bearer key.
pub(super) struct Sha256(pub(super) [u8; 32]);

impl Text for Sha256 {
    const FORM: &str = "the 64 hex digits that `dcams-gateway hash-key` prints";
    const PATTERN: &str = "^[0-9A-Fa-f]{64}$";
    const CONCEALED: bool = true;

    fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
        if text.len() != 64 {
            return Err(Wrong::new("is not 64 characters long"));
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'));
            let parsed = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            *byte = parsed.ok_or_else(|| Wrong::new("has a character that is no hex digit"))?;
        }
        Ok(Self(digest))
    }

    fn canonical(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// When a key ends: a date (its beginning, UTC) or a timestamp, RFC 3339.
pub(super) struct Expiry(pub(super) Timestamp);

impl Written for Expiry {
    fn read(node: &Node, key: &str, _limits: Limits, findings: &mut Findings) -> Option<Self> {
        let text = match &node.kind {
            Kind::Text(text) | Kind::Date(text) => Some(text.as_str()),
            _ => node.given.as_deref(),
        };
        let instant = text.and_then(|text| {
            let midnight = |date: Date| date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
            // A timestamp needs its offset; a date alone is 10 characters.
            if text.len() == 10 { text.parse().ok().and_then(midnight) } else { text.parse().ok() }
        });
        if instant.is_none() {
            findings.conceal(node);
            let remedy =
                "write a date such as \"2027-06-30\" or a timestamp such as \"2027-06-30T12:00:00Z\"";
            findings.error(key, &node.place, "is neither a date nor a timestamp (RFC 3339)", remedy);
        }
        instant.map(Self)
    }

    fn schema(_generator: &mut SchemaGenerator, _limits: Limits) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].+)?$" })
    }

    fn feed(&self, key: &str, canonical: &mut Canonical) {
        canonical.line(key, &self.0.to_string());
    }
}

impl Written for SecretRef {
    fn read(node: &Node, key: &str, _limits: Limits, findings: &mut Findings) -> Option<Self> {
        const REMEDY: &str = "refer to it: { file = \"/run/secrets/NAME\" }, { env = \"VARIABLE\" } or { credential = \"NAME\" }";
        if !matches!(node.kind, Kind::Table(_)) {
            findings.conceal(node);
            let problem = "a secret must not stand in the configuration";
            findings.error(
                key,
                &node.place,
                problem,
                &format!("{REMEDY}; replace what was written here, it is disclosed"),
            );
            return None;
        }
        let mut open = Open::table(node, key, SecretTable::KEYS, findings)?;
        let table = SecretTable {
            file: open.next_field(findings),
            env: open.next_field(findings),
            credential: open.next_field(findings),
        };
        let named = [table.file.is_absent(), table.env.is_absent(), table.credential.is_absent()];
        if named.iter().filter(|absent| !**absent).count() != 1 {
            findings.error(key, &node.place, "does not name exactly one source", REMEDY);
            return None;
        }
        let file = table.file.value().map(|file| Self::File(file.0.clone()));
        let env = || table.env.value().map(|variable| Self::Env(variable.0.as_str().into()));
        let credential = || table.credential.value().map(|name| Self::Credential(name.0.as_str().into()));
        file.or_else(env).or_else(credential)
    }

    fn schema(generator: &mut SchemaGenerator, _limits: Limits) -> Schema {
        let mut schema = generator.subschema_for::<SecretTable>();
        schema.insert("minProperties".to_owned(), 1.into());
        schema.insert("maxProperties".to_owned(), 1.into());
        schema
    }

    fn feed(&self, key: &str, canonical: &mut Canonical) {
        match self {
            Self::File(path) => canonical.line(&join(key, "file"), &path.to_string_lossy()),
            Self::Env(variable) => canonical.line(&join(key, "env"), variable),
            Self::Credential(name) => canonical.line(&join(key, "credential"), name),
        }
    }
}

/// Name of an environment variable that holds a secret.
pub(super) struct Variable(pub(super) String);

impl Text for Variable {
    const FORM: &str = "the name of an environment variable such as \"VERATAD_PASS\"";
    const PATTERN: &str = "^[A-Za-z_][A-Za-z0-9_]{0,127}$";

    fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match plain
            && (1..=128).contains(&text.len())
            && !text.starts_with(|first: char| first.is_ascii_digit())
        {
            true => Ok(Self(text.to_owned())),
            false => Err(Wrong::new("is not the name of an environment variable").concealed()),
        }
    }

    fn canonical(&self) -> String {
        self.0.clone()
    }
}

/// Name of a file in `$CREDENTIALS_DIRECTORY`.
pub(super) struct CredentialName(pub(super) String);

impl Text for CredentialName {
    const FORM: &str = "the plain name of a systemd credential such as \"veratad_pass\"";
    const PATTERN: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$";

    fn parse(text: &str, _limits: Limits) -> Result<Self, Wrong> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        match plain && (1..=128).contains(&text.len()) && !text.starts_with('.') {
            true => Ok(Self(text.to_owned())),
            false => Err(Wrong::new("is not a plain file name").concealed()),
        }
    }

    fn canonical(&self) -> String {
        self.0.clone()
    }
}

impl Written for Roots {
    fn read(node: &Node, key: &str, _limits: Limits, findings: &mut Findings) -> Option<Self> {
        match node.text() {
            Some("native") => Some(Self::Native),
            Some("webpki") => Some(Self::Webpki),
            _ if is_table(node, key, &["native", "webpki"], "file", findings) => {
                let table = FileTable::read(node, key, None, findings)?;
                table.file.value().map(|path| Self::File(path.0.clone()))
            }
            _ => None,
        }
    }

    fn schema(generator: &mut SchemaGenerator, _limits: Limits) -> Schema {
        let file = generator.subschema_for::<FileTable>();
        json_schema!({ "anyOf": [{ "enum": ["native", "webpki"] }, file] })
    }

    fn feed(&self, key: &str, canonical: &mut Canonical) {
        match self {
            Self::Native => canonical.line(key, "native"),
            Self::Webpki => canonical.line(key, "webpki"),
            Self::File(path) => canonical.line(&join(key, "file"), &path.to_string_lossy()),
        }
    }
}

/// Where audit lines go, as it is written.
pub(super) enum Output {
    Stdout,
    Folder(PathBuf),
}

impl Written for Output {
    fn read(node: &Node, key: &str, _limits: Limits, findings: &mut Findings) -> Option<Self> {
        match node.text() {
            Some("stdout") => Some(Self::Stdout),
            _ if is_table(node, key, &["stdout"], "folder", findings) => {
                let table = FolderTable::read(node, key, None, findings)?;
                table.folder.value().map(|path| Self::Folder(path.0.clone()))
            }
            _ => None,
        }
    }

    fn schema(generator: &mut SchemaGenerator, _limits: Limits) -> Schema {
        let folder = generator.subschema_for::<FolderTable>();
        json_schema!({ "anyOf": [{ "enum": ["stdout"] }, folder] })
    }

    fn feed(&self, key: &str, canonical: &mut Canonical) {
        match self {
            Self::Stdout => canonical.line(key, "stdout"),
            Self::Folder(path) => canonical.line(&join(key, "folder"), &path.to_string_lossy()),
        }
    }
}

/// Whether `node` is a table; reported where it is not. It should then have been one of `words`, or a table with
/// `member`.
fn is_table(node: &Node, key: &str, words: &[&str], member: &str, findings: &mut Findings) -> bool {
    let table = matches!(node.kind, Kind::Table(_));
    if !table {
        let near = node.text().and_then(|text| nearest(text, words.iter().copied()));
        if near.is_none() && matches!(node.kind, Kind::Text(_) | Kind::List(_)) {
            findings.conceal(node);
        }
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        let remedy = format!("write {} or {{ {member} = \"…\" }}", words.join(", "));
        findings.error(key, &node.place, "is none of the choices", &remedy);
    }
    table
}
