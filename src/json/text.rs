//! What does a string of a document say, without copying it?

use std::borrow::Cow;
use std::str::Chars;

use super::index::Tag;

/// A string as written, between its quotes. Its escapes and its UTF-8 have been checked.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    raw: &'a [u8],
    tag: Tag,
}

/// By how much `\u002B` is longer than what it stands for.
const SIGN_EXCESS: usize = 5;

/// Which escapes a string has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escapes {
    /// None: the text is the bytes as written.
    None,
    /// Only `\/`, as PHP writes the slashes of base64.
    Solidus,
    /// Others, or others too.
    Any,
}

impl<'a> Text<'a> {
    pub(super) fn new(raw: &'a [u8], tag: Tag) -> Self {
        Self { raw, tag }
    }

    /// The bytes between the quotes, escapes and all; valid UTF-8.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Which escapes there are.
    #[must_use]
    pub fn escapes(&self) -> Escapes {
        self.tag.escapes()
    }

    /// How many escapes there are; a surrogate pair (`\ud83d\ude00`) counts as one.
    #[must_use]
    pub fn escape_count(&self) -> usize {
        self.tag.count() as usize
    }

    /// Whether the text is known to be letters of the alphabet of base64, and at most two `=` at the end. Known of
    /// texts of 256 bytes and more whose escapes are `\/` only, as PHP writes slashes, or `\u002B` and `\u002F` only,
    /// as .NET writes `+`; of others it is `false`.
    #[must_use]
    pub fn is_known_base64(&self) -> bool {
        self.tag.has_letters()
    }

    /// Length in bytes after unescaping. Scans the text only where [`Escapes::Any`] applies and it is not known as
    /// base64.
    #[must_use]
    pub fn unescaped_len(&self) -> usize {
        match self.escapes() {
            Escapes::None => self.raw.len(),
            Escapes::Solidus => self.raw.len().saturating_sub(self.escape_count()),
            Escapes::Any if self.is_known_base64() => {
                self.raw.len().saturating_sub(SIGN_EXCESS.saturating_mul(self.escape_count()))
            }
            Escapes::Any => self.chars().map(char::len_utf8).sum(),
        }
    }

    /// Length in Unicode code points after unescaping. Scans the text unless it is known as base64, or ASCII as
    /// written without other escapes than `\/`.
    #[must_use]
    pub fn char_count(&self) -> usize {
        if self.is_known_base64() {
            self.unescaped_len()
        } else if self.escapes() == Escapes::Any {
            self.chars().count()
        } else if self.tag.has_non_ascii() {
            let continuing = self.raw.iter().filter(|&&byte| byte & 0xC0 == 0x80).count();
            self.unescaped_len().saturating_sub(continuing)
        } else {
            self.unescaped_len()
        }
    }

    /// Whether the unescaped text is ASCII.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        !self.tag.has_non_ascii() && (self.escapes() != Escapes::Any || self.chars().all(|c| c.is_ascii()))
    }

    /// Whether the unescaped text equals `other`.
    #[must_use]
    pub fn equals(&self, other: &str) -> bool {
        match self.escapes() {
            Escapes::None => self.raw == other.as_bytes(),
            Escapes::Solidus if self.unescaped_len() != other.len() => false,
            _ => self.raw.len() >= other.len() && self.chars().eq(other.chars()),
        }
    }

    /// Whether two unescaped texts are equal.
    #[must_use]
    pub fn equals_text(&self, other: Text<'_>) -> bool {
        match (self.escapes(), other.escapes()) {
            (Escapes::None, Escapes::None) => self.raw == other.raw,
            _ => self.chars().eq(other.chars()),
        }
    }

    /// The unescaped characters, in order, without a copy.
    pub fn chars(&self) -> Characters<'a> {
        Characters { rest: self.written().chars() }
    }

    /// The unescaped text; borrowed where it has no escapes, else a copy.
    #[must_use]
    pub fn unescape(&self) -> Cow<'a, str> {
        match self.escapes() {
            Escapes::None => Cow::Borrowed(self.written()),
            _ => Cow::Owned(self.copy_unescaped()),
        }
    }

    fn copy_unescaped(&self) -> String {
        let mut copy = String::with_capacity(self.raw.len());
        let mut characters = self.chars();
        loop {
            copy.push_str(characters.take_plain());
            let Some(escaped) = characters.next() else { return copy };
            copy.push(escaped);
        }
    }

    /// The text as written. The tokeniser has checked the UTF-8, so the default is never taken.
    fn written(&self) -> &'a str {
        std::str::from_utf8(self.raw).unwrap_or_default()
    }
}

/// The unescaped characters of a [`Text`].
#[derive(Clone)]
pub struct Characters<'a> {
    rest: Chars<'a>,
}

impl<'a> Characters<'a> {
    /// Takes what stands before the next escape, all of it at once.
    #[inline]
    pub fn take_plain(&mut self) -> &'a str {
        let rest = self.rest.as_str();
        // Escapes often stand together, and a search that ends at once costs more than a look.
        if rest.as_bytes().first() == Some(&b'\\') {
            return "";
        }
        let end = memchr::memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
        let (plain, escaped) = rest.split_at_checked(end).unwrap_or((rest, ""));
        self.rest = escaped.chars();
        plain
    }

    fn unescape(&mut self) -> Option<char> {
        Some(match self.rest.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unescape_unit(),
            quoted => quoted,
        })
    }

    fn unescape_unit(&mut self) -> Option<char> {
        let unit = self.hex()?;
        if !(0xD800..0xDC00).contains(&unit) {
            return char::from_u32(unit);
        }
        self.rest.next();
        self.rest.next();
        let low = self.hex()?;
        char::from_u32(0x1_0000 + ((unit & 0x3FF) << 10 | low & 0x3FF))
    }

    fn hex(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |unit, _| Some(unit << 4 | self.rest.next()?.to_digit(16)?))
    }
}

impl Iterator for Characters<'_> {
    type Item = char;

    #[inline]
    fn next(&mut self) -> Option<char> {
        match self.rest.next()? {
            '\\' => self.unescape(),
            plain => Some(plain),
        }
    }
}
