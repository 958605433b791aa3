//! Which certificate do the double and the contestants show?

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A throw-away CA and one certificate of it for `localhost`, also as files `ca.pem`, `cert.pem`, `key.pem` and
/// `both.pem` of a folder.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    ca: CertificateDer<'static>,
}

impl Identity {
    pub fn new(folder: &Path) -> Self {
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        // OpenSSL takes a certificate that is issued by its own name for self-signed.
        ca.distinguished_name.push(DnType::CommonName, "CA of the contest");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let ca_key = KeyPair::generate().unwrap();
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(ca, ca_key);
        let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let certificate = leaf.signed_by(&key, &issuer).unwrap();
        let both = certificate.pem() + &key.serialize_pem();
        private(&folder.join("ca.pem"), &ca_certificate.pem());
        private(&folder.join("cert.pem"), &certificate.pem());
        private(&folder.join("key.pem"), &key.serialize_pem());
        private(&folder.join("both.pem"), &both);
        Self { chain: vec![certificate.into()], key: key.serialize_der(), ca: ca_certificate.into() }
    }

    pub fn server(&self, alpn: &[u8]) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        server(self.chain.clone(), key, alpn)
    }

    pub fn client(&self, alpn: &[u8]) -> Arc<ClientConfig> {
        client(self.ca.clone(), alpn)
    }
}

pub fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    alpn: &[u8],
) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let mut config = builder.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

pub fn client(ca: CertificateDer<'static>, alpn: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(ca).unwrap();
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Writes a file that only its owner can read.
pub fn private(path: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
