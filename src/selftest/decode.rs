//! What may these bytes say, once an encoding is undone?

/// Bytes that came out of an encoding, and where in the input each of them began.
#[derive(Default)]
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    pub(super) origins: Vec<u32>,
}

/// One way of undoing; `None` where nothing is written in that way.
pub(super) struct Decoder {
    /// What was undone, for reports.
    pub(super) name: &'static str,
    pub(super) decode: fn(&[u8]) -> Option<Decoded>,
    /// Whether what comes out stands between the same borders as what went in.
    pub(super) plain: bool,
}

/// The ways in which bytes may be written.
pub(super) const DECODERS: [Decoder; 6] = [
    Decoder { name: "escaped", decode: unescape, plain: true },
    Decoder { name: "percent", decode: unpercent, plain: true },
    Decoder { name: "entities", decode: unentity, plain: true },
    Decoder { name: "hex", decode: unhex, plain: false },
    Decoder { name: "base64", decode: unbase64, plain: false },
    Decoder { name: "list", decode: unlist, plain: false },
];

/// Fewer bytes than these in a run of hex, base64 or numbers are no text that is looked for.
const RUN: usize = super::scanner::WINDOW;

impl Decoded {
    fn push(&mut self, byte: u8, origin: usize) {
        self.bytes.push(byte);
        self.origins.push(u32::try_from(origin).unwrap_or(u32::MAX));
    }

    fn push_character(&mut self, character: char, origin: usize) {
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            self.push(byte, origin);
        }
    }

    fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
        self.origins.truncate(length);
    }

    fn unless_empty(self) -> Option<Self> {
        (!self.bytes.is_empty()).then_some(self)
    }
}

/// Backslash escapes of JSON, of Rust's `Debug` and of C: `\"`, `\/`, `\n`, `\u00e9`, `\ud83d\ude00`, `\u{e9}`,
/// `\xe9`, `\351`.
fn unescape(input: &[u8]) -> Option<Decoded> {
    if !input.contains(&b'\\') {
        return None;
    }
    let mut plain = Decoded::default();
    let mut high: Option<u32> = None;
    let mut at = 0;
    while let Some(byte) = input.get(at) {
        let after = input.get(at + 1..).unwrap_or_default();
        let escape = if *byte == b'\\' { escape(after) } else { None };
        let Some((meaning, length)) = escape else {
            plain.push(*byte, at);
            at += 1;
            continue;
        };
        match (meaning, high.take()) {
            (Meaning::Byte(byte), _) => plain.push(byte, at),
            (Meaning::Unit(low @ 0xdc00..0xe000), Some(high)) => {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                plain.push_character(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), at);
            }
            (Meaning::Unit(unit @ 0xd800..0xdc00), _) => high = Some(unit),
            (Meaning::Unit(unit), _) => {
                plain.push_character(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER), at);
            }
        }
        at += 1 + length;
    }
    plain.unless_empty()
}

enum Meaning {
    Byte(u8),
    Unit(u32),
}

/// What the bytes after a backslash mean, and how many of them; `None` at the end.
fn escape(after: &[u8]) -> Option<(Meaning, usize)> {
    let octal = after.get(..3).filter(|digits| digits.iter().all(|digit| matches!(digit, b'0'..=b'7')));
    if let Some(byte) =
        octal.and_then(|digits| number(digits, 8)).and_then(|number| u8::try_from(number).ok())
    {
        return Some((Meaning::Byte(byte), 3));
    }
    Some(match *after.first()? {
        b'n' => (Meaning::Byte(b'\n'), 1),
        b'r' => (Meaning::Byte(b'\r'), 1),
        b't' => (Meaning::Byte(b'\t'), 1),
        b'b' => (Meaning::Byte(8), 1),
        b'f' => (Meaning::Byte(12), 1),
        b'0' => (Meaning::Byte(0), 1),
        b'x' => match after.get(1..3).and_then(|digits| number(digits, 16)) {
            Some(byte) => (Meaning::Byte(u8::try_from(byte).unwrap_or_default()), 3),
            None => (Meaning::Byte(b'x'), 1),
        },
        b'u' if after.get(1) == Some(&b'{') => {
            let digits = after.get(2..).unwrap_or_default();
            let length = digits.iter().take(6).take_while(|digit| **digit != b'}').count();
            let unit = digits.get(..length).and_then(|digits| number(digits, 16));
            (Meaning::Unit(unit.unwrap_or(0xfffd)), length + 3)
        }
        b'u' => match after.get(1..5).and_then(|digits| number(digits, 16)) {
            Some(unit) => (Meaning::Unit(unit), 5),
            None => (Meaning::Byte(b'u'), 1),
        },
        other => (Meaning::Byte(other), 1),
    })
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with(['+', '-']))?;
    u32::from_str_radix(digits, radix).ok()
}

