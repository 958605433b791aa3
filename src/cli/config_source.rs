//! From where does a command take its configuration, and how are its faults told?

use std::io::IsTerminal;

use super::{Configured, Exit, tell};
use crate::config::{self, Faults, Loaded, Secrets, Source};

/// Reads `KEY=VALUE` of every `--set`. Not done by clap, which would quote what it refuses.
fn overrides(written: &[String]) -> Result<Vec<(String, String)>, Exit> {
    let parts = written.iter().map(|text| text.split_once('='));
    let trimmed =
        parts.map(|parts| parts.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())));
    trimmed.collect::<Option<_>>().ok_or_else(|| {
        tell("error: a value of '--set' is not KEY=VALUE: expected for example log.filter=debug");
        Exit::Usage
    })
}

/// The configuration with its secrets, or every fault of both on standard error.
pub(super) fn load(configured: &Configured) -> Result<(Loaded, Secrets), Exit> {
    let source = source(configured)?;
    let loaded = config::load_with_secrets(&source);
    let (loaded, secrets) = loaded.map_err(|faults| refuse(configured, &faults))?;
    tell_faults(&loaded.warnings);
    tell_faults(secrets.warnings());
    Ok((loaded, secrets))
}

/// From where the configuration is read.
pub(super) fn source(configured: &Configured) -> Result<Source, Exit> {
    let overrides = overrides(&configured.overrides)?;
    Ok(Source::of_process(configured.config.clone(), overrides))
}

/// Tells every fault of a configuration that is not used.
pub(super) fn refuse(configured: &Configured, faults: &Faults) -> Exit {
    tell_faults(faults);
    let count = faults.iter().filter(|fault| fault.severity() == config::Severity::Error).count();
    let plural = if count == 1 { "fault" } else { "faults" };
    tell(&format!("{}: {count} {plural}; nothing was started", configured.config.display()));
    Exit::Config
}

fn tell_faults(faults: &Faults) {
    if !faults.is_empty() {
        tell(&faults.render(std::io::stderr().is_terminal()));
    }
}
