//! Which bytes do the escapes of an ASCII text stand for?
//!
//! .NET writes the `+` of base64 as `\u002B`, thousands of them in one image: what stands between two escapes is
//! given out as it is, so that it can be checked in one go.

/// A string as written, cut behind each escape.
pub(super) struct Pieces<'a> {
    rest: &'a [u8],
}

impl<'a> Pieces<'a> {
    /// Cuts `written`, the bytes between the quotes of a string or their beginning.
    pub(super) fn of(written: &'a [u8]) -> Self {
        Self { rest: written }
    }
}

/// Bytes without an escape, and what the escape behind them stands for: 0 where that is no ASCII letter.
pub(super) struct Piece<'a> {
    pub(super) run: &'a [u8],
    pub(super) letter: Option<u8>,
}

impl<'a> Piece<'a> {
    /// The bytes that this piece stands for.
    pub(super) fn bytes(self) -> impl Iterator<Item = u8> + 'a {
        self.run.iter().copied().chain(self.letter)
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\\', self.rest).unwrap_or(self.rest.len());
        let (run, escape) = self.rest.split_at_checked(end)?;
        let (letter, rest) = match escape {
            [] => (None, escape),
            [_, b'u', a, b, c, d, rest @ ..] => (Some(ascii([*a, *b, *c, *d])), rest),
            [_, b'/', rest @ ..] => (Some(b'/'), rest),
            [_] | [_, b'u', ..] => (None, [].as_slice()),
            [_, _, rest @ ..] => (Some(0), rest),
        };
        self.rest = rest;
        Some(Piece { run, letter })
    }
}

/// The ASCII character of four hexadecimal digits, else 0.
fn ascii(digits: [u8; 4]) -> u8 {
    let unit =
        digits.into_iter().try_fold(0_u32, |unit, digit| Some(unit << 4 | char::from(digit).to_digit(16)?));
    unit.and_then(|unit| u8::try_from(unit).ok()).filter(u8::is_ascii).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(written: &str) -> Vec<u8> {
        Pieces::of(written.as_bytes()).flat_map(Piece::bytes).collect()
    }

    #[test]
    fn escapes_of_ascii_are_resolved() {
        assert_eq!(resolved(r"ab\/c\u002Bd\u002f"), b"ab/c+d/");
        assert_eq!(resolved(r"\/\/"), b"//");
        assert_eq!(resolved(""), b"");
    }

    #[test]
    fn escapes_of_anything_else_are_a_byte_that_base64_does_not_have() {
        assert_eq!(resolved(r#"\n\\\"\u00e9\ud83d\ude00"#), [0; 6]);
    }

    #[test]
    fn an_escape_that_is_cut_off_ends_the_text() {
        for written in [r"ab\", r"ab\u", r"ab\u002"] {
            assert_eq!(resolved(written), b"ab", "{written}");
        }
    }
}
