//! Where do audit records go, and with which keys?

use std::path::Path;

use super::{files, located, rate, same_file, secret_references};
use crate::audit::{AuditSecrets, Retention};
use crate::config::findings::{Findings, Spot};
use crate::config::model::{Audit, AuditFolder, AuditOutput, SecretRef};
use crate::config::reader::{At, Field};
use crate::config::references::Output;
use crate::config::secrets::Role;
use crate::config::tree::Place;
use crate::config::written::{self, Root};

pub(super) fn audit(root: &Root, base: &Path, findings: &mut Findings) -> Option<Audit> {
    let written = root.audit.value()?;
    let output = written.output.at().and_then(|at| match &at.value {
        Output::Folder(path) => {
            let path = base.join(path);
            files::expect_writable_folder(&path, &at.spot, findings);
            judge_folder(root, base, at, &path, findings);
            folder(written, base, at, &path, findings).map(AuditOutput::Folder)
        }
        Output::Stdout => {
            warn_of_idle_keys(written, findings);
            Some(AuditOutput::Stdout)
        }
    });
    Some(Audit {
        output: output?,
        fingerprint_key: located(written.fingerprint_key.value()?, base),
        fingerprint_key_id: written.fingerprint_key_id.value()?.0.as_str().into(),
        stranger_rate: rate(written.stranger_rate.value()?)?,
    })
}

/// Whether the secret of that role is read at the start: the chain's only where a chain is begun.
pub(super) fn is_read(root: &Root, base: &Path, role: Role) -> bool {
    let output = root.audit.value().and_then(|audit| audit.output.value());
    match (role, output) {
        (Role::SigningKey | Role::ChainKey, None | Some(Output::Stdout)) => false,
        (Role::ChainKey, Some(Output::Folder(path))) => AuditSecrets::are_all_needed(&base.join(path)),
        _ => true,
    }
}

fn folder(
    written: &written::Audit,
    base: &Path,
    output: &At<Output>,
    path: &Path,
    findings: &mut Findings,
) -> Option<AuditFolder> {
    let mut missing = |key: &str, remedy: &str| {
        findings.error(key, &output.spot.place, "is missing", remedy);
    };
    if written.signing_key.is_absent() {
        missing("audit.signing_key", "add `signing_key`: make one with `openssl genpkey -algorithm ed25519`");
    }
    if written.chain_key.is_absent() && AuditSecrets::are_all_needed(path) {
        let remedy = "add `chain_key`, which a new chain begins with: make one with `openssl rand -hex 32`";
        missing("audit.chain_key", remedy);
    }
    Some(AuditFolder {
        path: path.to_owned(),
        signing_key: located(written.signing_key.value()?, base),
        chain_key: match &written.chain_key {
            Field::Is(at) => Some(located(&at.value, base)),
            Field::Absent => None,
            Field::Broken => return None,
        },
        segment_bytes: written.segment_bytes.value()?.0,
        segment_age: written.segment_age.value()?.0,
        checkpoint_interval: written.checkpoint_interval.value()?.0,
        retention: Retention {
            segments: written.retain_segments.value().map(|count| count.0),
            age: written.retain_age.value().map(|time| time.0),
            bytes: written.retain_bytes.value().map(|size| size.0),
        },
        reserve_bytes: written.reserve.value()?.0,
    })
}

fn judge_folder(root: &Root, base: &Path, output: &At<Output>, path: &Path, findings: &mut Findings) {
    let schemas = root.schemas_dir.value().map(|folder| base.join(&folder.0));
    if schemas.is_some_and(|schemas| same_file(&schemas, path)) {
        findings.error_at(&output.spot, "is the folder of the schemas too", "name a folder of its own");
    }
    for (_, at) in secret_references(root) {
        if let SecretRef::File(file) = &at.value
            && base.join(file).parent().is_some_and(|folder| same_file(folder, path))
        {
            let problem = "lies in the audit folder: who is given the records is given the secret";
            findings.warn_at(&at.spot, problem, "keep it elsewhere");
        }
    }
    let written = root.audit.value();
    let retained = written.and_then(|audit| audit.retain_bytes.at());
    let segment = written.and_then(|audit| audit.segment_bytes.value());
    if let (Some(retained), Some(segment)) = (retained, segment)
        && retained.value.0 < segment.0
    {
        let problem = "is less than one segment (audit.segment_bytes): each is removed once it is ended";
        findings.warn_at(&retained.spot, problem, "raise `retain_bytes`, or lower `segment_bytes`");
    }
    judge_unread_chain_key(root, base, findings);
}

/// Secrets that are read are compared; this one may be only named.
fn judge_unread_chain_key(root: &Root, base: &Path, findings: &mut Findings) {
    let chain_key = root.audit.value().and_then(|audit| audit.chain_key.at());
    let Some(chain_key) = chain_key.filter(|_| !is_read(root, base, Role::ChainKey)) else { return };
    let other = secret_references(root)
        .find(|(role, at)| *role != Role::ChainKey && at.value == chain_key.value)
        .map(|(_, at)| format!("is the same secret as {}", at.spot.key));
    if let Some(problem) = other {
        findings.error_at(&chain_key.spot, &problem, "name the secret that the chain was begun with");
    }
}

/// Keys that have a meaning in a folder only.
fn warn_of_idle_keys(written: &written::Audit, findings: &mut Findings) {
    let spots = [
        spot(&written.signing_key),
        spot(&written.chain_key),
        spot(&written.segment_bytes),
        spot(&written.segment_age),
        spot(&written.checkpoint_interval),
        spot(&written.retain_segments),
        spot(&written.retain_age),
        spot(&written.retain_bytes),
        spot(&written.reserve),
    ];
    for spot in spots.into_iter().flatten() {
        let remedy = "write `output = { folder = \"…\" }`, or leave the key out";
        findings.warn_at(spot, "has no effect: audit.output is `stdout`", remedy);
    }
}

/// Where the key was written, if it was.
fn spot<T>(field: &Field<T>) -> Option<&Spot> {
    field.at().map(|at| &at.spot).filter(|spot| !matches!(spot.place, Place::Default))
}
