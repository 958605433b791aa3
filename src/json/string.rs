//! Where does a string end, and which escapes does it hold?

use super::letters::{self, are_letters};
use super::text::Escapes;

/// What one pass over a string found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scanned {
    /// Offset of the closing quote.
    pub(super) end: usize,
    pub(super) escapes: Escapes,
    /// Escapes, a surrogate pair counting as one.
    pub(super) count: usize,
    pub(super) non_ascii: bool,
    /// Long, and nothing but letters of base64 and at most two `=` at the end; the escapes are `\/` only, or
    /// `\u002B` and `\u002F` only.
    pub(super) letters: bool,
}

/// Letters of base64 that are judged at once; it must hold no more escapes than a byte counts.
const BLOCK: usize = 256;

/// Bytes of other text that are judged at once. The loop over them has no branch, so it compiles to vector
/// instructions.
const CHUNK: usize = 64;

/// Bytes that are judged one by one first: most strings end within them.
const HEAD: usize = 24;

/// A string that is scanned, perhaps while its bytes still come.
///
/// Base64 written by PHP has `\/` about once in 64 bytes, and by .NET `\u002B`, so those escapes are judged and
/// counted with the plain bytes: a string full of them takes hardly longer than one without.
#[derive(Clone, Copy)]
pub(super) struct Scan {
    /// Offset of the first byte after the opening quote.
    start: usize,
    /// Up to where all is a string's.
    at: usize,
    solidi: usize,
    /// `\u002B` and `\u002F`: `+` and `/`, as .NET writes the former.
    signs: usize,
    others: usize,
    non_ascii: bool,
    /// Up to where all is known to be letters of base64, escaped or not; `None` once the next block was not.
    letters_until: Option<usize>,
}

/// A scan and the bytes that it is of.
struct Over<'a> {
    input: &'a [u8],
    scan: Scan,
}

impl Scan {
    /// Of the string whose first byte after the opening quote is at `start`.
    pub(super) fn from(start: usize) -> Self {
        Self {
            start,
            at: start,
            solidi: 0,
            signs: 0,
            others: 0,
            non_ascii: false,
            letters_until: Some(start),
        }
    }

    /// Where the string begins.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// How much of it was scanned.
    pub(super) fn scanned_bytes(&self) -> usize {
        self.at.saturating_sub(self.start)
    }

    /// Scans to the end of the string. After an error it can be called again with more input behind the same bytes.
    ///
    /// # Errors
    ///
    /// The offset of what is not allowed in a string, or of the end of the input.
    pub(super) fn run(&mut self, input: &[u8]) -> Result<Scanned, usize> {
        let mut over = Over { input, scan: *self };
        let scanned = over.run();
        *self = over.scan;
        scanned
    }

    /// Whether no escape has been met with which letters are not known: see [`Scanned::letters`].
    fn may_be_letters(&self) -> bool {
        self.others == 0 && (self.solidi == 0 || self.signs == 0)
    }
}

