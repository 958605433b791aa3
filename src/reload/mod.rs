//! How does a configuration that changed come into force, or not?

mod files;
mod follow;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Resource, getrlimit};

use crate::audit::{self, Class, ReloadCause, ReloadResult};
use crate::config::{self, Config, Faults, Loaded, Secrets, Source};
use crate::credentials::Reread;
use crate::gateway::{Gateway, StartFault};
use crate::ids::CredentialId;
use crate::server::descriptors;

pub use follow::follow;

/// Reads the configuration of a running gateway again.
pub struct Reloader {
    gateway: Arc<Gateway>,
    source: Source,
    /// What was told last, while it is so.
    refusal: Mutex<Option<Refusal>>,
}

/// Why a configuration is not put in force.
#[derive(PartialEq, Eq)]
struct Refusal {
    refused: Option<[u8; 32]>,
    faults: Vec<Told>,
}

/// A fault, without a secret.
#[derive(PartialEq, Eq)]
struct Told {
    line: Option<usize>,
    problem: String,
    remedy: String,
}

impl Reloader {
    /// For `gateway`, which was started from `source`.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, source: Source) -> Self {
        Self { gateway, source, refusal: Mutex::new(None) }
    }

    /// Reads configuration, schemas, secrets and certificates, and puts all of them in force together, or none: what
    /// has a fault leaves the last good configuration in force. Either way it is told: in the log, the metrics, the
    /// audit and to who asks whether the gateway is ready; the same refusal only once, unless a signal asks for it.
    /// Blocks on the file system.
    pub fn reload(&self, cause: ReloadCause) -> ReloadResult {
        let before = self.gateway.current().config.digest;
        let config = match self.attempt() {
            Ok(config) => config,
            Err(refusal) => return self.refuse(cause, refusal),
        };
        let was_refused = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take().is_some();
        let result = match config == before {
            true => ReloadResult::Unchanged { config },
            false => ReloadResult::Applied { previous: before, config },
        };
        // Not each time that a file was written which says what it said before.
        let is_news = matches!(result, ReloadResult::Applied { .. }) || was_refused;
        if is_news || cause == ReloadCause::Signal {
            self.tell(cause, &result);
        }
        result
    }

    /// Reading broke off by a fault of this program: as a refusal, it leaves the last good configuration in force.
    fn broke_off(&self, cause: ReloadCause) {
        let problem = "the reading of the configuration panicked".to_owned();
        let remedy = "report it with the place that the log names".to_owned();
        self.refuse(cause, Refusal { refused: None, faults: vec![Told { line: None, problem, remedy }] });
    }

    fn refuse(&self, cause: ReloadCause, refusal: Refusal) -> ReloadResult {
        let config = self.gateway.current().config.digest;
        let faults = refusal.faults.len();
        let result = ReloadResult::Refused { config, refused: refusal.refused, faults };
        let mut before = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        if before.as_ref() != Some(&refusal) || cause == ReloadCause::Signal {
            for Told { line, problem, remedy } in &refusal.faults {
                tracing::error!(line, problem, remedy, "a fault of the new configuration");
            }
            self.tell(cause, &result);
        }
        *before = Some(refusal);
        result
    }

    /// Reads the pairs of the configuration in force again, because a password must not wait for a configuration
    /// that is being mended. Whether all are settled: of none, one half is waited for.
    pub fn reread_credentials(&self) -> bool {
        let credentials = Arc::clone(&self.gateway.current().credentials);
        let mut settled = true;
        for (id, credential) in (0_u16..).map(CredentialId).zip(credentials.iter()) {
            let Some(Reread { renewed, half }) = credentials.reread(id) else { continue };
            settled &= !half;
            if renewed {
                let version = credential.current().number;
                tracing::info!(
                    credential = credential.name(),
                    version,
                    "a new version of credentials is in use"
                );
            }
        }
        settled
    }

    fn attempt(&self) -> Result<[u8; 32], Refusal> {
        let running = self.gateway.current();
        let compiled: Vec<_> =
            running.config.services.iter().map(|service| Arc::clone(&service.schema)).collect();
        // From the secrets until what was read is in force: who waits for a password waits for no other file.
        let (Loaded { mut config, warnings }, secrets, _alone) =
            config::load_with_secrets_under(&self.source, &compiled, || running.credentials.reading())
                .map_err(|faults| Refusal::of(&faults, None))?;
        config::judge_fixed(&running.config, &config)
            .map_err(|faults| Refusal::of(&faults, Some(config.digest)))?;
        let descriptors = getrlimit(Resource::Nofile).current;
        if descriptors::fit_after(&running.config, &mut config, descriptors) {
            descriptors::tell(&config, descriptors);
        }
        let digest = config.digest;
        self.install(config, &secrets).map_err(|fault| {
            let remedy = "correct the file".to_owned();
            let fault = Told { line: None, problem: fault.to_string(), remedy };
            Refusal { refused: Some(digest), faults: vec![fault] }
        })?;
        [&warnings, secrets.warnings()].into_iter().for_each(tell_warnings);
        Ok(digest)
    }

    fn install(&self, config: Config, secrets: &Secrets) -> Result<(), StartFault> {
        let running = self.gateway.current();
        let next = running.next(config, secrets)?;
        let renewed = !next.shows_certificate_of(&running);
        self.gateway.install(next);
        if renewed {
            tracing::info!("the listener's certificate was renewed");
        }
        Ok(())
    }

    fn tell(&self, cause: ReloadCause, result: &ReloadResult) {
        let (in_force, faults) = match *result {
            ReloadResult::Applied { config, .. } | ReloadResult::Unchanged { config } => (config, 0),
            ReloadResult::Refused { config, faults, .. } => (config, faults),
        };
        let digest = audit::hex(in_force.get(..8).unwrap_or_default());
        match result {
            ReloadResult::Refused { .. } => tracing::error!(
                faults,
                in_force = digest,
                "the new configuration is refused: the last good one stays in force"
            ),
            _ => {
                tracing::info!(result = result.name(), in_force = digest, "the configuration was read again")
            }
        }
        self.gateway.faults_of_reload.store(faults, Ordering::Release);
        self.gateway.metrics.reloads.reloaded(result.name(), faults == 0, &in_force);
        // There are few, and without them it cannot be said under which rules a request was judged.
        self.gateway.writer.send(Class::Required, &audit::reload(cause, result));
    }
}

