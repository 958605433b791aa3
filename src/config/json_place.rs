//! In which line of a JSON file does a JSON pointer point?

use std::ops::Range;

/// A line of the file and the part of it that is meant.
pub(super) struct Location {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) text: String,
    /// Bytes of `text`.
    pub(super) caret: Range<usize>,
}

/// The place of the member or item that `pointer` (RFC 6901) means; `None` where the text has no such place,
/// which includes every text that is not JSON.
pub(super) fn place_of(text: &str, pointer: &str) -> Option<Location> {
    let mut cursor = Cursor { text, at: 0 };
    cursor.skip_space();
    let mut start = cursor.at;
    for part in pointer.split('/').skip(1) {
        let wanted = part.replace("~1", "/").replace("~0", "~");
        start = cursor.enter(&wanted)?;
    }
    let line_start = text.get(..start)?.rfind('\n').map_or(0, |at| at.saturating_add(1));
    let line = text.get(line_start..)?.lines().next()?;
    let end =
        cursor.end_of_scalar().unwrap_or(cursor.at).max(start).min(line_start.saturating_add(line.len()));
    Some(Location {
        line: text.get(..start)?.matches('\n').count().saturating_add(1),
        text: line.to_owned(),
        caret: start.saturating_sub(line_start)..end.saturating_sub(line_start),
    })
}

struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    /// From the start of an object or list to the value of its member or item `wanted`; returns where the
    /// member's name, or the item, starts.
    fn enter(&mut self, wanted: &str) -> Option<usize> {
        let list = match self.byte()? {
            b'{' => false,
            b'[' => true,
            _ => return None,
        };
        self.at = self.at.saturating_add(1);
        let mut index = 0_usize;
        loop {
            self.skip_space();
            let start = self.at;
            let found = if list {
                index.to_string() == wanted
            } else {
                let name = self.string()?;
                self.skip_space();
                (self.byte()? == b':').then_some(())?;
                self.at = self.at.saturating_add(1);
                self.skip_space();
                name == wanted
            };
            if found {
                return Some(start);
            }
            self.skip_value()?;
            self.skip_space();
            (self.byte()? == b',').then_some(())?;
            self.at = self.at.saturating_add(1);
            index = index.saturating_add(1);
        }
    }

    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            self.skip_space();
            match self.byte()? {
                b'{' | b'[' => depth = depth.saturating_add(1),
                b'}' | b']' => depth = depth.checked_sub(1)?,
                b',' | b':' => {}
                _ => {
                    self.at = self.end_of_scalar()?;
                    if depth == 0 {
                        return Some(());
                    }
                    continue;
                }
            }
            self.at = self.at.saturating_add(1);
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let end = self.end_of_scalar()?;
        let raw = self.text.get(self.at..end)?;
        self.at = end;
        serde_json::from_str(raw).ok()
    }

    /// Where the string, number or word that starts here ends.
    fn end_of_scalar(&self) -> Option<usize> {
        let rest = self.text.get(self.at..)?.as_bytes();
        let length = if rest.first()? == &b'"' {
            let mut escaped = false;
            let closes = |byte: &u8| {
                let closes = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                closes
            };
            rest.get(1..)?.iter().position(closes)?.checked_add(2)?
        } else {
            let ends = |byte: &u8| b",]}{[: \t\r\n\"".contains(byte);
            rest.iter().position(ends).unwrap_or(rest.len())
        };
        if length == 0 { None } else { self.at.checked_add(length) }
    }

    fn skip_space(&mut self) {
        while self.byte().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at = self.at.saturating_add(1);
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}
