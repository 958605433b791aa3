//! What somebody does to a log, at random, at or before its last checkpoint.

use dcams_gateway::audit::{ChainKey, Sealed, SigningKey};
use dcams_gateway::digest::sha256;
use dcams_gateway::secret::Secret;

use crate::log::{Author, File, Folder, hex, is_checkpoint, signing_key};
use crate::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    FlipBit,
    FlipByte,
    DeleteLine,
    DeleteLines,
    DeleteSegment,
    SwapLines,
    SwapSegments,
    InsertCopy,
    InsertForged,
    InsertGarbage,
    TruncateInLine,
    TruncateAtLine,
    TruncateSegments,
    TruncateInnerSegment,
    RollBack,
    RollBackSegment,
    RenameSegment,
    RechainWrongKey,
    RechainPresentKey,
    RechainPresentKeyFixed,
    ResignOnly,
}

pub const KINDS: [Kind; 21] = [
    Kind::FlipBit,
    Kind::FlipByte,
    Kind::DeleteLine,
    Kind::DeleteLines,
    Kind::DeleteSegment,
    Kind::SwapLines,
    Kind::SwapSegments,
    Kind::InsertCopy,
    Kind::InsertForged,
    Kind::InsertGarbage,
    Kind::TruncateInLine,
    Kind::TruncateAtLine,
    Kind::TruncateSegments,
    Kind::TruncateInnerSegment,
    Kind::RollBack,
    Kind::RollBackSegment,
    Kind::RenameSegment,
    Kind::RechainWrongKey,
    Kind::RechainPresentKey,
    Kind::RechainPresentKeyFixed,
    Kind::ResignOnly,
];

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::FlipBit => "flip: a bit",
            Self::FlipByte => "flip: a byte",
            Self::DeleteLine => "delete: a line",
            Self::DeleteLines => "delete: a range of lines",
            Self::DeleteSegment => "delete: a segment",
            Self::SwapLines => "swap: two lines",
            Self::SwapSegments => "swap: two segments",
            Self::InsertCopy => "insert: a copied line",
            Self::InsertForged => "insert: a forged line",
            Self::InsertGarbage => "insert: what is no line",
            Self::TruncateInLine => "truncate: inside a line",
            Self::TruncateAtLine => "truncate: after a line",
            Self::TruncateSegments => "truncate: whole segments",
            Self::TruncateInnerSegment => "truncate: a segment that others follow",
            Self::RollBack => "roll back: the folder",
            Self::RollBackSegment => "roll back: one segment",
            Self::RenameSegment => "rename: a segment",
            Self::RechainWrongKey => "re-chain and sign again: with a key of one's own",
            Self::RechainPresentKey => "re-chain and sign again: with the present key, ratcheting",
            Self::RechainPresentKeyFixed => "re-chain and sign again: with the present key throughout",
            Self::ResignOnly => "edit and sign again: the MACs left as they were",
        }
    }

    /// Whether the verifier with the chain key must name the very line, or the one after it.
    pub fn is_of_lines(self) -> bool {
        matches!(
            self,
            Self::FlipBit
                | Self::FlipByte
                | Self::DeleteLine
                | Self::DeleteLines
                | Self::SwapLines
                | Self::InsertCopy
                | Self::InsertForged
                | Self::InsertGarbage
                | Self::RechainWrongKey
                | Self::RechainPresentKey
                | Self::RechainPresentKeyFixed
                | Self::ResignOnly
        )
    }
}

/// What is in the hands of somebody who takes the host now.
pub struct Attacker<'a> {
    key: [u8; 32],
    signing: SigningKey,
    snapshots: &'a [Folder],
}

impl<'a> Attacker<'a> {
    pub fn of(author: &Author, snapshots: &'a [Folder]) -> Self {
        Self::with(author.chain.key().raw().try_into().unwrap(), snapshots)
    }

    pub fn with(key: [u8; 32], snapshots: &'a [Folder]) -> Self {
        Self { key, signing: signing_key(), snapshots }
    }
}

