//! Does an answer hold the password, in any encoding that a server could put it in?

use std::ops::Range;

use aho_corasick::Span;
use aho_corasick::packed::Searcher;
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use memchr::memmem;
use zeroize::Zeroizing;

use crate::json::{Document, Escapes};
use crate::secret::Secret;

/// Shorter needles occur by chance in megabytes of base64; they are searched for as they are only.
const MIN_ENCODED_BYTES: usize = 12;
/// So much of each needle is searched for first, of all of them at once. It is kept in memory that is not cleared.
const BEGINNING_BYTES: usize = 3;
/// How much is searched at a time: so much stays in the cache that is nearest to the processor.
const PIECE_BYTES: usize = 16 << 10;
/// How much of a string with escapes is unescaped at a time.
const WINDOW_BYTES: usize = 64 << 10;

/// The forms of one password that no answer may hold. `user` is no secret to search for: it may be a
/// word that occurs in any answer.
pub struct Needles {
    raw: Secret,
    encoded: Vec<Secret>,
    /// Finds where one of them may begin; `None` where one is too short for that.
    beginnings: Option<Searcher>,
    shortest: usize,
    longest: usize,
}

impl Needles {
    /// Prepares the forms of `pass`: JSON-escaped in three dialects, base64 at the three offsets in both
    /// alphabets, and hexadecimal. Percent-encoding is resolved in the answer instead.
    #[must_use]
    pub fn of(pass: &Secret) -> Self {
        let raw = pass.expose();
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
        let lengths = || forms.iter().map(|form| form.len()).chain([raw.len()]);
        let (shortest, longest) = (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0));
        let beginnings = forms.iter().map(|form| form.as_slice()).chain([raw]);
        let beginnings: Option<Vec<_>> = beginnings.map(|form| form.get(..BEGINNING_BYTES)).collect();
        let beginnings = beginnings.and_then(Searcher::new);
        let secret = |mut form: Form| Secret::new(std::mem::take(&mut *form));
        let encoded = forms.into_iter().map(secret).collect();
        Self { raw: Secret::new(raw.to_vec()), encoded, beginnings, shortest, longest }
    }

    /// Whether `bytes` hold the password in any form, also where any part of it is percent-encoded.
    #[must_use]
    pub fn found_in(&self, bytes: &[u8]) -> bool {
        if bytes.len() < self.shortest {
            return false;
        }
        let (mut start, mut percent) = (0, None);
        while start < bytes.len() {
            let end = bytes.len().min(start.saturating_add(PIECE_BYTES));
            // The quicker search goes first: it fetches the piece for the other.
            let piece = bytes.get(start..end).unwrap_or_default();
            percent = percent.or_else(|| memchr::memchr(b'%', piece).map(|at| start.saturating_add(at)));
            if self.begins_in(bytes, start..end) {
                return true;
            }
            start = end;
        }
        percent.is_some_and(|first| self.found_percent_encoded(bytes, first))
    }

    /// Whether a string of `document` holds the password once its escapes are resolved. PHP writes base64
    /// with `\/`, so that this is the common case and no attack.
    #[must_use]
    pub fn found_unescaped(&self, document: &Document) -> bool {
        document.strings().any(|text| match text.escapes() {
            Escapes::None => false,
            Escapes::Solidus => self.has_slash() && self.found_without_backslashes(text.raw()),
            Escapes::Any => {
                let (mut window, mut buffer) = (Window::of(self, Encoded::MaybePercent), [0; 4]);
                text.chars().any(|character| window.push(character.encode_utf8(&mut buffer).as_bytes()))
                    || window.ends()
            }
        })
    }

    /// In a text whose only escapes are `\/`, every backslash stands before a slash.
    fn found_without_backslashes(&self, text: &[u8]) -> bool {
        let mut window = Window::of(self, Encoded::MaybePercent);
        let mut start = 0;
        for end in memchr::memchr_iter(b'\\', text).chain(std::iter::once(text.len())) {
            let run = text.get(start..end).unwrap_or_default();
            // A long run is taken in pieces, or the window would be a copy of it.
            if run.chunks(WINDOW_BYTES).any(|piece| window.push(piece)) {
                return true;
            }
            start = end + 1;
        }
        window.ends()
    }

    /// Whether `\/` can stand inside a form of the password.
    fn has_slash(&self) -> bool {
        self.forms().any(|form| form.contains(&b'/'))
    }

    fn forms(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.raw).chain(&self.encoded).map(Secret::expose)
    }

    /// Whether any form begins at one of `places` in `bytes`.
    fn begins_in(&self, bytes: &[u8], places: Range<usize>) -> bool {
        let reach = |beyond: usize| bytes.len().min(places.end.saturating_add(beyond));
        let Some(beginnings) = &self.beginnings else {
            let within = bytes.get(places.start..reach(self.longest)).unwrap_or_default();
            return self.forms().any(|form| memmem::find(within, form).is_some());
        };
        let mut span = Span { start: places.start, end: reach(BEGINNING_BYTES - 1) };
        while let Some(place) = beginnings.find_in(bytes, span) {
            // Several forms may begin alike, and only one of them is told.
            let rest = bytes.get(place.start()..).unwrap_or_default();
            if self.forms().any(|form| rest.starts_with(form)) {
                return true;
            }
            span.start = place.start() + 1;
        }
        false
    }

    /// From the `%` at `first` on, with every `%XX` resolved: which bytes a server encodes is its choice.
    fn found_percent_encoded(&self, bytes: &[u8], first: usize) -> bool {
        // What stands before it may be the beginning of any form, with nothing encoded in it.
        let mut rest = bytes.get(first.saturating_sub(self.longest)..).unwrap_or_default();
        let mut window = Window::of(self, Encoded::No);
        while let Some((byte, after)) = rest.split_first() {
            let escape = (*byte == b'%').then(|| hex_pair(after)).flatten();
            rest = if escape.is_some() { after.get(2..).unwrap_or_default() } else { after };
            if window.push(&[escape.unwrap_or(*byte)]) {
                return true;
            }
        }
        window.ends()
    }
}

