//! When was the intent of each forward on the disk, and when did the forward begin?

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::strace::{Call, Event};
use crate::trail::{customer_in, fingerprint};

/// A request that went upstream. Instants are positions in the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    pub customer: String,
    /// When the call was entered that gave its first byte to the socket.
    pub began: usize,
    /// When the call had returned with which the last byte of its intent, and the name of that byte's segment, were
    /// on the disk.
    pub durable: Option<usize>,
}

impl Forward {
    pub fn is_in_order(&self) -> bool {
        self.durable.is_some_and(|durable| durable < self.began)
    }
}

/// Every request that was sent to port `upstream` of loopback, with the intents in the segments of `folder`.
pub fn forwards(events: &[Event], folder: &Path, upstream: u16) -> Vec<Forward> {
    let mut watch = Watch { folder: folder.to_owned(), ..Watch::default() };
    let mut connections: BTreeMap<String, Stream> = BTreeMap::new();
    let mut entered: HashMap<u32, (usize, Call)> = HashMap::new();
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Entered { thread, call } => {
                if is_sync(call) {
                    watch.sync_entered(*thread);
                }
                entered.insert(*thread, (at, call.clone()));
            }
            Event::Returned { thread, result } => {
                let Some((began, call)) = entered.remove(thread) else { continue };
                let Ok(result) = usize::try_from(*result) else { continue };
                let is_upstream =
                    call.target.starts_with("TCP") && call.target.ends_with(&format!(":{upstream}]"));
                if is_upstream && ["write", "writev", "sendto", "sendmsg"].contains(&&*call.name) {
                    let stream = connections.entry(call.target).or_default();
                    stream.sent(&call.strings.concat()[..result], began);
                } else {
                    watch.returned(*thread, &call, result, at);
                }
            }
        }
    }
    let messages = connections.into_values().flat_map(Stream::messages);
    messages
        .map(|(body, began)| {
            let customer = customer_in(&body);
            let durable = watch.durable.get(&fingerprint(&customer)).copied();
            Forward { customer, began, durable }
        })
        .collect()
}

fn is_sync(call: &Call) -> bool {
    call.name == "fdatasync" || call.name == "fsync"
}

/// What is known to be on the disk.
#[derive(Default)]
struct Watch {
    folder: PathBuf,
    segments: HashMap<PathBuf, Segment>,
    /// Of each thread in a sync: how many writes of each segment, and which new names, were there when it entered.
    syncing: HashMap<u32, (HashMap<PathBuf, usize>, Vec<PathBuf>)>,
    /// When the intent of a fingerprint was durable.
    durable: HashMap<String, usize>,
}

/// One segment, as far as it was written while it was watched.
#[derive(Default)]
struct Segment {
    /// Created while it was watched, and the folder was not synced since.
    is_nameless: bool,
    /// Writes that returned and were not synced since: offset and bytes.
    written: Vec<(u64, Vec<u8>)>,
    /// What is on the disk, from the first watched byte on.
    image: Option<(u64, Vec<u8>)>,
    /// How much of the image was looked at.
    read: usize,
    /// Intents on the disk under no name.
    waiting: Vec<String>,
}

impl Watch {
    fn sync_entered(&mut self, thread: u32) {
        let written = self.segments.iter().map(|(path, segment)| (path.clone(), segment.written.len()));
        let nameless = self.segments.iter().filter(|(_, segment)| segment.is_nameless);
        // Readers look for no other name.
        let nameless = nameless.map(|(path, _)| path.clone()).filter(|path| !path.ends_with("segment.new"));
        let nameless = nameless.collect();
        self.syncing.insert(thread, (written.collect(), nameless));
    }

