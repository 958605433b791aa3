//! Are the files there that the configuration names?

use std::path::Path;

use rustix::fs::Access;

use crate::config::findings::{Findings, Spot};
use crate::config::model::SecretRef;
use crate::config::secret_source::judge_private_file;

/// Reports `path` at `spot` unless it is a file that can be opened now, and says which.
pub(super) fn expect_file(path: &Path, spot: &Spot, findings: &mut Findings) -> bool {
    let wrong = match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Some("is not a regular file".to_owned()),
        Ok(_) => std::fs::File::open(path).err().map(|error| unreadable(&error)),
        Err(error) => Some(unreadable(&error)),
    };
    if let Some(wrong) = wrong {
        findings.error_at(
            spot,
            &format!("{} {wrong}", path.display()),
            "correct the path, or provide the file",
        );
        return false;
    }
    true
}

/// As [`expect_file`], for a file that holds a secret.
pub(super) fn expect_private_file(written: &Path, base: &Path, spot: &Spot, findings: &mut Findings) -> bool {
    if let Err(fault) = judge_private_file(&base.join(written)) {
        let quotable = is_likely_path(written, base);
        if !quotable {
            findings.conceal_at(&spot.place);
        }
        let place = if quotable { fault.place() } else { "the file that is named here" };
        findings.error_at(spot, &format!("{place} {}", fault.problem()), fault.remedy());
        return false;
    }
    true
}

/// Whether `reference` can be shown: what names nothing may be the secret itself, in the place of its name.
pub(super) fn is_likely_reference(reference: &SecretRef, base: &Path) -> bool {
    match reference {
        SecretRef::File(path) => is_likely_path(path, base),
        SecretRef::Env(variable) => {
            !variable.contains(|c: char| c.is_ascii_lowercase()) || reference.exists()
        }
        SecretRef::Credential(_) => reference.exists(),
    }
}

/// Whether `written` is there, or is absolute, or its folder is there.
fn is_likely_path(written: &Path, base: &Path) -> bool {
    let folder = written.parent().filter(|folder| !folder.as_os_str().is_empty());
    written.is_absolute()
        || base.join(written).exists()
        || folder.is_some_and(|folder| base.join(folder).is_dir())
}

/// Reports `path` at `spot` unless it is a folder that can be written to, or one can be made there. Makes none: it
/// would belong to whoever checks.
pub(super) fn expect_writable_folder(path: &Path, spot: &Spot, findings: &mut Findings) {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    };
    let folder = if path.exists() { path } else { parent };
    if !folder.is_dir() && folder == path {
        findings.error_at(spot, &format!("{} is not a folder", path.display()), "name a folder");
    } else if !folder.is_dir() {
        let problem = format!("the folder {} does not exist", folder.display());
        findings.error_at(spot, &problem, "create it, or correct the path");
    } else if let Err(error) = rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        let error = std::io::Error::from(error);
        let problem = format!("{} cannot be written to: {error}", folder.display());
        findings.error_at(spot, &problem, "let the gateway's own user write there, or correct the path");
    }
}

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "cannot be opened: permission denied".to_owned(),
        _ => format!("cannot be opened: {error}"),
    }
}
