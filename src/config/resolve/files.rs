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

/// Reports `path` at `spot` unless it can be appended to, or a file can be made there. Makes none: it would
/// belong to whoever checks.
pub(super) fn expect_appendable(path: &Path, spot: &Spot, findings: &mut Findings) {
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    };
    if path.is_dir() {
        findings.error_at(spot, &format!("{} is a folder", path.display()), "name a file");
    } else if !folder.is_dir() {
        let problem = format!("the folder {} does not exist", folder.display());
        findings.error_at(spot, &problem, "create it, or correct the path");
    } else if let Err(problem) = appendable(path, folder) {
        findings.error_at(spot, &problem, "let the gateway's own user write there, or correct the path");
    }
}

fn appendable(path: &Path, folder: &Path) -> Result<(), String> {
    let wanted = match path.exists() {
        true => (path, Access::WRITE_OK),
        false => (folder, Access::WRITE_OK | Access::EXEC_OK),
    };
    rustix::fs::access(wanted.0, wanted.1).map_err(|error| {
        format!("{} cannot be written to: {}", wanted.0.display(), std::io::Error::from(error))
    })
}

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "cannot be opened: permission denied".to_owned(),
        _ => format!("cannot be opened: {error}"),
    }
}
