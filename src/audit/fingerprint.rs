//! How can "who read this person's passport?" be answered without storing the e-mail?

use aws_lc_rs::hmac;

use crate::digest::first;
use crate::json::Text;
use crate::schema::Normalise;
use crate::secret::Secret;

/// Makes keyed fingerprints: HMAC-SHA-256 over a label and the normalised value, cut to 16 bytes.
pub struct Fingerprinter {
    key: hmac::Key,
}

impl Fingerprinter {
    /// Keeps `key`, 32 bytes or more.
    #[must_use]
    pub fn new(key: &Secret) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key.expose()) }
    }

    /// The fingerprint of a request's member.
    #[must_use]
    pub fn of_text(&self, normalise: Normalise, text: Text<'_>) -> [u8; 16] {
        self.of_chars(normalise, text.chars())
    }

    /// The fingerprint of a value that an analyst typed; equal to [`Self::of_text`] of the same value.
    #[must_use]
    pub fn of_str(&self, normalise: Normalise, value: &str) -> [u8; 16] {
        self.of_chars(normalise, value.chars())
    }

    /// Trims white space at both ends and, for an e-mail, lowers the case; character by character, so
    /// that no copy of the value is made.
    fn of_chars(&self, normalise: Normalise, chars: impl Iterator<Item = char>) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(match normalise {
            Normalise::Email => b"email\0",
            Normalise::Reference => b"reference\0",
        });
        let mut buffer = [0; 4];
        let mut white_space_held = 0_usize;
        for character in chars.skip_while(|character| character.is_whitespace()) {
            // White space inside counts, white space at the end does not: it is held back until
            // something else follows. Every kind of it counts as one blank.
            if character.is_whitespace() {
                white_space_held += 1;
                continue;
            }
            for _ in 0..std::mem::take(&mut white_space_held) {
                context.update(b" ");
            }
            match normalise {
                Normalise::Email => {
                    for lower in character.to_lowercase() {
                        context.update(lower.encode_utf8(&mut buffer).as_bytes());
                    }
                }
                Normalise::Reference => context.update(character.encode_utf8(&mut buffer).as_bytes()),
            }
        }
        first(context.sign().as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &[u8], normalise: Normalise, value: &str) -> [u8; 16] {
        Fingerprinter::new(&Secret::new(key.to_vec())).of_str(normalise, value)
    }

    #[test]
    fn an_email_is_the_same_in_any_case_and_with_blanks_around_it() {
        let plain = of(&[1; 32], Normalise::Email, "jane@example.com");
        assert_eq!(of(&[1; 32], Normalise::Email, "  Jane@EXAMPLE.com\t"), plain);
        assert_ne!(of(&[1; 32], Normalise::Email, "ja ne@example.com"), plain);
    }

    #[test]
    fn a_reference_keeps_its_case() {
        assert_ne!(of(&[1; 32], Normalise::Reference, "A1"), of(&[1; 32], Normalise::Reference, "a1"));
    }

    #[test]
    fn the_same_value_differs_by_key_and_by_kind() {
        let one = of(&[1; 32], Normalise::Reference, "x@example.com");
        assert_ne!(of(&[2; 32], Normalise::Reference, "x@example.com"), one);
        assert_ne!(of(&[1; 32], Normalise::Email, "x@example.com"), one);
    }
}