impl Over<'_> {
    fn run(&mut self) -> Result<Scanned, usize> {
        let mut careful_until = self.scan.at.saturating_add(HEAD);
        loop {
            if let Some(end) = self.step_bytes(careful_until)? {
                return Ok(self.finish(end));
            }
            self.step_letters();
            self.step_chunks();
            careful_until = self.scan.at.saturating_add(CHUNK);
            self.step_runs(careful_until)?;
        }
    }

    /// Steps over whole blocks of letters of base64, with `\/` or `\u002B` among them, if all has been so.
    fn step_letters(&mut self) {
        let input = self.input;
        let mut rest = input.get(self.scan.at..).unwrap_or_default();
        let Some((from, first)) = self.scan.letters_until.zip(rest.first_chunk::<BLOCK>()) else { return };
        let behind = input.get(from..self.scan.at).unwrap_or_default();
        // Perhaps that is the end of it.
        let padded = behind.last() == Some(&b'=');
        if !self.scan.may_be_letters() || !are_letters(unpadded(behind)) {
            self.scan.letters_until = None;
            return;
        }
        // Most strings that get here end soon.
        if padded || memchr::memchr(b'"', first).is_some() {
            return;
        }
        while self.step_block(rest) {
            rest = rest.get(BLOCK..).unwrap_or_default();
        }
        self.scan.letters_until = Some(self.scan.at);
    }

    /// Steps over a block of letters whose escapes are such as there have been; `rest` begins where it would.
    #[inline(always)]
    fn step_block(&mut self, rest: &[u8]) -> bool {
        if self.scan.signs == 0
            && let Some(solidi) = letters::solidi::<BLOCK>(rest, self.scan.solidi == 0)
        {
            self.scan.solidi = self.scan.solidi.saturating_add(solidi);
        } else if self.scan.solidi == 0
            && let Some(signs) = letters::signs::<BLOCK>(rest)
        {
            self.scan.signs = self.scan.signs.saturating_add(signs);
        } else {
            return false;
        }
        self.scan.at = self.scan.at.saturating_add(BLOCK);
        true
    }

    /// Steps over whole chunks of plain ASCII and `\/`, up to the first that holds anything else.
    fn step_chunks(&mut self) {
        let Some(rest) = self.input.get(self.scan.at..) else { return };
        let mut rest = rest;
        while let (Some((chunk, behind)), Some((shifted, _))) =
            (rest.split_first_chunk::<CHUNK>(), rest.get(1..).and_then(<[u8]>::split_first_chunk::<CHUNK>))
        {
            let (stops, solidi) = judge(chunk, shifted);
            if stops {
                break;
            }
            self.scan.solidi = self.scan.solidi.saturating_add(solidi);
            self.scan.at = self.scan.at.saturating_add(CHUNK);
            rest = behind;
        }
    }

    /// Steps over plain ASCII, eight bytes at once, and escapes, to `until` or a little further, up to the first that
    /// is neither.
    fn step_runs(&mut self, until: usize) -> Result<(), usize> {
        while self.scan.at < until {
            match self.input.get(self.scan.at..).and_then(<[u8]>::first_chunk::<8>) {
                Some([b'\\', ..]) => self.step_escape()?,
                Some(word) => match first_stop(*word) {
                    Some(0) => return Ok(()),
                    stop => self.scan.at = self.scan.at.saturating_add(stop.unwrap_or(8)),
                },
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Steps byte by byte to `until` or a little further; gives the offset of the closing quote if met.
    fn step_bytes(&mut self, until: usize) -> Result<Option<usize>, usize> {
        while self.scan.at < until {
            match self.input.get(self.scan.at).copied() {
                Some(b'"') => return Ok(Some(self.scan.at)),
                Some(b'\\') => self.step_escape()?,
                Some(0x20..=0x7F) => self.scan.at = self.scan.at.saturating_add(1),
                Some(0x80..) => self.step_sequence()?,
                Some(_) | None => return Err(self.scan.at),
            }
        }
        Ok(None)
    }

    #[inline(always)]
    fn step_escape(&mut self) -> Result<(), usize> {
        let after = self.input.get(self.scan.at.saturating_add(1)..).unwrap_or_default();
        let length = match after {
            [b'/', ..] => {
                self.scan.solidi = self.scan.solidi.saturating_add(1);
                self.scan.at = self.scan.at.saturating_add(2);
                return Ok(());
            }
            [b'u', b'0', b'0', b'2', b'B' | b'b' | b'F' | b'f', ..] => {
                self.scan.signs = self.scan.signs.saturating_add(1);
                self.scan.at = self.scan.at.saturating_add(6);
                return Ok(());
            }
            [b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', behind @ ..] => unit_escape_length(behind).ok_or(self.scan.at)?,
            _ => return Err(self.scan.at),
        };
        self.scan.others = self.scan.others.saturating_add(1);
        self.scan.at = self.scan.at.saturating_add(length);
        Ok(())
    }

    fn step_sequence(&mut self) -> Result<(), usize> {
        let rest = self.input.get(self.scan.at..).unwrap_or_default();
        self.scan.at = self.scan.at.saturating_add(sequence_length(rest).ok_or(self.scan.at)?);
        self.scan.non_ascii = true;
        Ok(())
    }

    fn finish(&self, end: usize) -> Scanned {
        let others = self.scan.signs.saturating_add(self.scan.others);
        let escapes = match (self.scan.solidi, others) {
            (0, 0) => Escapes::None,
            (_, 0) => Escapes::Solidus,
            _ => Escapes::Any,
        };
        let count = self.scan.solidi.saturating_add(others);
        Scanned { end, escapes, count, non_ascii: self.scan.non_ascii, letters: self.is_letters(end) }
    }

    fn is_letters(&self, end: usize) -> bool {
        if end.saturating_sub(self.scan.start) < BLOCK || !self.scan.may_be_letters() {
            return false;
        }
        let Some(tail) = self.scan.letters_until.and_then(|until| self.input.get(until..end)) else {
            return false;
        };
        are_letters(unpadded(tail))
    }
}

/// `bytes` without the one or two `=` at the end of base64.
fn unpadded(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"==").or_else(|| bytes.strip_suffix(b"=")).unwrap_or(bytes)
}

/// Whether `chunk` holds anything but plain ASCII and `\/`, and how many `\/` begin in it; `shifted` is one
/// byte further.
#[inline(always)]
fn judge(chunk: &[u8; CHUNK], shifted: &[u8; CHUNK]) -> (bool, usize) {
    let mut stops = 0u8;
    let mut solidi = 0u8;
    for (&byte, &next) in chunk.iter().zip(shifted) {
        let backslash = u8::from(byte == b'\\');
        stops |= u8::from(byte < 0x20) | u8::from(byte >= 0x80) | u8::from(byte == b'"');
        stops |= backslash & u8::from(next != b'/');
        solidi = solidi.wrapping_add(backslash);
    }
    (stops != 0, usize::from(solidi))
}

/// Where in `word` the first byte stands that is no plain ASCII, or a quote, or a backslash.
#[inline(always)]
fn first_stop(word: [u8; 8]) -> Option<usize> {
    const EACH: u64 = u64::MAX / 255;
    let word = u64::from_le_bytes(word);
    // The highest bit of a byte tells; what is borrowed from its neighbours changes only those behind the first. With
    // that bit flipped a quote comes to stand directly above the control characters.
    let quote_or_control = (word ^ (0x02 * EACH)).wrapping_sub(0x21 * EACH);
    let backslash = (word ^ (0x5C * EACH)).wrapping_sub(EACH);
    let stops = (word | quote_or_control | backslash) & (0x80 * EACH);
    (stops != 0).then(|| (stops.trailing_zeros() / 8) as usize)
}

/// Length of a `\u` escape, given what follows the `u`; `None` for bad digits and lone surrogates.
fn unit_escape_length(behind: &[u8]) -> Option<usize> {
    let (digits, rest) = behind.split_first_chunk::<4>()?;
    match hex(digits)? {
        0xD800..=0xDBFF => {
            let low = rest.strip_prefix(b"\\u")?.first_chunk::<4>()?;
            (0xDC00..=0xDFFF).contains(&hex(low)?).then_some(12)
        }
        0xDC00..=0xDFFF => None,
        _ => Some(6),
    }
}

fn hex(digits: &[u8; 4]) -> Option<u32> {
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}

/// Length of the UTF-8 sequence that `rest` starts with (Unicode 16, table 3-7); `None` if ill-formed.
fn sequence_length(rest: &[u8]) -> Option<usize> {
    match rest {
        [0xC2..=0xDF, 0x80..=0xBF, ..] => Some(2),
        [0xE0, 0xA0..=0xBF, 0x80..=0xBF, ..]
        | [0xE1..=0xEC | 0xEE..=0xEF, 0x80..=0xBF, 0x80..=0xBF, ..]
        | [0xED, 0x80..=0x9F, 0x80..=0xBF, ..] => Some(3),
        [0xF0, 0x90..=0xBF, 0x80..=0xBF, 0x80..=0xBF, ..]
        | [0xF1..=0xF3, 0x80..=0xBF, 0x80..=0xBF, 0x80..=0xBF, ..]
        | [0xF4, 0x80..=0x8F, 0x80..=0xBF, 0x80..=0xBF, ..] => Some(4),
        _ => None,
    }
}
