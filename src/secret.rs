//! How does a secret live in memory without reaching any output?

use secrecy::{ExposeSecret, SecretSlice};

/// Bytes that must never be printed: no `Debug`, `Display`, `Clone` or `Serialize`; zeroised on drop.
///
/// It has one exit, [`Secret::expose`]; `clippy.toml` bans the underlying accessor everywhere else.
pub struct Secret(SecretSlice<u8>);

impl Secret {
    /// Takes ownership of `bytes`; no copy of them stays behind.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(SecretSlice::from(bytes.into_boxed_slice()))
    }

    /// The secret itself, for the one place that needs it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one exit of a secret")]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}
