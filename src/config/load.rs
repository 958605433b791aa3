//! How does a file become the configuration that the gateway runs on?

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::environment::{overlay, process_overrides};
use super::faults::{Fault, Faults, Origin, Severity};
use super::findings::Findings;
use super::model::Config;
use super::reader::Written;
use super::resolve::{resolve, secret_uses};
use super::secrets::{Secrets, read_all, read_secrets};
use super::shown::FileText;
use super::tree::{Node, Place, parse};
use super::written::Root;

/// A configuration is written by people; what is larger is the wrong file.
const LARGEST_FILE_BYTES: u64 = 1024 * 1024;

/// Where a configuration comes from. Precedence: `overrides`, `environment`, the file, defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The TOML file. Relative paths in it start at its folder.
    pub path: PathBuf,
    /// `DCAMS_GATEWAY__TABLE__KEY` and value; other variables are passed over.
    pub environment: BTreeMap<String, String>,
    /// Of the command line: a dotted key, and a TOML value or a bare string.
    pub overrides: Vec<(String, String)>,
}

impl Source {
    /// The file at `path` with the overrides of this process's environment and of its command line.
    #[must_use]
    pub fn of_process(path: PathBuf, overrides: Vec<(String, String)>) -> Self {
        Self { path, environment: process_overrides(), overrides }
    }
}

/// A configuration that was found good.
pub struct Loaded {
    /// What the gateway runs on.
    pub config: Config,
    /// What the operator should know.
    pub warnings: Faults,
}

/// Reads and judges the configuration; secrets are not read (see [`read_secrets`](super::read_secrets)).
///
/// # Errors
///
/// All faults at once, each with its place, what is wrong and what would be right.
pub fn load(source: &Source) -> Result<Loaded, Faults> {
    let (_, config, findings) = attempt(source)?;
    settle(config, findings)
}

/// As [`load`], and reads the secrets: the faults of both are reported together.
///
/// # Errors
///
/// All faults at once.
pub fn load_with_secrets(source: &Source) -> Result<(Loaded, Secrets), Faults> {
    let (root, config, mut findings) = attempt(source)?;
    if findings.refused() {
        let uses = secret_uses(&root, &base(&source.path), &findings);
        findings.extend(read_all(&uses).1);
    }
    let loaded = settle(config, findings)?;
    let secrets = read_secrets(&loaded.config)?;
    Ok((loaded, secrets))
}

fn attempt(source: &Source) -> Result<(Root, Option<Config>, Findings), Faults> {
    let name = source.path.display().to_string();
    let text = read(&source.path).map_err(|(problem, remedy)| {
        let origin = Origin::File(name.clone());
        Faults::sorted(vec![Fault::new(Severity::Error, problem, remedy.to_owned(), origin)])
    })?;
    let (mut root, malformed) = parse(&text);
    let mut file = FileText::new(name, text);
    // A repeated key is clear enough to read on; other faults of notation leave the meaning open.
    let readable = malformed.iter().all(|fault| fault.problem == "duplicate key");
    if readable {
        file.understand(&root);
    }
    let mut findings = Findings::new(file);
    for fault in malformed {
        let start = fault.span.unwrap_or(0..0);
        let (problem, remedy) = match readable {
            true => ("the key stands here twice", "keep one of the two"),
            false => (
                fault.problem.as_str(),
                "correct the TOML notation (https://toml.io); the rest is judged after that",
            ),
        };
        findings.error("", &Place::File(start), problem, remedy);
    }
    if !readable {
        return Err(findings.finish());
    }
    let written = understand(&mut root, source, &mut findings);
    match written {
        Some(written) => {
            let config = resolve(&written, &base(&source.path), &mut findings);
            Ok((written, config, findings))
        }
        None => Err(findings.finish()),
    }
}

fn understand(root: &mut Node, source: &Source, findings: &mut Findings) -> Option<Root> {
    overlay(root, &source.environment, &source.overrides, findings);
    Root::read(root, "", None, findings)
}

fn settle(config: Option<Config>, mut findings: Findings) -> Result<Loaded, Faults> {
    match config {
        Some(config) if !findings.refused() => Ok(Loaded { config, warnings: findings.finish() }),
        _ => {
            if !findings.refused() {
                let problem = "the configuration cannot be used, and the reason was not reported";
                findings.error("", &Place::Default, problem, "report this as a bug of dcams-gateway");
            }
            Err(findings.finish())
        }
    }
}

fn read(path: &Path) -> Result<String, (String, &'static str)> {
    let wrong = |error: std::io::Error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "create it (config/minimal.toml is a start), or name another file with --config"
            }
            std::io::ErrorKind::PermissionDenied => "let the gateway's user read it",
            _ => "name a readable file with --config",
        };
        (format!("the configuration file cannot be read: {error}"), remedy)
    };
    let file = File::open(path).map_err(wrong)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE_BYTES.saturating_add(1)).read_to_end(&mut bytes).map_err(wrong)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST_FILE_BYTES {
        return Err((
            "the configuration file is larger than 1 MiB".to_owned(),
            "name the right file with --config",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        (
            format!("the configuration file is not UTF-8, from byte {at} on"),
            "save it in UTF-8, as TOML needs it",
        )
    })
}

/// The folder that relative paths start at.
fn base(path: &Path) -> PathBuf {
    path.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}
