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

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "{\n  \"a\": {\"b\": [1, {\"c/d\": true}, \"x\"]},\n  \"e\\\"~\": null,\n  \"\": 5\n}\n";

    fn meant(pointer: &str) -> Option<(usize, String)> {
        let location = place_of(TEXT, pointer)?;
        Some((location.line, location.text.get(location.caret)?.to_owned()))
    }

    #[test]
    fn a_pointer_leads_to_the_line_and_the_name_or_item() {
        for (pointer, line, text) in [
            ("/a", 2, "\"a\": {"),
            ("/a/b", 2, "\"b\": ["),
            ("/a/b/0", 2, "1"),
            ("/a/b/1/c~1d", 2, "\"c/d\": true"),
            ("/a/b/2", 2, "\"x\""),
            ("/e\"~0", 3, "\"e\\\"~\": null"),
            ("/", 4, "\"\": 5"),
        ] {
            let (found, shown) = meant(pointer).expect(pointer);
            assert_eq!(found, line, "{pointer}");
            assert!(text.starts_with(&shown) && !shown.is_empty(), "{pointer}: {shown}");
        }
        assert_eq!(meant("").map(|(line, _)| line), Some(1));
    }

    #[test]
    fn a_pointer_to_nothing_leads_nowhere() {
        for pointer in ["/b", "/a/b/3", "/a/b/x", "/a/b/0/0", "/a/c"] {
            assert_eq!(meant(pointer), None, "{pointer}");
        }
    }

    #[test]
    fn a_text_that_is_not_json_leads_nowhere_or_somewhere_but_ends() {
        for text in
            ["", "{", "{\"a\"", "{\"a\":", "{\"a\":[", "[[[[", "{\"\\", "\u{fc}", "{\"a\":\u{fc}}", "}", "{]"]
        {
            for pointer in ["", "/a", "/a/0", "/0/0/0"] {
                let _ = place_of(text, pointer)
                    .map(|location| location.text.get(location.caret).expect("bytes of it").len());
            }
        }
    }
}
