//! Which texts are put into the inputs, so that they can be looked for in the outputs?

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::scanner::Canary;

/// 28 random-looking letters and digits, the same for the same `name` in every run.
pub fn core(name: &str) -> String {
    letters(name, b"abcdefghijkmnpqrstuvwxyz23456789", 28)
}

/// As [`core`], of digits.
pub fn digits(name: &str, length: usize) -> String {
    letters(name, b"0123456789", length)
}

fn letters(name: &str, alphabet: &[u8], length: usize) -> String {
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let next = std::iter::repeat_with(|| {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % alphabet.len() as u64).unwrap()
    });
    // A letter first, as names need it; for digits no zero.
    let first = char::from(alphabet[1]);
    std::iter::once(first).chain(next.take(length - 1).map(|at| char::from(alphabet[at]))).collect()
}

/// The secrets of the gateway itself.
pub fn user() -> String {
    format!("{}\"\\/é{}", &core("user")[..14], core("user, second half"))
}

pub fn pass() -> String {
    format!("{}\"/\\ü€ {}", &core("pass")[..14], core("pass, second half"))
}

/// The key of the fingerprints.
pub fn fingerprint_key() -> String {
    format!("{}{}", core("fingerprint key"), core("fingerprint key, second half"))
}

/// What the chain begins with.
pub fn chain_key() -> String {
    format!("{}{}", core("chain key"), core("chain key, second half"))
}

/// An Ed25519 key (RFC 8410, section 7): a head that all have, and 32 bytes, here letters.
pub fn signing_key() -> String {
    let head =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let der = [&head[..], signing_seed().as_bytes()].concat();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

fn signing_seed() -> String {
    format!("{}seed", core("signing key"))
}

/// The bearer key of `caller`.
pub fn key(caller: &str) -> String {
    format!("dgw_{}", core(&format!("key of {caller}")).repeat(2))
}

/// What a caller says of a customer; each value obeys the schema.
pub struct Person;

impl Person {
    pub fn members() -> [(&'static str, String); 9] {
        [
            ("email", format!("{}@example.com", core("email"))),
            ("fn", format!("Zoë-{}", core("fn"))),
            ("ln", format!("D’{}", core("ln"))),
            ("addr", format!("12 \"\\/ {}", core("addr"))),
            ("city", format!("Łódź {}", core("city"))),
            ("state", core("state")),
            ("zip", core("zip")[..10].to_owned()),
            ("dob", "18430719".to_owned()),
            ("phone", digits("phone", 15)),
        ]
    }

    /// A `createOrUpdateCustomer` with every member and both images.
    pub fn stored() -> serde_json::Value {
        let mut target: serde_json::Map<String, serde_json::Value> =
            Self::members().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        target.insert(
            "documents".to_owned(),
            serde_json::json!({"front": image("front"), "back": image("back")}),
        );
        serde_json::json!({
            "service": "createOrUpdateCustomer", "reference": format!("\"{}\"", core("reference")), "target": target,
        })
    }

    /// Another service, about the same e-mail.
    pub fn asked(service: &str) -> serde_json::Value {
        serde_json::json!({"service": service, "target": {"email": format!("{}@example.com", core("email"))}})
    }
}

/// A real JPEG in base64, with comments (ISO/IEC 10918-1, B.2.4.5) after its first marker and before its first frame,
/// and bytes after its end, as cameras write them.
pub fn image(side: &str) -> String {
    let thumbnail = include_bytes!("../../images/thumbnail.jpg");
    let comment = |place: &str| {
        let text = core(&format!("{side} image, {place}"));
        let length = u16::try_from(text.len() + 2).unwrap().to_be_bytes();
        [&[0xff, 0xfe][..], &length, text.as_bytes()].concat()
    };
    let tables = thumbnail.windows(2).position(|pair| pair == [0xff, 0xdb]).unwrap();
    let end = core(&format!("{side} image, end"));
    let bytes = [
        &thumbnail[..2],
        &comment("begin"),
        &thumbnail[2..tables],
        &comment("middle"),
        &thumbnail[tables..],
        end.as_bytes(),
    ];
    STANDARD.encode(bytes.concat())
}

/// What must stand nowhere but in the upstream's connection: credentials and keys.
pub fn secrets(callers: &[&str]) -> Vec<Canary> {
    let mut all = vec![
        named("user", user()),
        named("pass", pass()),
        named("fingerprint key", fingerprint_key()),
        named("chain key", chain_key()),
        named("signing key", signing_seed()),
    ];
    all.extend(callers.iter().map(|caller| named(&format!("key of {caller}"), key(caller))));
    all
}

/// What callers say of people.
pub fn personal() -> Vec<Canary> {
    let mut all: Vec<Canary> =
        Person::members().into_iter().map(|(name, value)| named(name, value)).collect();
    // The part that is not random occurs elsewhere, too.
    all[0].text = core("email");
    all.push(named("reference", core("reference")));
    for side in ["front", "back"] {
        let places = ["begin", "middle", "end"].map(|place| format!("{side} image, {place}"));
        all.extend(places.into_iter().map(|place| named(&place, core(&place))));
    }
    all
}

pub fn named(name: &str, text: String) -> Canary {
    Canary { name: name.to_owned(), text }
}
