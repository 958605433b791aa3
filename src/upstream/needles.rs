//! Does an answer hold the password, in any encoding that a server could put it in?

use std::ops::Range;

use aho_corasick::Span;
use aho_corasick::packed::Searcher;
use zeroize::Zeroizing;

use super::forms::{Form, encoded};
use crate::json::{Document, Escapes, Text};
use crate::secret::Secret;

/// At most so much of each needle is searched for first, of all of them at once. It is kept in memory that is not
/// cleared.
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
    /// Finds where one of them may begin; `None` on processors that cannot.
    beginnings: Option<Searcher>,
    shortest: usize,
    /// As written with `\/` for each slash.
    longest: usize,
}

impl Needles {
    /// Prepares the forms of `pass`. `\/` and percent-encoding are resolved in the answer instead: which slashes and
    /// which bytes a server writes so is its choice.
    #[must_use]
    pub fn of(pass: &Secret) -> Self {
        let raw = pass.expose();
        let forms = encoded(raw);
        let all = || forms.iter().map(|form| form.as_slice()).chain([raw]);
        let shortest = all().map(<[u8]>::len).min().unwrap_or(0);
        let longest = all().map(|form| form.len() + slashes(form)).max().unwrap_or(0);
        let beginnings = Searcher::new(beginnings(all(), shortest.min(BEGINNING_BYTES)));
        let secret = |mut form: Form| Secret::new(std::mem::take(&mut *form));
        let encoded = forms.into_iter().map(secret).collect();
        Self { raw: Secret::new(raw.to_vec()), encoded, beginnings, shortest, longest }
    }

    /// Whether `bytes` hold the password in any form, also where any part of it is percent-encoded.
    #[must_use]
    pub fn found_in(&self, bytes: &[u8]) -> bool {
        Search::default().finish(self, bytes)
    }

    /// Whether a string of `document` holds the password once all its escapes are resolved; where `\/` is the only
    /// one, [`Needles::found_in`] finds it.
    #[must_use]
    pub fn found_unescaped(&self, document: &Document) -> bool {
        let mut window = Window::of(self, Encoded::MaybePercent);
        document.strings().filter(|text| text.escapes() == Escapes::Any).any(|text| {
            window.bytes.clear();
            window.push_unescaped(text) || window.ends()
        })
    }

