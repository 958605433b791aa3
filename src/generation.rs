//! What follows from one configuration, and is exchanged as a whole?
//!
//! A request belongs to the generation that was current when it arrived, from its beginning to its end. What was
//! counted goes over to the next generation by name; the ids in a request and in its record are positions in the
//! configuration of its own generation, and are never looked up in another.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustls::{ClientConfig, ServerConfig};
use tokio::sync::Semaphore;

use crate::audit::{Fingerprinter, Recorder, Writer};
use crate::config::{Config, Secrets};
use crate::credentials::Credentials;
use crate::gateway::StartFault;
use crate::metrics::{MemoryLabels, Metrics};
use crate::quotas::Quotas;
use crate::server::Certificates;
use crate::stages::{
    Admit, AuditLayer, Authorize, Identify, Inject, Parse, ReceiveLayer, RecordLayer, Route, Validate,
};
use crate::tls;
use crate::upstream::{Client, Connector, Lanes, Reach};

/// One configuration, with all that was made of it.
pub struct Generation {
    /// Counted from 1.
    pub number: u64,
    /// The configuration.
    pub config: Arc<Config>,
    /// Where the records of its requests go.
    pub recorder: Arc<Recorder>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) stages: Stages,
    pub(crate) lasting: Lasting,
    pub(crate) lanes: Arc<Lanes>,
    quotas: Quotas,
    certificates: Option<Arc<Certificates>>,
    verifier: Verifier,
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

/// What every generation has in common.
#[derive(Clone)]
pub(crate) struct Lasting {
    pub(crate) writer: Arc<Writer>,
    pub(crate) metrics: Arc<Metrics>,
    /// Set when the gateway is being stopped.
    pub(crate) draining: Arc<AtomicBool>,
    /// One permit for each request that may be in progress.
    pub(crate) requests: Arc<Semaphore>,
}

/// How the upstream's certificate is verified.
#[derive(Clone)]
struct Verifier {
    tls: Arc<ClientConfig>,
    /// Of the trusted roots, because their file may change under the same name.
    roots: [u8; 32],
}

impl Generation {
    /// The first generation.
    ///
    /// # Errors
    ///
    /// [`StartFault`], of a certificate or a secret.
    pub(crate) fn first(
        config: Arc<Config>,
        secrets: &Secrets,
        recorder: Recorder,
        credentials: Credentials,
        lasting: Lasting,
    ) -> Result<Self, StartFault> {
        let memory = |kind| lasting.metrics.memory.get_or_create(&MemoryLabels { kind }).clone();
        let (bodies, answers) = (memory("bodies"), memory("answers"));
        let made = Made {
            lanes: lasting.lanes(&config, None),
            quotas: Quotas::new(&config, bodies, answers),
            recorder: Arc::new(recorder),
            credentials: Arc::new(credentials),
            fingerprinter: Arc::new(Fingerprinter::new(secrets.fingerprint_key())),
            certificates: config.data.tls.as_ref().map(Certificates::load).transpose()?.map(Arc::new),
            verifier: Verifier::of(&config)?,
        };
        Ok(Self::assemble(1, config, lasting, made))
    }

    /// The generation of `config`, which follows this one. Nothing of it is in use before
    /// [`Gateway::install`](crate::gateway::Gateway::install). Blocks on the file system.
    ///
    /// # Errors
    ///
    /// As the first one.
    pub fn next(&self, config: Config, secrets: &Secrets) -> Result<Self, StartFault> {
        let config = Arc::new(config);
        let files = config.data.tls.as_ref();
        let made = Made {
            lanes: self.lasting.lanes(&config, Some(&self.lanes)),
            quotas: self.quotas.succeeded_by(&config),
            recorder: Arc::new(self.recorder.succeeded_by(Arc::clone(&config))),
            credentials: Arc::new(self.credentials.succeeded_by(&config, secrets)?),
            fingerprinter: Arc::new(Fingerprinter::new(secrets.fingerprint_key())),
            certificates: files
                .map(|files| Certificates::succeeding(self.certificates.as_ref(), files))
                .transpose()?,
            verifier: self.verifier.succeeded_by(&self.config, &config)?,
        };
        Ok(Self::assemble(self.number + 1, config, self.lasting.clone(), made))
    }