impl Refusal {
    /// Every fault; as at the start, none shows a secret.
    fn of(faults: &Faults, refused: Option<[u8; 32]>) -> Self {
        let errors = faults.iter().filter(|fault| fault.severity() == config::Severity::Error);
        let told = |fault: &config::Fault| {
            let (problem, remedy) = (fault.problem().to_owned(), fault.remedy().to_owned());
            Told { line: fault.line(), problem, remedy }
        };
        Self { refused, faults: errors.map(told).collect() }
    }
}

fn tell_warnings(warnings: &Faults) {
    for warning in warnings.iter() {
        let (line, problem, remedy) = (warning.line(), warning.problem(), warning.remedy());
        tracing::warn!(line, problem, remedy, "a warning about the new configuration");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;
    use crate::gateway::tests::gateway_in;
    use crate::schema::builtin;

    /// The configuration with the schemas in a folder, where they can be changed.
    fn with_own_schemas(source: &Source, folder: &Path) {
        let schemas = folder.join("schemas");
        fs::create_dir(&schemas).unwrap();
        for (name, text) in builtin() {
            fs::write(schemas.join(name), text).unwrap();
        }
        let text = fs::read_to_string(&source.path).unwrap();
        fs::write(&source.path, format!("schemas_dir = \"schemas\"\n{text}")).unwrap();
    }

    #[test]
    fn only_a_schema_that_changed_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let (gateway, source) = gateway_in(folder.path());
        with_own_schemas(&source, folder.path());
        let reloader = Reloader::new(Arc::clone(&gateway), source);
        let read_again = || {
            assert!(!matches!(reloader.reload(ReloadCause::Change), ReloadResult::Refused { .. }));
            Arc::clone(&gateway.current().config)
        };
        let before = read_again();
        let changed = folder.path().join("schemas/getStatus.schema.json");
        fs::write(&changed, fs::read_to_string(&changed).unwrap() + "\n").unwrap();
        let after = read_again();
        for (before, after) in before.services.iter().zip(&after.services) {
            let is_changed = &*after.name == "getStatus";
            assert_eq!(Arc::ptr_eq(&before.schema, &after.schema), !is_changed, "{}", after.name);
        }
    }

    #[test]
    fn a_password_is_read_while_the_configuration_cannot_be() {
        let folder = tempfile::tempdir().unwrap();
        let (gateway, source) = gateway_in(folder.path());
        fs::remove_file(&source.path).unwrap();
        mkfifoat(CWD, &source.path, Mode::RUSR | Mode::WUSR).unwrap();
        let path = source.path.clone();
        let reloader = Arc::new(Reloader::new(Arc::clone(&gateway), source));
        let reloading = Arc::clone(&reloader);
        let reloading = std::thread::spawn(move || reloading.reload(ReloadCause::Change));
        // Opened as soon as the configuration is being read, whose end does not come.
        let hanging = fs::File::options().write(true).open(path).unwrap();
        let (told, heard) = channel();
        std::thread::spawn(move || told.send(reloader.reread_credentials()));
        let read = heard.recv_timeout(Duration::from_secs(10));
        drop(hanging);
        assert_eq!(read, Ok(true));
        assert!(matches!(reloading.join().unwrap(), ReloadResult::Refused { .. }));
    }
}
