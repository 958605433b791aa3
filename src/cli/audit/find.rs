//! `audit find`: which requests were about this person?

use std::cell::RefCell;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::asked::{Answer, ask};
use super::filters::Filters;
use super::{Exit, tell};
use crate::audit::{Fingerprinter, Index, IndexFault, Role};
use crate::cli::process;
use crate::config::{SecretRef, Source, load};
use crate::schema::Normalise;

pub(super) const EXAMPLES: &str = "\
Examples:
  dcams-gateway audit find FOLDER --email --config /etc/dcams-gateway/gateway.toml
                                                  asks for the e-mail; typing is not shown
  dcams-gateway audit find FOLDER --reference --key-file k1.key --key-id k1 -o csv < reference.txt
  dcams-gateway audit find FOLDER --email --key-file k1.key --key-id k1 --key-file k2.key --key-id k2 \\
                                  --service getDocumentImages --by caller,day

The value is read from the terminal or from standard input, never from the command line, where other users and the
shell's history would see it; no output holds it. It is normalised as the gateway does: an e-mail without blanks around
it and in lower case, a reference without blanks around it.
Exit codes: 0 found, 1 nothing found, 2 usage, 74 input or output, 77 permission, 78 bad configuration or key.";

/// HMAC-SHA-256 wants as many bytes as its digest has (RFC 2104, section 3); the gateway takes no shorter key.
const LEAST_KEY_BYTES: usize = 32;
/// Longer than any e-mail or reference that a schema lets through.
const LONGEST_VALUE: usize = 4096;

#[derive(Args)]
pub(super) struct Find {
    /// The log's folder: audit.output of the configuration
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    #[command(flatten)]
    member: Member,
    /// Show what is typed
    #[arg(long)]
    echo: bool,
    /// The gateway's configuration: only its fingerprint key is read
    #[arg(long, short, value_name = "FILE", help_heading = "Keys")]
    config: Option<PathBuf>,
    /// A fingerprint key; several where the key was changed, each with its --key-id
    #[arg(long, value_name = "FILE", help_heading = "Keys")]
    key_file: Vec<PathBuf>,
    /// Id of that key: audit.fingerprint_key_id of the configuration
    #[arg(long, value_name = "ID", help_heading = "Keys")]
    key_id: Vec<String>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Member {
    /// The value is an e-mail
    #[arg(long)]
    email: bool,
    /// The value is a reference
    #[arg(long)]
    reference: bool,
}

struct Key {
    id: String,
    fingerprinter: Fingerprinter,
}

pub(super) fn find(command: &Find) -> Exit {
    match fingerprints(command) {
        Err(exit) => exit,
        Ok((mut filter, keys, fingerprints)) => {
            filter.fingerprints = fingerprints;
            let held = RefCell::new(Vec::new());
            let answered = ask(&command.folder, &filter, &command.answer, &|index| {
                *held.borrow_mut() = held_of(index, &keys)?;
                tell_other_keys(index, &keys)
            });
            match answered.exit {
                Exit::Ok if !answered.any => {
                    tell(&nothing_found(&held.borrow()));
                    Exit::Negative
                }
                exit => exit,
            }
        }
    }
}

type Asked = (crate::audit::Filter, Vec<String>, Vec<[u8; 16]>);

fn fingerprints(command: &Find) -> Result<Asked, Exit> {
    let filter = command.filters.read()?;
    if let Some(kind) = filter.kinds.iter().find(|kind| !["outcome", "intent"].contains(&kind.as_str())) {
        tell(&format!("error: --kind: lines of kind {kind} are about no person"));
        return Err(Exit::Usage);
    }
    // Before a secret is read.
    process::keep_memory_private();
    let keys = keys(command)?;
    let value = value(command)?;
    let normalise = if command.member.email { Normalise::Email } else { Normalise::Reference };
    let fingerprints = keys.iter().map(|key| key.fingerprinter.of_str(normalise, &value)).collect();
    Ok((filter, keys.into_iter().map(|key| key.id).collect(), fingerprints))
}

fn keys(command: &Find) -> Result<Vec<Key>, Exit> {
    if command.key_file.len() != command.key_id.len() {
        tell("error: each --key-file needs its --key-id: --key-file k1.key --key-id k1");
        return Err(Exit::Usage);
    }
    // What is told of them must not be a value that was pasted there.
    let named = |id: &String| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=32).contains(&id.len()) && id.bytes().all(plain)
    };
    if !command.key_id.iter().all(named) {
        tell("error: --key-id: 1 to 32 of a-z 0-9 -, as audit.fingerprint_key_id");
        return Err(Exit::Usage);
    }
    let mut keys = Vec::new();
    if let Some(path) = &command.config {
        keys.push(configured_key(path)?);
    }
    for (path, id) in command.key_file.iter().zip(&command.key_id) {
        keys.push(key(&SecretRef::File(path.clone()), id)?);
    }
    if keys.is_empty() {
        tell("error: which key? --config FILE, or --key-file FILE with --key-id ID");
        return Err(Exit::Usage);
    }
    Ok(keys)
}

