//! Which values and names does a text consist of, and is it JSON at all?
//!
//! Iterative: nesting costs entries of a list, not stack frames.

use super::Malformed::{Duplicate, Syntax, TooComplex};
use super::index::{Class, Entry, Tag};
use super::{Caps, Escapes, Malformed, duplicates, number, string};

/// Most documents of DCAMS have fewer names and values.
const USUAL_ENTRIES: usize = 64;

/// Indexes `input`.
pub(super) fn tokenise(input: &[u8], caps: &Caps) -> Result<Box<[Entry]>, Malformed> {
    if u32::try_from(input.len()).is_err() {
        return Err(TooComplex { offset: u32::MAX });
    }
    let entries = Vec::with_capacity(USUAL_ENTRIES);
    Tokeniser { input, at: 0, caps, entries, open: Vec::new(), values: 0 }.run()
}

struct Tokeniser<'a> {
    input: &'a [u8],
    at: usize,
    caps: &'a Caps,
    entries: Vec<Entry>,
    /// The containers around the current position, the root first.
    open: Vec<Open>,
    values: u32,
}

/// A container whose end has not been seen.
#[derive(Clone, Copy)]
struct Open {
    entry: u32,
    is_object: bool,
    /// Members or elements so far.
    count: u32,
}

impl Tokeniser<'_> {
    fn run(mut self) -> Result<Box<[Entry]>, Malformed> {
        self.skip_space();
        if self.peek() != Some(b'{') {
            return Err(self.syntax());
        }
        self.value()?;
        while let Some(innermost) = self.open.last().copied() {
            self.step(innermost)?;
        }
        self.skip_space();
        if self.at != self.input.len() {
            return Err(self.syntax());
        }
        Ok(self.entries.into_boxed_slice())
    }

    /// Reads the next member or element of `innermost`, or its end.
    fn step(&mut self, innermost: Open) -> Result<(), Malformed> {
        self.skip_space();
        match self.peek() {
            Some(b'}') if innermost.is_object => return self.close(innermost),
            Some(b']') if !innermost.is_object => return self.close(innermost),
            Some(b',') if innermost.count > 0 => {
                self.at = self.at.saturating_add(1);
                self.skip_space();
            }
            Some(_) if innermost.count == 0 => {}
            _ => return Err(self.syntax()),
        }
        let count = innermost.count.saturating_add(1);
        let cap = if innermost.is_object { self.caps.members } else { self.caps.nodes };
        if count > cap.min(Tag::COUNT_MAX) {
            return Err(self.too_complex());
        }
        if let Some(open) = self.open.last_mut() {
            open.count = count;
        }
        if innermost.is_object {
            self.name()?;
        }
        self.value()
    }

    fn name(&mut self) -> Result<(), Malformed> {
        if self.peek() != Some(b'"') {
            return Err(self.syntax());
        }
        let start = self.at;
        self.string(self.caps.name_bytes)?;
        if self.caps.interoperable && self.last_has_nul() {
            return Err(self.syntax_at(start));
        }
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.syntax());
        }
        self.at = self.at.saturating_add(1);
        self.skip_space();
        Ok(())
    }

    fn value(&mut self) -> Result<(), Malformed> {
        if self.values >= self.caps.nodes {
            return Err(self.too_complex());
        }
        self.values = self.values.saturating_add(1);
        match self.peek() {
            Some(b'"') => self.string(self.caps.string_bytes),
            Some(b'{') => self.open(Class::Object),
            Some(b'[') => self.open(Class::Array),
            Some(b'-' | b'0'..=b'9') => {
                let length = number::length(self.rest());
                let length = length.map_err(|offset| self.syntax_at(self.at.saturating_add(offset)))?;
                if length > self.caps.number_bytes as usize {
                    return Err(self.too_complex());
                }
                let literal = self.rest().get(..length).unwrap_or_default();
                if self.caps.interoperable && number::is_unsafe_integer(literal) {
                    return Err(self.syntax());
                }
                self.scalar(Class::Number, length);
                Ok(())
            }
            Some(b't') => self.word(b"true", Class::True),
            Some(b'f') => self.word(b"false", Class::False),
            Some(b'n') => self.word(b"null", Class::Null),
            _ => Err(self.syntax()),
        }
    }

    fn string(&mut self, cap: u32) -> Result<(), Malformed> {
        let start = self.at.saturating_add(1);
        let scanned = string::scan(self.input, start).map_err(|offset| self.syntax_at(offset))?;
        if scanned.end.saturating_sub(start) > cap as usize || scanned.count > Tag::COUNT_MAX as usize {
            return Err(self.too_complex());
        }
        let count = scanned.count as u32;
        let tag = Tag::of_string(scanned.escapes, count, scanned.non_ascii, scanned.letters);
        self.entries.push(Entry { start: start as u32, reach: scanned.end as u32, tag });
        self.at = scanned.end.saturating_add(1);
        Ok(())
    }

    /// Whether the last string that was read has a NUL; in JSON it is always escaped.
    fn last_has_nul(&self) -> bool {
        let text = self.entries.last().map(|entry| entry.text(self.input));
        text.is_some_and(|text| text.escapes() == Escapes::Any && text.chars().any(|letter| letter == '\0'))
    }

    fn word(&mut self, word: &[u8], class: Class) -> Result<(), Malformed> {
        if !self.rest().starts_with(word) {
            return Err(self.syntax());
        }
        self.scalar(class, word.len());
        Ok(())
    }

    fn scalar(&mut self, class: Class, length: usize) {
        let end = self.at.saturating_add(length);
        self.entries.push(Entry { start: self.at as u32, reach: end as u32, tag: Tag::of(class, 0) });
        self.at = end;
    }

    fn open(&mut self, class: Class) -> Result<(), Malformed> {
        if self.open.len() >= usize::from(self.caps.depth) {
            return Err(self.too_complex());
        }
        let entry = self.entries.len() as u32;
        self.open.push(Open { entry, is_object: class == Class::Object, count: 0 });
        self.scalar(class, 1);
        Ok(())
    }

    /// Completes the entry of the innermost container.
    fn close(&mut self, innermost: Open) -> Result<(), Malformed> {
        self.at = self.at.saturating_add(1);
        self.open.pop();
        let reach = self.entries.len() as u32;
        if let Some(entry) = self.entries.get_mut(innermost.entry as usize) {
            entry.reach = reach;
            entry.tag = Tag::of(entry.tag.class(), innermost.count);
        }
        if !innermost.is_object {
            return Ok(());
        }
        match duplicates::find(self.input, &self.entries, innermost.entry) {
            Some(offset) => Err(Duplicate { offset }),
            None => Ok(()),
        }
    }

    fn skip_space(&mut self) {
        let space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at = self.at.saturating_add(self.rest().iter().take_while(space).count());
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    fn syntax(&self) -> Malformed {
        self.syntax_at(self.at)
    }

    fn syntax_at(&self, offset: usize) -> Malformed {
        Syntax { offset: offset as u32 }
    }

    fn too_complex(&self) -> Malformed {
        TooComplex { offset: self.at as u32 }
    }
}
