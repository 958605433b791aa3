//! How does PHP's `json_encode` write an answer?

use std::fmt::Write as _;

use serde_json::Value;

/// An answer's value, with members in the order in which they are written.
pub(super) enum Php<'a> {
    Text(&'a str),
    Value(&'a Value),
    Object(Vec<(&'a str, Php<'a>)>),
}

impl Php<'_> {
    /// The JSON text: no white space, `/` as `\/`, everything beyond ASCII as `\uXXXX`.
    pub(super) fn encode(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => write_string(text, out),
            Self::Value(value) => write_value(value, out),
            Self::Object(members) => {
                write_members(members.iter().map(|(name, value)| (*name, value)), out, |value, out| {
                    value.write(out);
                });
            }
        }
    }
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            write_members(members.iter().map(|(name, value)| (name.as_str(), value)), out, write_value);
        }
    }
}

fn write_members<'a, T: 'a>(
    members: impl Iterator<Item = (&'a str, &'a T)>,
    out: &mut String,
    mut write: impl FnMut(&T, &mut String),
) {
    out.push('{');
    for (index, (name, value)) in members.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(name, out);
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

fn write_string(text: &str, out: &mut String) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| matches!(c, '"' | '\\' | '/') || !(' '..='~').contains(&c)) {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        let mut characters = from.chars();
        if let Some(special) = characters.next() {
            write_escaped(special, out);
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// One character as an escape sequence: the short one where JSON has it.
pub(super) fn write_escaped(character: char, out: &mut String) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '/' => out.push_str("\\/"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{7f}' => out.push('\u{7f}'),
        other => write_unicode(other, out),
    }
}

/// One character as `\uXXXX`, as two of them beyond the basic plane.
pub(super) fn write_unicode(character: char, out: &mut String) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a String cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_written_as_php_writes_them() {
        // php -r 'echo json_encode("a/b\"\\é😀\n\x01\x7f");'
        let written = Php::Text("a/b\"\\é😀\n\u{1}\u{7f}").encode();
        assert_eq!(written, "\"a\\/b\\\"\\\\\\u00e9\\ud83d\\ude00\\n\\u0001\u{7f}\"");
    }

    #[test]
    fn members_keep_their_order() {
        let number = Value::from(7);
        let written = Php::Object(vec![("z", Php::Text("1")), ("a", Php::Value(&number))]).encode();
        assert_eq!(written, r#"{"z":"1","a":7}"#);
    }
}
