//! Which changes of a text of lines are likely to leave it good?
//!
//! Changes of single bytes make most heads a stranger's and most configurations faulty. Half of the mutations are
//! libFuzzer's own, and half of them change whole lines: of the text, or of one that is good.

use std::sync::LazyLock;

use crate::mutate::Dice;

/// Heads that are forwarded.
const HEADS: [&[u8]; 5] = [
    include_bytes!("../corpus/route_policy/ordinary.txt"),
    include_bytes!("../corpus/route_policy/ids-and-expect.txt"),
    include_bytes!("../corpus/route_policy/charset.txt"),
    include_bytes!("../corpus/route_policy/remote-http2.txt"),
    include_bytes!("../corpus/route_policy/unix.txt"),
];
/// Headers that the rules are about, and one of no concern.
const HEADERS: [&[u8]; 20] = [
    b"Host: localhost",
    b"Host: 127.0.0.1:3226",
    b"Host: [::1]",
    b"Host: page.example",
    b"Authorization: bearer the-key-of-kyc-api",
    b"Authorization: Bearer the-key-of-nobody",
    b"Content-Type: application/json;charset=utf-8",
    b"Content-Type: text/json",
    b"Content-Encoding: Identity",
    b"Content-Encoding: gzip",
    b"Content-Length: 61",
    b"Expect: 100-Continue",
    b"Expect: 200-ok",
    b"X-Request-Id: 6f1d.b-1",
    b"X-Request-Id: jane@example.com",
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"Origin: null",
    b"Connection: close",
    b"Transfer-Encoding: chunked",
    b"X-Forwarded-For: 127.0.0.1",
];
/// What separates something, or is one more of its kind.
const PIECES: [&[u8]; 10] = [b"?", b"/", b"%2f", b" ", b";", b":", b",", b"\"", b"0", b"-"];
/// Configurations that are accepted.
const CONFIGURATIONS: [&[u8]; 4] = [
    include_bytes!("../corpus/configuration/small.toml"),
    include_bytes!("../corpus/configuration/two-services.toml"),
    include_bytes!("../corpus/configuration/every-kind.toml"),
    include_bytes!("../corpus/configuration/minimal.toml"),
];
/// An override for every key of the reference configuration, with the value that stands there.
static OVERRIDES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut table = String::new();
    let mut overrides = Vec::new();
    for line in include_str!("../../config/gateway.toml").lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            // Callers are a list, whose entries go by their names.
            table = if name == "[callers]" { "callers.kyc-api.".to_owned() } else { format!("{name}.") };
        } else if let Some((key, value)) = line.split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            overrides.push(format!("#!{table}{key}={value}").into_bytes());
        }
    }
    overrides
});

/// Mutates the head `data[..size]` in place, up to `max_size` bytes, and gives the new size.
pub fn mutate_head(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    mutate(data, size, max_size, seed, (&HEADS, &HEADERS))
}

/// The same for a configuration.
pub fn mutate_configuration(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let overrides: Vec<&[u8]> = OVERRIDES.iter().map(Vec::as_slice).collect();
    mutate(data, size, max_size, seed, (&CONFIGURATIONS, &overrides))
}

fn mutate(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    (good, known): (&[&[u8]], &[&[u8]]),
) -> usize {
    let mut dice = Dice::of(seed);
    if dice.below(2) == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let text = if dice.below(2) == 0 { dice.pick(good).to_vec() } else { data[..size].to_vec() };
    let mut lines: Vec<Vec<u8>> =
        text.trim_ascii_end().split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    for _ in 0..=dice.below(3) {
        change(&mut lines, known, &mut dice);
    }
    let mut text = lines.join(&b'\n');
    text.truncate(max_size.min(data.len()));
    data[..text.len()].copy_from_slice(&text);
    text.len()
}

/// One line goes, comes twice, has something more in it, or is a known one: in the place of its namesake, if there is
/// one.
fn change(lines: &mut Vec<Vec<u8>>, known: &[&[u8]], dice: &mut Dice) {
    let at = dice.below(lines.len());
    match dice.below(8) {
        0 if lines.len() > 1 => drop(lines.remove(at)),
        1 => lines.push(lines[at].clone()),
        2 | 3 => {
            let place = dice.below(lines[at].len() + 1);
            lines[at].splice(place..place, dice.pick(&PIECES).iter().copied());
        }
        _ => {
            let line = dice.pick(known).to_vec();
            let namesake = lines.iter().position(|other| name(other) == name(&line));
            match namesake.filter(|_| dice.below(4) > 0) {
                Some(at) => lines[at] = line,
                None => lines.push(line),
            }
        }
    }
}

fn name(line: &[u8]) -> &[u8] {
    line.split(|byte| matches!(byte, b':' | b'=')).next().unwrap_or_default()
}
