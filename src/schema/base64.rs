//! Is this string canonical base64, how many bytes does it stand for, and with which bytes does it begin?
//!
//! Images are up to 20 MB of base64, so nothing here copies or decodes them: the alphabet is checked on the
//! bytes as received (of a long text the parser has done so while it looked for its end), the size follows from the
//! length, and only the first bytes are decoded. `\/`, which PHP writes for every slash, stays on the fast way: in
//! valid JSON whose only escapes are `\/` every backslash stands before a slash, so it may be taken for a letter of the
//! alphabet and subtracted from the length. So does `\u002B`, which .NET writes for every `+`, where the parser knows
//! that there are no other escapes.

use super::escaped::{Piece, Pieces};
use crate::json::{Escapes, Text, are_letters};

/// Decoded bytes that [`Head`] holds at most: enough for the brands of a HEIC file.
const HEAD_BYTES: usize = 63;

/// As many bytes as those can take as written: four letters for three bytes, each as `\u0041`.
const HEAD_WRITTEN_BYTES: usize = HEAD_BYTES / 3 * 4 * 6;

/// The first decoded bytes of a base64 string.
pub(super) struct Head {
    bytes: [u8; HEAD_BYTES],
    len: usize,
}

impl Head {
    /// The decoded bytes, at most 63; fewer where the string ends or stops being base64.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

/// Whether `text` is base64 of RFC 4648, section 4, in its one canonical spelling: whole groups of four,
/// padding at the end only, unused bits zero, no white space.
pub(super) fn is_canonical(text: Text<'_>) -> bool {
    if is_measured(text) { is_canonical_as_measured(text) } else { Shape::of(text).is_canonical() }
}

/// How many bytes `text` decodes to, by its length; meaningful where [`is_canonical`] holds.
pub(super) fn decoded_bytes(text: Text<'_>) -> u64 {
    let (letters, padding) = if is_measured(text) {
        (text.unescaped_len(), text.raw().iter().rev().take(2).take_while(|byte| **byte == b'=').count())
    } else {
        let shape = Shape::of(text);
        (shape.letters, shape.padding)
    };
    let bits = (letters as u64).saturating_sub(padding as u64).saturating_mul(6);
    bits / 8
}

/// Decodes the first bytes of `text`.
pub(super) fn head(text: Text<'_>) -> Head {
    let written = text.raw();
    let start = written.get(..HEAD_WRITTEN_BYTES).unwrap_or(written);
    head_of(Pieces::of(start).flat_map(Piece::bytes).map(sextet))
}

/// Whether the length of `text` is known without a look at it, and its padding is not escaped.
fn is_measured(text: Text<'_>) -> bool {
    text.escapes() != Escapes::Any || text.is_known_base64()
}

fn is_canonical_as_measured(text: Text<'_>) -> bool {
    let (body, unused_bits) = match text.raw() {
        [] => return true,
        [body @ .., b'=', b'='] => (body, 0b1111),
        [body @ .., b'='] => (body, 0b11),
        body => (body, 0),
    };
    // Of a last `\u002B` this is the `B`: in its value some of the unused bits are set, as they are in that of `+`.
    let last = body.last().copied().and_then(sextet);
    text.unescaped_len().is_multiple_of(4)
        && last.is_some_and(|last| last & unused_bits == 0)
        && (text.is_known_base64() || are_letters(body))
}

/// What a string with escapes of any kind is made of.
#[derive(Default)]
struct Shape {
    letters: usize,
    /// `=` at the end.
    padding: usize,
    /// The value of the last letter before the padding.
    last: u8,
    /// Something is no letter of the alphabet, or stands behind padding.
    is_foreign: bool,
}

impl Shape {
    fn of(text: Text<'_>) -> Self {
        let mut shape = Self::default();
        for piece in Pieces::of(text.raw()) {
            shape.add(piece.run);
            shape.add(piece.letter.as_slice());
        }
        shape
    }

