//! Which certificate does a TLS listener show?

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::sign::SingleCertAndKey;

use crate::config::TlsFiles;
use crate::digest::sha256;
use crate::tls::{self, TlsFault};

/// A certificate in use and the files that it was read from.
pub(crate) struct Certificates {
    server: Arc<ServerConfig>,
    files: TlsFiles,
    /// Of the contents of both files.
    digest: [u8; 32],
}

impl Certificates {
    /// Reads `files`.
    ///
    /// # Errors
    ///
    /// [`TlsFault`], naming the file.
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, TlsFault> {
        // Before the certificate: files that are exchanged meanwhile then differ at the next look.
        let digest = digest(files)?;
        let certified = tls::certified_key(&files.cert, &files.key)?;
        let server = tls::server(Arc::new(SingleCertAndKey::from(certified)))?;
        Ok(Self { server, files: files.clone(), digest })
    }

    /// What `files` hold now: those of `before` where nothing changed, with the sessions that can be resumed.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub(crate) fn succeeding(before: Option<&Arc<Self>>, files: &TlsFiles) -> Result<Arc<Self>, TlsFault> {
        match before {
            Some(before) if before.files == *files && before.digest == digest(files)? => {
                Ok(Arc::clone(before))
            }
            _ => Self::load(files).map(Arc::new),
        }
    }

    /// What a listener serves with.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }
}

fn digest(files: &TlsFiles) -> Result<[u8; 32], TlsFault> {
    let [cert, key] = [&files.cert, &files.key].map(|path| tls::read(path).map(zeroize::Zeroizing::new));
    let (cert, key) = (cert?, key?);
    Ok(sha256([&(cert.len() as u64).to_le_bytes()[..], &cert, &key]))
}
