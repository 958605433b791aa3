//! How does a file become the configuration that the gateway runs on?

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
use crate::schema::Schema;

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
    let (_, config, findings) = attempt(source, &[])?;
    settle(config, findings)
}

/// As [`load`], and reads the secrets: the faults of both are reported together.
///
/// # Errors
///
/// All faults at once.
pub fn load_with_secrets(source: &Source) -> Result<(Loaded, Secrets), Faults> {
    let (loaded, secrets, ()) = load_with_secrets_under(source, &[], || ())?;
    Ok((loaded, secrets))
}

/// As [`load_with_secrets`], and reads what it gives back of secrets under the `lock` that is taken right before, once
/// all that may take long was read. A schema that is among the `compiled` is not compiled again.
///
/// # Errors
///
/// All faults at once.
pub fn load_with_secrets_under<L>(
    source: &Source,
    compiled: &[Arc<Schema>],
    lock: impl FnOnce() -> L,
) -> Result<(Loaded, Secrets, L), Faults> {
    let (root, config, mut findings) = attempt(source, compiled)?;
    if findings.refused() {
        let uses = secret_uses(&root, &base(&source.path), &findings);
        findings.extend(read_all(&uses).1);
    }
    let loaded = settle(config, findings)?;
    let held = lock();
    let secrets = read_secrets(&loaded.config)?;
    Ok((loaded, secrets, held))
}

/// What was written, what it amounts to where it can be used, and what is wrong with it.
type Judged = (Root, Option<Config>, Findings);

fn attempt(source: &Source, compiled: &[Arc<Schema>]) -> Result<Judged, Faults> {
    let name = source.path.display().to_string();
    let text = read(&source.path).map_err(|(problem, remedy)| {
        let origin = Origin::File(name.clone());
        Faults::sorted(vec![Fault::new(Severity::Error, problem, remedy.to_owned(), origin)])
    })?;
    judge(name, text, source, compiled)
}

/// Judges `text`, which reports call `name`.
fn judge(name: String, text: String, source: &Source, compiled: &[Arc<Schema>]) -> Result<Judged, Faults> {
    let (mut root, malformed) = parse(&text);
    let mut file = FileText::new(name, text);
    // A repeated key is clear enough to read on; other faults of notation leave the meaning open.
    let readable = malformed.iter().all(|fault| fault.problem == "duplicate key");
    if readable {
        file.understand(&root, malformed.is_empty());
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
            let config = resolve(&written, &base(&source.path), compiled, &mut findings);
            Ok((written, config, findings))
        }
        None => Err(findings.finish()),
    }
}

fn understand(root: &mut Node, source: &Source, findings: &mut Findings) -> Option<Root> {
    overlay(root, &source.environment, &source.overrides, findings);
    Root::read(root, "", None, findings)
}

/// The file with its overrides, unjudged; `None` where there is none to read.
pub(super) fn laid_over(source: &Source) -> Option<Node> {
    let text = read(&source.path).ok()?;
    let (mut root, malformed) = parse(&text);
    let mut findings = Findings::new(FileText::new(String::new(), text));
    overlay(&mut root, &source.environment, &source.overrides, &mut findings);
    malformed.is_empty().then_some(root)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CANARY: &str = "hunter2hunter2";

    /// A configuration without schemas, because compiling them takes most of the time.
    fn quick() -> String {
        let text = include_str!("../../config/minimal.toml").replace("/var/lib/dcams-gateway/audit", "/tmp");
        format!("schemas_dir = \"/nonexistent\"\n{text}")
    }

    /// A configuration in which the password stands where its reference belongs.
    fn careless() -> String {
        let text = quick();
        let canary = format!("pass = \"{CANARY}\"");
        text.replace("pass = { file = \"/run/secrets/veratad_pass\" }", &canary)
    }

    fn report(text: String) -> Option<String> {
        let judged = judge("file.toml".to_owned(), text, &Source::default(), &[]);
        let settled = judged.and_then(|(_, config, findings)| settle(config, findings));
        settled.err().map(|faults| faults.render(false))
    }

    /// Replaces a part of `text` near the password, as a slip of an editor would.
    fn slip(text: &str, (at, length, instead): &(isize, usize, String)) -> String {
        let characters: Vec<char> = text.chars().collect();
        let password = text.find("hunter").map_or(0, |at| text[..at].chars().count());
        let start = password.saturating_add_signed(*at).min(characters.len());
        let end = (start + length).min(characters.len());
        characters[..start]
            .iter()
            .chain(&instead.chars().collect::<Vec<_>>())
            .chain(&characters[end..])
            .collect()
    }

    fn slips() -> impl Strategy<Value = Vec<(isize, usize, String)>> {
        let instead = prop_oneof!["[\\[\\]{}=\"'#.,\n -~]{0,3}", "[0-9a-z]{0,4}", "\\PC{0,3}"];
        prop::collection::vec((-120_isize..60, 0_usize..12, instead), 1..5)
    }

    #[test]
    fn the_careless_configuration_is_refused_for_its_password_and_its_schemas() {
        let report = report(careless()).expect("a report");
        assert!(report.contains("\n20 | pass = …\n"), "{report}");
        assert!(report.ends_with("\n2 errors\n"), "{report}");
    }

    /// PROPTEST_CASES asks for more.
    fn cases() -> ProptestConfig {
        let default = ProptestConfig::default();
        ProptestConfig { cases: default.cases.max(1024), failure_persistence: None, ..default }
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn no_slip_of_an_editor_makes_a_report_show_the_password(slips in slips()) {
            let text = slips.iter().fold(careless(), |text, each| slip(&text, each));
            if let Some(report) = report(text) {
                prop_assert!(!report.contains(CANARY), "{report}");
            }
        }

        #[test]
        fn no_text_makes_loading_panic(text in "\\PC{0,200}|[\\[\\]{}=\"'#.,\n a-c0-9]{0,200}") {
            prop_assert!(report(text).is_some());
        }

        #[test]
        fn no_override_makes_loading_panic(
            key in "[A-Z_a-z.\"=\n ]{0,40}",
            name in "[A-Z_]{0,40}",
            value in "\\PC{0,40}|[\\[\\]{}=\"',a-c0-9]{0,40}",
        ) {
            let environment = [(format!("DCAMS_GATEWAY__{name}"), value.clone())].into();
            let source = Source { environment, overrides: vec![(key, value)], ..Source::default() };
            let judged = judge("file.toml".to_owned(), quick(), &source, &[]);
            let rendered = judged.and_then(|(_, config, findings)| settle(config, findings)).err();
            prop_assert!(rendered.is_none_or(|faults| !faults.render(true).is_empty()));
        }
    }
}
