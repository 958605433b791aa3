//! Does any of these secrets stand in these bytes, in whatever way it is written?
//!
//! Encodings are undone rather than listed: the bytes are decoded in every way that [`DECODERS`] knows, and once
//! more on top of that, so base64 of a JSON string, or percent signs within hex, are found too. A part of a canary
//! is a leak as well: any [`WINDOW`] of its characters, in either case of the letters.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;

/// So many characters of a canary in a row are a leak; by chance they occur nowhere.
const WINDOW: usize = 12;

type Decode = fn(&[u8]) -> Vec<u8>;

/// The ways in which bytes may be written.
const DECODERS: [(&str, Decode); 5] =
    [("escaped", unescape), ("percent", unpercent), ("hex", unhex), ("base64", unbase64), ("list", unlist)];

/// A text that must not come out.
#[derive(Clone)]
pub struct Canary {
    /// What it stands for, for example `pass`.
    pub name: String,
    /// The text, as it is put in; best 24 random characters or more.
    pub text: String,
}

/// Finds canaries.
pub struct Scanner {
    finder: AhoCorasick,
    /// For each pattern its canary; `true` where only a whole word counts.
    owners: Vec<(usize, bool)>,
    canaries: Vec<Canary>,
}

impl Scanner {
    /// Looks for `canaries`; one of fewer than [`WINDOW`] bytes counts only as a word of its own in plain text.
    pub fn new(canaries: &[Canary]) -> Self {
        let (mut patterns, mut owners) = (Vec::new(), Vec::new());
        for (number, canary) in canaries.iter().enumerate() {
            let bytes = canary.text.as_bytes();
            assert!(bytes.len() >= 8, "{} is too short to be told from chance", canary.name);
            for window in bytes.windows(WINDOW.min(bytes.len())) {
                patterns.push(window);
                owners.push((number, bytes.len() < WINDOW));
            }
        }
        let finder = AhoCorasick::builder().ascii_case_insensitive(true).build(patterns).unwrap();
        Self { finder, owners, canaries: canaries.to_vec() }
    }

    /// Every canary found in `haystack`, as `name (how it was written)`.
    pub fn leaks(&self, haystack: &[u8]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        self.search(haystack, "raw", &mut found);
        for (outer, decode) in DECODERS {
            let decoded = decode(haystack);
            if decoded == haystack {
                continue;
            }
            self.search(&decoded, outer, &mut found);
            for (inner, decode) in DECODERS {
                let twice = decode(&decoded);
                if twice != decoded {
                    self.search(&twice, &format!("{inner} in {outer}"), &mut found);
                }
            }
        }
        found
    }

    fn search(&self, bytes: &[u8], how: &str, found: &mut BTreeSet<String>) {
        for hit in self.finder.find_overlapping_iter(bytes) {
            let (canary, whole_word) = self.owners[hit.pattern().as_usize()];
            let borders = || {
                let before = hit.start().checked_sub(1).map(|at| bytes[at]);
                let after = bytes.get(hit.end()).copied();
                [before, after].into_iter().flatten().all(|byte| !byte.is_ascii_alphanumeric())
            };
            let plain = !how.contains("hex") && !how.contains("base64") && !how.contains("list");
            if !whole_word || (plain && borders()) {
                found.insert(format!("{} ({how})", self.canaries[canary].name));
            }
        }
    }
}

/// Backslash escapes of JSON and of Rust's `Debug`: `\"`, `\/`, `\n`, `\u00e9`, `\ud83d\ude00`, `\u{e9}`, `\xe9`.
fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut high: Option<u32> = None;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let Some(next) = tail.first().copied().filter(|_| *first == b'\\') else {
            plain.push(*first);
            continue;
        };
        let (unit, length) = match next {
            b'n' => (Some(0x0a), 1),
            b'r' => (Some(0x0d), 1),
            b't' => (Some(0x09), 1),
            b'b' => (Some(0x08), 1),
            b'f' => (Some(0x0c), 1),
            b'0' => (Some(0), 1),
            b'x' => {
                // A byte, not a character: it stands for itself.
                if let Some(byte) = number(tail.get(1..3)) {
                    plain.push(u8::try_from(byte).unwrap());
                    rest = &tail[3..];
                    continue;
                }
                (None, 1)
            }
            b'u' if tail.get(1) == Some(&b'{') => {
                let digits = tail[2..].iter().take(6).take_while(|byte| **byte != b'}').count();
                (number(tail.get(2..2 + digits)), digits + 3)
            }
            b'u' => (number(tail.get(1..5)), 5),
            other => (Some(u32::from(other)), 1),
        };
        rest = tail.get(length..).unwrap_or_default();
        let unit = match (unit, high.take()) {
            (Some(low @ 0xdc00..0xe000), Some(high)) => {
                Some(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
            }
            (Some(unit @ 0xd800..0xdc00), _) => {
                high = Some(unit);
                continue;
            }
            (unit, _) => unit,
        };
        let character = unit.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
        plain.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    plain
}

