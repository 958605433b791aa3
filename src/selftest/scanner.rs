//! Does any of these texts stand in these bytes, in whatever way it is written?
//!
//! Encodings are undone rather than listed: the bytes are decoded in every way that [`decode`](super::decode) knows,
//! and once more on top of that, so base64 of a JSON string, or percent signs within hex, are found too. A part of a
//! canary is a leak as well: any [`WINDOW`] of its bytes, in either case of the letters.
//!
//! Not seen through: compression, encryption, and digests, from which the text cannot be read.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;

use super::canary::Canary;
use super::decode::{DECODERS, Decoded};

/// So many bytes of a canary in a row are a leak; by chance they occur nowhere.
pub const WINDOW: usize = 12;

/// Fewer bytes cannot be told from chance, even as a word of their own.
pub const SHORTEST: usize = 8;

/// Finds canaries.
pub struct Scanner {
    finder: AhoCorasick,
    patterns: Vec<Pattern>,
    names: Vec<String>,
}

/// What one pattern stands for.
struct Pattern {
    /// Index of the canary.
    canary: usize,
    form: &'static str,
    /// A short canary counts only as a word of its own.
    whole_word: bool,
}

/// A canary that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Its name.
    pub canary: String,
    /// How it was written, the outermost encoding last: `raw`, `base64`, `escaped in base64`.
    pub encoding: String,
    /// Where it begins, in bytes from the start; the first place of this canary in this encoding.
    pub offset: usize,
}

/// A canary that cannot be looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is too short, or there are too many canaries to look for")]
pub struct Unfit(String);

impl Scanner {
    /// Looks for `canaries`; one of fewer than [`WINDOW`] bytes counts only as a word of its own in plain text.
    ///
    /// # Errors
    ///
    /// [`Unfit`]: a canary of fewer than [`SHORTEST`] bytes.
    pub fn new<'c>(canaries: impl IntoIterator<Item = &'c Canary>) -> Result<Self, Unfit> {
        let (mut texts, mut patterns, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (number, canary) in canaries.into_iter().enumerate() {
            if canary.text.len() < SHORTEST {
                return Err(Unfit(canary.name.clone()));
            }
            names.push(canary.name.clone());
            let whole_word = canary.text.len() < WINDOW;
            for (form, text) in forms(&canary.text) {
                // A UTF-16 unit has two bytes.
                let window = if form == WIDE { 2 * WINDOW - 1 } else { WINDOW };
                for window in text.windows(window.min(text.len())) {
                    texts.push(window.to_vec());
                    patterns.push(Pattern { canary: number, form, whole_word });
                }
            }
        }
        let built = AhoCorasick::builder().ascii_case_insensitive(true).build(texts);
        let finder = built.map_err(|_| Unfit("something".to_owned()))?;
        Ok(Self { finder, patterns, names })
    }

    /// Every canary in `haystack`, once for each way in which it is written there.
    #[must_use]
    pub fn hits(&self, haystack: &[u8]) -> BTreeSet<Hit> {
        let mut found = Found::default();
        self.search(haystack, None, "", true, &mut found);
        let decoded = DECODERS.iter().filter_map(|outer| Some((outer, (outer.decode)(haystack)?)));
        let decoded: Vec<_> = decoded.collect();
        // All that is written in one way comes before anything that may be read in two.
        for (outer, once) in &decoded {
            self.search(&once.bytes, Some(&once.origins), outer.name, outer.plain, &mut found);
        }
        for (outer, once) in &decoded {
            for inner in &DECODERS {
                let Some(mut twice) = (inner.decode)(&once.bytes) else { continue };
                compose(&mut twice, once);
                let name = format!("{} in {}", inner.name, outer.name);
                let plain = outer.plain && inner.plain;
                self.search(&twice.bytes, Some(&twice.origins), &name, plain, &mut found);
            }
        }
        let named = |(canary, encoding, offset): (usize, String, usize)| Hit {
            canary: self.names.get(canary).cloned().unwrap_or_default(),
            encoding,
            offset,
        };
        found.simplest().map(named).collect()
    }

    fn search(&self, bytes: &[u8], origins: Option<&[u32]>, how: &str, plain: bool, found: &mut Found) {
        for hit in self.finder.find_overlapping_iter(bytes) {
            let Some(pattern) = self.patterns.get(hit.pattern().as_usize()) else { continue };
            if pattern.whole_word && !(plain && is_word(bytes, hit.start(), hit.end())) {
                continue;
            }
            let encoding = match (pattern.form, how) {
                ("", "") => "raw".to_owned(),
                ("", how) => how.to_owned(),
                (form, "") => form.to_owned(),
                (form, how) => format!("{form} in {how}"),
            };
            let origin = match origins {
                Some(origins) => origins.get(hit.start()).map_or(0, |origin| *origin as usize),
                None => hit.start(),
            };
            found.add(pattern.canary, encoding, origin);
        }
    }
}

/// The first place of each canary and encoding, in the order in which the encodings were tried.
#[derive(Default)]
struct Found {
    known: BTreeSet<(usize, String)>,
    places: Vec<(usize, String, usize)>,
}

impl Found {
    fn add(&mut self, canary: usize, encoding: String, offset: usize) {
        if self.known.insert((canary, encoding.clone())) {
            self.places.push((canary, encoding, offset));
        }
    }

