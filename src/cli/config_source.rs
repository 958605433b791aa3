//! From where does a command take its configuration, and how are its faults told?

use std::io::IsTerminal;

use super::{Configured, Exit, tell};
use crate::config::{self, Faults, Loaded, Secrets, Source};

/// Reads `key=value` of `--set`.
pub(super) fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, for example log.filter=debug")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// The configuration with its secrets, or every fault of both on standard error.
pub(super) fn load(configured: &Configured) -> Result<(Loaded, Secrets), Exit> {
    let source = Source::of_process(configured.config.clone(), configured.overrides.clone());
    let (loaded, secrets) = config::load_with_secrets(&source).map_err(|faults| {
        tell_faults(&faults);
        let count = faults.iter().filter(|fault| fault.severity() == config::Severity::Error).count();
        let plural = if count == 1 { "fault" } else { "faults" };
        tell(&format!("{}: {count} {plural}; nothing was started", configured.config.display()));
        Exit::Config
    })?;
    tell_faults(&loaded.warnings);
    tell_faults(secrets.warnings());
    Ok((loaded, secrets))
}

fn tell_faults(faults: &Faults) {
    if !faults.is_empty() {
        tell(&faults.render(std::io::stderr().is_terminal()));
    }
}