/// The value of hexadecimal digits.
fn number(digits: Option<&[u8]>) -> Option<u32> {
    let digits = std::str::from_utf8(digits?).ok().filter(|digits| !digits.is_empty())?;
    u32::from_str_radix(digits, 16).ok()
}

/// `%2F` and `%2f`.
fn unpercent(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, bytes.get(at + 1).copied().and_then(digit), bytes.get(at + 2).copied().and_then(digit)) {
            (b'%', Some(high), Some(low)) => {
                plain.push(high << 4 | low);
                at += 3;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    plain
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Every run of hexadecimal digits, from its first digit and from its second.
fn unhex(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    for run in bytes.split(|byte| !byte.is_ascii_hexdigit()).filter(|run| run.len() >= 2 * WINDOW) {
        let digits: Vec<u8> = run.iter().copied().filter_map(digit).collect();
        for start in 0..2 {
            plain.extend(digits[start..].chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]));
            plain.push(b'\n');
        }
    }
    plain
}

/// Every run of letters of base64, standard or URL-safe, from each of four starts: a canary that stands anywhere in
/// what was encoded comes out of one of them, whatever its offset.
fn unbase64(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    for run in bytes.split(|byte| sextet(*byte).is_none()).filter(|run| run.len() >= WINDOW) {
        let values: Vec<u32> = run.iter().copied().filter_map(sextet).collect();
        for start in 0..4 {
            for group in values[start..].chunks(4) {
                let packed =
                    group.iter().fold(0, |packed, value| packed << 6 | value) << (6 * (4 - group.len()));
                plain.extend_from_slice(&packed.to_be_bytes()[1..group.len().max(1)]);
            }
            plain.push(b'\n');
        }
    }
    plain
}

