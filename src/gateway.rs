//! What is built once from a configuration and shared by all requests?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::ClientConfig;
use tokio::sync::Semaphore;

use crate::audit::{
    AuditFault, AuditSecrets, Fingerprinter, JournalSettings, KeyFault, Origin, Output, Recorder, SigningKey,
    Writer,
};
use crate::budget::{Budget, Shares};
use crate::config::{AuditOutput, Config, Secrets};
use crate::credentials::Credentials;
use crate::metrics::{CredentialLabels, LossLabels, MemoryLabels, Metrics};
use crate::secret::Secret;
use crate::splice::NotText;
use crate::stages::{
    Admit, AuditLayer, Authorize, Identify, Inject, Parse, ReceiveLayer, RecordLayer, Route, Validate,
};
use crate::tls::{self, TlsFault};
use crate::upstream::{Client, Connector, Lanes, Reach};

/// The shared parts of the gateway.
pub struct Gateway {
    /// The configuration it runs on.
    pub config: Arc<Config>,
    /// What the operators see.
    pub metrics: Arc<Metrics>,
    /// Where records go.
    pub recorder: Arc<Recorder>,
    /// The thread that writes them.
    pub writer: Arc<Writer>,
    /// Set when the gateway is told to stop: it is not ready, and its answers say that their connection closes.
    pub stopping: AtomicBool,
    /// Set when a stop has gone on for a while: no request is admitted any more.
    pub draining: Arc<AtomicBool>,
    pub(crate) stages: Stages,
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) lanes: Arc<Lanes>,
    upstream_tls: Arc<ClientConfig>,
    answers: Shares,
}

/// The stages, which share their state among all copies of the stack.
#[derive(Clone)]
pub(crate) struct Stages {
    pub(crate) audit: AuditLayer,
    pub(crate) identify: Identify,
    pub(crate) route: Route,
    pub(crate) admit: Admit,
    pub(crate) receive: ReceiveLayer,
    pub(crate) parse: Parse,
    pub(crate) authorize: Authorize,
    pub(crate) validate: Validate,
    pub(crate) record: RecordLayer,
    pub(crate) inject: Inject,
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
        let metrics = Arc::new(Metrics::new(config.ops.caller_names));
        let writer = Arc::new(writer);
        writer.health().measure_commits(metrics.audit.commits.clone());
        let recorder =
            Arc::new(Recorder::new(Arc::clone(&config), Arc::clone(&writer), Arc::clone(&metrics)));
        let credentials = Arc::new(Credentials::new(&config, secrets, Arc::clone(&writer))?);
        let lanes = Arc::new(Lanes::new(&config, Arc::clone(&writer), Arc::clone(&metrics), None));
        let upstream_tls = tls::client(&config.upstream.roots, config.upstream.http)?;
        let memory = |kind| metrics.memory.get_or_create(&MemoryLabels { kind }).clone();
        let bodies = Budget::new(config.data.body_budget_bytes, Some(memory("bodies")));
        let bodies = Shares::new(bodies, config.callers.iter().map(|caller| caller.max_body_bytes));
        let answers = Budget::new(config.data.answer_budget_bytes, Some(memory("answers")));
        let answers = Shares::new(answers, config.callers.iter().map(|_| answer_share(&config)));
        let fingerprinter = Arc::new(Fingerprinter::new(secrets.fingerprint_key()));
        let draining = Arc::new(AtomicBool::new(false));
        let stages = Stages {
            audit: AuditLayer::new(Arc::clone(&recorder)),
            identify: Identify::new(&config),
            route: Route::new(Arc::clone(&config)),
            admit: Admit::new(&config, Arc::clone(&draining)),
            receive: ReceiveLayer::new(Arc::clone(&config), bodies),
            parse: Parse::new(Arc::clone(&config)),
            authorize: Authorize::new(Arc::clone(&config)),
            validate: Validate::new(Arc::clone(&config), fingerprinter),
            record: RecordLayer::new(Arc::clone(&recorder)),
            inject: Inject::new(Arc::clone(&config), Arc::clone(&credentials)),
        };
        let requests = Arc::new(Semaphore::new(config.data.max_requests));
        Ok(Self {
            config,
            metrics,
            recorder,
            writer,
            stopping: AtomicBool::new(false),
            draining,
            stages,
            requests,
            credentials,
            lanes,
            upstream_tls,
            answers,
        })
    }

    /// A client of the upstream with a connection pool of its own; one per worker, because a
    /// connection belongs to the runtime it was opened on.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client_on(self.connector())
    }

    /// As [`Self::client`], with connections over `reach` instead of TCP.
    #[must_use]
    pub fn client_over(&self, reach: Box<dyn Reach>) -> Client {
        self.client_on(self.connector().over(reach))
    }

    fn connector(&self) -> Connector {
        let upstream = &self.config.upstream;
        Connector::new(Arc::clone(&self.upstream_tls), upstream.http, upstream.connect_timeout)
    }

    fn client_on(&self, connector: Connector) -> Client {
        Client::new(Arc::clone(&self.config), connector, self.answers.clone())
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
        metrics.requests_in_progress.set(signed(self.recorder.in_progress()));
        for (configured, credential) in self.config.credentials.iter().zip(self.credentials.iter()) {
            let labels = CredentialLabels { credential: configured.name.to_string() };
            let version = credential.current();
            metrics.credential_version.get_or_create(&labels).set(i64::from(version.number));
            metrics.credential_age.get_or_create(&labels).set(version.since.elapsed().as_secs_f64());
            metrics.credential_suspended.get_or_create(&labels).set(i64::from(version.is_suspended()));
        }
    }
}

/// Of the answers a caller may hold the same share as of the bodies, and never less than the largest takes.
fn answer_share(config: &Config) -> u64 {
    let data = &config.data;
    let share = u128::from(data.answer_budget_bytes) * u128::from(data.caller_share_bytes)
        / u128::from(data.body_budget_bytes.max(1));
    u64::try_from(share).unwrap_or(u64::MAX).max(config.upstream.answer_limit_bytes)
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
