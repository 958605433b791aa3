//! In which forms could a server write a password?

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use zeroize::Zeroizing;

/// Shorter passwords occur by chance in megabytes of base64; they are searched for as they are only.
const MIN_ENCODED_BYTES: usize = 12;

/// One form of a password, while it is made.
pub(super) type Form = Zeroizing<Vec<u8>>;

/// The forms of `raw` that differ from it and from each other: JSON-escaped in two dialects, base64 at the three
/// offsets in both alphabets, and hexadecimal. None is empty.
pub(super) fn encoded(raw: &[u8]) -> Vec<Form> {
    let mut forms = Vec::new();
    if let Ok(text) = std::str::from_utf8(raw) {
        forms.extend(json_forms(text));
    }
    if raw.len() >= MIN_ENCODED_BYTES {
        forms.extend([digits(raw, UPPER), digits(raw, LOWER)]);
        for alphabet in [&alphabet::STANDARD, &alphabet::URL_SAFE] {
            forms.extend((0..3).map(|offset| base64_at(raw, offset, alphabet)));
        }
    }
    // What is left out here is cleared like what stays.
    forms.retain(|form| form.as_slice() != raw && !form.is_empty());
    forms.sort_unstable_by(|one, other| one.as_slice().cmp(other));
    forms.dedup();
    forms
}

/// Bytes of the longest escape: `\u0000`.
const LONGEST_ESCAPE: usize = 6;

/// As serde, and as PHP by default, with non-ASCII escaped, would write it.
fn json_forms(text: &str) -> [Form; 2] {
    let form = |ascii: bool| {
        // Large enough from the start: a buffer that grows leaves its old copy behind, not cleared.
        let mut out = Form::new(Vec::with_capacity(text.len().saturating_mul(LONGEST_ESCAPE)));
        let mut push = |text: &[u8]| out.extend_from_slice(text);
        for character in text.chars() {
            match character {
                '"' => push(b"\\\""),
                '\\' => push(b"\\\\"),
                '\n' => push(b"\\n"),
                '\r' => push(b"\\r"),
                '\t' => push(b"\\t"),
                '\u{8}' => push(b"\\b"),
                '\u{c}' => push(b"\\f"),
                _ if (character as u32) < 0x20 || (ascii && !character.is_ascii()) => {
                    let mut units = [0; 2];
                    for unit in character.encode_utf16(&mut units) {
                        push(b"\\u");
                        unit.to_be_bytes().iter().for_each(|byte| push(&pair_of(*byte, LOWER)));
                    }
                }
                _ => push(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        out
    };
    [form(false), form(true)]
}

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

fn pair_of(byte: u8, alphabet: &[u8; 16]) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|nibble| alphabet.get(usize::from(nibble)).copied().unwrap_or(b'0'))
}

fn digits(raw: &[u8], alphabet: &[u8; 16]) -> Form {
    let mut digits = Form::new(Vec::with_capacity(raw.len().saturating_mul(2)));
    raw.iter().for_each(|byte| digits.extend_from_slice(&pair_of(*byte, alphabet)));
    digits
}

/// What of the base64 of any text that holds `raw` at `offset` (modulo 3) depends on `raw` alone.
fn base64_at(raw: &[u8], offset: usize, alphabet: &alphabet::Alphabet) -> Form {
    let mut padded = Form::new(Vec::with_capacity(offset.saturating_add(raw.len())));
    padded.resize(offset, 0);
    padded.extend_from_slice(raw);
    let mut encoded = Form::new(GeneralPurpose::new(alphabet, NO_PAD).encode(&*padded).into_bytes());
    // The first characters also hold bits of what precedes, the last one of what follows.
    let bits_before = offset * 8;
    let whole = padded.len() * 8 / 6;
    encoded.truncate(whole);
    let before = bits_before.div_ceil(6).min(encoded.len());
    encoded.drain(..before);
    encoded
}
