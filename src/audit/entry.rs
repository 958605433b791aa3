//! What can be asked of a line?

use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// Every kind of line, as `schemas/audit.schema.json` describes them.
pub const KINDS: [&str; 13] = [
    "outcome",
    "intent",
    "start",
    "stop",
    "segment",
    "checkpoint",
    "credentials",
    "loss",
    "repair",
    "fault",
    "retention",
    "breaker",
    "reload",
];

/// How a request can have ended. `open`: its intent has no outcome yet; no line says so, the lines together do.
pub const OUTCOMES: [&str; 7] =
    ["forwarded", "refused", "abandoned", "truncated", "not_sent", "unknown", "open"];

/// The members of a line that questions are about, borrowed from it. A line whose names need unescaping is none of
/// ours: names of the configuration never do.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct Entry<'a> {
    /// Its number in the log.
    pub seq: u64,
    /// What it tells.
    pub kind: &'a str,
    /// When that was, RFC 3339.
    pub time: Option<&'a str>,
    /// Id of the request.
    pub id: Option<&'a str>,
    /// Id of the chain.
    pub chain: Option<&'a str>,
    /// Who called.
    pub caller: Option<&'a str>,
    /// Which service was named.
    pub service: Option<&'a str>,
    /// How it ended.
    pub outcome: Option<&'a str>,
    /// Why it was refused.
    pub code: Option<&'a str>,
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// Which credentials.
    #[serde(borrow)]
    pub credential: Option<CredentialName<'a>>,
    /// Of whom the request was.
    #[serde(borrow)]
    pub fingerprints: Option<FingerprintMembers<'a>>,
    /// The exchange with DCAMS.
    #[serde(borrow)]
    pub upstream: Option<Exchange<'a>>,
    /// Where the time went.
    pub us: Option<Took>,
}

/// Member `fingerprints`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct FingerprintMembers<'a> {
    /// Id of the key.
    pub key: &'a str,
    /// Of the e-mail, 32 hexadecimal digits.
    pub email: Option<&'a str>,
    /// Of the reference, 32 hexadecimal digits.
    pub reference: Option<&'a str>,
}

/// Member `upstream`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct Exchange<'a> {
    /// DCAMS's HTTP status.
    pub status: Option<u16>,
    /// DCAMS's verdict.
    pub result: Option<&'a str>,
    /// Whether a write may have happened although the caller was told of a failure.
    pub outcome_unknown: bool,
    /// Whether the answer held the password.
    pub credential_reflected: bool,
}

/// Member `us`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct Took {
    /// Microseconds from the head of the request to its end.
    pub total: u64,
}

/// Member `credential`: an object with a name in the lines of requests, the name itself in those of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialName<'a>(pub &'a str);

impl<'a> Entry<'a> {
    /// Reads `line`. `None` where it is not one JSON object with a number and a kind.
    #[must_use]
    pub fn read(line: &'a [u8]) -> Option<Self> {
        let entry: Self = serde_json::from_str(std::str::from_utf8(line).ok()?).ok()?;
        (entry.seq > 0 && !entry.kind.is_empty()).then_some(entry)
    }

    /// Its time, microseconds since 1970.
    #[must_use]
    pub fn time_us(&self) -> Option<i64> {
        self.time?.parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
    }

    /// Id of the request, as a number.
    #[must_use]
    pub fn request_id(&self) -> Option<u128> {
        uuid::Uuid::try_parse(self.id?).ok().map(|id| id.as_u128())
    }

    /// Whether the e-mail or the reference has this fingerprint.
    #[must_use]
    pub fn is_of(&self, fingerprint: &[u8; 16]) -> bool {
        let members = self.fingerprints.unwrap_or_default();
        [members.email, members.reference].iter().flatten().any(|digits| {
            let mut bytes = [0; 16];
            hex_to(digits, &mut bytes) && bytes == *fingerprint
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for CredentialName<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = CredentialName<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name, or an object with one")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(CredentialName(name))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut name = "";
                while let Some(key) = map.next_key::<&str>()? {
                    match key {
                        "name" => name = map.next_value()?,
                        _ => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                Ok(CredentialName(name))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// Reads exactly as many hexadecimal digits as fill `bytes`; whether they were that.
#[must_use]
pub fn hex_to(digits: &str, bytes: &mut [u8]) -> bool {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.len() == bytes.len() * 2
        && bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)).all(|(byte, pair)| {
            let [high, low] = pair else { return false };
            let read = nibble(*high).zip(nibble(*low)).map(|(high, low)| high << 4 | low);
            *byte = read.unwrap_or_default();
            read.is_some()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_that_questions_are_about_are_read_and_the_others_passed_over() {
        let line = br#"{"seq":7,"v":1,"kind":"outcome","time":"2026-11-20T14:03:07.123456Z","id":"019a0000-0000-7000-8000-000000000001","peer":"unix","caller":"kyc-api","outcome":"forwarded","status":200,"fingerprints":{"key":"k1","email":"000102030405060708090a0b0c0d0e0f"},"credential":{"name":"production","version":1},"upstream":{"attempts":1,"status":200,"result":"Success"},"us":{"parse":3,"total":9},"mac":"00"}"#;
        let entry = Entry::read(line).unwrap();
        let expected = Entry {
            seq: 7,
            kind: "outcome",
            time: Some("2026-11-20T14:03:07.123456Z"),
            id: Some("019a0000-0000-7000-8000-000000000001"),
            caller: Some("kyc-api"),
            outcome: Some("forwarded"),
            status: Some(200),
            credential: Some(CredentialName("production")),
            fingerprints: Some(FingerprintMembers {
                key: "k1",
                email: Some("000102030405060708090a0b0c0d0e0f"),
                reference: None,
            }),
            upstream: Some(Exchange { status: Some(200), result: Some("Success"), ..Exchange::default() }),
            us: Some(Took { total: 9 }),
            ..Entry::default()
        };
        assert_eq!(entry, expected);
        assert_eq!(entry.time_us(), Some(1_795_183_387_123_456));
        assert!(entry.is_of(&std::array::from_fn(|index| u8::try_from(index).unwrap())));
        assert!(!entry.is_of(&[0; 16]));
    }

    #[test]
    fn a_credential_is_named_in_both_forms() {
        let entry = Entry::read(br#"{"seq":1,"kind":"credentials","credential":"production","version":2}"#);
        assert_eq!(entry.unwrap().credential, Some(CredentialName("production")));
    }

    #[test]
    fn what_is_no_line_is_not_read() {
        for text in
            ["", "{}", r#"{"seq":1}"#, r#"{"seq":1,"kind":"intent","caller":"a\u0041"}"#, "\u{feff}{}"]
        {
            assert_eq!(Entry::read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Entry::read(b"{\"seq\":1,\"kind\":\"\xff\"}"), None);
    }
}