    /// Adds unescaped bytes.
    fn add(&mut self, bytes: &[u8]) {
        let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
        let body = bytes.get(..bytes.len().saturating_sub(padding)).unwrap_or_default();
        if let Some(last) = body.last() {
            // A backslash counts as a letter where escapes are not resolved; here they are.
            self.is_foreign |= self.padding > 0 || !are_letters(body) || sextet(*last).is_none();
            self.last = sextet(*last).unwrap_or_default();
            self.padding = 0;
        }
        self.letters = self.letters.saturating_add(bytes.len());
        self.padding = self.padding.saturating_add(padding);
    }

    fn is_canonical(&self) -> bool {
        let unused_bits = match self.padding {
            0 => 0,
            1 => 0b11,
            2 => 0b1111,
            _ => return false,
        };
        !self.is_foreign && self.letters.is_multiple_of(4) && self.last & unused_bits == 0
    }
}

fn head_of(sextets: impl Iterator<Item = Option<u8>>) -> Head {
    let mut head = Head { bytes: [0; HEAD_BYTES], len: 0 };
    let (mut gathered, mut bits) = (0_u32, 0_u32);
    for sextet in sextets.map_while(|sextet| sextet) {
        gathered = (gathered << 6) | u32::from(sextet);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            let Some(slot) = head.bytes.get_mut(head.len) else { break };
            *slot = ((gathered >> bits) & 0xFF) as u8;
            gathered &= (1 << bits) - 1;
            head.len += 1;
        }
    }
    head
}

