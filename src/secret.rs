//! How does a secret live in memory without reaching any output?

use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroize;

/// Bytes that must never be printed: no `Debug`, `Display`, `Clone` or `Serialize`; zeroised on drop.
///
/// It has one exit, [`Secret::expose`]; `clippy.toml` bans the underlying accessor everywhere else.
pub struct Secret(SecretSlice<u8>);

impl Secret {
    /// Takes ownership of `bytes`; no copy of them stays behind.
    #[must_use]
    pub fn new(mut bytes: Vec<u8>) -> Self {
        // Shrinking a vector in place may move it, and leave the old block as it was.
        let exact: Box<[u8]> = Box::from(bytes.as_slice());
        bytes.zeroize();
        Self(SecretSlice::from(exact))
    }

    /// The secret itself, for the one place that needs it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one exit of a secret")]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}
