//! Which files does a configuration consist of, and did any of them change?

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::{Config, Roots, SecretRef, Source};
use crate::digest::sha256;

/// The files that a running gateway follows.
#[derive(Clone)]
pub(super) struct Files {
    /// The configuration with its schemas, certificates and keys; a folder stands for the schemas in it.
    pub(super) configuration: Vec<PathBuf>,
    /// User names and passwords.
    pub(super) credentials: Vec<PathBuf>,
}

/// What files held when they were looked at.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Seen(Vec<Option<[u8; 32]>>);

impl Seen {
    /// Nothing was looked at yet.
    pub(super) fn nothing() -> Self {
        Self(Vec::new())
    }
}

impl Files {
    /// Those of `config`, which came from `source`.
    pub(super) fn of(source: &Source, config: &Config) -> Self {
        let mut configuration = vec![source.path.clone()];
        configuration.extend(config.schemas_dir.clone());
        configuration.extend(config.data.tls.iter().flat_map(|tls| [tls.cert.clone(), tls.key.clone()]));
        if let Roots::File(path) = &config.upstream.roots {
            configuration.push(path.clone());
        }
        configuration.extend(config.audit.fingerprint_key.path());
        let pairs = config.credentials.iter().flat_map(|pair| {
            let next = pair.next.iter().flatten();
            [&pair.user, &pair.pass].into_iter().chain(next)
        });
        Self { configuration, credentials: pairs.filter_map(SecretRef::path).collect() }
    }

    /// The folders in which a change of any of the files shows: of the file itself, and of every link on the way to
    /// it, such as `..data` of Kubernetes' mounts.
    pub(super) fn folders(&self) -> BTreeSet<PathBuf> {
        let mut folders = BTreeSet::new();
        for path in self.configuration.iter().chain(&self.credentials) {
            add_folders(path, &mut folders);
        }
        folders
    }
}

/// A chain of links is followed so far; the kernel gives up at 40.
const MOST_LINKS: usize = 40;

fn add_folders(path: &Path, folders: &mut BTreeSet<PathBuf>) {
    if path.is_dir() {
        folders.insert(path.to_path_buf());
    }
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        let folder = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
            Some(parent) => parent.to_path_buf(),
            None => return,
        };
        // Of a folder that is reached by a link, the exchange of that link is a change too.
        let linked = path.ancestors().skip(1).find(|ancestor| ancestor.is_symlink());
        folders.extend(linked.and_then(Path::parent).map(Path::to_path_buf));
        match std::fs::read_link(&path) {
            Ok(target) => path = folder.join(target),
            Err(_) => {
                folders.insert(folder);
                return;
            }
        }
        folders.insert(folder);
    }
}

/// Looks at `paths`. Contents decide and not times, which two changes in one tick of the clock have in common.
pub(super) fn look(paths: &[PathBuf]) -> Seen {
    Seen(paths.iter().map(|path| digest(path)).collect())
}

/// `None`: it cannot be read.
fn digest(path: &Path) -> Option<[u8; 32]> {
    if !path.is_dir() {
        return Some(sha256([Zeroizing::new(std::fs::read(path).ok()?)]));
    }
    let names = std::fs::read_dir(path).ok()?.flatten().map(|entry| entry.path());
    let is_schema = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let files: BTreeSet<PathBuf> = names.filter(is_schema).collect();
    let parts = files.iter().flat_map(|file| {
        let name = sha256([file.as_os_str().as_encoded_bytes()]);
        [name, digest(file).unwrap_or_default()]
    });
    Some(sha256(parts))
}