/// The value of a letter of the alphabet.
fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;
    use crate::json::{Caps, parse};

    /// Calls `with` with the text of a JSON string, given as written between its quotes.
    fn of<T>(written: &str, with: impl FnOnce(Text<'_>) -> T) -> T {
        let document = parse(format!(r#"{{"x":"{written}"}}"#).into(), &Caps::REQUEST).unwrap();
        with(document.root().member("x").unwrap().text().unwrap())
    }

    /// The same text as written plainly, by PHP, and with every letter escaped.
    fn spellings(plain: &str) -> [String; 3] {
        let all = plain.chars().map(|letter| format!("\\u{:04X}", u32::from(letter))).collect();
        [plain.to_owned(), plain.replace('/', r"\/"), all]
    }

    #[test]
    fn what_is_not_canonical_is_refused_in_every_spelling() {
        for text in [
            "A",
            "AA",
            "AAA",
            "=",
            "==",
            "===",
            "====",
            "A===",
            "AA=A",
            "AAA=AAAA",
            "AA==AAAA",
            "AAB=",
            "AAAA=",
            "AAAA====",
            "AB==",
            "AAA-",
            "AAA_",
            "AAA ",
            " AAA",
            "AAA.",
            "data",
            "data:",
            "AAA=\u{e9}",
            "\u{e9}AAA",
            "\u{141}AAA",
        ] {
            // "data" and four letters alike are base64: the prefix is refused for its colon.
            let canonical = text == "data";
            for written in spellings(text) {
                assert_eq!(of(&written, is_canonical), canonical, "{written}");
            }
        }
    }

    #[test]
    fn a_backslash_that_does_not_stand_before_a_slash_is_refused() {
        for written in [
            r"\\AAA",
            r"AA\\A",
            r"AAA\\",
            r"A\nAA",
            r"AA\/\\",
            r"\\\/AA",
            r"\u005cAAA",
            r"A\u005cA\u005c",
            r"AAA\u005C",
        ] {
            assert!(!of(written, is_canonical), "{written}");
        }
    }

    #[test]
    fn every_byte_is_judged_as_the_base64_crate_judges_it() {
        for byte in 0_u8..=127 {
            let letter = char::from(byte);
            let text: String = [letter, 'A', 'A', 'A'].iter().collect();
            let expected = STANDARD.decode(&text).is_ok();
            let written = format!("\\u{byte:04x}AAA");
            assert_eq!(of(&written, is_canonical), expected, "{letter:?}");
            if byte >= 0x20 && !matches!(letter, '"' | '\\') {
                assert_eq!(of(&text, is_canonical), expected, "{letter:?}");
            }
        }
    }

    #[test]
    fn the_last_letter_of_a_long_text_of_dotnet_is_judged_by_what_its_escape_stands_for() {
        for (end, canonical) in [
            (r"AA\u002BA", true),
            (r"AAA\u002B", true),
            (r"AAA\u002f", true),
            (r"AA\u002B=", false),
            (r"A\u002B==", false),
            (r"AA\u002b=", false),
            (r"A\u002b==", false),
            (r"AA\u002F=", false),
            (r"A\u002F==", false),
            (r"AA\u002f=", false),
            (r"A\u002f==", false),
            (r"AA0=", true),
            (r"A\u002BA=", true),
            (r"\u002BA==", true),
            (r"\u002BB==", false),
            (r"\u002B\u002B\u002B\u002B", true),
            (r"\u002B\u002B\u002B", false),
            (r"\u002BAA\u003D", true),
            (r"\u002B\/AA", true),
        ] {
            for letters in [0, 4, 256, 1024] {
                let written = format!(r"\u002BAAA{}{end}", "A".repeat(letters));
                assert_eq!(of(&written, is_canonical), canonical, "{end} behind {letters}");
            }
        }
    }

    #[test]
    fn a_head_is_read_whatever_escape_stands_where_it_ends() {
        let file = [b"%PDF-1.7".as_slice(), &[0xFB; 500]].concat();
        let plain = STANDARD.encode(&file);
        for at in 400..520 {
            let (before, after) = plain.split_at(at);
            let written = format!("{before}{}", after.replace('+', r"\u002B").replace('/', r"\/"));
            assert!(of(&written, |text| head(text).bytes().to_vec()) == file[..HEAD_BYTES], "{at}");
        }
    }

    /// As .NET writes it, the last of `+` and `/` escaped alike.
    fn by_dotnet(plain: &str) -> [String; 2] {
        let plus = plain.replace('+', r"\u002B");
        [plus.replace('/', r"\u002f"), plus]
    }

    proptest! {
        #[test]
        fn what_dotnet_writes_is_judged_as_the_base64_crate_judges_it(
            bytes in proptest::collection::vec(any::<u8>(), 150..1500), end in "[+/AB=]{0,5}"
        ) {
            // The last letters decide: a `+` in front of padding has bits set that must be unused.
            let text = format!("{}{end}", STANDARD.encode(&bytes));
            let expected = STANDARD.decode(&text);
            for written in by_dotnet(&text) {
                prop_assert_eq!(of(&written, is_canonical), expected.is_ok(), "{}", written);
                if let Ok(decoded) = &expected {
                    prop_assert_eq!(of(&written, decoded_bytes), decoded.len() as u64);
                    prop_assert_eq!(of(&written, |text| head(text).bytes().to_vec()), &decoded[..HEAD_BYTES]);
                }
            }
        }

        #[test]
        fn what_the_base64_crate_writes_is_canonical_and_measured(bytes: Vec<u8>) {
            for written in spellings(&STANDARD.encode(&bytes)) {
                prop_assert!(of(&written, is_canonical));
                prop_assert_eq!(of(&written, decoded_bytes), bytes.len() as u64);
                let first = bytes.len().min(HEAD_BYTES);
                prop_assert_eq!(of(&written, |text| head(text).bytes().to_vec()), &bytes[..first]);
            }
        }

        #[test]
        fn the_verdict_is_that_of_the_base64_crate(text in "[A-Za-z0-9+/=]{0,12}", cut in "[ -~&&[^\"\\\\]]{0,2}") {
            let text = format!("{text}{cut}");
            let expected = STANDARD.decode(&text).is_ok();
            for written in spellings(&text) {
                prop_assert_eq!(of(&written, is_canonical), expected, "{}", written);
            }
        }

        #[test]
        fn one_foreign_byte_anywhere_is_found(at in 0_usize..4000, foreign in "[ !#-*,.:-@\\[^-`{-~]") {
            let mut text = "A".repeat(4000);
            text.replace_range(at..=at, &foreign);
            prop_assert!(!of(&text, is_canonical));
        }
    }
}
