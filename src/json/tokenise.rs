//! Which values and names does a text consist of, and is it JSON at all?
//!
//! Iterative: nesting costs entries of a list, not stack frames. So what was read of a text whose end has not come is
//! kept as it is, and reading goes on from there.

use super::Malformed::{Duplicate, Syntax, TooComplex};
use super::index::{Class, Entry, Tag};
use super::string::Scan;
use super::{Caps, Escapes, Malformed, duplicates, number};

/// Most documents of DCAMS have fewer names and values.
const USUAL_ENTRIES: usize = 64;

/// More than these are read when all is here: until then, who sends them and nothing else has memory that is in no
/// budget.
const ENTRIES_AHEAD: usize = 512;

/// How far a text was read.
pub(super) struct Progress {
    at: usize,
    entries: Vec<Entry>,
    /// The containers around the current position, the root first.
    open: Vec<Open>,
    values: u32,
    /// A string that was begun, and whose end has not come.
    begun: Option<Scan>,
    /// With how many bytes reading goes on; fewer are hardly more than the last time.
    worth_bytes: usize,
}

/// A container whose end has not been seen.
#[derive(Clone, Copy)]
struct Open {
    entry: u32,
    is_object: bool,
    /// Members or elements so far.
    count: u32,
}

impl Progress {
    /// Nothing.
    pub(super) fn none() -> Self {
        let entries = Vec::with_capacity(USUAL_ENTRIES);
        Self { at: 0, entries, open: Vec::new(), values: 0, begun: None, worth_bytes: 0 }
    }

    /// Goes on with `input`, the beginning of a text, behind what was read of it. A fault is found by [`Self::finish`].
    pub(super) fn read_ahead(&mut self, input: &[u8], caps: &Caps) {
        if input.len() < self.worth_bytes || u32::try_from(input.len()).is_err() {
            return;
        }
        let mut tokeniser = Tokeniser { input, caps, read: self };
        while tokeniser.turn_within() {}
        // What cannot be read yet is tried again when there is half as much more of it: all tries together take no
        // longer than a few. Only what was scanned of a string is not scanned again.
        let kept = self.begun.map_or(0, |string| string.scanned_bytes());
        let again = input.len().saturating_sub(self.at).saturating_sub(kept);
        self.worth_bytes = self.worth_bytes.max(input.len().saturating_add(again / 2));
    }

    /// With how many bytes reading goes on.
    #[cfg(test)]
    pub(super) fn worth_bytes(&self) -> usize {
        self.worth_bytes
    }

    /// For how many entries there is room.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.entries.capacity()
    }

    /// Goes on to the end of `input`, and gives the index over all of it.
    pub(super) fn finish(mut self, input: &[u8], caps: &Caps) -> Result<Box<[Entry]>, Malformed> {
        if u32::try_from(input.len()).is_err() {
            return Err(TooComplex { offset: u32::MAX });
        }
        Tokeniser { input, caps, read: &mut self }.run()?;
        Ok(self.entries.into_boxed_slice())
    }
}

struct Tokeniser<'a> {
    input: &'a [u8],
    caps: &'a Caps,
    read: &'a mut Progress,
}

