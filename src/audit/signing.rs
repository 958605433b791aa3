//! Who vouches for a checkpoint?

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use zeroize::{Zeroize, Zeroizing};

use crate::digest::{first, sha256};
use crate::secret::Secret;

/// Length of an Ed25519 signature, bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// What stands in front of the signed bytes: a signature made for one purpose is none for another.
const LABEL: &[u8] = b"dcams-gateway checkpoint v1\n";

/// What stands in front of the 32 bytes of an Ed25519 key in its DER form (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What stands in front of the 32 bytes of an Ed25519 private key in its DER form (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Why a key cannot be used. Quotes nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// `openssl genpkey -algorithm ed25519` makes one that can be used.
    #[error("not an Ed25519 private key: expected PKCS#8 in PEM (-----BEGIN PRIVATE KEY-----)")]
    Private,
    /// `openssl pkey -pubout` makes one that can be used.
    #[error("not an Ed25519 public key: expected PEM (-----BEGIN PUBLIC KEY-----)")]
    Public,
}

/// Signs checkpoints with Ed25519 (RFC 8032).
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// A random private key: PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it. `None` where the
    /// system has no random bytes.
    #[must_use]
    pub fn new_pem() -> Option<Secret> {
        use base64::Engine;
        let mut der = Zeroizing::new([0; PKCS8_PREFIX.len() + 32]);
        let (prefix, seed) = der.split_at_mut(PKCS8_PREFIX.len());
        prefix.copy_from_slice(&PKCS8_PREFIX);
        aws_lc_rs::rand::fill(seed).ok()?;
        let body = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(der.as_ref()));
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *body);
        Some(Secret::new(pem.into_bytes()))
    }

    /// Reads a private key: PKCS#8 in PEM, with or without its public half.
    ///
    /// # Errors
    ///
    /// [`KeyFault::Private`].
    pub fn of_pem(pem: &Secret) -> Result<Self, KeyFault> {
        let mut der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose()).map_err(|_| KeyFault::Private)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        der.zeroize();
        pair.map(Self).map_err(|_| KeyFault::Private)
    }

    /// The signature over the label of checkpoints and `bytes`.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; SIGNATURE_BYTES] {
        first(self.0.sign(&labelled(bytes)).as_ref())
    }

    /// The half that may be known.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(first(self.0.public_key().as_ref()))
    }
}

/// Checks the signatures of checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads a public key: SubjectPublicKeyInfo in PEM.
    ///
    /// # Errors
    ///
    /// [`KeyFault::Public`].
    pub fn of_pem(pem: &[u8]) -> Result<Self, KeyFault> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| KeyFault::Public)?;
        let key = der.as_ref().strip_prefix(&SPKI_PREFIX[..]).ok_or(KeyFault::Public)?;
        key.try_into().map(Self).map_err(|_| KeyFault::Public)
    }

    /// As `openssl pkey -pubin` reads it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        use base64::Engine;
        let der: Vec<u8> = SPKI_PREFIX.iter().chain(&self.0).copied().collect();
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
    }

    /// Names the key in records: the first 8 bytes of the SHA-256 over its 32.
    #[must_use]
    pub fn id(&self) -> [u8; 8] {
        first(&sha256([self.0]))
    }

    /// Whether `signature` was made by this key's other half over `bytes`.
    #[must_use]
    pub fn vouches_for(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(&labelled(bytes), signature).is_ok()
    }
}

fn labelled(bytes: &[u8]) -> Vec<u8> {
    [LABEL, bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 8410, section 10.3, and its public half of section 10.1.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

    fn private() -> SigningKey {
        SigningKey::of_pem(&Secret::new(PRIVATE.into())).unwrap()
    }

    #[test]
    fn both_halves_of_a_key_are_read_as_openssl_writes_them() {
        assert_eq!(PublicKey::of_pem(PUBLIC.as_bytes()), Ok(private().public()));
        assert_eq!(private().public().to_pem(), PUBLIC);
    }

    #[test]
    fn a_signature_vouches_for_exactly_the_bytes_it_was_made_over() {
        let signature = private().sign(b"{\"seq\":1");
        let public = private().public();
        assert!(public.vouches_for(b"{\"seq\":1", &signature));
        assert!(!public.vouches_for(b"{\"seq\":2", &signature));
        assert!(!public.vouches_for(b"{\"seq\":1", &signature[..63]));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_quoted() {
        for text in ["", "hunter2", PUBLIC] {
            assert_eq!(SigningKey::of_pem(&Secret::new(text.into())).err(), Some(KeyFault::Private));
        }
        for text in ["", "hunter2", PRIVATE] {
            assert_eq!(PublicKey::of_pem(text.as_bytes()), Err(KeyFault::Public));
        }
    }
}