/// Whether what a [`Window`] takes may be percent-encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoded {
    No,
    MaybePercent,
}

/// A stretch of decoded bytes that is searched when it is full, so that a long text needs little memory.
struct Window<'a> {
    needles: &'a Needles,
    encoded: Encoded,
    bytes: Zeroizing<Vec<u8>>,
}

impl<'a> Window<'a> {
    fn of(needles: &'a Needles, encoded: Encoded) -> Self {
        Self { needles, encoded, bytes: Zeroizing::new(Vec::new()) }
    }

    /// Takes more; `true` when the password was found.
    fn push(&mut self, bytes: &[u8]) -> bool {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() < WINDOW_BYTES {
            return false;
        }
        let found = self.ends();
        // What could be the beginning of a needle stays; percent-encoded, it is three times as long.
        let keep = self.bytes.len().saturating_sub(self.needles.longest.saturating_mul(3));
        self.bytes.drain(..keep);
        found
    }

    /// Whether what is left holds the password.
    fn ends(&self) -> bool {
        match self.encoded {
            Encoded::No => self.needles.begins_in(&self.bytes, 0..self.bytes.len()),
            Encoded::MaybePercent => self.needles.found_in(&self.bytes),
        }
    }
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    u8::try_from(digit(0)? << 4 | digit(1)?).ok()
}

/// One form of a password, while it is made.
type Form = Zeroizing<Vec<u8>>;

/// Bytes of the longest escape: `\u0000`.
const LONGEST_ESCAPE: usize = 6;