fn sextet(byte: u8) -> Option<u32> {
    Some(match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

/// Lists of numbers as `Debug` prints bytes: `[99, 97]`, one a line, or `0x63, 0x61`.
fn unlist(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut count = 0;
    for item in bytes.split(|byte| matches!(byte, b',' | b'[' | b']' | b'(' | b')' | b'{' | b'}')) {
        let item = item.trim_ascii();
        let byte = match item {
            [b'0', b'x', digits @ ..] => number(Some(digits)),
            // So that what is no number at all costs nothing.
            [b'0'..=b'9', ..] if item.len() <= 5 => {
                std::str::from_utf8(item).ok().and_then(|item| item.trim_end_matches("u8").parse().ok())
            }
            _ => None,
        };
        match byte.and_then(|byte| u8::try_from(byte).ok()) {
            Some(byte) => {
                plain.push(byte);
                count += 1;
            }
            None => {
                if count < WINDOW {
                    plain.truncate(plain.len() - count);
                } else {
                    plain.push(b'\n');
                }
                count = 0;
            }
        }
    }
    if count < WINDOW {
        plain.truncate(plain.len() - count);
    }
    plain
}

/// `text` in every encoding that the scanner must see through, each with its name; written independently of the
/// decoders above.
pub fn disguises(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let each = |write: &dyn Fn(u8) -> String| text.bytes().map(write).collect::<String>();
    let percent = |byte: u8, upper: bool| match (byte.is_ascii_alphanumeric(), upper) {
        (true, _) => char::from(byte).to_string(),
        (false, true) => format!("%{byte:02X}"),
        (false, false) => format!("%{byte:02x}"),
    };
    let minimal = serde_json::to_string(text).unwrap();
    let within = |before: &str| format!("{before}{text}tail");
    let mut all = vec![
        ("raw", text.to_owned()),
        ("JSON", minimal.clone()),
        ("JSON with \\/", minimal.replace('/', "\\/")),
        ("JSON in \\u", text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()),
        ("JSON in \\U", text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect()),
        ("JSON in JSON", serde_json::to_string(&minimal).unwrap()),
        ("Debug", format!("{text:?}")),
        ("Debug, escaped", text.escape_default().to_string()),
        ("Debug of bytes", format!("b\"{}\"", text.as_bytes().escape_ascii())),
        ("list", format!("{:?}", text.as_bytes())),
        ("list, a line each", format!("{:#?}", text.as_bytes())),
        ("list in hex", each(&|byte| format!("{byte:#04x}, "))),
        ("percent", each(&|byte| percent(byte, true))),
        ("percent, lower case", each(&|byte| percent(byte, false))),
        ("percent, every byte", each(&|byte| format!("%{byte:02X}"))),
        ("hex", each(&|byte| format!("{byte:02x}"))),
        ("HEX", each(&|byte| format!("{byte:02X}"))),
        ("hex after a digit", format!("7{}", each(&|byte| format!("{byte:02x}")))),
        ("letters in the other case", text.to_ascii_uppercase()),
        ("base64 in JSON with \\/", STANDARD.encode(text).replace('/', "\\/")),
        ("JSON in base64", STANDARD.encode(&minimal)),
    ];
    for (name, before) in [("base64, offset 0", ""), ("base64, offset 1", "?"), ("base64, offset 2", "??")] {
        all.push((name, STANDARD.encode(within(before))));
        all.push((name, URL_SAFE_NO_PAD.encode(within(before))));
        // After letters that belong to no group.
        all.push((name, format!("k{}", STANDARD.encode(within(before)))));
    }
    all.into_iter().map(|(name, written)| (name, written.into_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Canary {
        Canary { name: "secret".to_owned(), text: "v7Qk2xNw\"p4/Tz\\Jé8€mR5😀bH3cY".to_owned() }
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
    fn a_leak_is_found_in_every_encoding_amid_other_text() {
        let scanner = Scanner::new(&[secret()]);
        for (how, written) in disguises(&secret().text) {
            let haystack =
                [&printable(3_000), &b" before:"[..], &written, &b" after "[..], &printable(3_000)].concat();
            assert!(!scanner.leaks(&haystack).is_empty(), "{how}");
        }
    }

    #[test]
    fn a_part_of_a_secret_is_a_leak() {
        let scanner = Scanner::new(&[secret()]);
        let text = secret().text;
        let begin: String = text.chars().take(13).collect();
        for (how, written) in disguises(&begin) {
            assert!(!scanner.leaks(&[b"{", &written[..], b"}"].concat()).is_empty(), "{how}");
        }
    }

    #[test]
    fn the_report_names_the_canary_and_its_disguise() {
        let scanner = Scanner::new(&[secret()]);
        assert!(scanner.leaks(secret().text.as_bytes()).contains("secret (raw)"));
        let list = format!("{:?}", secret().text.as_bytes());
        assert!(scanner.leaks(list.as_bytes()).contains("secret (list)"));
    }

    #[test]
    fn random_bytes_and_text_raise_no_alarm() {
        let scanner =
            Scanner::new(&[secret(), Canary { name: "date".to_owned(), text: "18430719".to_owned() }]);
        let hex: Vec<u8> =
            noise(100_000).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
        for haystack in [noise(500_000), printable(500_000), hex] {
            assert_eq!(scanner.leaks(&haystack), BTreeSet::new());
        }
    }

    #[test]
    fn a_short_canary_counts_only_as_a_word_of_its_own() {
        let scanner = Scanner::new(&[Canary { name: "date".to_owned(), text: "18430719".to_owned() }]);
        assert_eq!(scanner.leaks(b"id 7184307190 and 018430719"), BTreeSet::new());
        assert_eq!(scanner.leaks(b"{\"dob\":\"18430719\"}").len(), 1);
    }

    #[test]
    fn a_leak_among_many_lists_is_found_where_it_stands() {
        let scanner = Scanner::new(&[secret()]);
        let other: String = (0..500).map(|n| format!("[{n}, 17, 22]")).collect();
        assert_eq!(scanner.leaks(other.as_bytes()), BTreeSet::new());
        let planted = format!("{other}{:?}{other}", secret().text.as_bytes());
        assert!(scanner.leaks(planted.as_bytes()).contains("secret (list)"));
    }
}
