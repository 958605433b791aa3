//! `audit keygen`: which keys does a log need, and who holds which?

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use zeroize::Zeroizing;

use super::{Exit, failed, print, tell};
use crate::audit::{MAC_BYTES, SigningKey, hex};
use crate::secret::Secret;

pub(super) const EXAMPLES: &str = "\
Examples:
  dcams-gateway audit keygen /etc/dcams-gateway/audit-keys

It makes signing.pem (the gateway's), public.pem (the verifier's) and chain.key (the verifier's; the
gateway's until its first start). Copy chain.key to where logs are verified, start the gateway once,
then remove chain.key from its host: a gateway does not need it to go on with a log. Nothing is ever
overwritten.";

const SIGNING: &str = "signing.pem";
const PUBLIC: &str = "public.pem";
const CHAIN: &str = "chain.key";

#[derive(Args)]
pub(super) struct Keygen {
    /// Where to put the keys; made where it does not exist
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(super) fn run(command: &Keygen) -> Exit {
    let folder = &command.folder;
    let Some((signing, chain)) = new_keys() else {
        tell("the system has no random bytes");
        return Exit::Io;
    };
    let Ok(key) = SigningKey::of_pem(&signing) else {
        tell("the signing key that was made cannot be read");
        return Exit::Io;
    };
    let public = key.public();
    if let Some(there) = [SIGNING, PUBLIC, CHAIN].iter().find(|name| exists(&folder.join(name))) {
        tell(&format!("{} exists already: nothing was made", folder.join(there).display()));
        return Exit::Negative;
    }
    let pem = public.to_pem();
    let files: [(&str, &[u8], u32); 3] =
        [(SIGNING, signing.expose(), 0o600), (CHAIN, chain.expose(), 0o600), (PUBLIC, pem.as_bytes(), 0o644)];
    match write(folder, &files) {
        Ok(()) => print(&made(folder, &hex(&public.id()))),
        Err(error) => failed("cannot write keys to", folder, &error),
    }
}

/// The signing key in PEM, and the chain key as a line of text.
fn new_keys() -> Option<(Secret, Secret)> {
    let mut chain = Zeroizing::new([0; MAC_BYTES]);
    aws_lc_rs::rand::fill(chain.as_mut()).ok()?;
    Some((SigningKey::new_pem()?, Secret::new(format!("{}\n", STANDARD.encode(chain.as_ref())).into_bytes())))
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// All files, or none.
fn write(folder: &Path, files: &[(&str, &[u8], u32)]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for (at, (name, contents, mode)) in files.iter().enumerate() {
        if let Err(error) = write_new(&folder.join(name), contents, *mode) {
            for (name, ..) in files.iter().take(at) {
                // What stays behind is in the way of the next attempt, which then names it.
                let _ = fs::remove_file(folder.join(name));
            }
            return Err(error);
        }
    }
    fs::File::open(folder)?.sync_all()
}

fn write_new(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(contents).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

fn made(folder: &Path, id: &str) -> String {
    let path = |name| folder.join(name).display().to_string();
    let (signing, public, chain) = (path(SIGNING), path(PUBLIC), path(CHAIN));
    format!(
        "made {signing}\n     {chain}\n     {public}   (key {id})\n\n\
         in the gateway's configuration:\n\
         [audit]\n\
         output = {{ folder = \"/var/lib/dcams-gateway/audit\" }}\n\
         signing_key = {{ file = \"{signing}\" }}\n\
         chain_key = {{ file = \"{chain}\" }}     # read once, to begin a log: remove it from this host afterwards\n\n\
         where the log is verified: {public} and a copy of {chain}\n"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::audit::PublicKey;
    use crate::config::SecretRef;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn three_keys_are_made_that_the_gateway_and_the_verifier_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("etc/keys");
        assert_eq!(run(&Keygen { folder: folder.clone() }), Exit::Ok);
        let read = |name: &str| SecretRef::File(folder.join(name)).read().unwrap_or_else(|_| unreachable!());
        let signing = SigningKey::of_pem(&read(SIGNING)).unwrap_or_else(|_| unreachable!());
        let public = PublicKey::of_pem(&fs::read(folder.join(PUBLIC)).unwrap());
        assert_eq!(public, Ok(signing.public()));
        assert_eq!(STANDARD.decode(read(CHAIN).expose()).map(|key| key.len()), Ok(32));
        let modes = [SIGNING, CHAIN, PUBLIC].map(|name| mode(&folder.join(name)) & 0o077);
        assert_eq!(&modes[..2], [0, 0]);
    }

    #[test]
    fn no_key_is_overwritten_and_none_is_made_beside_one_that_is_there() {
        for there in [SIGNING, PUBLIC, CHAIN] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(there), "precious").unwrap();
            assert_eq!(run(&Keygen { folder: folder.path().to_owned() }), Exit::Negative);
            assert_eq!(fs::read_to_string(folder.path().join(there)).unwrap(), "precious");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn no_two_keys_are_equal() {
        let keys = [new_keys(), new_keys()].map(|keys| {
            let (signing, chain) = keys.unwrap_or_else(|| unreachable!());
            (signing.expose().to_vec(), chain.expose().to_vec())
        });
        assert_ne!(keys[0].0, keys[1].0);
        assert_ne!(keys[0].1, keys[1].1);
    }
}
