//! A log in memory, as a gateway writes it: what the edits are made on.

use std::fs;
use std::path::Path;

use dcams_gateway::audit::verify::{Evidence, Report, Verifier};
use dcams_gateway::audit::{Chain, ChainKey, Lines, Segment, SigningKey};
use dcams_gateway::digest::sha256;
use dcams_gateway::secret::Secret;
use uuid::Uuid;

use crate::random::Random;

pub const CHAIN_KEY: &[u8] = b"uY0wq0tqTzq1nP3b8m2H5kq3W9dXr7cZ1aVfQeLxJ4s=";
pub const SIGNING_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

pub fn signing_key() -> SigningKey {
    SigningKey::of_pem(&Secret::new(SIGNING_KEY.into())).unwrap()
}

/// The key that replaces it.
pub fn next_signing_key() -> SigningKey {
    let pem = SIGNING_KEY.replace("INTuctv5E1hK", "INTuctv5E1hL");
    SigningKey::of_pem(&Secret::new(pem.into())).unwrap()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A segment: the number in its name, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub name: u64,
    pub bytes: Vec<u8>,
}

/// The segments of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder(pub Vec<File>);

impl Folder {
    /// Reads what was written to a disk.
    pub fn read(path: &Path) -> Self {
        let segments = dcams_gateway::audit::Segments::open(path).unwrap();
        let read =
            |segment: &Segment| File { name: segment.first_seq, bytes: fs::read(&segment.path).unwrap() };
        Self(segments.iter().map(read).collect())
    }

    pub fn write(&self, path: &Path) {
        for file in &self.0 {
            fs::write(path.join(Segment::name_of(file.name)), &file.bytes).unwrap();
        }
    }

    pub fn lines(&self, file: usize) -> Vec<Vec<u8>> {
        self.0[file].bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    /// All lines, each with its file.
    pub fn all_lines(&self) -> Vec<(usize, Vec<u8>)> {
        (0..self.0.len())
            .flat_map(|file| self.lines(file).into_iter().map(move |line| (file, line)))
            .collect()
    }

    /// The last checkpoint.
    pub fn last_checkpoint(&self) -> Option<Vec<u8>> {
        self.checkpoints().pop()
    }

    pub fn checkpoints(&self) -> Vec<Vec<u8>> {
        self.all_lines().into_iter().map(|(_, line)| line).filter(|line| is_checkpoint(line)).collect()
    }

    /// Judges it in the order of its names, as a folder is read.
    pub fn verify(&self, evidence: Evidence) -> Report {
        let mut files: Vec<&File> = self.0.iter().collect();
        files.sort_by_key(|file| file.name);
        let mut verifier = Verifier::new(&evidence);
        for file in files {
            verifier.segment(file.name, Lines::new(&file.bytes[..], 0), &mut |_| {}).unwrap();
        }
        verifier.end()
    }
}

pub fn is_checkpoint(line: &[u8]) -> bool {
    dcams_gateway::audit::Sealed::read(line).is_some_and(|sealed| sealed.kind == "checkpoint")
}

/// What a verifier holds.
pub fn evidence(keyed: bool, checkpoints: &[Vec<u8>]) -> Evidence {
    Evidence {
        keys: vec![signing_key().public()],
        chain_key: keyed.then(|| Secret::new(CHAIN_KEY.to_vec())),
        checkpoints: checkpoints.to_vec(),
    }
}

/// Writes a log by the documented format, with the crate's own chain.
pub struct Author {
    pub chain: Chain,
    pub id: Uuid,
    pub folder: Folder,
    signing: SigningKey,
    random: Random,
    clock_us: u64,
    open: Vec<Uuid>,
    /// The first and the last line of each segment that was ended, and its digest.
    ended: Vec<(u64, u64, [u8; 32])>,
}

impl Author {
    /// A new log with its first segment and `start`.
    pub fn begin(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let id = random.uuid();
        let key = ChainKey::of_chain(&Secret::new(CHAIN_KEY.to_vec()), id);
        let mut author = Self {
            chain: Chain::begin(key),
            id,
            folder: Folder::default(),
            signing: signing_key(),
            random,
            clock_us: 1_763_640_000_000_000,
            open: Vec::new(),
            ended: Vec::new(),
        };
        author.segment(None);
        author.start();
        author
    }

