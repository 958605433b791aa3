//! How is text of the log shown, whatever it holds?
//!
//! Names in a log are the configuration's; but a log may have been edited, and what a terminal is sent it may obey.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::Value;

/// `text`, with every character that a terminal could take for more than itself as `\u{…}`.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    replaced(text, |character, shown| {
        // Writing into a String cannot fail.
        let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
    })
}

/// A line of JSON without its line feed; what JSON allows in a string and a terminal might obey is escaped, which is
/// the same JSON.
pub(super) fn printable_json(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let escaped = replaced(text.trim_end_matches('\n'), |character, shown| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(shown, "\\u{unit:04x}");
        }
    });
    escaped.into_owned()
}

/// One field of CSV (RFC 4180). What a spreadsheet would take for a formula is led by an apostrophe.
pub(super) fn csv_field(text: &str) -> String {
    let text = printable(text);
    let formula = text.starts_with(['=', '+', '-', '@']);
    let guarded = if formula { Cow::Owned(format!("'{text}")) } else { text };
    if guarded.contains([',', '"']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded.into_owned()
    }
}

/// The members of `line` that say something of its own, as `name=value`.
pub(super) fn members(line: &[u8], but: &[&str]) -> String {
    let parsed = std::str::from_utf8(line).ok().and_then(|text| serde_json::from_str(text).ok());
    let Some(Value::Object(members)) = parsed else { return printable_json(line) };
    let own = members.iter().filter(|(name, _)| !but.contains(&name.as_str()));
    let shown = own.map(|(name, value)| match value {
        Value::String(text) => format!("{name}={text}"),
        value => format!("{name}={value}"),
    });
    printable(&shown.collect::<Vec<_>>().join(" ")).into_owned()
}

fn replaced(text: &str, replace: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_obeyed(character) { replace(character, &mut shown) } else { shown.push(character) }
    }
    Cow::Owned(shown)
}

/// Control characters (also those of one byte in Latin 1), and what turns the direction of writing, or the line.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        assert_eq!(printable("kyc-api é"), "kyc-api é");
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}c\u{202e}d\r\n"), r"a\u{1b}[2Jb\u{9b}c\u{202e}d\u{d}\u{a}");
    }

    #[test]
    fn json_stays_the_same_json() {
        let line = "{\"a\":\"\u{9b}\u{202e}\u{7f}é\"}\n";
        let shown = printable_json(line.as_bytes());
        assert_eq!(shown, "{\"a\":\"\\u009b\\u202e\\u007fé\"}");
        let [read, meant]: [Value; 2] = [&shown, line].map(|text| serde_json::from_str(text).unwrap());
        assert_eq!(read, meant);
    }

    #[test]
    fn a_field_of_csv_is_no_formula_and_no_two_fields() {
        for (text, expected) in [
            ("kyc-api", "kyc-api"),
            ("", ""),
            ("=1+1", "'=1+1"),
            ("@sum", "'@sum"),
            ("-a", "'-a"),
            ("+a,b", "\"'+a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("\ta\n=b", "\\u{9}a\\u{a}=b"),
        ] {
            assert_eq!(csv_field(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_members_of_an_event_are_shown_by_their_names() {
        let line =
            br#"{"seq":1,"v":1,"kind":"loss","time":"t","strangers":3,"best_effort":0,"x":{"y":"\u001b"}}"#;
        assert_eq!(
            members(line, &["seq", "v", "kind", "time"]),
            r#"best_effort=0 strangers=3 x={"y":"\u001b"}"#
        );
    }
}