impl Tokeniser<'_> {
    fn run(&mut self) -> Result<(), Malformed> {
        while !self.is_complete() {
            self.turn()?;
        }
        self.skip_space();
        if self.read.at == self.input.len() { Ok(()) } else { Err(self.syntax()) }
    }

    /// Whether the root has ended.
    fn is_complete(&self) -> bool {
        self.read.open.is_empty() && !self.read.entries.is_empty()
    }

    /// Reads the root's beginning, or what comes next in the innermost container.
    fn turn(&mut self) -> Result<(), Malformed> {
        if let Some(innermost) = self.read.open.last().copied() {
            return self.step(innermost);
        }
        self.skip_space();
        if self.peek() != Some(b'{') {
            return Err(self.syntax());
        }
        self.value()
    }

    /// As [`Self::turn`], where all that it reads is here, and something behind it that shows its end; else nothing but
    /// a string's scan has changed. `false`: that is so, or the root has ended.
    fn turn_within(&mut self) -> bool {
        let read = &self.read;
        let (at, values, entries) = (read.at, read.values, read.entries.len());
        let (outer, innermost) = (read.open.len().saturating_sub(1), read.open.last().copied());
        if self.is_complete() || entries > ENTRIES_AHEAD {
            return false;
        }
        let turn = self.turn();
        if turn.is_ok() && self.read.at < self.input.len() {
            return true;
        }
        let read = &mut self.read;
        if matches!(turn, Err(Duplicate { .. } | TooComplex { .. })) {
            // No more bytes can mend that.
            read.worth_bytes = usize::MAX;
        }
        (read.at, read.values) = (at, values);
        read.entries.truncate(entries);
        read.open.truncate(outer);
        read.open.extend(innermost);
        false
    }

    /// Reads the next member or element of `innermost`, or its end.
    fn step(&mut self, innermost: Open) -> Result<(), Malformed> {
        self.skip_space();
        match self.peek() {
            Some(b'}') if innermost.is_object => return self.close(innermost),
            Some(b']') if !innermost.is_object => return self.close(innermost),
            Some(b',') if innermost.count > 0 => {
                self.read.at = self.read.at.saturating_add(1);
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
        if let Some(open) = self.read.open.last_mut() {
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
        let start = self.read.at;
        self.string(self.caps.name_bytes)?;
        if self.caps.interoperable && self.last_has_nul() {
            return Err(self.syntax_at(start));
        }
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.syntax());
        }
        self.read.at = self.read.at.saturating_add(1);
        self.skip_space();
        Ok(())
    }

    fn value(&mut self) -> Result<(), Malformed> {
        if self.read.values >= self.caps.nodes {
            return Err(self.too_complex());
        }
        self.read.values = self.read.values.saturating_add(1);
        match self.peek() {
            Some(b'"') => self.string(self.caps.string_bytes),
            Some(b'{') => self.open(Class::Object),
            Some(b'[') => self.open(Class::Array),
            Some(b'-' | b'0'..=b'9') => {
                let length = number::length(self.rest());
                let length = length.map_err(|offset| self.syntax_at(self.read.at.saturating_add(offset)))?;
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
        let start = self.read.at.saturating_add(1);
        let mut scan = self.read.begun.take_if(|begun| begun.start() == start).unwrap_or(Scan::from(start));
        let scanned = match scan.run(self.input) {
            Ok(scanned) => scanned,
            Err(offset) => {
                self.read.begun = Some(scan);
                return Err(self.syntax_at(offset));
            }
        };
        if scanned.end.saturating_sub(start) > cap as usize || scanned.count > Tag::COUNT_MAX as usize {
            return Err(self.too_complex());
        }
        let count = scanned.count as u32;
        let tag = Tag::of_string(scanned.escapes, count, scanned.non_ascii, scanned.letters);
        self.read.entries.push(Entry { start: start as u32, reach: scanned.end as u32, tag });
        self.read.at = scanned.end.saturating_add(1);
        Ok(())
    }

    /// Whether the last string that was read has a NUL; in JSON it is always escaped.
    fn last_has_nul(&self) -> bool {
        let text = self.read.entries.last().map(|entry| entry.text(self.input));
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
        let end = self.read.at.saturating_add(length);
        self.read.entries.push(Entry {
            start: self.read.at as u32,
            reach: end as u32,
            tag: Tag::of(class, 0),
        });
        self.read.at = end;
    }

    fn open(&mut self, class: Class) -> Result<(), Malformed> {
        if self.read.open.len() >= usize::from(self.caps.depth) {
            return Err(self.too_complex());
        }
        let entry = self.read.entries.len() as u32;
        self.read.open.push(Open { entry, is_object: class == Class::Object, count: 0 });
        self.scalar(class, 1);
        Ok(())
    }

    /// Completes the entry of the innermost container.
    fn close(&mut self, innermost: Open) -> Result<(), Malformed> {
        self.read.at = self.read.at.saturating_add(1);
        self.read.open.pop();
        let reach = self.read.entries.len() as u32;
        if let Some(entry) = self.read.entries.get_mut(innermost.entry as usize) {
            entry.reach = reach;
            entry.tag = Tag::of(entry.tag.class(), innermost.count);
        }
        if !innermost.is_object {
            return Ok(());
        }
        match duplicates::find(self.input, &self.read.entries, innermost.entry) {
            Some(offset) => Err(Duplicate { offset }),
            None => Ok(()),
        }
    }

    fn skip_space(&mut self) {
        let space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.read.at = self.read.at.saturating_add(self.rest().iter().take_while(space).count());
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.read.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.input.get(self.read.at..).unwrap_or_default()
    }

    fn syntax(&self) -> Malformed {
        self.syntax_at(self.read.at)
    }

    fn syntax_at(&self, offset: usize) -> Malformed {
        Syntax { offset: offset as u32 }
    }

    fn too_complex(&self) -> Malformed {
        TooComplex { offset: self.read.at as u32 }
    }
}