/// As serde, PHP (`\/`), and PHP with non-ASCII escaped would write it.
fn json_forms(text: &str) -> [Form; 3] {
    let form = |solidus: bool, ascii: bool| {
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
                '/' if solidus => push(b"\\/"),
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
    [form(false, false), form(true, false), form(true, true)]
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
        let mut haystacks = vec![PASS.to_owned(), hex.to_lowercase(), hex, percent, percent_minimal, json];
        haystacks.push("p\\u00e4ss\\/\\\"word\\\\ 1234".to_owned());
        for before in ["", "x", "xy", "xyz"] {
            haystacks.push(STANDARD.encode(format!("{before}{PASS} and more")));
        }
        for haystack in haystacks {
            assert!(needles.found_in(format!("..{haystack}..").as_bytes()), "{haystack}");
        }
        assert!(!needles.found_in("p%C3%A4ss%2F%22word%5C%20123%35".as_bytes()));
        assert!(!needles.found_in(b"nothing of it"));
    }

    #[test]
    fn a_password_behind_unusual_escapes_is_found() {
        let needles = needles("a long password");
        let body = br#"{"message": "x \u0061 long pass\u0077ord y"}"#;
        let document =
            crate::json::parse(bytes::Bytes::from_static(body), &crate::json::Caps::ANSWER).unwrap();
        assert!(!needles.found_in(body));
        assert!(needles.found_unescaped(&document));
    }

    #[test]
    fn a_password_across_the_border_of_two_windows_is_found() {
        let needles = needles("a long password");
        for before in WINDOW_BYTES - 20..WINDOW_BYTES + 5 {
            let text = format!("%20{}a%20long%20password", "x".repeat(before));
            assert!(needles.found_in(text.as_bytes()), "{before}");
        }
    }

    #[test]
    fn a_password_behind_the_slashes_of_php_is_found() {
        // `?>?` and `?~?` are base64 with slashes at some offset; percent-encoding may leave `/` as it is.
        let pass = "a?~?>/ ?>?z?";
        for before in ["", "x", "xy"] {
            let encoded = STANDARD.encode(format!("{before}{pass}{pass}"));
            assert!(encoded.contains('/'), "{encoded}");
            for written in [encoded, "a?~?%3E/%20?%3E?z?".to_owned()] {
                let string = written.replace('/', "\\/");
                for pad in [0, WINDOW_BYTES - 7] {
                    let body = format!(r#"{{"{}{string}":1}}"#, "-".repeat(pad));
                    let caps = crate::json::Caps { name_bytes: u32::MAX, ..crate::json::Caps::ANSWER };
                    let document = crate::json::parse(bytes::Bytes::from(body), &caps).unwrap();
                    assert!(!needles("another password").found_unescaped(&document));
                    assert!(needles(pass).found_unescaped(&document), "{string} after {pad}");
                }
            }
        }
    }

    #[test]
    fn a_needle_is_found_at_every_place_and_behind_what_begins_like_it() {
        for pass in ["xy", "the password of all", "aaaaaaaaaaaab"] {
            let needles = needles(pass);
            for before in (0..80).chain(PIECE_BYTES - 40..PIECE_BYTES + 5) {
                let text = format!("{}{pass}{}", "a".repeat(before), "z".repeat(80));
                assert!(needles.found_in(text.as_bytes()), "{pass} after {before}");
                assert!(needles.found_in(&text.as_bytes()[..before + pass.len()]), "{pass} at the end");
                assert!(!needles.found_in(&text.as_bytes()[..before + pass.len() - 1]), "half of {pass}");
            }
        }
    }

    #[test]
    fn a_form_whose_first_encoded_byte_comes_late_is_found() {
        let pass = "?iGp#58WAm!dX3.a5ID~";
        for before in ["", "x", "xy"] {
            let encoded = STANDARD.encode(format!("{before}{pass} and more"));
            let late = encoded.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
            assert!(needles(pass).found_in(late.as_bytes()), "{late}");
        }
        // Encoded anywhere: at its last byte, and at no other.
        for form in needles(pass).forms() {
            let (last, rest) = form.split_last().unwrap();
            let late = [rest, format!("%{last:02X}").as_bytes()].concat();
            assert!(needles(pass).found_in(&late), "{}", String::from_utf8_lossy(&late));
        }
    }

    #[test]
    fn a_short_password_is_not_searched_for_in_encoded_forms() {
        assert!(needles("short").found_in(b"a short one"));
        assert!(!needles("short").found_in(STANDARD.encode("short").as_bytes()));
    }
}
