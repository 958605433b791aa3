//! How is every TLS configuration of this process built?

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, ServerConfig};
use zeroize::{Zeroize, Zeroizing};

use crate::config::{HttpVersion, Roots};
use crate::digest::sha256;

/// A certificate, key or root store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A PEM file holds nothing of the expected kind.
    #[error("{path}: no usable {expected} in PEM form")]
    Pem {
        /// Which file.
        path: String,
        /// `certificate` or `private key`.
        expected: &'static str,
    },
    /// The key does not belong to the certificate, or rustls refuses either.
    #[error("{path}: {source}")]
    Unusable {
        /// Which file.
        path: String,
        /// Why.
        source: rustls::Error,
    },
    /// The operating system offers no roots.
    #[error(
        "the operating system's root certificates cannot be read: set upstream.roots to \"webpki\" or to a file"
    )]
    NoNativeRoots,
    /// rustls refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// Where Debian, Fedora, SUSE and Alpine keep the system's certificate authorities. Read here and not
/// by a library, because the usual ones let `SSL_CERT_FILE` of the environment decide.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The one cryptography provider of this process.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Makes [`provider`] the default of the process; the first thing in `main`.
pub fn install_provider() {
    // An error means that it is installed already.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// How the upstream is verified: name and chain, no early data, no client certificate. The environment
/// (`SSL_CERT_FILE`, `SSLKEYLOGFILE`, proxy variables) has no say.
///
/// # Errors
///
/// [`TlsFault`] when the roots cannot be read.
pub fn client(roots: &Roots, http: HttpVersion) -> Result<Arc<ClientConfig>, TlsFault> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::Webpki => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Roots::Native => {
            store.add_parsable_certificates(certificates(bundle()?)?);
        }
        Roots::File(path) => {
            for certificate in certificates(path)? {
                store.add(certificate).map_err(|source| TlsFault::Unusable { path: shown(path), source })?;
            }
        }
    }
    if store.is_empty() {
        return Err(TlsFault::NoNativeRoots);
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = match http {
        HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
        HttpVersion::Http2 => vec![b"h2".to_vec()],
    };
    Ok(Arc::new(config))
}

/// SHA-256 of the file that `roots` are read from; of nothing where they are built in.
///
/// # Errors
///
/// [`TlsFault`] when it cannot be read.
pub fn roots_digest(roots: &Roots) -> Result<[u8; 32], TlsFault> {
    let text = match roots {
        Roots::Webpki => Vec::new(),
        Roots::Native => read(bundle()?)?,
        Roots::File(path) => read(path)?,
    };
    Ok(sha256([text]))
}

/// The operating system's certificate authorities.
fn bundle() -> Result<&'static Path, TlsFault> {
    BUNDLES.iter().map(Path::new).find(|path| path.exists()).ok_or(TlsFault::NoNativeRoots)
}

/// How callers see a TLS listener: HTTP/2 or HTTP/1.1 by ALPN, the certificate of `resolver`.
///
/// # Errors
///
/// [`TlsFault::Setup`].
pub fn server(resolver: Arc<dyn rustls::server::ResolvesServerCert>) -> Result<Arc<ServerConfig>, TlsFault> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Reads a chain (leaf first) and its key, and checks that they belong together.
///
/// # Errors
///
/// [`TlsFault`], naming the file; never anything of the key.
pub fn certified_key(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsFault> {
    let chain = certificates(cert)?;
    let text = Zeroizing::new(read(key)?);
    let mut key_der = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| TlsFault::Pem { path: shown(key), expected: "private key" })?;
    // Not by `CertifiedKey::from_der`, which takes the key and does not clear it.
    let signing = aws_lc_rs::sign::any_supported_type(&key_der);
    key_der.zeroize();
    let unusable = |source| TlsFault::Unusable { path: shown(key), source };
    let certified = CertifiedKey::new(chain, signing.map_err(unusable)?);
    match certified.keys_match() {
        // A key that cannot tell its public half is judged by whoever connects.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(source) => Err(unusable(source)),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let fault = || TlsFault::Pem { path: shown(path), expected: "certificate" };
    let text = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    certificates.ok().filter(|found| !found.is_empty()).ok_or_else(fault)
}

/// Reads a file that holds certificates or a key.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TlsFault> {
    fs::read(path).map_err(|source| TlsFault::Read { path: shown(path), source })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
