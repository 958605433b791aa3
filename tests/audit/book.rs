//! What does the trail say of each request, read by a reader that is not the gateway's?

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What is known of one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Lines of kind `intent`.
    pub intents: u32,
    /// The outcomes of its lines of kind `outcome`.
    pub outcomes: Vec<String>,
    /// The code of the last of these.
    pub code: Option<String>,
}

/// All lines of a folder up to the last that is whole; more are read as they come.
#[derive(Debug, Default)]
pub struct Book {
    /// By the id of the request.
    pub requests: HashMap<String, Entry>,
    /// Ids of intents, by the fingerprint of the customer.
    pub intended: HashMap<String, Vec<String>>,
    /// Ids of outcomes, by the fingerprint of the customer.
    pub ended: HashMap<String, Vec<String>>,
    /// How many lines there are of each kind.
    pub kinds: BTreeMap<String, u64>,
    /// The lines of the kinds that tell of no single request.
    pub events: Vec<Value>,
    /// The last line of kind `checkpoint`.
    pub checkpoint: Option<String>,
    /// Where the sequence numbers do not grow by one: the last before, and the first after.
    pub gaps: Vec<(u64, u64)>,
    last_seq: u64,
    /// The segment that was read last, and up to where.
    place: Option<(PathBuf, u64)>,
}

impl Book {
    /// Reads a whole folder.
    pub fn of(folder: &Path) -> Self {
        let mut book = Self::default();
        book.read_on(folder);
        book
    }

    /// Reads what a gateway wrote to its standard output.
    pub fn of_output(text: &str) -> Self {
        let mut book = Self::default();
        for line in text.split_inclusive('\n') {
            book.enter(
                line,
                serde_json::from_str(line).unwrap_or_else(|_| panic!("no line of JSON: {line}")),
            );
        }
        book
    }

    /// Reads what came since. A whole line that is no JSON fails the test: something was glued to it.
    pub fn read_on(&mut self, folder: &Path) {
        for segment in segments(folder) {
            let from = match &self.place {
                Some((last, _)) if segment < *last => continue,
                Some((last, offset)) if segment == *last => *offset,
                _ => 0,
            };
            let mut file = File::open(&segment).unwrap();
            file.seek(SeekFrom::Start(from)).unwrap();
            let mut text = Vec::new();
            file.read_to_end(&mut text).unwrap();
            let mut offset = from;
            for line in text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
                let text = std::str::from_utf8(line).unwrap();
                let value = serde_json::from_str(text).unwrap_or_else(|_| {
                    panic!("no line of JSON at {offset} of {}: {text}", segment.display())
                });
                self.enter(text, value);
                offset += line.len() as u64;
            }
            self.place = Some((segment, offset));
        }
    }

    fn enter(&mut self, text: &str, line: Value) {
        let seq = line["seq"].as_u64().expect("a number");
        if seq != self.last_seq + 1 {
            self.gaps.push((self.last_seq, seq));
        }
        self.last_seq = seq;
        let kind = line["kind"].as_str().expect("a kind");
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
        let told = |member: &str| line[member].as_str().map(str::to_owned);
        let customer = line["fingerprints"]["email"].as_str();
        match kind {
            "intent" => {
                let id = told("id").expect("an id");
                self.requests.entry(id.clone()).or_default().intents += 1;
                self.intended.entry(customer.unwrap_or_default().to_owned()).or_default().push(id);
            }
            "outcome" => {
                let id = told("id").expect("an id");
                let entry = self.requests.entry(id.clone()).or_default();
                entry.outcomes.push(told("outcome").expect("an outcome"));
                entry.code = told("code");
                self.ended.entry(customer.unwrap_or_default().to_owned()).or_default().push(id);
            }
            _ => {
                if kind == "checkpoint" {
                    self.checkpoint = Some(text.to_owned());
                }
                self.events.push(line);
            }
        }
    }

    /// The lines of one kind that tell of no single request.
    pub fn events_of(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["kind"] == kind).collect()
    }

    /// The only request of a customer that was to be forwarded.
    pub fn intended_for(&self, fingerprint: &str) -> Option<&Entry> {
        match self.intended.get(fingerprint).map(Vec::as_slice) {
            None => None,
            Some([id]) => self.requests.get(id),
            Some(ids) => panic!("one request has several intents: {ids:?}"),
        }
    }

    /// The requests whose intents were not closed exactly once, or that have more than one outcome.
    pub fn not_closed_once(&self) -> Vec<(&String, &Entry)> {
        let once = |entry: &Entry| entry.intents <= 1 && entry.outcomes.len() == 1;
        self.requests.iter().filter(|(_, entry)| !once(entry)).collect()
    }

    /// How many requests ended so.
    pub fn count_of(&self, outcome: &str) -> usize {
        self.requests.values().filter(|entry| entry.outcomes.iter().any(|told| told == outcome)).count()
    }
}

/// The segments of a folder, oldest first.
pub fn segments(folder: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_segment = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        let number = name.strip_prefix("audit-").and_then(|name| name.strip_suffix(".jsonl"));
        number.is_some_and(|number| number.len() == 16 && number.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let mut found: Vec<PathBuf> = names.filter(is_segment).collect();
    found.sort();
    found
}
