//! Which schema files are there, and do those that services name compile?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::faults::{Fault, Origin, Severity};
use crate::config::findings::{Findings, Spot};
use crate::config::json_place::{Location, place_of};
use crate::config::reader::{listed, nearest};
use crate::config::written::Root;
use crate::schema::{Schema, SchemaFault, SchemaFiles, builtin};

/// A schema is written by people; what is larger is the wrong file.
const LARGEST_FILE_BYTES: u64 = 1024 * 1024;

/// The schema files of this configuration, and what became of those that were compiled.
pub(super) struct Schemas<'c> {
    /// `None`: built in.
    folder: Option<PathBuf>,
    files: SchemaFiles,
    /// Of the configuration before.
    known: &'c [Arc<Schema>],
    /// `None`: does not compile, which was reported.
    compiled: BTreeMap<String, Option<Arc<Schema>>>,
}

impl<'c> Schemas<'c> {
    /// Reads the folder of the schemas, or takes what is built in; `None` after a report. What is among the `known` is
    /// not compiled again.
    pub(super) fn of(
        root: &Root,
        base: &Path,
        known: &'c [Arc<Schema>],
        findings: &mut Findings,
    ) -> Option<Self> {
        let compiled = BTreeMap::new();
        if root.schemas_dir.is_absent() {
            return Some(Self { folder: None, files: builtin(), known, compiled });
        }
        let at = root.schemas_dir.at()?;
        let folder = base.join(&at.value.0);
        let files = read_folder(&folder, &at.spot, findings)?;
        Some(Self { folder: Some(folder), files, known, compiled })
    }

    /// The compiled schema of the file `name`, which stands at `spot`; compiled once, reported once.
    pub(super) fn schema(&mut self, name: &str, spot: &Spot, findings: &mut Findings) -> Option<Arc<Schema>> {
        if !self.files.contains_key(name) {
            let names: Vec<_> = self.files.keys().map(String::as_str).collect();
            let remedy = match (nearest(name, names.iter().copied()), &self.folder) {
                (Some(near), _) => format!("did you mean {near:?}?"),
                (None, Some(_)) => format!("put it there; what is there: {}", listed(&names)),
                (None, None) => {
                    format!("name a folder that has it as `schemas_dir`; built in are {}", listed(&names))
                }
            };
            // What resembles no file's name may be a secret that slipped here.
            let problem = if name.ends_with(".json") {
                format!("the schema file {} does not exist", self.path(name))
            } else {
                findings.conceal_at(&spot.place);
                "the schema file that is named here does not exist".to_owned()
            };
            findings.error_at(spot, &problem, &remedy);
            return None;
        }
        if let Some(known) = self.compiled.get(name) {
            return known.clone();
        }
        let schema = match Schema::compile_unless_known(name, &self.files, self.known) {
            Ok(schema) => Some(schema),
            Err(faults) => {
                self.report(name, &faults, spot, findings);
                None
            }
        };
        self.compiled.insert(name.to_owned(), schema.clone());
        schema
    }

    fn report(&self, name: &str, faults: &[SchemaFault], spot: &Spot, findings: &mut Findings) {
        if faults.is_empty() {
            let remedy = "check it with a validator of JSON Schema draft 2020-12";
            findings.error_at(spot, &format!("the schema file {} does not compile", self.path(name)), remedy);
        }
        let text = self.files.get(name).map(String::as_str).unwrap_or_default();
        let faults = faults.iter().map(|fault| {
            let pointer = if fault.pointer.is_empty() { "the root" } else { fault.pointer.as_str() };
            let problem = format!("{pointer}: {}", fault.problem);
            let origin = match place_of(text, &fault.pointer) {
                Some(Location { line, text, caret }) => {
                    Origin::Line { file: self.path(name), elsewhere: true, line, shown: text, caret }
                }
                None => Origin::File(self.path(name)),
            };
            Fault::new(Severity::Error, problem, fault.remedy.clone(), origin)
        });
        findings.extend(faults.collect());
    }

    fn path(&self, name: &str) -> String {
        match &self.folder {
            Some(folder) => folder.join(name).display().to_string(),
            None => format!("(built in) {name}"),
        }
    }
}

fn read_folder(folder: &Path, spot: &Spot, findings: &mut Findings) -> Option<SchemaFiles> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        let problem = format!("{} is not a folder that can be read", folder.display());
        findings.error_at(spot, &problem, "correct the path, or leave the key out for the built-in schemas");
        return None;
    };
    let mut files = SchemaFiles::new();
    let mut complete = true;
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        // What begins with a dot is Kubernetes' own (`..data`) or an editor's.
        if name.starts_with('.') || !name.ends_with(".json") {
            continue;
        }
        let path = folder.join(&name);
        match read(&path) {
            Ok(text) => {
                files.insert(name, text);
            }
            Err(problem) => {
                let problem = format!("{} {problem}", path.display());
                findings.error_at(spot, &problem, "keep only schema files (*.json) in this folder");
                complete = false;
            }
        }
    }
    complete.then_some(files)
}

fn read(path: &Path) -> Result<String, &'static str> {
    let metadata = std::fs::metadata(path).map_err(|_| "cannot be read")?;
    if !metadata.is_file() {
        return Err("is not a regular file");
    }
    if metadata.len() > LARGEST_FILE_BYTES {
        return Err("is larger than 1 MiB");
    }
    let bytes = std::fs::read(path).map_err(|_| "cannot be read")?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8")
}