/// `%2F` and `%2f`, and `+` for a blank.
fn unpercent(input: &[u8]) -> Option<Decoded> {
    if !input.contains(&b'%') && !input.contains(&b'+') {
        return None;
    }
    let mut plain = Decoded::default();
    let mut at = 0;
    while let Some(byte) = input.get(at) {
        match (byte, input.get(at + 1).copied().and_then(digit), input.get(at + 2).copied().and_then(digit)) {
            (b'%', Some(high), Some(low)) => {
                plain.push(high << 4 | low, at);
                at += 3;
            }
            _ => {
                plain.push(if *byte == b'+' { b' ' } else { *byte }, at);
                at += 1;
            }
        }
    }
    plain.unless_empty()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// `&quot;`, `&#39;` and `&#x27;`.
fn unentity(input: &[u8]) -> Option<Decoded> {
    if !input.contains(&b'&') {
        return None;
    }
    let mut plain = Decoded::default();
    let mut at = 0;
    while let Some(byte) = input.get(at) {
        let entity = (*byte == b'&').then(|| entity(input.get(at + 1..).unwrap_or_default())).flatten();
        if let Some((character, length)) = entity {
            plain.push_character(character, at);
            at += 1 + length;
        } else {
            plain.push(*byte, at);
            at += 1;
        }
    }
    plain.unless_empty()
}

/// The character that is named after an `&`, and the bytes of its name with the semicolon.
fn entity(after: &[u8]) -> Option<(char, usize)> {
    let length = after.iter().take(10).position(|byte| *byte == b';')?;
    let name = after.get(..length)?;
    let character = match name {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(number(digits, 16)?)?,
        [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
        _ => return None,
    };
    Some((character, length + 1))
}

/// Runs of the bytes for which `belongs`, each with the place where it begins.
fn runs(input: &[u8], belongs: impl Fn(u8) -> bool) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    input.split(move |byte| !belongs(*byte)).map(move |run| {
        let begin = at;
        at += run.len() + 1;
        (begin, run)
    })
}

/// Every run of hexadecimal digits, colons between them or not, from its first digit and from its second.
fn unhex(input: &[u8]) -> Option<Decoded> {
    let mut plain = Decoded::default();
    for (begin, run) in runs(input, |byte| byte.is_ascii_hexdigit() || byte == b':') {
        if run.len() < 2 * RUN {
            continue;
        }
        let digits = run.iter().enumerate().filter_map(|(place, byte)| Some((begin + place, digit(*byte)?)));
        let digits: Vec<(usize, u8)> = digits.collect();
        for start in 0..2 {
            for pair in digits.get(start..).unwrap_or_default().chunks_exact(2) {
                if let [(origin, high), (_, low)] = pair {
                    plain.push(high << 4 | low, *origin);
                }
            }
            plain.push(b'\n', begin);
        }
    }
    plain.unless_empty()
}

/// Every run of letters of base64, standard or URL-safe, from each of four starts: a text that stands anywhere in
/// what was encoded comes out of one of them, whatever its offset.
fn unbase64(input: &[u8]) -> Option<Decoded> {
    let mut plain = Decoded::default();
    for (begin, run) in runs(input, |byte| sextet(byte).is_some()) {
        if run.len() < RUN {
            continue;
        }
        for start in 0..4 {
            let rest = run.get(start..).unwrap_or_default();
            for (index, group) in rest.chunks(4).enumerate() {
                let packed =
                    group.iter().filter_map(|byte| sextet(*byte)).fold(0, |all, value| all << 6 | value);
                let packed = packed << (6 * (4 - group.len()));
                let [_, bytes @ ..] = packed.to_be_bytes();
                for byte in bytes.into_iter().take(group.len().saturating_sub(1)) {
                    plain.push(byte, begin + start + 4 * index);
                }
            }
            plain.push(b'\n', begin);
        }
    }
    plain.unless_empty()
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
fn unlist(input: &[u8]) -> Option<Decoded> {
    let mut plain = Decoded::default();
    let (mut count, mut at) = (0, 0);
    for item in input.split(|byte| matches!(byte, b',' | b'[' | b']' | b'(' | b')' | b'{' | b'}')) {
        let begin = at;
        at += item.len() + 1;
        match listed(item.trim_ascii()) {
            Some(byte) => {
                plain.push(byte, begin);
                count += 1;
            }
            None => {
                end_list(&mut plain, count, begin);
                count = 0;
            }
        }
    }
    end_list(&mut plain, count, at);
    plain.unless_empty()
}

/// Forgets a list of `count` numbers that is too short.
fn end_list(plain: &mut Decoded, count: usize, at: usize) {
    if count >= RUN {
        plain.push(b'\n', at);
    } else {
        plain.truncate(plain.bytes.len().saturating_sub(count));
    }
}

fn listed(item: &[u8]) -> Option<u8> {
    let value = match item {
        [b'0', b'x', digits @ ..] => number(digits, 16)?,
        // So that what is no number at all costs nothing.
        [b'0'..=b'9', ..] if item.len() <= 5 => number(item.strip_suffix(b"u8").unwrap_or(item), 10)?,
        _ => return None,
    };
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(decoded: Option<Decoded>) -> (String, Vec<u32>) {
        let decoded = decoded.unwrap();
        (String::from_utf8(decoded.bytes).unwrap(), decoded.origins)
    }

    #[test]
    fn every_byte_knows_where_it_was_written() {
        assert_eq!(shown(unescape(br"a\u0062\/\143d")), ("ab/cd".to_owned(), vec![0, 1, 7, 9, 13]));
        assert_eq!(shown(unpercent(b"a%2fb+c")), ("a/b c".to_owned(), vec![0, 1, 4, 5, 6]));
        assert_eq!(shown(unentity(b"a&#x62;&amp;&none;")).1.get(..4), Some(&[0, 1, 7, 12][..]));
        let hex = unhex(b"--6162636465666768696a6b6c").unwrap();
        assert_eq!((&hex.bytes[..12], &hex.origins[..3]), (&b"abcdefghijkl"[..], &[2, 4, 6][..]));
    }

    #[test]
    fn an_escape_that_is_cut_short_harms_nothing() {
        for cut in [r"\", r"\u", r"\u{", r"\u12", r"\x", r"\x4", r"\ud83d", r"\12", "%", "%4", "&#", "&"] {
            for decoder in &DECODERS {
                let _ = (decoder.decode)(cut.as_bytes());
            }
        }
    }
}
