//! Where does everything of a run live, so that nothing of it stays?

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder of this run alone (0700), removed at its end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// For the command `command`.
    pub(crate) fn new(command: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("dcams-gateway-{command}-{}", uuid::Uuid::now_v7()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a folder in it.
    pub(super) fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed holds canaries and keys of a gateway that is gone.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a private file, new.
pub(crate) fn private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

/// Every file under `folder`: path within it, and contents.
pub(super) fn files_under(folder: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            let kind = fs::symlink_metadata(&path)?.file_type();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let within = path.strip_prefix(folder).unwrap_or(&path).to_path_buf();
                found.push((within, fs::read(&path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_its_owners_alone_and_leaves_nothing() {
        let folder = Folder::new("test").unwrap();
        let path = folder.path().to_path_buf();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let inner = folder.folder("inner").unwrap();
        private_file(&inner.join("secret"), b"text").unwrap();
        assert_eq!(fs::metadata(inner.join("secret")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(files_under(&path).unwrap(), [(PathBuf::from("inner/secret"), b"text".to_vec())]);
        drop(folder);
        assert!(!path.exists());
    }
}
