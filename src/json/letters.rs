//! Does a text consist of nothing but the letters of base64?
//!
//! Images as base64 are nearly all of a large body. A letter of base64 can neither end a string nor be wrong in
//! one, so that one look at a block of them answers what the tokeniser asks and what a schema asks later. The
//! loops have no branch and answer one thing each, so that they compile to few vector instructions.

/// Whether all of `bytes` are letters of the alphabet of RFC 4648, section 4, or backslashes: in a JSON string whose
/// only escapes are `\/`, each of these stands before a slash.
pub(crate) fn are_letters(bytes: &[u8]) -> bool {
    bytes.chunks(1024).all(|chunk| none_beyond(chunk, |byte| distance(byte).min(byte ^ b'\\')))
}

/// How many `\/` begin in the first `N` bytes of `rest`, if those hold nothing but them and letters; `none_before` is
/// a guess that there are none.
#[inline(always)]
pub(super) fn solidi<const N: usize>(rest: &[u8], none_before: bool) -> Option<usize> {
    let reach = rest.get(..=N)?;
    let (block, shifted) = (reach.first_chunk::<N>()?, reach.last_chunk::<N>()?);
    if none_before && none_beyond(block, distance) {
        return Some(0);
    }
    let (mut others, mut solidi) = (0_u8, 0_u8);
    for (&byte, &next) in block.iter().zip(shifted) {
        let backslash = u8::from(byte == b'\\');
        others |= backslash & u8::from(next != b'/');
        solidi = solidi.wrapping_add(backslash);
    }
    (others == 0 && are_letters(block)).then_some(usize::from(solidi))
}

/// How many `\u002B` and `\u002F` begin in the first `N` bytes of `rest`, if those hold nothing but them and letters.
#[inline(always)]
pub(super) fn signs<const N: usize>(rest: &[u8]) -> Option<usize> {
    let reach = rest.get(..N + 5)?;
    let [block, u, zero, nought, two, digit] =
        [0, 1, 2, 3, 4, 5].map(|by| reach.get(by..)?.first_chunk::<N>());
    let block = block?;
    let behind = u?.iter().zip(zero?).zip(nought?).zip(two?).zip(digit?);
    let (mut others, mut signs) = (0_u8, 0_u8);
    for (&byte, ((((&u, &zero), &nought), &two), &digit)) in block.iter().zip(behind) {
        let backslash = if byte == b'\\' { 0xFF } else { 0 };
        // `B`, `b`, `F` and `f` are alike but for these two bits.
        others |= backslash
            & ((u ^ b'u') | (zero ^ b'0') | (nought ^ b'0') | (two ^ b'2') | ((digit | 0x24) ^ b'f'));
        signs = signs.wrapping_sub(backslash);
    }
    (others == 0 && are_letters(block)).then_some(usize::from(signs))
}

/// Whether each byte has a `distance` of 0.
#[inline(always)]
fn none_beyond(bytes: &[u8], distance: impl Fn(u8) -> u8) -> bool {
    bytes.iter().fold(0, |all, &byte| all | distance(byte)) == 0
}

/// 0 for a letter of the alphabet: how far the byte is from the nearest of its ranges. Vectors of bytes have an
/// instruction for the lesser of two, and none for whether one is less.
#[inline(always)]
fn distance(byte: u8) -> u8 {
    let letter = (byte | 0x20).wrapping_sub(b'a').saturating_sub(25);
    // `/` stands directly before `0`.
    let digit_or_slash = byte.wrapping_sub(b'/').saturating_sub(10);
    letter.min(digit_or_slash).min(byte ^ b'+')
}