    fn returned(&mut self, thread: u32, call: &Call, result: usize, at: usize) {
        let target = PathBuf::from(call.target.trim_end_matches("(deleted)"));
        let named = |string: &[u8]| self.folder.join(String::from_utf8_lossy(string).as_ref());
        match &*call.name {
            "openat" if call.rest.contains("O_CREAT") => {
                let path = named(&call.strings[0]);
                if self.is_segment(&path) {
                    self.segments.insert(path, Segment { is_nameless: true, ..Segment::default() });
                }
            }
            "rename" | "renameat" | "renameat2" => {
                let [from, to] = [0, 1].map(|at| named(&call.strings[at]));
                if let Some(segment) = self.segments.remove(&from) {
                    self.segments.insert(to, Segment { is_nameless: true, ..segment });
                }
            }
            "pwrite64" if self.is_segment(&target) => {
                let offset = call.last.expect("an offset");
                let written = call.strings[0][..result].to_vec();
                self.segments.entry(target).or_default().written.push((offset, written));
            }
            "fsync" | "fdatasync" => {
                let (written, nameless) = self.syncing.remove(&thread).unwrap_or_default();
                if target == self.folder {
                    for path in nameless {
                        let segment = self.segments.entry(path).or_default();
                        segment.is_nameless = false;
                        for print in segment.waiting.drain(..) {
                            self.durable.entry(print).or_insert(at);
                        }
                    }
                } else if let Some(segment) = self.segments.get_mut(&target) {
                    let intents = segment.synced(written.get(&target).copied().unwrap_or_default());
                    if segment.is_nameless {
                        segment.waiting.extend(intents);
                    } else {
                        for print in intents {
                            self.durable.entry(print).or_insert(at);
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

impl Watch {
    /// A segment, or what will be one when it has its name.
    fn is_segment(&self, path: &Path) -> bool {
        let is_named_so = path.extension().is_some_and(|kind| kind == "jsonl" || kind == "new");
        path.parent() == Some(&*self.folder) && is_named_so && !path.ends_with("chain.new")
    }
}

impl Segment {
    /// The first `count` writes are on the disk: gives the fingerprints of the intents that are now whole there.
    fn synced(&mut self, count: usize) -> Vec<String> {
        for (offset, bytes) in self.written.drain(..count) {
            let (base, image) = self.image.get_or_insert_with(|| (offset, Vec::new()));
            let from = usize::try_from(offset.checked_sub(*base).expect("nothing is written before the end"))
                .unwrap();
            image.resize(image.len().max(from + bytes.len()), 0);
            image[from..from + bytes.len()].copy_from_slice(&bytes);
        }
        let mut intents = Vec::new();
        let image = self.image.as_ref().map_or(&[][..], |(_, image)| image);
        while let Some(length) = image[self.read..].iter().position(|byte| *byte == b'\n') {
            let line = &image[self.read..self.read + length];
            self.read += length + 1;
            let line: Value = serde_json::from_slice(line).expect("a line of JSON");
            if line["kind"] == "intent" {
                intents.push(line["fingerprints"]["email"].as_str().expect("a customer").to_owned());
            }
        }
        intents
    }
}

/// What was sent on one connection.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    /// Where the bytes of each call begin, and when it was entered.
    calls: Vec<(usize, usize)>,
}

impl Stream {
    fn sent(&mut self, bytes: &[u8], began: usize) {
        self.calls.push((self.bytes.len(), began));
        self.bytes.extend_from_slice(bytes);
    }

    /// The body of each message, and when its first byte was sent.
    fn messages(self) -> Vec<(Vec<u8>, usize)> {
        let mut messages = Vec::new();
        let mut at = 0;
        while at < self.bytes.len() {
            let head = self.bytes[at..].windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
            let text = std::str::from_utf8(&self.bytes[at..at + head]).unwrap();
            let length = text.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.expect("a length").parse().unwrap();
            let body = self.bytes.get(at + head + 4..at + head + 4 + length).expect("a whole body");
            let (_, began) = self.calls.iter().rev().find(|(start, _)| *start <= at).expect("a call");
            messages.push((body.to_vec(), *began));
            at += head + 4 + length;
        }
        messages
    }
}