/// An edited copy of `log`; `None` where there is nothing that this kind could be done to.
pub fn edit(kind: Kind, log: &Folder, attacker: &Attacker<'_>, random: &mut Random) -> Option<Folder> {
    let lines = log.all_lines();
    let covered = lines.iter().rposition(|(_, line)| is_checkpoint(line))? + 1;
    let last_file = lines[covered - 1].0;
    let mut edited = log.clone();
    match kind {
        Kind::FlipBit | Kind::FlipByte => {
            let file = random.index(last_file + 1);
            let limit: usize =
                lines[..covered].iter().filter(|(of, _)| *of == file).map(|(_, line)| line.len()).sum();
            let byte = &mut edited.0[file].bytes[random.index(limit)];
            *byte = if kind == Kind::FlipBit { *byte ^ 1 << random.below(8) } else { random.next() as u8 };
        }
        Kind::DeleteLine => edited = without(lines, random.index(covered), 1, log),
        Kind::DeleteLines => {
            let from = random.index(covered);
            let count = 2 + random.index(12);
            edited = without(lines, from, count, log);
        }
        Kind::DeleteSegment => {
            edited.0.remove(random.index(last_file + 1));
        }
        Kind::SwapLines => {
            let (one, other) = (random.index(covered), random.index(lines.len()));
            let mut swapped = lines.clone();
            (swapped[one].1, swapped[other].1) = (lines[other].1.clone(), lines[one].1.clone());
            edited = of_lines(swapped, log);
        }
        Kind::SwapSegments => {
            let (one, other) = (random.index(last_file + 1), random.index(log.0.len()));
            edited.0[one].bytes = log.0[other].bytes.clone();
            edited.0[other].bytes = log.0[one].bytes.clone();
        }
        Kind::InsertCopy => {
            let copy = lines[random.index(lines.len())].1.clone();
            edited = with_line(lines, random.index(covered), copy, log);
        }
        Kind::InsertForged => {
            let at = random.index(covered);
            let seq = Sealed::read(&lines[at].1)?.seq;
            let members =
                &br#""v":1,"kind":"loss","time":"2026-11-20T14:03:07.123456Z","strangers":1,"best_effort":0"#
                    [..];
            let mut forged = format!("{{\"seq\":{},", seq + random.below(2)).into_bytes();
            forged.extend_from_slice(members);
            forged.extend_from_slice(format!(",\"mac\":\"{}\"}}\n", hex(&random.bytes::<32>())).as_bytes());
            edited = with_line(lines, at, forged, log);
        }
        Kind::InsertGarbage => {
            let garbage = [&b"\n"[..], b"{}\n", b"\0\0\0\0\n", b"{\"seq\":1}\n"][random.index(4)].to_vec();
            edited = with_line(lines, random.index(covered), garbage, log);
        }
        Kind::TruncateInLine | Kind::TruncateAtLine => {
            let at = random.index(covered);
            let mut kept = lines[..at].to_vec();
            if kind == Kind::TruncateInLine {
                let (file, mut torn) = lines[at].clone();
                torn.truncate(random.index(torn.len()));
                kept.push((file, torn));
            }
            edited = of_lines(kept, log);
            edited.0.truncate(lines[at].0 + 1);
        }
        Kind::TruncateSegments => edited.0.truncate(random.index(last_file + 1)),
        Kind::TruncateInnerSegment => {
            let file = random.index(last_file.max(1));
            (file < last_file).then_some(())?;
            let bytes = &mut edited.0[file].bytes;
            bytes.truncate(random.index(bytes.len()));
        }
        Kind::RollBack => edited = attacker.snapshots[random.index(attacker.snapshots.len())].clone(),
        Kind::RollBackSegment => {
            let older = &attacker.snapshots[random.index(attacker.snapshots.len())];
            let file = &mut edited.0[random.index(last_file + 1)];
            *file = older.0.iter().find(|older| older.name == file.name)?.clone();
        }
        Kind::RenameSegment => {
            let file = random.index(last_file + 1);
            let name = edited.0[file].name.wrapping_add(random.below(40)).saturating_sub(20).max(1);
            // Onto another segment it would be a deletion.
            (!log.0.iter().any(|other| other.name == name && other != &log.0[file])).then_some(())?;
            edited.0[file].name = name;
            edited.0.sort_by_key(|file| file.name);
        }
        Kind::RechainWrongKey => {
            edited =
                Forger::new(random.bytes(), true, false, attacker, random).forge(lines, covered, random)?;
        }
        Kind::RechainPresentKey => {
            edited =
                Forger::new(attacker.key, true, false, attacker, random).forge(lines, covered, random)?;
        }
        Kind::RechainPresentKeyFixed => {
            edited =
                Forger::new(attacker.key, false, false, attacker, random).forge(lines, covered, random)?;
        }
        Kind::ResignOnly => {
            edited =
                Forger::new(attacker.key, false, true, attacker, random).forge(lines, covered, random)?;
        }
    }
    Some(edited)
}

fn of_lines(lines: Vec<(usize, Vec<u8>)>, log: &Folder) -> Folder {
    let mut folder = Folder(log.0.iter().map(|file| File { name: file.name, bytes: Vec::new() }).collect());
    for (file, line) in lines {
        folder.0[file].bytes.extend_from_slice(&line);
    }
    folder
}

fn without(mut lines: Vec<(usize, Vec<u8>)>, from: usize, count: usize, log: &Folder) -> Folder {
    let to = lines.len().min(from + count);
    lines.drain(from..to);
    of_lines(lines, log)
}

fn with_line(mut lines: Vec<(usize, Vec<u8>)>, at: usize, line: Vec<u8>, log: &Folder) -> Folder {
    let file = lines[at].0;
    lines.insert(at, (file, line));
    of_lines(lines, log)
}

