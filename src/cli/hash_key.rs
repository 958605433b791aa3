//! `hash-key`: what does a caller hold, and what does the configuration store?

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use zeroize::Zeroizing;

use super::{Exit, print, tell};
use crate::audit::hex;
use crate::stages::key_hash;

/// Says what a leaked string is, to people and to scanners.
const PREFIX: &str = "dgw_";
/// 256 bits.
const RANDOM_BYTES: usize = 32;
/// A typed or short key could be guessed, and SHA-256 would not slow that down.
const LEAST_BYTES: usize = 32;

#[derive(Args)]
pub(super) struct HashKey {
    /// Hash the key on standard input instead of making one
    #[arg(long)]
    stdin: bool,
}

pub(super) fn hash_key(command: &HashKey) -> Exit {
    if command.stdin {
        return hash_stdin();
    }
    match random_key() {
        Some(key) => print(&shown(&key)),
        None => {
            tell("the system has no random bytes");
            Exit::Io
        }
    }
}

fn shown(key: &str) -> String {
    let hash = hex(&key_hash(key.as_bytes()));
    format!(
        "key (give it to the caller, it is shown only now):\n{key}\n\n\
         in the caller's configuration entry:\nkeys = [{{ sha256 = \"{hash}\" }}]\n"
    )
}

/// A key of 256 random bits.
pub(super) fn random_key() -> Option<String> {
    let mut bytes = Zeroizing::new([0; RANDOM_BYTES]);
    aws_lc_rs::rand::fill(bytes.as_mut()).ok()?;
    Some(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_ref())))
}

fn hash_stdin() -> Exit {
    let mut text = Zeroizing::new(String::new());
    if std::io::stdin().take(1024).read_to_string(&mut text).is_err() {
        tell("standard input holds no text");
        return Exit::Io;
    }
    let key = text.trim_end_matches(['\r', '\n']);
    if key.len() < LEAST_BYTES || key.len() > 256 || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        tell(
            "a key is 32 to 256 printable ASCII characters without blanks, and random: dgw_… as hash-key makes it",
        );
        return Exit::Negative;
    }
    print(&format!("{}\n", hex(&key_hash(key.as_bytes()))))
}
