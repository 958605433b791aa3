//! Does an answer hold the password, in any encoding that a server could put it in?

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use memchr::memmem;

use crate::json::{Document, Escapes};
use crate::secret::Secret;

/// Shorter needles occur by chance in megabytes of base64; they are searched for as they are only.
const MIN_ENCODED_BYTES: usize = 12;
/// How much of a string with escapes is unescaped at a time.
const WINDOW_BYTES: usize = 64 << 10;

/// The forms of one password that no answer may hold. `user` is no secret to search for: it may be a
/// word that occurs in any answer.
pub struct Needles {
    raw: Secret,
    encoded: Vec<Secret>,
}

impl Needles {
    /// Prepares the forms of `pass`: JSON-escaped in three dialects, percent-encoded, base64 at the
    /// three offsets in both alphabets, and hexadecimal.
    #[must_use]
    pub fn of(pass: &Secret) -> Self {
        let raw = pass.expose();
        let mut forms = Vec::new();
        if let Ok(text) = std::str::from_utf8(raw) {
            forms.extend(json_forms(text));
        }
        if raw.len() >= MIN_ENCODED_BYTES {
            forms.extend([percent(raw, b"0123456789ABCDEF"), percent(raw, b"0123456789abcdef")]);
            forms.extend([digits(raw, b"0123456789ABCDEF"), digits(raw, b"0123456789abcdef")]);
            for alphabet in [&alphabet::STANDARD, &alphabet::URL_SAFE] {
                forms.extend((0..3).map(|offset| base64_at(raw, offset, alphabet)));
            }
        }
        forms.retain(|form| form != raw && !form.is_empty());
        forms.sort_unstable();
        forms.dedup();
        Self { raw: Secret::new(raw.to_vec()), encoded: forms.into_iter().map(Secret::new).collect() }
    }

    /// Whether `bytes` hold the password in any form.
    #[must_use]
    pub fn found_in(&self, bytes: &[u8]) -> bool {
        let holds = |needle: &Secret| memmem::find(bytes, needle.expose()).is_some();
        holds(&self.raw) || self.encoded.iter().any(holds)
    }

    /// Whether a string of `document` holds the password once its escapes are resolved. Strings whose
    /// only escape is `\/` were covered by the search in the bytes.
    #[must_use]
    pub fn found_unescaped(&self, document: &Document) -> bool {
        document.strings().filter(|text| text.escapes() == Escapes::Any).any(|text| {
            let (mut window, mut buffer) = (zeroize::Zeroizing::new(Vec::new()), [0; 4]);
            for character in text.chars() {
                window.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                if window.len() >= WINDOW_BYTES {
                    if self.found_in(&window) {
                        return true;
                    }
                    // What could be the beginning of a needle stays.
                    let keep = window.len().saturating_sub(self.longest());
                    window.drain(..keep);
                }
            }
            self.found_in(&window)
        })
    }

    fn longest(&self) -> usize {
        let encoded = self.encoded.iter().map(|form| form.expose().len());
        encoded.chain(std::iter::once(self.raw.expose().len())).max().unwrap_or(0)
    }
}

/// As serde, PHP (`\/`), and PHP with non-ASCII escaped would write it.
fn json_forms(text: &str) -> [Vec<u8>; 3] {
    let form = |solidus: bool, ascii: bool| {
        let mut out = String::new();
        for character in text.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '/' if solidus => out.push_str("\\/"),
                _ if (character as u32) < 0x20 || (ascii && !character.is_ascii()) => {
                    let mut units = [0; 2];
                    for unit in character.encode_utf16(&mut units) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                _ => out.push(character),
            }
        }
        out.into_bytes()
    };
    [form(false, false), form(true, false), form(true, true)]
}

fn percent(raw: &[u8], alphabet: &[u8; 16]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in raw {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend(digits(&[*byte], alphabet));
        }
    }
    out
}

fn digits(raw: &[u8], alphabet: &[u8; 16]) -> Vec<u8> {
    let digit = |nibble: u8| alphabet.get(usize::from(nibble)).copied().unwrap_or(b'0');
    raw.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// What of the base64 of any text that holds `raw` at `offset` (modulo 3) depends on `raw` alone.
fn base64_at(raw: &[u8], offset: usize, alphabet: &alphabet::Alphabet) -> Vec<u8> {
    let mut padded = vec![0; offset];
    padded.extend_from_slice(raw);
    let mut encoded = GeneralPurpose::new(alphabet, NO_PAD).encode(&padded).into_bytes();
    // The first characters also hold bits of what precedes, the last one of what follows.
    let bits_before = offset * 8;
    let whole = padded.len() * 8 / 6;
    encoded.truncate(whole);
    encoded.drain(..bits_before.div_ceil(6).min(encoded.len()));
    zeroize::Zeroize::zeroize(&mut padded);
    encoded
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const PASS: &str = "p\u{e4}ss/\"word\\ 1234";

    fn needles(pass: &str) -> Needles {
        Needles::of(&Secret::new(pass.as_bytes().to_vec()))
    }

    #[test]
    fn the_password_is_found_in_every_encoding() {
        let needles = needles(PASS);
        let hex: String = PASS.bytes().map(|byte| format!("{byte:02X}")).collect();
        let percent: String = PASS.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let percent_minimal = "p%C3%A4ss%2F%22word%5C%201234".to_owned();
        let json = serde_json::to_string(PASS).unwrap();
        let mut haystacks = vec![PASS.to_owned(), hex.to_lowercase(), hex, percent_minimal, json];
        haystacks.push("p\\u00e4ss\\/\\\"word\\\\ 1234".to_owned());
        for before in ["", "x", "xy", "xyz"] {
            haystacks.push(STANDARD.encode(format!("{before}{PASS} and more")));
        }
        for haystack in haystacks {
            assert!(needles.found_in(format!("..{haystack}..").as_bytes()), "{haystack}");
        }
        assert!(!needles.found_in(percent.replace("%70", "p-").as_bytes()));
        assert!(!needles.found_in(b"nothing of it"));
    }

    #[test]
    fn a_password_behind_unusual_escapes_is_found() {
        let needles = needles("a long password");
        let body = br#"{"message": "x \u0061 long pass\u0077ord y"}"#;
        let document = crate::json::parse(bytes::Bytes::from_static(body), &crate::json::Caps::ANSWER).unwrap();
        assert!(!needles.found_in(body));
        assert!(needles.found_unescaped(&document));
    }

    #[test]
    fn a_short_password_is_not_searched_for_in_encoded_forms() {
        assert!(needles("short").found_in(b"a short one"));
        assert!(!needles("short").found_in(STANDARD.encode("short").as_bytes()));
    }
}
