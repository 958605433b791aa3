//! How can "who read this person's passport?" be answered without storing the e-mail?

use aws_lc_rs::hmac;
use zeroize::Zeroize;

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
        let mut hashed = Hashed { context: &mut context, piece: [0; PIECE], filled: 0 };
        hashed.push(match normalise {
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
                hashed.push(b" ");
            }
            match normalise {
                Normalise::Email => {
                    for lower in character.to_lowercase() {
                        hashed.push(lower.encode_utf8(&mut buffer).as_bytes());
                    }
                }
                Normalise::Reference => hashed.push(character.encode_utf8(&mut buffer).as_bytes()),
            }
        }
        drop(hashed);
        first(context.sign().as_ref())
    }
}

/// Bytes that are hashed in one call: a call for each character costs more than the hash itself.
const PIECE: usize = 64;

/// What is hashed, gathered in pieces; dropped, it hashes the last one and clears it.
struct Hashed<'c> {
    context: &'c mut hmac::Context,
    piece: [u8; PIECE],
    filled: usize,
}

impl Hashed<'_> {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.filled == PIECE {
                self.hash_piece();
            }
            if let Some(place) = self.piece.get_mut(self.filled) {
                *place = *byte;
                self.filled += 1;
            }
        }
    }

    fn hash_piece(&mut self) {
        self.context.update(self.piece.get(..self.filled).unwrap_or_default());
        self.filled = 0;
    }
}

impl Drop for Hashed<'_> {
    fn drop(&mut self) {
        self.hash_piece();
        self.piece.zeroize();
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
    fn what_is_hashed_is_the_label_and_the_value_however_long() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        for length in [0, 1, PIECE - 10, PIECE, 3 * PIECE + 1] {
            let value = "x".repeat(length);
            let whole = hmac::sign(&key, format!("reference\0{value}").as_bytes());
            assert_eq!(of(&[1; 32], Normalise::Reference, &value), first(whole.as_ref()), "{length}");
        }
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
