//! What outlives every configuration, and which configuration is in force?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};

use crate::audit::{
    AuditFault, AuditSecrets, JournalSettings, KeyFault, Origin, Output, Recorder, SigningKey, Writer,
};
use crate::config::{AuditOutput, Config, Secrets};
use crate::credentials::Credentials;
use crate::generation::{Generation, Lasting};
use crate::metrics::{CredentialLabels, LossLabels, Metrics};
use crate::secret::Secret;
use crate::splice::NotText;
use crate::tls::TlsFault;

/// What lasts from the start to the stop, and the generation that is in force.
pub struct Gateway {
    /// What the operators see.
    pub metrics: Arc<Metrics>,
    /// The thread that writes the records.
    pub writer: Arc<Writer>,
    /// Set when the gateway is told to stop: it is not ready, and its answers say that their connection closes.
    pub stopping: AtomicBool,
    /// Set when a stop has gone on for a while: no request is admitted any more.
    pub draining: Arc<AtomicBool>,
    /// How many faults the configuration has that was written last; 0 when it is in force.
    pub faults_of_reload: AtomicUsize,
    current: ArcSwap<Generation>,
    /// Tells the number of the current generation.
    changed: watch::Sender<u64>,
}

/// The gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// The audit output.
    #[error(transparent)]
    Audit(#[from] AuditFault),
    /// The key that signs checkpoints.
    #[error("audit.signing_key: {0}")]
    SigningKey(#[from] KeyFault),
    /// A certificate or root store.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// A secret that JSON cannot carry.
    #[error(transparent)]
    Secret(#[from] NotText),
    /// A listener, a thread or a socket.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, for example `listen on 127.0.0.1:3226`.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl Gateway {
    /// Builds the shared parts and starts the audit writer.
    ///
    /// # Errors
    ///
    /// [`StartFault`].
    pub fn new(config: Config, secrets: &Secrets) -> Result<Self, StartFault> {
        let output = audit_output(&config, secrets)?;
        Self::recording_to(output, config, secrets)
    }

    /// As [`Self::new`], with records going to `output` instead of where the configuration says; for tests.
    ///
    /// # Errors
    ///
    /// [`StartFault`].
    pub fn recording_to(output: Output, config: Config, secrets: &Secrets) -> Result<Self, StartFault> {
        let writer = Writer::start(output, origin(&config))?;
        Self::recording_with(writer, config, secrets)
    }

    /// As [`Self::new`], with records going to `writer`, which was given the [`origin`] of `config`.
    ///
    /// # Errors
    ///
    /// [`StartFault`].
    pub fn recording_with(writer: Writer, config: Config, secrets: &Secrets) -> Result<Self, StartFault> {
        let config = Arc::new(config);
        let metrics = Arc::new(Metrics::new());
        let writer = Arc::new(writer);
        writer.health().measure_commits(metrics.audit.commits.clone());
        let recorder = Recorder::new(Arc::clone(&config), Arc::clone(&writer), Arc::clone(&metrics));
        let credentials = Credentials::new(&config, secrets, Arc::clone(&writer))?;
        let draining = Arc::new(AtomicBool::new(false));
        let requests = Arc::new(Semaphore::new(config.data.max_requests));
        metrics.reloads.show(&config.digest);
        let lasting = Lasting {
            writer: Arc::clone(&writer),
            metrics: Arc::clone(&metrics),
            draining: Arc::clone(&draining),
            requests,
        };
        let first = Generation::first(config, secrets, recorder, credentials, lasting)?;
        Ok(Self {
            metrics,
            writer,
            stopping: AtomicBool::new(false),
            draining,
            faults_of_reload: AtomicUsize::new(0),
            changed: watch::Sender::new(first.number),
            current: ArcSwap::from_pointee(first),
        })
    }

    /// The generation that is in force.
    #[must_use]
    pub fn current(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// Its number. Who asks for every request asks for this.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.current.load().number
    }

    /// Sees the number of each generation that comes into force.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Puts `next` in force: every request that arrives from this instant on belongs to it. Only one at a time is
    /// prepared and installed.
    pub fn install(&self, next: Generation) {
        let next = Arc::new(next);
        let before = self.current.swap(Arc::clone(&next));
        resize(&next.lasting.requests, before.config.data.max_requests, next.config.data.max_requests);
        next.credentials.announce(&before.credentials);
        self.changed.send_replace(next.number);
    }

    /// Requests whose record is not yet handed to the writer.
    #[must_use]
    pub fn in_progress(&self) -> u64 {
        self.current.load().recorder.in_progress()
    }

    /// Random pauses go on with the sequence of `seed`, for simulations that must go the same way each time.
    pub fn reseed_pauses(&self, seed: u64) {
        self.current.load().lanes.jitter().reseed(seed);
    }

    /// Brings the gauges that follow other state up to date, for a scrape.
    pub fn refresh_gauges(&self) {
        let health = self.writer.health();
        let metrics = &self.metrics;
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let audit = &metrics.audit;
        audit.pending.set(signed(health.pending_bytes()));
        audit.written.inner().store(health.written_lines(), Ordering::Relaxed);
        audit.faults.inner().store(health.faults(), Ordering::Relaxed);
        audit.available.set(i64::from(health.available()));
        audit.stalled.set(i64::from(health.stalled()));
        audit.reserve_reached.set(i64::from(health.short_of_space()));
        audit.last_seq.set(signed(health.last_seq()));
        let lost = [("stranger", health.lost_strangers()), ("best_effort", health.lost_best_effort())];
        for (class, lines) in lost {
            audit.lost.get_or_create(&LossLabels { class }).inner().store(lines, Ordering::Relaxed);
        }
        let age = health.last_checkpoint().map(|checkpoint| checkpoint.since.elapsed().as_secs_f64());
        audit.checkpoint_age.set(age.unwrap_or(f64::NAN));
        metrics.requests_in_progress.set(signed(self.in_progress()));
        // Of a pair that is configured no more nothing is shown.
        metrics.credential_version.clear();
        metrics.credential_age.clear();
        metrics.credential_suspended.clear();
        for credential in self.current.load().credentials.iter() {
            let labels = CredentialLabels { credential: credential.name().to_owned() };
            let version = credential.current();
            metrics.credential_version.get_or_create(&labels).set(i64::from(version.number));
            metrics.credential_age.get_or_create(&labels).set(version.since.elapsed().as_secs_f64());
            metrics.credential_suspended.get_or_create(&labels).set(i64::from(version.is_suspended()));
        }
    }
}

/// Permits that are held cannot be taken away: they are forgotten as they come back.
fn resize(requests: &Arc<Semaphore>, from: usize, to: usize) {
    if to >= from {
        return requests.add_permits(to - from);
    }
    let missing = u32::try_from((from - to) - requests.forget_permits(from - to)).unwrap_or(u32::MAX);
    if missing > 0
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        let requests = Arc::clone(requests);
        runtime.spawn(async move {
            if let Ok(returned) = requests.acquire_many(missing).await {
                returned.forget();
            }
        });
    }
}

fn audit_output(config: &Config, secrets: &Secrets) -> Result<Output, StartFault> {
    let AuditOutput::Folder(folder) = &config.audit.output else {
        return Ok(Output::stdout().map_err(AuditFault::from)?);
    };
    // Where the configuration names a folder, its secrets were read.
    let signing_key = SigningKey::of_pem(secrets.signing_key().ok_or(KeyFault::Private)?)?;
    let chain_key = secrets.chain_key().map(|secret| Secret::new(secret.expose().to_vec()));
    Ok(Output::Folder(JournalSettings {
        folder: folder.path.clone(),
        secrets: AuditSecrets { signing_key, chain_key },
        segment_bytes: folder.segment_bytes,
        segment_age: folder.segment_age,
        checkpoint_interval: folder.checkpoint_interval,
        retain: folder.retention,
        reserve_bytes: folder.reserve_bytes,
    }))
}

/// What every start tells of this configuration.
#[must_use]
pub fn origin(config: &Config) -> Origin {
    let schemas = config.services.iter().map(|service| (service.name.to_string(), service.schema.digest()));
    Origin {
        instance: config.instance.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: config.digest,
        services: schemas.collect(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use super::*;
    use crate::config::{Source, load_with_secrets};

    /// A gateway whose files are in `folder`, and what it was started from.
    pub(crate) fn gateway_in(folder: &Path) -> (Arc<Gateway>, Source) {
        crate::tls::install_provider();
        let text = fs::read_to_string("config/minimal.toml").unwrap();
        let text = text.replace("/run/secrets/", "").replace("/var/lib/dcams-gateway/", "");
        fs::write(folder.join("gateway.toml"), text).unwrap();
        let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";
        for (name, text) in [
            ("signing_key", key),
            ("chain_key", "a chain key of 32 bytes and some more"),
            ("fingerprint_key", "a fingerprint key of 32 bytes and more"),
            ("veratad_user", "user"),
            ("veratad_pass", "a long password"),
        ] {
            write_private(&folder.join(name), text);
        }
        let source = Source { path: folder.join("gateway.toml"), ..Source::default() };
        let (loaded, secrets) = load_with_secrets(&source).unwrap_or_else(|faults| panic!("{faults}"));
        let output = Output::Stream(tempfile::tempfile().unwrap());
        (Arc::new(Gateway::recording_to(output, loaded.config, &secrets).unwrap()), source)
    }

    pub(crate) fn write_private(path: &Path, text: &str) {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }
}