fn configured_key(path: &Path) -> Result<Key, Exit> {
    let loaded = load(&Source::of_process(path.to_owned(), Vec::new())).map_err(|faults| {
        tell(&faults.render(io::stderr().is_terminal()));
        tell("where this is not the gateway's host: --key-file FILE --key-id ID");
        Exit::Config
    })?;
    key(&loaded.config.audit.fingerprint_key, &loaded.config.audit.fingerprint_key_id)
}

fn key(secret: &SecretRef, id: &str) -> Result<Key, Exit> {
    let secret = secret.read().map_err(|fault| {
        tell(&format!("error: the fingerprint key: {fault}"));
        Exit::Config
    })?;
    if secret.expose().len() < LEAST_KEY_BYTES {
        tell(&format!("error: the fingerprint key: {LEAST_KEY_BYTES} bytes or more are needed"));
        return Err(Exit::Config);
    }
    Ok(Key { id: id.to_owned(), fingerprinter: Fingerprinter::new(&secret) })
}

/// Fingerprints of other keys cannot be compared: nothing found with these keys says nothing of those lines.
fn tell_other_keys(index: &Index, given: &[String]) -> Result<(), IndexFault> {
    let known = index.names(Role::FingerprintKey)?;
    let others: Vec<&str> = known.iter().filter(|id| !given.contains(id)).map(String::as_str).collect();
    if !others.is_empty() {
        tell(&format!(
            "warning: the log also holds fingerprints of other keys, which are not looked through: {}; \
             give each with --key-file FILE --key-id ID",
            super::printable::printable(&others.join(", "))
        ));
    }
    Ok(())
}

/// Of each key that was given, by its id, how many requests of the log have fingerprints.
fn held_of(index: &Index, given: &[String]) -> Result<Vec<(String, u64)>, IndexFault> {
    let mut held: Vec<(String, u64)> = Vec::new();
    for id in given {
        if held.iter().all(|(known, _)| known != id) {
            held.push((id.clone(), index.requests_with_key(id)?));
        }
    }
    Ok(held)
}

/// The log cannot tell a key from another one that is given under its id: that is for who reads this to judge.
fn nothing_found(held: &[(String, u64)]) -> String {
    let held: Vec<String> = held.iter().map(|(id, requests)| format!("{requests} of key id {id}")).collect();
    format!(
        "nothing found; requests of the log with fingerprints: {}. A key file that does not hold the key of its \
         --key-id finds nothing and cannot be told from the right one: a person who must be found proves the key",
        held.join(", ")
    )
}

fn value(command: &Find) -> Result<Zeroizing<String>, Exit> {
    let mut value = Zeroizing::new(String::with_capacity(LONGEST_VALUE + 1));
    let read = if io::stdin().is_terminal() { prompted(command, &mut value) } else { piped(&mut value) };
    if read.is_err() {
        tell("error: standard input holds no text");
        return Err(Exit::Io);
    }
    let problem = match value.trim() {
        "" => Some("there is no value: type it, or give it on standard input"),
        _ if value.len() > LONGEST_VALUE => Some("the value is longer than any that the gateway records"),
        text if text.contains(['\n', '\r']) => {
            Some("one value at a time: standard input holds several lines")
        }
        _ => None,
    };
    match problem {
        Some(problem) => {
            tell(&format!("error: {problem}"));
            Err(Exit::Usage)
        }
        None => Ok(value),
    }
}

fn piped(value: &mut String) -> io::Result<()> {
    let limit = u64::try_from(LONGEST_VALUE).unwrap_or(u64::MAX) + 1;
    io::stdin().take(limit).read_to_string(value).map(drop)
}

fn prompted(command: &Find, value: &mut String) -> io::Result<()> {
    let name = if command.member.email { "E-mail" } else { "Reference" };
    let hidden = if command.echo { None } else { Hidden::begin() };
    let shown = if hidden.is_some() { " (not shown)" } else { "" };
    let mut stderr = io::stderr();
    write!(stderr, "{name}{shown}: ")?;
    stderr.flush()?;
    let read = io::stdin().read_line(value);
    if hidden.is_some() {
        writeln!(stderr)?;
    }
    read.map(drop)
}

/// While it lives, the terminal does not show what is typed.
struct Hidden {
    before: Termios,
}

impl Hidden {
    fn begin() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut without = before.clone();
        without.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &without).ok()?;
        Some(Self { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Else the shell sees to it.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}
