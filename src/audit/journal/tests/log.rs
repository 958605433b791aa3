//! Is this folder's log whole? Judged by what is written about its form alone, not by the writer's code.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use aws_lc_rs::hmac;
use serde_json::Value;
use uuid::Uuid;

use super::{chain_secret, signing_key};
use crate::audit::hex;
use crate::digest::sha256;

/// A log in which nothing is wrong.
pub(super) struct Log {
    pub(super) lines: Vec<Value>,
    /// The bytes of each line by its number.
    pub(super) bytes: BTreeMap<u64, Vec<u8>>,
    /// First and last number of each segment.
    pub(super) segments: Vec<(u64, u64)>,
}

impl Log {
    /// Reads all of `folder` and panics at the first thing that is wrong.
    pub(super) fn read(folder: &Path) -> Self {
        Self::checked(folder).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// The same; says what is wrong, and where.
    pub(super) fn checked(folder: &Path) -> Result<Self, String> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("audit-"))
            .collect();
        names.sort();
        let mut log = Self { lines: Vec::new(), bytes: BTreeMap::new(), segments: Vec::new() };
        let mut state = None;
        let mut before: Option<(u64, u64, [u8; 32])> = None;
        for name in names {
            let bytes = std::fs::read(folder.join(&name)).unwrap();
            let (first, last) = log.segment(&name, &bytes, &mut state, before)?;
            log.segments.push((first, last));
            before = Some((first, last, sha256([&bytes])));
        }
        Ok(log)
    }

    fn segment(
        &mut self,
        name: &str,
        bytes: &[u8],
        state: &mut Option<State>,
        before: Option<(u64, u64, [u8; 32])>,
    ) -> Result<(u64, u64), String> {
        let (mut first, mut at) = (None, 0);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let wrong = |what: &str| format!("{name}, byte {at}: {what}: {}", String::from_utf8_lossy(line));
            let value: Value =
                serde_json::from_str(&String::from_utf8_lossy(line)).map_err(|_| wrong("not JSON"))?;
            let seq = value["seq"].as_u64().ok_or_else(|| wrong("no seq"))?;
            if first.is_none() {
                let right = format!("audit-{seq:016}.jsonl") == name && value["kind"] == "segment";
                right.then_some(()).ok_or_else(|| wrong("not the first line of this segment"))?;
                let previous = before.map(|(first, last, sha256)| {
                    serde_json::json!({"first": first, "last": last, "sha256": hex(&sha256)})
                });
                let told = value.get("previous").cloned();
                if (state.is_some() || seq == 1) && told != previous {
                    return Err(wrong(&format!("previous is not {previous:?}")));
                }
                if state.is_none() {
                    *state = Some(State::begin(&value));
                }
                first = Some(seq);
            }
            let state = state.as_mut().unwrap();
            state.take(line, &value).map_err(|what| wrong(&what))?;
            if value["kind"] == "checkpoint" {
                vouched(line, &value, first.unwrap_or(0), bytes.get(..at).unwrap())
                    .map_err(|what| wrong(&what))?;
            }
            self.bytes.insert(seq, line.to_vec());
            self.lines.push(value);
            at += line.len();
        }
        let last = self.lines.last().map_or(0, |line| line["seq"].as_u64().unwrap());
        Ok((first.ok_or_else(|| format!("{name}: empty"))?, last))
    }

    pub(super) fn kinds(&self) -> String {
        let kinds: Vec<_> = self.lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
        kinds.join(" ")
    }

    pub(super) fn chain(&self) -> Uuid {
        self.lines[0]["chain"].as_str().unwrap().parse().unwrap()
    }

    pub(super) fn faults(&self) -> Vec<&str> {
        self.of_kind("fault").map(|line| line["fault"].as_str().unwrap()).collect()
    }

    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter(move |line| line["kind"] == kind)
    }

    pub(super) fn outcomes_of(&self, id: u128) -> Vec<&str> {
        let id = Uuid::from_u128(id).to_string();
        let of_id = self.of_kind("outcome").filter(|line| line["id"] == *id);
        of_id.map(|line| line["outcome"].as_str().unwrap()).collect()
    }

    /// Each request has one intent at most; with one, exactly one outcome.
    pub(super) fn assert_closed(&self) {
        let mut outcomes: HashMap<&str, u32> = HashMap::new();
        for line in self.of_kind("outcome") {
            *outcomes.entry(line["id"].as_str().unwrap()).or_default() += 1;
        }
        let mut intents: HashMap<&str, u32> = HashMap::new();
        for line in self.of_kind("intent") {
            *intents.entry(line["id"].as_str().unwrap()).or_default() += 1;
        }
        assert!(intents.values().all(|count| *count == 1), "{intents:?}");
        assert!(outcomes.values().all(|count| *count == 1), "{outcomes:?}");
        for id in intents.keys() {
            assert!(outcomes.contains_key(id), "{id} is open");
        }
    }
}