    /// What stands there in plain is found again once an encoding was undone that it is not written in: of several
    /// ways to read one place, the one that was tried first is the simplest.
    fn simplest(self) -> impl Iterator<Item = (usize, String, usize)> {
        let mut first: BTreeMap<(usize, usize), String> = BTreeMap::new();
        for (canary, encoding, offset) in self.places {
            first.entry((canary, offset)).or_insert(encoding);
        }
        first.into_iter().map(|((canary, offset), encoding)| (canary, encoding, offset))
    }
}

const WIDE: &str = "UTF-16";

/// The ways of writing that no decoder undoes: each has patterns of its own.
fn forms(text: &str) -> [(&'static str, Vec<u8>); 3] {
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    [
        ("", text.into()),
        ("reversed", text.chars().rev().collect::<String>().into()),
        // Without the last zero both ends of the unit may come first.
        (WIDE, wide.get(..wide.len().saturating_sub(1)).unwrap_or_default().to_vec()),
    ]
}

/// Whether no letter or digit is beside what was found.
fn is_word(bytes: &[u8], start: usize, end: usize) -> bool {
    let before = start.checked_sub(1).and_then(|at| bytes.get(at));
    [before, bytes.get(end)].into_iter().flatten().all(|byte| !byte.is_ascii_alphanumeric())
}

/// Turns places in what was decoded first into places in what there was before.
fn compose(twice: &mut Decoded, once: &Decoded) {
    for origin in &mut twice.origins {
        *origin = once.origins.get(*origin as usize).copied().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftest::encoding::ENCODINGS;

    fn secret() -> Canary {
        Canary { name: "secret".to_owned(), text: "v7Qk2xNw\"p4/Tz\\Jé8€mR5😀bH3cY &<".to_owned() }
    }

    fn date() -> Canary {
        Canary { name: "date".to_owned(), text: "18430719".to_owned() }
    }

    fn scanner(canaries: &[Canary]) -> Scanner {
        Scanner::new(canaries).unwrap()
    }

    /// Bytes that look random and are the same in every run.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let next = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        });
        next.take(length).collect()
    }

    fn printable(length: usize) -> Vec<u8> {
        noise(length).into_iter().map(|byte| b' ' + byte % 95).collect()
    }

    #[test]
    fn a_leak_is_found_in_every_encoding_amid_other_text_and_where_it_stands() {
        let scanner = scanner(&[secret()]);
        let before = [printable(3_000), b" before:".to_vec()].concat();
        for encoding in &ENCODINGS {
            let written = (encoding.write)(&secret().text);
            let haystack = [&before, &written[..], b" after ", &printable(3_000)].concat();
            let hits = scanner.hits(&haystack);
            assert!(!hits.is_empty(), "{}", encoding.name);
            let inside = before.len()..before.len() + written.len();
            assert!(hits.iter().all(|hit| inside.contains(&hit.offset)), "{}: {hits:?}", encoding.name);
        }
    }

    #[test]
    fn one_encoding_is_named_where_another_is_undone_elsewhere() {
        let secret = secret();
        let scanner = Scanner::new([&secret]).unwrap();
        let written = ENCODINGS.iter().find(|it| it.name == "base64, offset 0").unwrap();
        let text = [&(written.write)(&secret.text)[..], br#" {"line":"{\"n\":1}"}"#].concat();
        let first = scanner.hits(&text).into_iter().next().unwrap();
        assert_eq!((&*first.encoding, first.offset), ("base64", 0));
    }

    #[test]
    fn a_part_of_a_secret_is_a_leak() {
        let begin: String = secret().text.chars().take(13).collect();
        for encoding in &ENCODINGS {
            let haystack = [b"{", &(encoding.write)(&begin)[..], b"}"].concat();
            assert!(!scanner(&[secret()]).hits(&haystack).is_empty(), "{}", encoding.name);
        }
    }

    #[test]
    fn a_hit_names_the_canary_its_encoding_and_its_place() {
        let hit = |encoding: &str, offset| Hit { canary: "secret".into(), encoding: encoding.into(), offset };
        let list = format!("bytes: {:?}", secret().text.as_bytes());
        let scanner = scanner(&[secret()]);
        assert_eq!(scanner.hits(list.as_bytes()), BTreeSet::from([hit("list", 8)]));
        assert!(scanner.hits(secret().text.as_bytes()).contains(&hit("raw", 0)));
    }

    #[test]
    fn random_bytes_and_text_raise_no_alarm() {
        let hex: Vec<u8> =
            noise(100_000).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
        for haystack in [noise(500_000), printable(500_000), hex] {
            assert_eq!(scanner(&[secret(), date()]).hits(&haystack), BTreeSet::new());
        }
    }

    #[test]
    fn a_short_canary_counts_only_as_a_word_of_its_own() {
        let scanner = scanner(&[date()]);
        assert_eq!(scanner.hits(b"id 7184307190 and 018430719"), BTreeSet::new());
        assert_eq!(scanner.hits(b"{\"dob\":\"18430719\"}").len(), 1);
        let short = Canary { name: "short".to_owned(), text: "1843".to_owned() };
        assert_eq!(Scanner::new([&short]).err(), Some(Unfit("short".to_owned())));
    }

    #[test]
    fn a_leak_among_many_lists_is_found_where_it_stands() {
        let scanner = scanner(&[secret()]);
        let other: String = (0..500).map(|n| format!("[{n}, 17, 22]")).collect();
        assert_eq!(scanner.hits(other.as_bytes()), BTreeSet::new());
        let planted = format!("{other}{:?}{other}", secret().text.as_bytes());
        let hits = scanner.hits(planted.as_bytes());
        assert!(hits.iter().any(|hit| hit.encoding == "list" && hit.offset == other.len() + 1), "{hits:?}");
    }
}
