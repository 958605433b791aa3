//! Which changes of a body are likely to leave it JSON?
//!
//! Changes of single bytes make most bodies invalid, and what is refused at once shows little. Half of the
//! mutations are therefore libFuzzer's own, and half of them insert members, elements, names and pieces of
//! strings where they belong, in a body that was accepted.

use bytes::Bytes;
use dcams_gateway::json::parse;

use crate::oracle::CAPS;

/// What takes the place of a body that is refused anyway.
const FRESH: [&[u8]; 4] = [
    include_bytes!("../corpus/parse_inject/status.json"),
    include_bytes!("../corpus/parse_inject/kinds.json"),
    include_bytes!("../corpus/parse_inject/escapes.json"),
    include_bytes!("../corpus/parse_inject/empty.json"),
];

const MEMBER_VALUES: [&[u8]; 9] =
    [b"0", b"-1.5e3", b"true", b"null", b"\"\"", b"\"\\/x\"", b"{}", b"[]", b"{\"a\":[1]}"];

const NAMES: [&[u8]; 14] = [
    b"a",
    b"\\u0061",
    b"b",
    b"",
    b"/",
    b"\\/",
    "é".as_bytes(),
    b"\\u00e9",
    b"user",
    b"us\\u0065r",
    b"PASS",
    "pa\u{17f}s".as_bytes(),
    b"username",
    b"\\u0000",
];

const PIECES: [&[u8]; 14] = [
    b"a",
    b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    b"\\/",
    b"\\n",
    b"\\\\",
    b"\\\"",
    b"\\u0041",
    b"\\u00e9",
    b"\\ud83d\\ude00",
    "é".as_bytes(),
    "漢".as_bytes(),
    "😀".as_bytes(),
    b"\x7f",
    b" ",
];

/// Mutates `data[..size]` in place, up to `max_size` bytes, and gives the new size.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    mutate_with(data, size, max_size, seed, &[])
}

/// As [`mutate`], now and then with one of `pieces` in a string.
pub fn mutate_with(data: &mut [u8], size: usize, max_size: usize, seed: u32, pieces: &[Vec<u8>]) -> usize {
    let mut dice = Dice::of(seed);
    if dice.below(2) == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let mut body = data[..size].to_vec();
    if is_refused(&body) {
        body = dice.pick(&FRESH).to_vec();
    }
    for _ in 0..=dice.below(3) {
        mutate_structure(&mut body, &mut dice);
    }
    if !pieces.is_empty() && dice.below(8) == 0 {
        let piece = dice.pick(pieces);
        if let Some((_, end)) = string_after(&body, &mut dice) {
            body.splice(end..end, piece.iter().copied());
        }
    }
    let room = max_size.min(data.len());
    body.truncate(room);
    data[..body.len()].copy_from_slice(&body);
    body.len()
}

/// Changes one to four of `bytes`, which are not empty; the others keep their places.
pub fn change_bytes(bytes: &mut [u8], seed: u32) {
    let mut dice = Dice::of(seed);
    for _ in 0..1 + dice.below(4) {
        let at = dice.below(bytes.len());
        let other = dice.below(256) as u8;
        bytes[at] = if dice.below(2) == 0 { other } else { bytes[at] ^ 1 };
    }
}

/// Whether nothing good can come of `body`: what is refused stays refused, wherever something is added.
fn is_refused(body: &[u8]) -> bool {
    parse(Bytes::copy_from_slice(body), &CAPS).map_or(true, |document| document.names_credentials())
}

fn mutate_structure(body: &mut Vec<u8>, dice: &mut Dice) {
    match dice.below(6) {
        0 | 1 => {
            let name = *dice.pick(&NAMES);
            add_member(body, name, dice);
        }
        2 => {
            // The name of some member a second time: a duplicate where it lands in the same object.
            let Some((from, to)) = string_after(body, dice) else { return };
            let name = body[from..to].to_vec();
            add_member(body, &name, dice);
        }
        3 => {
            let Some((from, to)) = string_after(body, dice) else { return };
            let name = *dice.pick(&NAMES);
            body.splice(from..to, name.iter().copied());
        }
        4 => {
            let Some((_, end)) = string_after(body, dice) else { return };
            let piece = *dice.pick(&PIECES);
            body.splice(end..end, piece.iter().copied());
        }
        _ => {
            let Some(bracket) = place_of(body, b'[', dice) else { return };
            let comma: &[u8] = if next_is(body, bracket + 1, b']') { b"" } else { b"," };
            let element = [*dice.pick(&MEMBER_VALUES), comma].concat();
            body.splice(bracket + 1..bracket + 1, element);
        }
    }
}

fn add_member(body: &mut Vec<u8>, name: &[u8], dice: &mut Dice) {
    let Some(brace) = place_of(body, b'{', dice) else { return };
    let comma: &[u8] = if next_is(body, brace + 1, b'}') { b"" } else { b"," };
    let member = [b"\"", name, b"\":", *dice.pick(&MEMBER_VALUES), comma].concat();
    body.splice(brace + 1..brace + 1, member);
}

/// Some place of `wanted` in `body`.
fn place_of(body: &[u8], wanted: u8, dice: &mut Dice) -> Option<usize> {
    let places: Vec<usize> = (0..body.len()).filter(|&at| body[at] == wanted).collect();
    (!places.is_empty()).then(|| *dice.pick(&places))
}

/// What stands between some quote and the next: a string more often than what lies between two.
fn string_after(body: &[u8], dice: &mut Dice) -> Option<(usize, usize)> {
    let quotes: Vec<usize> =
        (0..body.len()).filter(|&at| body[at] == b'"' && (at == 0 || body[at - 1] != b'\\')).collect();
    let pair = dice.below(quotes.len().max(2) / 2) * 2;
    Some((quotes.get(pair)? + 1, *quotes.get(pair + 1)?))
}

fn next_is(body: &[u8], from: usize, wanted: u8) -> bool {
    body[from..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&wanted)
}

/// Xorshift: enough for choosing.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn of(seed: u32) -> Self {
        Self(u64::from(seed) << 1 | 1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
