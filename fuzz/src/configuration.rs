//! Is every configuration read without a panic, no secret shown in a report, and what is accepted the same when it is
//! written again?
//!
//! An input is the text of a file. Lines that begin with `#!` are overrides of the command line. Or, where its first
//! byte says so, it is a list of slips of an editor in a file in which the password stands where its reference belongs.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use dcams_gateway::config::{Source, effective, load};

/// What became of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It can be used.
    Accepted,
    /// It has faults.
    Refused,
    /// The password stands in it, and the report does not show it.
    Concealed,
}

/// An input that begins so is a list of slips.
pub const SLIPS: u8 = b'~';

/// The password that no report may show.
const CANARY: &str = "hunter2hunter2";

/// A slip is as far from the password as this, characters.
const BEFORE: usize = 120;
const AFTER: usize = 60;

struct Stand {
    folder: tempfile::TempDir,
    careless: String,
}

static STAND: LazyLock<Stand> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    // Schemas that are compiled in no time.
    let schemas = folder.path().join("schemas");
    fs::create_dir(&schemas).unwrap();
    for service in ["createOrUpdateCustomer", "getDocumentImages", "getStatus", "updateStatus"] {
        let schema = r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false,"properties":{"service":{"type":"string","maxLength":32}}}"#;
        fs::write(schemas.join(format!("{service}.schema.json")), schema).unwrap();
    }
    let minimal = include_str!("../../config/minimal.toml").replace("/var/lib/dcams-gateway/audit", "/tmp");
    let reference = "pass = { file = \"/run/secrets/veratad_pass\" }";
    assert!(minimal.contains(reference));
    let careless = minimal.replace(reference, &format!("pass = \"{CANARY}\""));
    Stand { careless: format!("schemas_dir = \"/nonexistent\"\n{careless}"), folder }
});

/// Loads the configuration that `input` stands for, and panics where that is not as it must be. `None` where it stands
/// for none.
pub fn check(input: &[u8]) -> Option<Verdict> {
    if let Some((&SLIPS, slips)) = input.split_first() {
        let report = report(&source("careless.toml", &slipped(slips)?, Vec::new()))?;
        assert!(!report.contains(CANARY), "{report}");
        return Some(Verdict::Concealed);
    }
    let text = std::str::from_utf8(input).ok()?;
    let overrides = text.lines().filter_map(|line| line.strip_prefix("#!")?.split_once('='));
    let mut overrides: Vec<_> = overrides.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    if !text.contains("schemas_dir") {
        // Those that are built in would take nine tenths of the time.
        overrides.push(("schemas_dir".to_owned(), "schemas".to_owned()));
    }
    let source = source("file.toml", text, overrides);
    let Ok(loaded) = load(&source) else { return Some(Verdict::Refused) };
    // What is effective, written as a file again, is the same configuration.
    let written = toml::to_string(&effective(&source).unwrap()).unwrap();
    let again = load(&self::source("again.toml", &written, Vec::new()));
    let again = again.unwrap_or_else(|faults| panic!("accepted, and then not: {}", faults.render(false)));
    assert_eq!(loaded.config.digest, again.config.digest, "{written}");
    Some(Verdict::Accepted)
}

fn report(source: &Source) -> Option<String> {
    let faults = load(source).err()?;
    let report = faults.render(false);
    assert!(!report.is_empty(), "refused without a word");
    Some(report)
}

fn source(name: &str, text: &str, overrides: Vec<(String, String)>) -> Source {
    // A file of a process: several may run at once.
    let path: PathBuf = STAND.folder.path().join(name);
    fs::write(&path, text).unwrap();
    Source { path, overrides, ..Source::default() }
}

/// The careless file after the slips: for each, where, how many characters are lost, and what was typed instead.
fn slipped(mut slips: &[u8]) -> Option<String> {
    let mut text: Vec<char> = STAND.careless.chars().collect();
    let mut left = 4;
    while let Some((&[at, lost, typed], rest)) = slips.split_first_chunk() {
        let typed = std::str::from_utf8(rest.get(..usize::from(typed) % 5)?).ok()?;
        slips = &rest[typed.len()..];
        let whole: String = text.iter().collect();
        // A slip may have changed the password itself: then there is nothing to look for.
        let password = whole.find("hunter").map(|at| whole[..at].chars().count())?;
        let start = (password.saturating_sub(BEFORE) + usize::from(at) % (BEFORE + AFTER)).min(text.len());
        let end = (start + usize::from(lost) % 12).min(text.len());
        text.splice(start..end, typed.chars());
        left -= 1;
        if left == 0 {
            break;
        }
    }
    Some(text.into_iter().collect())
}
