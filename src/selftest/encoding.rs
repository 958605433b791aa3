//! In which ways could a text be written, so that it is still the same text to whoever reads it?
//!
//! This is the table of what the search sees through. It is written independently of what undoes it
//! ([`decode`](super::decode)): every run first plants a control text in each of these ways and must find it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// One way of writing a text.
#[derive(Clone, Copy)]
pub struct Encoding {
    /// The name in reports.
    pub name: &'static str,
    /// Writes a text in this way.
    pub write: fn(&str) -> Vec<u8>,
}

/// The ways that the search sees through, each alone; most of them also one within another.
pub const ENCODINGS: [Encoding; 41] = [
    one("raw", |text| text.into()),
    one("letters in the other case", |text| text.to_ascii_uppercase().into()),
    one("reversed", |text| text.chars().rev().collect::<String>().into()),
    one("UTF-16, little end first", |text| text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    one("UTF-16, big end first", |text| text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    one("JSON", |text| json(text).into()),
    one("JSON with \\/", |text| json(text).replace('/', "\\/").into()),
    one("JSON, all in \\u, lower case", |text| units(text, |unit| format!("\\u{unit:04x}"))),
    one("JSON, all in \\u, upper case", |text| units(text, |unit| format!("\\u{unit:04X}"))),
    one("JSON in JSON", |text| json(&json(text)).into()),
    one("Debug of a text", |text| format!("{text:?}").into()),
    one("Debug of a text, escaped", |text| text.escape_default().to_string().into()),
    one("Debug of bytes", |text| format!("b\"{}\"", text.as_bytes().escape_ascii()).into()),
    one("octal escapes", |text| bytes(text, |byte| format!("\\{byte:03o}"))),
    one("hexadecimal escapes", |text| bytes(text, |byte| format!("\\x{byte:02x}"))),
    one("list of numbers", |text| format!("{:?}", text.as_bytes()).into()),
    one("list of numbers, a line each", |text| format!("{:#?}", text.as_bytes()).into()),
    one("list of hexadecimal numbers", |text| bytes(text, |byte| format!("{byte:#04x}, "))),
    one("percent, upper case", |text| percent(text, |byte| format!("%{byte:02X}"))),
    one("percent, lower case", |text| percent(text, |byte| format!("%{byte:02x}"))),
    one("percent, every byte", |text| bytes(text, |byte| format!("%{byte:02X}"))),
    one("percent twice", |text| percent(text, |byte| format!("%25{byte:02X}"))),
    one("form", |text| percent(text, form)),
    one("HTML, by names", html),
    one("HTML, by numbers", |text| {
        text.chars().map(|c| format!("&#{};", u32::from(c))).collect::<String>().into()
    }),
    one("HTML, by hexadecimal numbers", |text| {
        text.chars().map(|c| format!("&#x{:X};", u32::from(c))).collect::<String>().into()
    }),
    one("hex, lower case", |text| bytes(text, |byte| format!("{byte:02x}"))),
    one("hex, upper case", |text| bytes(text, |byte| format!("{byte:02X}"))),
    one("hex after another digit", |text| {
        [b"7".to_vec(), bytes(text, |byte| format!("{byte:02x}"))].concat()
    }),
    one("hex with colons", |text| bytes(text, |byte| format!("{byte:02x}:"))),
    one("base64, offset 0", |text| STANDARD.encode(within("", text)).into()),
    one("base64, offset 1", |text| STANDARD.encode(within("?", text)).into()),
    one("base64, offset 2", |text| STANDARD.encode(within("??", text)).into()),
    one("base64 for URLs, offset 0", |text| URL_SAFE_NO_PAD.encode(within("", text)).into()),
    one("base64 for URLs, offset 1", |text| URL_SAFE_NO_PAD.encode(within("?", text)).into()),
    one("base64 for URLs, offset 2", |text| URL_SAFE_NO_PAD.encode(within("??", text)).into()),
    one("base64 after another letter", |text| format!("k{}", STANDARD.encode(text)).into()),
    one("base64 in JSON with \\/", |text| STANDARD.encode(text).replace('/', "\\/").into()),
    one("JSON in base64", |text| STANDARD.encode(json(text)).into()),
    one("base64 in base64", |text| STANDARD.encode(STANDARD.encode(text)).into()),
    one("hex in base64", |text| STANDARD.encode(bytes(text, |byte| format!("{byte:02x}"))).into()),
];

const fn one(name: &'static str, write: fn(&str) -> Vec<u8>) -> Encoding {
    Encoding { name, write }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn units(text: &str, write: fn(u16) -> String) -> Vec<u8> {
    text.encode_utf16().map(write).collect::<String>().into()
}

fn bytes(text: &str, write: fn(u8) -> String) -> Vec<u8> {
    text.bytes().map(write).collect::<String>().into()
}

/// Letters and digits as they are.
fn percent(text: &str, write: fn(u8) -> String) -> Vec<u8> {
    let each =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { write(byte) };
    text.bytes().map(each).collect::<String>().into()
}

fn form(byte: u8) -> String {
    if byte == b' ' { "+".to_owned() } else { format!("%{byte:02X}") }
}

fn html(text: &str) -> Vec<u8> {
    let each = |c: char| match c {
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '&' => "&amp;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(each).collect::<String>().into()
}

fn within(before: &str, text: &str) -> String {
    format!("{before}{text}tail")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_way_has_a_name_of_its_own_and_writes_another_text() {
        let text = "a\"/\\é 4<";
        let names: BTreeSet<&str> = ENCODINGS.iter().map(|encoding| encoding.name).collect();
        assert_eq!(names.len(), ENCODINGS.len());
        let written: BTreeSet<Vec<u8>> = ENCODINGS.iter().map(|encoding| (encoding.write)(text)).collect();
        assert!(written.len() >= ENCODINGS.len() - 2, "{}", written.len());
    }

    #[test]
    fn every_way_stands_in_the_documentation() {
        let documentation = include_str!("../../docs/selftest.md");
        let named: BTreeSet<&str> = documentation.split(['·', '|']).map(str::trim).collect();
        for encoding in &ENCODINGS {
            assert!(named.contains(encoding.name), "{}", encoding.name);
        }
    }
}
