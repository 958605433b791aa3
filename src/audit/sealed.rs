//! What can be read of a line without parsing it as JSON?

use super::chain::MAC_BYTES;
use super::signing::SIGNATURE_BYTES;

const SEQ: &[u8] = b"{\"seq\":";
const KIND: &[u8] = b"\"v\":1,\"kind\":\"";
const MAC: &[u8] = b",\"mac\":\"";
const SIGNATURE: &[u8] = b",\"signature\":\"";
const END: &[u8] = b"\"}\n";

/// A line of the log, taken apart: `{"seq":…,"v":1,"kind":"…", … ,"mac":"…"}` and a line feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// Its number; each line's is one more than that of the line before it.
    pub seq: u64,
    /// What it tells.
    pub kind: &'a str,
    /// What its MAC covers, after the MAC before it: all bytes before the member `mac`.
    pub covered: &'a [u8],
    /// Its MAC.
    pub mac: [u8; MAC_BYTES],
}

impl<'a> Sealed<'a> {
    /// Takes `line`, with its line feed, apart. `None` where it has not exactly this form; whether it is JSON, and
    /// whether the MAC is right, is not judged.
    #[must_use]
    pub fn read(line: &'a [u8]) -> Option<Self> {
        let after = line.strip_prefix(SEQ)?;
        let digits = after.iter().position(|byte| !byte.is_ascii_digit())?;
        let (number, rest) = after.split_at_checked(digits)?;
        let canonical = number.first().is_some_and(|digit| *digit != b'0');
        let seq = std::str::from_utf8(number).ok().filter(|_| canonical)?.parse().ok()?;
        let after = rest.strip_prefix(b",")?.strip_prefix(KIND)?;
        let kind = std::str::from_utf8(after.get(..memchr::memchr(b'"', after)?)?).ok()?;
        let (before, mac) = hex_member(line.strip_suffix(END)?, MAC)?;
        Some(Self { seq, kind, covered: before, mac })
    }

    /// Of a checkpoint: the signed bytes, which are all before the member `signature`, and the signature.
    #[must_use]
    pub fn signature(&self) -> Option<(&'a [u8], [u8; SIGNATURE_BYTES])> {
        hex_member(self.covered.strip_suffix(b"\"")?, SIGNATURE)
    }
}

/// Splits off a last member that holds `N` bytes in hexadecimal digits, without its closing quote.
fn hex_member<'a, const N: usize>(text: &'a [u8], name: &[u8]) -> Option<(&'a [u8], [u8; N])> {
    let (before, digits) = text.split_at_checked(text.len().checked_sub(2 * N)?)?;
    Some((before.strip_suffix(name)?, unhex(digits)?))
}

/// The `N` bytes that `digits` are.
pub(super) fn unhex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            *byte = *byte << 4 | nibble(*digit)?;
        }
    }
    (digits.len() == 2 * N).then_some(bytes)
}

/// Lower case only: each line has one spelling.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seq: &str, mac: &str) -> Vec<u8> {
        format!("{{\"seq\":{seq},\"v\":1,\"kind\":\"start\",\"time\":1,\"mac\":\"{mac}\"}}\n").into_bytes()
    }

    #[test]
    fn a_line_is_taken_apart() {
        let line = line("17", &"0f".repeat(32));
        let expected = Sealed {
            seq: 17,
            kind: "start",
            covered: b"{\"seq\":17,\"v\":1,\"kind\":\"start\",\"time\":1",
            mac: [15; 32],
        };
        assert_eq!(Sealed::read(&line), Some(expected));
    }

    #[test]
    fn any_other_spelling_is_no_line() {
        let mac = "0f".repeat(32);
        for wrong in [
            line("017", &mac),
            line("+17", &mac),
            line("", &mac),
            line("17", &mac.to_uppercase()),
            line("17", &mac[1..]),
            line("99999999999999999999", &mac),
            line("17", &mac).into_iter().filter(|byte| *byte != b'\n').collect(),
            b"\n".to_vec(),
            Vec::new(),
        ] {
            assert_eq!(Sealed::read(&wrong), None, "{}", String::from_utf8_lossy(&wrong));
        }
    }
}