/// The chain up to some line.
struct State {
    key: hmac::Key,
    raw: Vec<u8>,
    epoch: u64,
    next: u64,
    previous: Option<Vec<u8>>,
}

impl State {
    /// Before the first line that is there.
    fn begin(head: &Value) -> Self {
        let chain: Uuid = head["chain"].as_str().unwrap().parse().unwrap();
        let seq = head["seq"].as_u64().unwrap();
        let secret = hmac::Key::new(hmac::HMAC_SHA256, chain_secret().expose());
        let start = [&b"dcams-gateway chain v1\n"[..], chain.as_bytes()].concat();
        let mut state = Self::with(hmac::sign(&secret, &start).as_ref());
        for _ in 0..head["epoch"].as_u64().unwrap() {
            state.ratchet();
        }
        state.next = seq;
        state.previous = (seq == 1).then(|| vec![0; 32]);
        state
    }

    fn with(raw: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, raw);
        Self { key, raw: raw.to_vec(), epoch: 0, next: 0, previous: None }
    }

    fn ratchet(&mut self) {
        self.raw = hmac::sign(&self.key, b"dcams-gateway ratchet v1\n").as_ref().to_vec();
        self.key = hmac::Key::new(hmac::HMAC_SHA256, &self.raw);
        self.epoch += 1;
    }

    fn take(&mut self, line: &[u8], value: &Value) -> Result<(), String> {
        if value["seq"] != self.next {
            return Err(format!("seq is not {}", self.next));
        }
        if !line.starts_with(format!("{{\"seq\":{},\"v\":1,\"kind\":\"", self.next).as_bytes()) {
            return Err("wrong beginning".into());
        }
        if let Some(epoch) = value.get("epoch").filter(|epoch| **epoch != self.epoch) {
            return Err(format!("epoch {epoch} is not {}", self.epoch));
        }
        let end = line.len() - b",\"mac\":\"\"}\n".len() - 64;
        let previous = self.previous.clone();
        let mac = previous.map(|previous| hmac::sign(&self.key, &[&previous, &line[..end]].concat()));
        let stated = value["mac"].as_str().unwrap_or_default();
        if mac.is_some_and(|mac| hex(mac.as_ref()) != stated)
            || !line.ends_with(format!(",\"mac\":\"{stated}\"}}\n").as_bytes())
        {
            return Err("wrong mac".into());
        }
        let byte = |at: usize| u8::from_str_radix(&stated[at..at + 2], 16).unwrap();
        self.previous = Some((0..64).step_by(2).map(byte).collect());
        self.next += 1;
        if value["kind"] == "checkpoint" {
            self.ratchet();
        }
        Ok(())
    }
}

fn vouched(line: &[u8], value: &Value, first: u64, before: &[u8]) -> Result<(), String> {
    let public = signing_key().public();
    if value["first"] != first || value["sha256"] != hex(&sha256([before])) {
        return Err("a checkpoint of other bytes".into());
    }
    let end = memchr::memmem::find(line, b",\"signature\":").ok_or("no signature")?;
    let digits = value["signature"].as_str().unwrap_or_default();
    let signature: Vec<u8> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    let vouched = value["key"] == hex(&public.id()) && public.vouches_for(&line[..end], &signature);
    vouched.then_some(()).ok_or("wrong signature".into())
}
