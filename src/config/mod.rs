//! What does the operator want, and is it consistent?

mod model;

pub use model::*;

/// stand-in until loading lands
pub struct Secrets { pub credentials: Box<[Pair]>, pub key: crate::secret::Secret }
/// stand-in
pub struct Pair { pub user: crate::secret::Secret, pub pass: crate::secret::Secret }
impl Secrets {
    /// stand-in
    pub fn pair(&self, id: crate::ids::CredentialId) -> Option<&Pair> { self.credentials.get(usize::from(id.0)) }
    /// stand-in
    pub fn fingerprint_key(&self) -> &crate::secret::Secret { &self.key }
}
impl SecretRef {
    /// stand-in
    pub fn read(&self) -> Result<crate::secret::Secret, std::io::Error> { Err(std::io::Error::other("x")) }
}
