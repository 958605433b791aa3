//! Where does the double's certificate come from?

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{Settings, SimulateFault};

/// A server certificate and the throw-away CA that signed it. The CA's key is gone once this exists.
pub(super) struct Certified {
    pub(super) ca_pem: String,
    pub(super) server: Arc<ServerConfig>,
}

/// Makes a CA and lets it sign one certificate for the host names of `settings`.
pub(super) fn certify(settings: &Settings) -> Result<Certified, SimulateFault> {
    let (ca_pem, chain, key) = sign(settings).map_err(|_| SimulateFault::Certificate)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![chain], key))
        .map_err(|_| SimulateFault::Certificate)?;
    if settings.http2 {
        server.alpn_protocols.push(b"h2".to_vec());
    }
    server.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(Certified { ca_pem, server: Arc::new(server) })
}

type Signed = (String, rustls::pki_types::CertificateDer<'static>, PrivateKeyDer<'static>);

fn sign(settings: &Settings) -> Result<Signed, rcgen::Error> {
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name.push(DnType::CommonName, "DCAMS double, throw-away CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_key = KeyPair::generate()?;
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);

    let mut leaf = CertificateParams::new(settings.host_names.clone())?;
    leaf.distinguished_name.push(DnType::CommonName, "DCAMS double");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Python 3.13 and newer refuse a certificate without it.
    leaf.use_authority_key_identifier_extension = true;
    if settings.expired_certificate {
        leaf.not_after = date_time_ymd(2001, 1, 1);
    }
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok((ca_certificate.pem(), certificate.into(), key))
}
