//! Which certificate does a TLS listener show, and how is a renewed one noticed?

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::TlsFiles;
use crate::tls::{self, TlsFault};

/// How often the files are looked at. Polled, because watching a mounted file ends with the first
/// exchange of the link that Kubernetes mounts it by.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The certificate in use and the files that it comes from.
pub(super) struct Certificates {
    files: TlsFiles,
    shown: Arc<Shown>,
    server: Arc<ServerConfig>,
    seen: Option<Seen>,
    /// The last look ended with a pair that is not usable.
    broken: bool,
}

struct Seen {
    cert: Digest,
    key: Digest,
}

/// What rustls asks for a certificate.
struct Shown(ArcSwap<CertifiedKey>);

impl fmt::Debug for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Certificates {
    /// Reads `files` for the first time.
    pub(super) fn load(files: &TlsFiles) -> Result<Self, TlsFault> {
        let seen = see(files);
        let shown = Arc::new(Shown(ArcSwap::from_pointee(tls::certified_key(&files.cert, &files.key)?)));
        let server = tls::server(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>)?;
        let files = TlsFiles { cert: files.cert.clone(), key: files.key.clone() };
        Ok(Self { files, shown, server, seen, broken: false })
    }

    /// What a listener serves with.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// Looks at the files for ever. A pair that does not fit is not used: the last good one stays.
    pub(super) async fn follow_files(mut self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            match looked.await {
                Ok(same) => self = same,
                Err(_) => return,
            }
        }
    }

    fn look(&mut self) {
        let now = see(&self.files);
        let same = |a: &Digest, b: &Digest| a.as_ref() == b.as_ref();
        let unchanged = match (&self.seen, &now) {
            (Some(before), Some(now)) => same(&before.cert, &now.cert) && same(&before.key, &now.key),
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if unchanged {
            return;
        }
        match tls::certified_key(&self.files.cert, &self.files.key) {
            Ok(certified) => {
                self.shown.0.store(Arc::new(certified));
                // Not noted before: files that are being replaced are looked at again.
                self.seen = now;
                self.broken = false;
                tracing::info!("the listener's certificate was renewed");
            }
            Err(fault) => {
                if !self.broken {
                    tracing::error!(%fault, "the listener's new certificate is not usable: the old one stays");
                }
                self.broken = true;
            }
        }
    }
}

fn see(files: &TlsFiles) -> Option<Seen> {
    let read = |path| std::fs::read(path).ok().map(|bytes| digest(&SHA256, &zeroize::Zeroizing::new(bytes)));
    Some(Seen { cert: read(&files.cert)?, key: read(&files.key)? })
}
