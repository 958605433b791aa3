//! Which certificates does a peer show, and which of them must be believed?

use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The names of the peers.
pub const NAMES: [&str; 2] = ["localhost", "dcams.test"];

/// What a peer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// All is well.
    Good,
    Expired,
    NotYetValid,
    OtherName,
    /// Its wildcard covers another level.
    OtherLevel,
    /// The address of the peer, but not its name.
    AddressOnly,
    UnknownAuthority,
    /// Signed by an authority that has the name of the trusted one, and another key.
    NamesakeAuthority,
    SelfSigned,
    /// The name stands in the subject alone, as was usual until 2000 (RFC 2818).
    CommonNameOnly,
    ForClientsOnly,
    LacksIntermediate,
    ExpiredIntermediate,
    /// Signed with the key of an ordinary server, which the trusted authority signed.
    SignedByServer,
    /// The authority below the trusted one may have none below it, and has.
    PathTooLong,
    /// The authority may sign for another domain only.
    OutOfConstraints,
    AuthorityAsServer,
    TamperedSignature,
    TamperedBody,
    UnknownCriticalExtension,
    /// The handshake is signed with a key that is not the certificate's.
    OtherKey,
    /// Signed with RSA and SHA-1.
    Sha1,
    /// Signed by an authority whose RSA key has 1024 bits.
    Rsa1024,
    Garbage,
}

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

static TRUSTED: LazyLock<Authority> = LazyLock::new(|| Authority::root("root of the tests"));

const SHA1: [&str; 3] = [
    include_str!("certificates/sha1-ca.pem"),
    include_str!("certificates/sha1.pem"),
    include_str!("certificates/sha1.key"),
];
const RSA1024: [&str; 3] = [
    include_str!("certificates/rsa1024-ca.pem"),
    include_str!("certificates/rsa1024.pem"),
    include_str!("certificates/rsa1024.key"),
];

/// The roots that the gateway trusts: they are what the weak certificates hang from, too, so that nothing but
/// their weakness is wrong with them.
pub fn roots() -> String {
    [&TRUSTED.certificate.pem(), SHA1[0], RSA1024[0]].concat()
}

/// A server that shows `shown` and speaks the protocol `alpn`.
pub fn server(shown: Shown, alpn: &[u8]) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(Fixed(certified(shown))));
    config.alpn_protocols = vec![alpn.to_vec()];
    // So that a peer can answer before it has heard the end of the handshake.
    config.send_half_rtt_data = true;
    Arc::new(config)
}

fn certified(shown: Shown) -> Arc<CertifiedKey> {
    let key = KeyPair::generate().unwrap();
    let leaf = leaf(shown);
    let mut key_used = KeyPair::generate().unwrap();
    let chain: Vec<CertificateDer<'static>> = match shown {
        Shown::UnknownAuthority => vec![Authority::root("unknown").sign(&leaf, &key)],
        Shown::NamesakeAuthority => vec![Authority::root("root of the tests").sign(&leaf, &key)],
        Shown::SelfSigned => vec![leaf.self_signed(&key).unwrap().into()],
        Shown::LacksIntermediate => vec![TRUSTED.intermediate(|_| {}).sign(&leaf, &key)],
        Shown::ExpiredIntermediate => {
            TRUSTED.intermediate(|ca| ca.not_after = date_time_ymd(2001, 1, 1)).chain(&leaf, &key)
        }
        Shown::SignedByServer => TRUSTED.intermediate(|ca| ca.is_ca = IsCa::ExplicitNoCa).chain(&leaf, &key),
        Shown::PathTooLong => {
            let first = TRUSTED.intermediate(|ca| ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
            let mut chain = first.intermediate(|_| {}).chain(&leaf, &key);
            chain.push(first.certificate.into());
            chain
        }
        Shown::OutOfConstraints => {
            let elsewhere = GeneralSubtree::DnsName("example.com".to_owned());
            let constraints =
                NameConstraints { permitted_subtrees: vec![elsewhere], excluded_subtrees: Vec::new() };
            TRUSTED.intermediate(|ca| ca.name_constraints = Some(constraints)).chain(&leaf, &key)
        }
        Shown::TamperedSignature => vec![altered(TRUSTED.sign(&leaf, &key), |der| der.len() - 1)],
        // In its name; the signature is as it was.
        Shown::TamperedBody => {
            let signed = TRUSTED.sign(&leaf, &key);
            vec![altered(signed, |der| memchr::memmem::rfind(der, b"dcams.test").unwrap())]
        }
        Shown::Sha1 => return from_pem(SHA1),
        Shown::Rsa1024 => return from_pem(RSA1024),
        Shown::Garbage => vec![CertificateDer::from(b"no certificate at all".to_vec())],
        _ => vec![TRUSTED.sign(&leaf, &key)],
    };
    if shown != Shown::OtherKey {
        key_used = key;
    }
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key_used.serialize_der()));
    Arc::new(CertifiedKey::new(chain, any_supported_type(&key).unwrap()))
}

fn leaf(shown: Shown) -> CertificateParams {
    let names: &[&str] = match shown {
        Shown::OtherName => &["dcams.example.com", "localhost.example.com"],
        Shown::OtherLevel => &["*.localhost", "*.dcams.test"],
        Shown::AddressOnly => &["127.0.0.1", "::1"],
        Shown::CommonNameOnly => &[],
        _ => &NAMES,
    };
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut leaf = CertificateParams::new(names).unwrap();
    leaf.distinguished_name.push(DnType::CommonName, "localhost");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    match shown {
        Shown::Expired => leaf.not_after = date_time_ymd(2001, 1, 1),
        Shown::NotYetValid => leaf.not_before = date_time_ymd(4000, 1, 1),
        Shown::ForClientsOnly => leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        Shown::AuthorityAsServer => leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        Shown::UnknownCriticalExtension => {
            let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
            extension.set_criticality(true);
            leaf.custom_extensions = vec![extension];
        }
        _ => {}
    }
    leaf
}

impl Authority {
    fn root(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let authority = authority(name);
        Self { certificate: authority.self_signed(&key).unwrap(), issuer: Issuer::new(authority, key) }
    }

    fn intermediate(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut below = authority("authority below");
        change(&mut below);
        Self { certificate: below.signed_by(&key, &self.issuer).unwrap(), issuer: Issuer::new(below, key) }
    }

    fn sign(&self, leaf: &CertificateParams, key: &KeyPair) -> CertificateDer<'static> {
        leaf.signed_by(key, &self.issuer).unwrap().into()
    }

    fn chain(self, leaf: &CertificateParams, key: &KeyPair) -> Vec<CertificateDer<'static>> {
        vec![self.sign(leaf, key), self.certificate.into()]
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, name);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority
}

fn altered(der: CertificateDer<'static>, at: impl FnOnce(&[u8]) -> usize) -> CertificateDer<'static> {
    let mut der = der.to_vec();
    let at = at(&der);
    der[at] ^= 1;
    der.into()
}

fn from_pem([_, chain, key]: [&str; 3]) -> Arc<CertifiedKey> {
    let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    Arc::new(CertifiedKey::new(chain, any_supported_type(&key).unwrap()))
}

#[derive(Debug)]
struct Fixed(Arc<CertifiedKey>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
