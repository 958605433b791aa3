//! What does root find in the memory of a process?

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use aho_corasick::AhoCorasick;
use rustix::process::{Pid, Signal, kill_process};

use super::people::Kind;

/// What is searched for: each text with its kind.
pub struct Wanted {
    automaton: AhoCorasick,
    texts: Vec<(Kind, String)>,
    /// Bytes on either side of a finding that are printed, for whoever asks where a copy comes from.
    show: Option<usize>,
}

/// What was found: of each kind, by the place in memory.
#[derive(Default)]
pub struct Found(BTreeMap<Kind, Tally>);

/// The copies of one kind.
#[derive(Default)]
struct Tally {
    places: BTreeMap<&'static str, usize>,
    texts: BTreeSet<usize>,
}

/// A stretch of addresses.
struct Mapping {
    start: u64,
    end: u64,
    place: &'static str,
}

impl Wanted {
    pub fn new(texts: Vec<(Kind, String)>) -> Self {
        let automaton = AhoCorasick::new(texts.iter().map(|(_, text)| text)).unwrap();
        Self { automaton, texts, show: std::env::var_os("MEMORY_SHOW").map(|_| 96) }
    }

    /// Stops the process and searches all that it can read of its own memory.
    pub fn in_process(&self, process: u32) -> Found {
        let pid = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        let memory = File::open(format!("/proc/{process}/mem")).expect("the memory, which root may read");
        let mut found = Found::default();
        for mapping in mappings(process) {
            let bytes = mapping.read(&memory);
            self.search(&bytes, mapping.place, &mut found);
        }
        kill_process(pid, Signal::CONT).unwrap();
        found
    }

    /// Searches what another program took of the process.
    pub fn in_core(&self, core: &[u8]) -> Found {
        let mut found = Found::default();
        self.search(core, "core", &mut found);
        found
    }

    fn search(&self, bytes: &[u8], place: &'static str, found: &mut Found) {
        for hit in self.automaton.find_iter(bytes) {
            let text = hit.pattern().as_usize();
            let kind = self.texts[text].0;
            let tally = found.0.entry(kind).or_default();
            *tally.places.entry(place).or_default() += 1;
            tally.texts.insert(text);
            if let Some(around) = self.show {
                let above = bytes.len() - hit.start();
                let around_it =
                    &bytes[hit.start().saturating_sub(around)..bytes.len().min(hit.end() + around)];
                println!("{kind:?} in {place}, {above} bytes below its end: {}", around_it.escape_ascii());
            }
        }
    }
}

impl Found {
    /// Copies of that kind.
    pub fn copies(&self, kind: Kind) -> usize {
        self.0.get(&kind).map_or(0, |tally| tally.places.values().sum())
    }

    /// Copies of any personal data.
    pub fn personal(&self) -> usize {
        self.0.keys().filter(|kind| kind.is_personal()).map(|kind| self.copies(*kind)).sum()
    }
}

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return write!(out, "nothing");
        }
        for (kind, tally) in &self.0 {
            let places: Vec<_> =
                tally.places.iter().map(|(place, copies)| format!("{copies} {place}")).collect();
            write!(out, "\n  {kind:?}: {} of {} values", places.join(", "), tally.texts.len())?;
        }
        Ok(())
    }
}

impl Mapping {
    /// All that can be read of it: pages of devices cannot.
    fn read(&self, memory: &File) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.end - self.start).unwrap()];
        for (at, piece) in (self.start..).step_by(PIECE).zip(bytes.chunks_mut(PIECE)) {
            // What cannot be read stays zero.
            let _ = memory.read_exact_at(piece, at);
        }
        bytes
    }
}

const PIECE: usize = 64 << 10;
/// Of glibc: every heap but the first begins at a multiple.
const ARENA: u64 = 64 << 20;

fn mappings(process: u32) -> Vec<Mapping> {
    let table = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut guarded = 0;
    let mut mappings = Vec::new();
    for line in table.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let (start, end) = words[0].split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        if !words[1].starts_with('r') {
            guarded = end;
            continue;
        }
        let place = match words.get(5) {
            Some(&"[heap]") => "heap",
            Some(&"[stack]") => "stack",
            Some(name) if name.starts_with('[') => "kernel",
            Some(_) => "file",
            None if start % ARENA == 0 => "heap of a thread",
            None if guarded == start => "stack of a thread",
            None => "mapped",
        };
        mappings.push(Mapping { start, end, place });
    }
    mappings
}
