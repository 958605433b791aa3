//! How is a JSON object written straight into a buffer?

use std::io::Write;

use jiff::Timestamp;

/// Appends members to an object that is open in a buffer. Nothing is allocated but by the buffer. What writes a name is
/// inline, so that it is copied as the few bytes that it is known to be.
///
/// Names are literals and need no escapes. Text that may need some is written by [`push_text`] before.
pub(super) struct Object<'b>(&'b mut Vec<u8>);

impl<'b> Object<'b> {
    /// Opens an object of that kind: every line begins so.
    pub(super) fn open(kind: &str, buffer: &'b mut Vec<u8>) -> Self {
        buffer.extend_from_slice(b"{\"v\":1,\"kind\":\"");
        buffer.extend_from_slice(kind.as_bytes());
        buffer.push(b'"');
        Self(buffer)
    }

    /// Closes it.
    pub(super) fn close(self) {
        self.0.push(b'}');
    }

    /// Members that were written before, without a comma in front.
    #[inline]
    pub(super) fn written(&mut self, members: &str) {
        self.comma();
        self.0.extend_from_slice(members.as_bytes());
    }

    /// A value that was written before.
    #[inline]
    pub(super) fn value(&mut self, name: &str, written: &str) {
        self.name(name);
        self.0.extend_from_slice(written.as_bytes());
    }

    /// A text of our own, which needs no escapes.
    #[inline]
    pub(super) fn word(&mut self, name: &str, value: &str) {
        self.name(name);
        self.quoted(|buffer| buffer.extend_from_slice(value.as_bytes()));
    }

    /// A number.
    #[inline]
    pub(super) fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        push_decimal(value, self.0);
    }

    /// True, or false.
    #[inline]
    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Lower-case hexadecimal digits, the first `digits` of `bytes`.
    pub(super) fn hex(&mut self, name: &str, bytes: &[u8], digits: usize) {
        self.name(name);
        self.quoted(|buffer| {
            let end = buffer.len() + digits;
            push_hex(bytes, buffer);
            buffer.truncate(end);
        });
    }

    /// A UUID with its dashes.
    pub(super) fn uuid(&mut self, name: &str, id: u128) {
        self.name(name);
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let text = uuid::Uuid::from_u128(id).hyphenated().encode_lower(&mut text);
        self.quoted(|buffer| buffer.extend_from_slice(text.as_bytes()));
    }

    /// A point in time: RFC 3339, UTC, six digits of the second.
    pub(super) fn time(&mut self, name: &str, time: Timestamp) {
        self.name(name);
        self.quoted(|buffer| {
            // Writing into memory cannot fail.
            let _ = write!(buffer, "{time:.6}");
        });
    }

    /// An object within this one.
    #[inline]
    pub(super) fn object(&mut self, name: &str, members: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        self.inner(b'{', b'}', members);
    }

    /// A list within this one.
    #[inline]
    pub(super) fn list(&mut self, name: &str, items: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        self.inner(b'[', b']', items);
    }

    /// In a list: an object.
    pub(super) fn item(&mut self, members: impl FnOnce(&mut Object<'_>)) {
        self.comma();
        self.inner(b'{', b'}', members);
    }

    #[inline]
    fn inner(&mut self, open: u8, close: u8, content: impl FnOnce(&mut Object<'_>)) {
        self.0.push(open);
        content(&mut Object(self.0));
        self.0.push(close);
    }

    fn quoted(&mut self, content: impl FnOnce(&mut Vec<u8>)) {
        self.0.push(b'"');
        content(self.0);
        self.0.push(b'"');
    }

    #[inline]
    fn name(&mut self, name: &str) {
        self.comma();
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// Every value ends with something else than what opens one.
    #[inline]
    fn comma(&mut self) {
        if !matches!(self.0.last(), Some(b'{' | b'[')) {
            self.0.push(b',');
        }
    }
}

/// A JSON string.
pub(super) fn push_text(text: &str, buffer: &mut Vec<u8>) {
    // Writing text into memory cannot fail.
    let _ = serde_json::to_writer(buffer, text);
}

fn push_decimal(mut value: u64, buffer: &mut Vec<u8>) {
    // As many as the largest number has.
    let mut digits = [b'0'; 20];
    let mut length = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        length += 1;
        if value == 0 {
            break;
        }
    }
    buffer.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}

/// Lower-case hexadecimal digits.
pub(super) fn push_hex(bytes: &[u8], buffer: &mut Vec<u8>) {
    let digit = |nibble: u8| nibble.wrapping_add(if nibble < 10 { b'0' } else { b'a' - 10 });
    let start = buffer.len();
    buffer.resize(start + 2 * bytes.len(), 0);
    let digits = buffer.get_mut(start..).unwrap_or_default().as_chunks_mut().0;
    for (pair, byte) in digits.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut digits = Vec::with_capacity(bytes.len() * 2);
    push_hex(bytes, &mut digits);
    String::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_what_another_parser_reads() {
        let mut buffer = Vec::new();
        let mut object = Object::open("test", &mut buffer);
        object.written("\"a\":1,\"b\":\"two\"");
        let mut text = Vec::new();
        push_text("\"\\\n\u{1f600}", &mut text);
        object.value("text", std::str::from_utf8(&text).unwrap());
        object.word("word", "plain");
        for (name, number) in [("zero", 0), ("ten", 10), ("most", u64::MAX)] {
            object.number(name, number);
        }
        object.flag("flag", true);
        object.hex("hex", &[0xab, 0x0c, 0xd0], 5);
        object.uuid("uuid", 7);
        object.time("time", Timestamp::UNIX_EPOCH);
        object.object("object", |object| {
            object.object("empty", |_| {});
            object.list("none", |_| {});
            object.flag("off", false);
        });
        object.list("list", |list| {
            list.written("\"one\"");
            list.item(|item| item.number("n", 1));
            list.item(|_| {});
        });
        object.close();
        let expected = serde_json::json!({
            "v": 1, "kind": "test", "a": 1, "b": "two", "text": "\"\\\n\u{1f600}", "word": "plain", "zero": 0,
            "ten": 10, "most": u64::MAX, "flag": true, "hex": "ab0cd", "uuid": "00000000-0000-0000-0000-000000000007",
            "time": "1970-01-01T00:00:00.000000Z", "object": {"empty": {}, "none": [], "off": false},
            "list": ["one", {"n": 1}, {}],
        });
        let read: serde_json::Value = serde_json::from_str(std::str::from_utf8(&buffer).unwrap()).unwrap();
        assert_eq!(read, expected);
        assert_eq!(hex(&[0, 0xff]), "00ff");
    }
}