/// Makes everything behind an edit fit it: numbers, names, `previous`, digests, signatures, MACs.
struct Forger {
    key: ChainKey,
    ratchets: bool,
    keeps_macs: bool,
    signing: SigningKey,
    key_id: String,
}

impl Forger {
    fn new(
        key: [u8; 32],
        ratchets: bool,
        keeps_macs: bool,
        attacker: &Attacker<'_>,
        random: &mut Random,
    ) -> Self {
        let own = || {
            let pem = SigningKey::new_pem().unwrap();
            SigningKey::of_pem(&Secret::new(pem.expose().to_vec())).unwrap()
        };
        let stolen = signing_key();
        let true_id = hex(&attacker.signing.public().id());
        let (signing, key_id) = match random.below(4) {
            0 => {
                let own = own();
                let id = hex(&own.public().id());
                (own, id)
            }
            1 => (own(), true_id),
            _ => (stolen, true_id),
        };
        Self { key: ChainKey::of_raw(&key), ratchets, keeps_macs, signing, key_id }
    }

    fn forge(
        mut self,
        mut lines: Vec<(usize, Vec<u8>)>,
        covered: usize,
        random: &mut Random,
    ) -> Option<Folder> {
        let at = random.index(covered);
        let first = Sealed::read(&lines[at].1)?.seq;
        let before = if at == 0 { [0; 32] } else { Sealed::read(&lines[at - 1].1)?.mac };
        match random.below(3) {
            0 if lines[at].1.windows(15).any(|part| part == b"\"kind\":\"segment") => return None,
            0 => drop(lines.remove(at)),
            1 => {
                let copy = lines[random.index(covered)].clone();
                if copy.1.windows(15).any(|part| part == b"\"kind\":\"segment")
                    || at == 0
                    || lines[at].0 != lines[at - 1].0
                {
                    return None;
                }
                lines.insert(at, (lines[at].0, copy.1));
            }
            _ => {
                let line = String::from_utf8(lines[at].1.clone()).unwrap();
                // Another day.
                lines[at].1 = line.replacen("2026-11-", "2026-12-", 1).into_bytes();
            }
        }
        let (mut seq, mut previous) = (first, before);
        let mut folder = Folder::default();
        for (index, (file, line)) in lines.into_iter().enumerate() {
            let sealed = Sealed::read(&line)?;
            if folder.0.len() <= file {
                folder.0.push(File { name: sealed.seq, bytes: Vec::new() });
            }
            if index < at {
                folder.0[file].bytes.extend_from_slice(&line);
                continue;
            }
            let line = self.seal(&sealed, seq, &previous, &mut folder, file);
            previous = Sealed::read(&line)?.mac;
            if sealed.kind == "checkpoint" && self.ratchets {
                self.key = self.key.ratcheted();
            }
            folder.0[file].bytes.extend_from_slice(&line);
            seq += 1;
        }
        Some(folder)
    }

    fn seal(
        &self,
        sealed: &Sealed<'_>,
        seq: u64,
        previous: &[u8; 32],
        folder: &mut Folder,
        file: usize,
    ) -> Vec<u8> {
        let covered = sealed.signature().map_or(sealed.covered, |(signed, _)| signed);
        let text = String::from_utf8(covered.to_vec()).unwrap();
        let members = text.split_once(',').unwrap().1;
        let mut line = format!("{{\"seq\":{seq},{members}");
        if sealed.kind == "segment" {
            folder.0[file].name = seq;
            if let (Some(start), true) = (line.find(",\"previous\":{"), file > 0) {
                let end = start + line[start..].find('}').unwrap() + 1;
                let before = &folder.0[file - 1];
                let of_before = format!(
                    ",\"previous\":{{\"first\":{},\"last\":{},\"sha256\":\"{}\"}}",
                    before.name,
                    seq - 1,
                    hex(&sha256([&before.bytes]))
                );
                line.replace_range(start..end, &of_before);
            }
        }
        if sealed.kind == "checkpoint" {
            let file = &folder.0[file];
            replace(&mut line, "\"first\":", ',', &file.name.to_string());
            replace(&mut line, "\"sha256\":\"", '"', &hex(&sha256([&file.bytes])));
            replace(&mut line, "\"key\":\"", '"', &self.key_id);
            let signature = hex(&self.signing.sign(line.as_bytes()));
            line.push_str(&format!(",\"signature\":\"{signature}\""));
        }
        let mac = if self.keeps_macs { sealed.mac } else { self.key.mac(previous, line.as_bytes()) };
        line.push_str(&format!(",\"mac\":\"{}\"}}\n", hex(&mac)));
        line.into_bytes()
    }
}

fn replace(line: &mut String, before: &str, end: char, value: &str) {
    let start = line.find(before).unwrap() + before.len();
    let end = start + line[start..].find(end).unwrap();
    line.replace_range(start..end, value);
}