    /// The present segment.
    pub fn present(&mut self) -> &mut File {
        self.folder.0.last_mut().unwrap()
    }

    /// Goes on with another signing key.
    pub fn sign_with(&mut self, key: SigningKey) {
        self.signing = key;
    }

    fn time(&mut self) -> String {
        self.clock_us += 1 + self.random.below(2_000_000);
        let (seconds, us) = (self.clock_us / 1_000_000, self.clock_us % 1_000_000);
        let days = seconds / 86_400;
        // The calendar does not matter here.
        format!(
            "2026-11-{:02}T{:02}:{:02}:{:02}.{us:06}Z",
            days % 28 + 1,
            seconds / 3600 % 24,
            seconds / 60 % 60,
            seconds % 60
        )
    }

    /// Appends a line of `kind` with `members`.
    pub fn line(&mut self, kind: &str, members: &str) {
        let time = self.time();
        let object = format!(r#"{{"v":1,"kind":"{kind}","time":"{time}"{members}}}"#);
        let (chain, folder) = (&mut self.chain, &mut self.folder);
        chain.seal(object.as_bytes(), &mut folder.0.last_mut().unwrap().bytes);
    }

    fn segment(&mut self, previous: Option<(u64, u64, [u8; 32])>) {
        let previous = previous.map_or_else(String::new, |(first, last, sha256)| {
            format!(r#","previous":{{"first":{first},"last":{last},"sha256":"{}"}}"#, hex(&sha256))
        });
        let open: Vec<String> = self.open.iter().map(|id| format!("\"{id}\"")).collect();
        let (name, epoch, id) = (self.chain.next_seq(), self.chain.epoch(), self.id);
        self.folder.0.push(File { name, bytes: Vec::new() });
        self.line(
            "segment",
            &format!(r#","chain":"{id}","epoch":{epoch},"instance":"gateway-1","version":"0.1.0"{previous},"open":[{}]"#, open.join(",")),
        );
    }

    pub fn start(&mut self) {
        let config = hex(&self.random.bytes::<32>());
        self.line("start", &format!(r#","instance":"gateway-1","version":"0.1.0","config":"{config}""#));
        self.line("credentials", r#","credential":"production","version":1,"state":"current""#);
    }

    pub fn intent(&mut self) -> Uuid {
        let id = self.random.uuid();
        self.open.push(id);
        self.line("intent", &format!(r#","id":"{id}","instance":"gateway-1","config":"0011223344556677","caller":"kyc-api","identified_by":{{"by":"key","key":0}},"peer":"loopback","endpoint":"storage","service":"getDocumentImages","effect":"read","schema":"8899aabbccddeeff","members":{{"total":2,"shown":["/service","/reference"]}},"bytes":{{"received":64}}"#));
        id
    }

    pub fn outcome(&mut self, id: Uuid, outcome: &str) {
        self.open.retain(|open| *open != id);
        let rest = match outcome {
            "unknown" | "not_sent" => String::new(),
            "refused" => r#","code":"rate_limited","status":429,"bytes":{"received":0,"sent":0,"answer":0,"returned":180},"us":{"total":57}"#.to_owned(),
            _ => format!(r#","status":200,"upstream":{{"attempts":1,"status":200,"result":"success"}},"bytes":{{"received":64,"sent":120,"answer":{0},"returned":{0}}},"us":{{"total":12003}}"#, self.random.below(1_000_000)),
        };
        self.line("outcome", &format!(r#","id":"{id}","instance":"gateway-1","config":"0011223344556677","caller":"kyc-api","peer":"loopback","endpoint":"storage","outcome":"{outcome}"{rest}"#));
    }

    pub fn request(&mut self) {
        let id = self.intent();
        self.outcome(id, "forwarded");
    }

    pub fn refusal(&mut self) {
        let id = self.random.uuid();
        self.outcome(id, "refused");
    }

    pub fn checkpoint(&mut self) {
        let file = self.folder.0.last().unwrap();
        let (first, digest) = (file.name, hex(&sha256([&file.bytes])));
        let (time, id, epoch) = (self.time(), self.id, self.chain.epoch());
        let key = hex(&self.signing.public().id());
        let object = format!(
            r#"{{"v":1,"kind":"checkpoint","time":"{time}","chain":"{id}","epoch":{epoch},"first":{first},"sha256":"{digest}","key":"{key}"}}"#
        );
        let (chain, folder) = (&mut self.chain, &mut self.folder);
        chain.seal_signed(object.as_bytes(), &self.signing, &mut folder.0.last_mut().unwrap().bytes);
        self.chain.ratchet();
    }

    /// Ends the segment and begins the next.
    pub fn rotate(&mut self) {
        self.checkpoint();
        self.next_segment();
    }

    /// Goes on with a new segment, whatever became of the present one on the disk.
    pub fn next_segment(&mut self) {
        let file = self.folder.0.last().unwrap();
        let ended = (file.name, self.chain.next_seq() - 1, sha256([&file.bytes]));
        self.ended.push(ended);
        self.segment(Some(ended));
    }

    pub fn stop(&mut self) {
        self.line("stop", r#","in_progress":0"#);
        self.checkpoint();
    }

    /// A kill that left a torn line or not, and the start after it.
    pub fn crash(&mut self) {
        if self.random.below(2) == 0 {
            let torn_bytes = 1 + self.random.below(200);
            self.line("repair", &format!(r#","torn_bytes":{torn_bytes}"#));
        }
        self.start();
        for id in self.open.clone() {
            self.outcome(id, "unknown");
        }
    }

    /// Removes all but the newest `kept` segments, if there are more.
    pub fn retain(&mut self, kept: usize) {
        let Some(over) = self.folder.0.len().checked_sub(kept).filter(|over| *over > 0) else { return };
        let gone: Vec<u64> = self.folder.0[..over].iter().map(|file| file.name).collect();
        self.remove(&gone);
    }

    /// Removes the segments `gone`, as retention does.
    pub fn remove(&mut self, gone: &[u64]) {
        let removed = self.ended.iter().filter(|(first, ..)| gone.contains(first));
        let removed: Vec<String> = removed
            .map(|(first, last, digest)| {
                format!(r#"{{"first":{first},"last":{last},"sha256":"{}"}}"#, hex(digest))
            })
            .collect();
        self.line("retention", &format!(r#","removed":[{}]"#, removed.join(",")));
        self.folder.0.retain(|file| !gone.contains(&file.name));
    }

    pub fn fault(&mut self, fault: &str) {
        let (time, seq) = (self.time(), self.chain.next_seq() - 1);
        self.line("fault", &format!(r#","fault":"{fault}","since":"{time}","good":{seq}"#));
    }

    /// One random event.
    pub fn live(&mut self) {
        match self.random.below(40) {
            0 => self.rotate(),
            1 => {
                self.stop();
                self.start();
            }
            2 => self.crash(),
            3 => {
                let kept = 1 + self.random.below(4) as usize;
                self.retain(kept);
            }
            4 => self.fault("sync_failed"),
            5 => self.line("loss", r#","strangers":17,"best_effort":0"#),
            6..=8 => self.checkpoint(),
            9..=12 => {
                self.intent();
            }
            13..=15 => {
                if let Some(id) = self.open.first().copied() {
                    self.outcome(id, "not_sent");
                }
            }
            16..=20 => self.refusal(),
            _ => self.request(),
        }
    }
}
