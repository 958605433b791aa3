//! How do the credentials get into a document without writing it again?
//!
//! What is sent is two slices: the pre-escaped `{"user":"…","pass":"…",` of one credential version, and the
//! caller's own bytes after their opening brace. That is one JSON object with exactly our two members and the
//! caller's only because [`json::parse`](crate::json::parse) refused duplicates and whoever calls this refused
//! documents of which [`Document::names_credentials`] is true.

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::json::Document;
use crate::secret::Secret;

/// The opening of every body that is sent with one version of one credential.
///
/// It holds the secrets, so it has neither `Debug` nor `Display`; its one buffer is zeroised when the last of
/// the [`Bytes`] that share it is dropped.
pub struct Prefix {
    /// `{"user":"…","pass":"…",`
    opening: Bytes,
}

/// Why two secrets cannot be a credential. Names the member, never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    /// The secret has no bytes.
    #[error("`{0}` is empty")]
    Empty(&'static str),
    /// JSON can carry text only.
    #[error("`{0}` is not UTF-8")]
    NotUtf8(&'static str),
}

impl Prefix {
    /// Escapes `user` and `pass` once, for every body that they will be sent with.
    ///
    /// What a JSON parser reads from it is exactly their bytes.
    ///
    /// # Errors
    ///
    /// [`NotText`] for a secret that is empty or not UTF-8.
    pub fn new(user: &Secret, pass: &Secret) -> Result<Self, NotText> {
        let user = text("user", user)?;
        let pass = text("pass", pass)?;
        let parts = ["{\"user\":\"", user, "\",\"pass\":\"", pass, "\","];
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        // Large enough from the start: a buffer that grows leaves its old copy behind, not zeroised.
        let room = length.saturating_add(ESCAPE_GROWTH.saturating_mul(user.len().saturating_add(pass.len())));
        let mut opening = Zeroizing::new(Vec::with_capacity(room));
        for (part, is_secret) in parts.into_iter().zip([false, true, false, true, false]) {
            if is_secret {
                part.bytes().for_each(|byte| push_escaped(&mut opening, byte));
            } else {
                opening.extend_from_slice(part.as_bytes());
            }
        }
        Ok(Self { opening: Bytes::from_owner(opening) })
    }

    /// `{"user":"…","pass":"…",` or, where no member of the caller follows, the same without its last comma.
    /// Shares the one buffer.
    #[must_use]
    pub fn bytes(&self, document_is_empty: bool) -> Bytes {
        let comma = usize::from(document_is_empty);
        self.opening.slice(..self.opening.len().saturating_sub(comma))
    }
}

/// The two slices that, one after the other, are `document` with the credentials in it.
#[must_use]
pub fn splice(prefix: &Prefix, document: &Document) -> [Bytes; 2] {
    [prefix.bytes(document.is_empty_object()), document.after_opening_brace()]
}

/// Bytes that escaping adds to one byte at most: `\u0000` for one.
const ESCAPE_GROWTH: usize = 5;

fn text<'a>(member: &'static str, secret: &'a Secret) -> Result<&'a str, NotText> {
    let text = std::str::from_utf8(secret.expose()).map_err(|_| NotText::NotUtf8(member))?;
    if text.is_empty() { Err(NotText::Empty(member)) } else { Ok(text) }
}

/// Escapes what RFC 8259, section 7, says must be escaped, and nothing else.
fn push_escaped(opening: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => opening.extend_from_slice(&[b'\\', byte]),
        0x00..=0x1F => {
            opening.extend_from_slice(b"\\u00");
            opening.push(b'0' | byte >> 4);
            opening.push(hex_digit(byte & 0xF));
        }
        _ => opening.push(byte),
    }
}

fn hex_digit(value: u8) -> u8 {
    if value < 10 { b'0' | value } else { (b'a' - 10).wrapping_add(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Caps, parse};

    fn prefix(user: &str, pass: &str) -> Prefix {
        Prefix::new(&Secret::new(user.into()), &Secret::new(pass.into())).unwrap()
    }

    fn spliced(prefix: &Prefix, body: &'static str) -> String {
        let document = parse(Bytes::from_static(body.as_bytes()), &Caps::REQUEST).unwrap();
        String::from_utf8(splice(prefix, &document).concat()).unwrap()
    }

    #[test]
    fn the_credentials_stand_before_the_members_as_written() {
        let prefix = prefix("api", "s3cret");
        for (body, sent) in [
            (r#"{"a":1}"#, r#"{"user":"api","pass":"s3cret","a":1}"#),
            (" \n{ \"a\" :1.50 }\t", "{\"user\":\"api\",\"pass\":\"s3cret\", \"a\" :1.50 }\t"),
            ("{}", r#"{"user":"api","pass":"s3cret"}"#),
            (" { } ", r#"{"user":"api","pass":"s3cret" } "#),
        ] {
            assert_eq!(spliced(&prefix, body), sent);
        }
    }

    #[test]
    fn a_secret_of_any_text_is_read_back_as_the_same_bytes() {
        let every_control: String = (0..=0x20u8).map(char::from).collect();
        for secret in ["\"\\/", "\\\\\"", "pä55 \u{1F511} \u{2028}", "\u{7f}</script>", &every_control] {
            let sent = spliced(&prefix(secret, secret), r#"{"a":1}"#);
            let read: serde_json::Value = serde_json::from_str(&sent).unwrap();
            assert_eq!(read, serde_json::json!({"user": secret, "pass": secret, "a": 1}));
        }
    }

    #[test]
    fn escaping_never_outgrows_the_buffer() {
        let worst = "\0".repeat(1000);
        let prefix = prefix(&worst, &worst);
        let fixed = r#"{"user":"","pass":"","#.len();
        assert_eq!(prefix.bytes(false).len(), fixed + 2 * (1 + ESCAPE_GROWTH) * 1000);
    }

    #[test]
    fn secrets_that_are_empty_or_not_utf8_are_refused_by_name() {
        let good = || Secret::new(b"x".to_vec());
        let refused = |user, pass| Prefix::new(&user, &pass).err();
        assert_eq!(refused(Secret::new(vec![]), good()), Some(NotText::Empty("user")));
        assert_eq!(refused(good(), Secret::new(vec![])), Some(NotText::Empty("pass")));
        assert_eq!(refused(good(), Secret::new(vec![0xFF])), Some(NotText::NotUtf8("pass")));
    }

    #[test]
    fn what_is_sent_shares_the_buffers_of_the_prefix_and_the_body() {
        let prefix = prefix("api", "s3cret");
        let body = Bytes::from(br#"{"a":1}"#.to_vec());
        let document = parse(body.clone(), &Caps::REQUEST).unwrap();
        let [opening, rest] = splice(&prefix, &document);
        assert_eq!(opening.as_ptr(), prefix.bytes(false).as_ptr());
        assert_eq!(rest.as_ptr(), body[1..].as_ptr());
    }
}