    fn forms(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.raw).chain(&self.encoded).map(Secret::expose)
    }

    /// Whether any form begins at one of `places` in `bytes`.
    fn begins_in(&self, bytes: &[u8], mut places: Range<usize>) -> bool {
        // Several forms may begin alike, and only one of them is told.
        let begins_at = |place: usize| {
            let rest = bytes.get(place..).unwrap_or_default();
            self.forms().any(|form| is_written_at(rest, form))
        };
        let Some(beginnings) = &self.beginnings else { return places.any(begins_at) };
        let end = bytes.len().min(places.end.saturating_add(BEGINNING_BYTES - 1));
        while let Some(place) = beginnings.find_in(bytes, Span { start: places.start, end }) {
            if begins_at(place.start()) {
                return true;
            }
            places.start = place.start() + 1;
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

/// A search for the same needles in bytes that still come, as far as it got.
#[derive(Default)]
pub(super) struct Search {
    /// No form begins before this.
    searched: usize,
    /// The first `%` before that.
    percent: Option<usize>,
    found: bool,
}

impl Search {
    /// Goes on with `beginning`, which goes on with what it was before, as far as no more bytes can tell otherwise.
    pub(super) fn look(&mut self, needles: &Needles, beginning: &[u8]) {
        self.search(needles, beginning, beginning.len().saturating_sub(needles.longest));
    }

    /// As [`Needles::found_in`] of all the bytes, with less left to do.
    pub(super) fn finish(mut self, needles: &Needles, bytes: &[u8]) -> bool {
        if bytes.len() < needles.shortest {
            return false;
        }
        self.search(needles, bytes, bytes.len());
        self.found || self.percent.is_some_and(|first| needles.found_percent_encoded(bytes, first))
    }

    fn search(&mut self, needles: &Needles, bytes: &[u8], until: usize) {
        while self.searched < until && !self.found {
            let start = self.searched;
            let end = until.min(start.saturating_add(PIECE_BYTES));
            // The quicker search goes first: it fetches the piece for the other.
            let piece = bytes.get(start..end).unwrap_or_default();
            self.percent =
                self.percent.or_else(|| memchr::memchr(b'%', piece).map(|at| start.saturating_add(at)));
            self.found = needles.begins_in(bytes, start..end);
            self.searched = end;
        }
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

    /// Takes all of `text`; `true` when the password was found.
    fn push_unescaped(&mut self, text: Text<'_>) -> bool {
        let (mut characters, mut buffer) = (text.chars(), [0; 4]);
        loop {
            let Some(character) = characters.next() else { return false };
            if self.push(character.encode_utf8(&mut buffer).as_bytes()) {
                return true;
            }
            // A long run is taken piece by piece: the window stays small.
            let run = characters.take_plain();
            if !run.is_empty() && run.as_bytes().chunks(PIECE_BYTES).any(|piece| self.push(piece)) {
                return true;
            }
        }
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

/// Whether `bytes` begin with `form`, any `/` of which may be written as `\/`.
fn is_written_at(bytes: &[u8], form: &[u8]) -> bool {
    let mut rest = bytes.iter();
    form.iter().all(|byte| match rest.next() {
        Some(b'\\') if *byte == b'/' => rest.next() == Some(&b'/'),
        next => next == Some(byte),
    })
}

/// The first `length` bytes of all `forms`, however their slashes are written.
fn beginnings<'a>(forms: impl Iterator<Item = &'a [u8]>, length: usize) -> Vec<Vec<u8>> {
    let mut beginnings: Vec<Vec<u8>> = forms
        .flat_map(|form| {
            (0..1 << BEGINNING_BYTES).map(|escaped| written(form, escaped).take(length).collect())
        })
        .collect();
    beginnings.sort_unstable();
    beginnings.dedup();
    beginnings
}

/// `form` up to [`BEGINNING_BYTES`], with a backslash before those slashes whose bit in `escaped` is set.
fn written(form: &[u8], escaped: u8) -> impl Iterator<Item = u8> {
    form.iter().take(BEGINNING_BYTES).enumerate().flat_map(move |(at, byte)| {
        let backslash = *byte == b'/' && escaped >> at & 1 == 1;
        backslash.then_some(b'\\').into_iter().chain([*byte])
    })
}

fn slashes(form: &[u8]) -> usize {
    form.iter().filter(|byte| **byte == b'/').count()
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    u8::try_from(digit(0)? << 4 | digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
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
    fn a_password_among_escapes_is_found_wherever_pieces_and_windows_end() {
        let needles = needles("a long password");
        let unescaped = |written: &str| {
            let body = format!(r#"{{"x":"\n","y":"{written}"}}"#);
            assert!(!needles.found_in(body.as_bytes()));
            needles.found_unescaped(&crate::json::parse(body.into(), &crate::json::Caps::ANSWER).unwrap())
        };
        let spelled = r"a\u0020long p\u0061ssword";
        let borders = [PIECE_BYTES, WINDOW_BYTES, 2 * WINDOW_BYTES];
        for before in borders.into_iter().flat_map(|border| border - 20..border + 5) {
            let run = "x".repeat(before);
            for front in ["", r"%41\u00e9"] {
                assert!(unescaped(&format!(r"{front}{run}{spelled}\n")), "{front} {before}");
                assert!(!unescaped(&format!(r"{run}{front}a\u0020long passwor")));
            }
        }
    }

    #[test]
    fn two_strings_hold_no_password_between_them() {
        let body = br#"{"x\n a long ": "pass\u0077ord", "y": "a long \u0070ass", "z": "word\n"}"#;
        let document =
            crate::json::parse(bytes::Bytes::from_static(body), &crate::json::Caps::ANSWER).unwrap();
        assert!(!needles("a long password").found_unescaped(&document));
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
                let escaped = written.replace('/', "\\/");
                // Some slashes as PHP writes them, others not.
                for string in [written.replacen('/', "\\/", 1), escaped.replacen("\\/", "/", 1), escaped] {
                    for pad in [0, PIECE_BYTES - 7, WINDOW_BYTES - 7] {
                        let body = format!(r#"{{"{}{string}":1}}"#, "-".repeat(pad));
                        assert!(!needles("another password").found_in(body.as_bytes()));
                        assert!(needles(pass).found_in(body.as_bytes()), "{string} after {pad}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_slash_is_found_as_php_writes_it_wherever_it_stands() {
        for pass in ["/", "//", "/x", "x/", "///", "x//y", "/x/y", "a/b/c/d and more /"] {
            let needles = needles(pass);
            for places in 0_u32..1 << slashes(pass.as_bytes()) {
                let mut nth = 0..;
                let written = pass.chars().map(|letter| match letter {
                    '/' if places >> nth.next().unwrap() & 1 == 1 => "\\/".to_owned(),
                    letter => letter.to_string(),
                });
                let text: String = ["..".to_owned()].into_iter().chain(written).collect();
                assert!(needles.found_in(text.as_bytes()), "{text}");
                let (_, half) = text.as_bytes().split_last().unwrap();
                assert!(!needles.found_in(half) || pass == "/", "half of {text}");
            }
        }
        assert!(!needles("x/y z").found_in(br"x\\y z x\y z x\\/y z"));
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
    fn in_which_pieces_an_answer_comes_changes_nothing() {
        let pass = "a?~?>/ ?>?z?";
        let percent: String = pass.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (needles, half) = (needles(pass), &pass[..pass.len() - 1]);
        for written in [pass.to_owned(), STANDARD.encode(pass).replace('/', "\\/"), percent, half.to_owned()]
        {
            let text = format!("{}{written}{}", "a".repeat(PIECE_BYTES - 5), "z".repeat(70));
            let found = needles.found_in(text.as_bytes());
            assert_eq!(found, written != half);
            for cut in PIECE_BYTES - 80..text.len() {
                let mut search = Search::default();
                for beginning in [cut / 2, cut, cut + (text.len() - cut) / 2] {
                    search.look(&needles, &text.as_bytes()[..beginning]);
                }
                assert_eq!(search.finish(&needles, text.as_bytes()), found, "{written} cut at {cut}");
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