    fn assemble(number: u64, config: Arc<Config>, lasting: Lasting, made: Made) -> Self {
        let Made { lanes, quotas, recorder, credentials, fingerprinter, certificates, verifier } = made;
        let stages = Stages {
            audit: AuditLayer::new(Arc::clone(&recorder)),
            identify: Identify::new(&config),
            route: Route::new(Arc::clone(&config)),
            admit: Admit::new(&quotas, Arc::clone(&lasting.draining)),
            receive: ReceiveLayer::new(Arc::clone(&config), quotas.bodies()),
            parse: Parse::new(Arc::clone(&config)),
            authorize: Authorize::new(Arc::clone(&config), &quotas),
            validate: Validate::new(Arc::clone(&config), fingerprinter),
            record: RecordLayer::new(Arc::clone(&recorder)),
            inject: Inject::new(Arc::clone(&config), Arc::clone(&credentials)),
        };
        Self { number, config, recorder, credentials, stages, lasting, lanes, quotas, certificates, verifier }
    }

    /// A client of the upstream for one worker, because a connection belongs to the runtime it was opened on: over
    /// `reach`, where there is one, instead of TCP. It goes on with the connections of `before`, of the generation
    /// before.
    #[must_use]
    pub fn client(&self, reach: Option<Arc<dyn Reach>>, before: Option<&(Arc<Self>, Arc<Client>)>) -> Client {
        let connector = self.connector().over(reach);
        let (config, answers) = (Arc::clone(&self.config), self.quotas.answers());
        match before.filter(|(before, _)| Arc::ptr_eq(&before.verifier.tls, &self.verifier.tls)) {
            Some((_, client)) => client.succeeded_by(config, connector, answers),
            None => Client::new(config, connector, answers),
        }
    }

    fn connector(&self) -> Connector {
        let upstream = &self.config.upstream;
        Connector::new(Arc::clone(&self.verifier.tls), upstream.http, upstream.connect_timeout)
    }

    /// Whether TCP listeners show the same certificate in both.
    pub(crate) fn shows_certificate_of(&self, other: &Self) -> bool {
        match (&self.certificates, &other.certificates) {
            (Some(own), Some(others)) => Arc::ptr_eq(own, others),
            (own, others) => own.is_none() == others.is_none(),
        }
    }

    /// How a TCP listener serves TLS; `None` where it serves plain HTTP.
    #[must_use]
    pub(crate) fn listener_tls(&self) -> Option<Arc<ServerConfig>> {
        self.certificates.as_ref().map(|certificates| certificates.server())
    }
}

/// What a generation is assembled of.
struct Made {
    lanes: Arc<Lanes>,
    quotas: Quotas,
    recorder: Arc<Recorder>,
    credentials: Arc<Credentials>,
    fingerprinter: Arc<Fingerprinter>,
    certificates: Option<Arc<Certificates>>,
    verifier: Verifier,
}

impl Lasting {
    fn lanes(&self, config: &Config, before: Option<&Lanes>) -> Arc<Lanes> {
        Arc::new(Lanes::new(config, Arc::clone(&self.writer), Arc::clone(&self.metrics), before))
    }
}

impl Verifier {
    fn of(config: &Config) -> Result<Self, StartFault> {
        // The digest first: roots that are exchanged meanwhile then differ at the next look.
        let roots = tls::roots_digest(&config.upstream.roots)?;
        Ok(Self { tls: tls::client(&config.upstream.roots, config.upstream.http)?, roots })
    }

    /// Itself where nothing changed: with another, all connections would have to be opened again.
    fn succeeded_by(&self, before: &Config, config: &Config) -> Result<Self, StartFault> {
        let same = before.upstream.http == config.upstream.http
            && tls::roots_digest(&config.upstream.roots)? == self.roots;
        if same { Ok(self.clone()) } else { Self::of(config) }
    }
}
