//! How does a line prove its place in the log?
//!
//! Each line ends with a MAC over its own bytes and the MAC before it. The key moves on with each checkpoint, by
//! a step that cannot be undone, so that who takes the host today cannot make yesterday's MACs.

use aws_lc_rs::hmac;
use uuid::Uuid;

use super::object::push_hex;
use super::signing::SigningKey;
use crate::digest::first;
use crate::secret::Secret;

/// Length of a MAC, of a key of the chain, and of SHA-256, bytes.
pub const MAC_BYTES: usize = 32;

const CHAIN_LABEL: &[u8] = b"dcams-gateway chain v1\n";
const RATCHET_LABEL: &[u8] = b"dcams-gateway ratchet v1\n";

/// The key of one epoch of a chain.
pub struct ChainKey {
    raw: Secret,
    hmac: hmac::Key,
}

impl ChainKey {
    /// The key of epoch 0 of the chain `id`: HMAC-SHA-256 of the configured secret over a label and the id's
    /// 16 bytes.
    #[must_use]
    pub fn of_chain(secret: &Secret, id: Uuid) -> Self {
        Self::derived(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose()), &[CHAIN_LABEL, id.as_bytes()])
    }

    /// A key that was kept, as [`Self::raw`] gave it.
    #[must_use]
    pub fn of_raw(raw: &[u8; MAC_BYTES]) -> Self {
        Self { raw: Secret::new(raw.to_vec()), hmac: hmac::Key::new(hmac::HMAC_SHA256, raw) }
    }

    /// The key of the next epoch: HMAC-SHA-256 of this one over a label.
    #[must_use]
    pub fn ratcheted(&self) -> Self {
        Self::derived(&self.hmac, &[RATCHET_LABEL])
    }

    /// The key itself, to be kept until its epoch is over.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        self.raw.expose()
    }

    /// The MAC of a line: over the MAC before it and the line's bytes before its member `mac`.
    #[must_use]
    pub fn mac(&self, previous: &[u8; MAC_BYTES], covered: &[u8]) -> [u8; MAC_BYTES] {
        let mut context = hmac::Context::with_key(&self.hmac);
        context.update(previous);
        context.update(covered);
        first(context.sign().as_ref())
    }

    fn derived(key: &hmac::Key, parts: &[&[u8]]) -> Self {
        let mut context = hmac::Context::with_key(key);
        for part in parts {
            context.update(part);
        }
        Self::of_raw(&first(context.sign().as_ref()))
    }
}

/// The growing end of a chain.
pub struct Chain {
    key: ChainKey,
    epoch: u64,
    next_seq: u64,
    previous: [u8; MAC_BYTES],
}

impl Chain {
    /// A chain without lines: sequence number 1 comes first, after a MAC of zeros.
    #[must_use]
    pub fn begin(key: ChainKey) -> Self {
        Self { key, epoch: 0, next_seq: 1, previous: [0; MAC_BYTES] }
    }

    /// A chain as it was left: `next_seq` comes next, after a line that ended with `previous`.
    #[must_use]
    pub fn resume(key: ChainKey, epoch: u64, next_seq: u64, previous: [u8; MAC_BYTES]) -> Self {
        Self { key, epoch, next_seq, previous }
    }

    /// The key of the present epoch.
    #[must_use]
    pub fn key(&self) -> &ChainKey {
        &self.key
    }

    /// How often the key moved on.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The sequence number of the next line.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The MAC of the last line.
    #[must_use]
    pub fn previous(&self) -> &[u8; MAC_BYTES] {
        &self.previous
    }

    /// Appends to `lines` the line made of `object`, a JSON object with at least one member and without line
    /// feeds: `{"seq":…,` in front of its members, `,"mac":"…"}` and a line feed behind them.
    pub fn seal(&mut self, object: &[u8], lines: &mut Vec<u8>) {
        let start = self.open(object, lines);
        self.close(start, lines);
    }

    /// As [`Self::seal`], with the member `signature` before `mac`.
    pub fn seal_signed(&mut self, object: &[u8], key: &SigningKey, lines: &mut Vec<u8>) {
        let start = self.open(object, lines);
        let signature = key.sign(lines.get(start..).unwrap_or_default());
        lines.extend_from_slice(b",\"signature\":\"");
        push_hex(&signature, lines);
        lines.push(b'"');
        self.close(start, lines);
    }

    /// Moves the key on; the old one is gone from memory.
    pub fn ratchet(&mut self) {
        self.key = self.key.ratcheted();
        self.epoch += 1;
    }

    fn open(&self, object: &[u8], lines: &mut Vec<u8>) -> usize {
        let start = lines.len();
        lines.extend_from_slice(b"{\"seq\":");
        lines.extend_from_slice(self.next_seq.to_string().as_bytes());
        lines.push(b',');
        let members = object.get(1..object.len().saturating_sub(1)).unwrap_or_default();
        lines.extend_from_slice(members);
        start
    }

    fn close(&mut self, start: usize, lines: &mut Vec<u8>) {
        self.previous = self.key.mac(&self.previous, lines.get(start..).unwrap_or_default());
        self.next_seq += 1;
        lines.extend_from_slice(b",\"mac\":\"");
        push_hex(&self.previous, lines);
        lines.extend_from_slice(b"\"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Sealed;

    fn chain() -> Chain {
        let secret = Secret::new(vec![7; 32]);
        Chain::begin(ChainKey::of_chain(&secret, Uuid::from_u128(1)))
    }

    #[test]
    fn a_line_is_the_object_between_its_number_and_its_mac() {
        let mut lines = Vec::new();
        chain().seal(br#"{"v":1,"kind":"start"}"#, &mut lines);
        let text = String::from_utf8(lines).unwrap();
        let (line, end) = text.split_at(text.find(r#","mac":""#).unwrap());
        assert_eq!(line, r#"{"seq":1,"v":1,"kind":"start""#);
        assert_eq!(end.len(), r#","mac":""}"#.len() + 64 + 1);
        assert!(end.ends_with("\"}\n"));
    }

    #[test]
    fn equal_objects_get_different_macs_and_each_is_checked_with_the_key_of_its_epoch() {
        let (mut chain, mut lines) = (chain(), Vec::new());
        let first_key = ChainKey::of_raw(&first(chain.key().raw()));
        chain.seal(br#"{"v":1,"kind":"start"}"#, &mut lines);
        chain.ratchet();
        chain.seal(br#"{"v":1,"kind":"start"}"#, &mut lines);
        let lines: Vec<_> = lines.split_inclusive(|byte| *byte == b'\n').collect();
        let (one, two) = (Sealed::read(lines[0]).unwrap(), Sealed::read(lines[1]).unwrap());
        assert_eq!((one.seq, two.seq), (1, 2));
        assert_ne!(one.mac, two.mac);
        assert_eq!(first_key.mac(&[0; 32], one.covered), one.mac);
        assert_eq!(first_key.ratcheted().mac(&one.mac, two.covered), two.mac);
    }
}
