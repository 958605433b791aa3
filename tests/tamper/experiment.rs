//! Random edits of random logs.

use std::collections::BTreeMap;

use dcams_gateway::audit::Sealed;
use dcams_gateway::audit::verify::{Finding, Report, Wrong};

use crate::edits::{self, Attacker, KINDS};
use crate::log::{Author, Folder, evidence, is_checkpoint};
use crate::random::Random;

/// How many of something.
pub fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// A history of `events` events, with what an attacker holds at its end.
fn history(seed: u64, events: u64) -> (Author, Vec<Folder>) {
    let mut author = Author::begin(seed);
    let mut snapshots = Vec::new();
    for event in 0..events {
        author.live();
        if event % 16 == 0 {
            snapshots.push(author.folder.clone());
        }
    }
    (author, snapshots)
}

/// Checkpoints that are given: those of `taken`, as far as retention has left them.
fn still_there(folder: &Folder, taken: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let there = folder.checkpoints();
    taken.iter().filter(|line| there.contains(line)).cloned().collect()
}

/// Whether an honest log is accused. Without the chain key it is not, where no checkpoint came yet after the record of
/// what retention removed, or none at all: then it is said that this is not proven.
pub fn is_accused(report: &Report, keyed: bool) -> bool {
    let awaits = |finding: &Finding| matches!(finding.wrong, Wrong::RetentionUnproven { .. });
    let known = !keyed && report.findings.iter().all(awaits);
    !known && !report.clean
}

#[test]
fn no_honest_log_is_accused() {
    let seed = from_environment("TAMPER_SEED", 1);
    let histories = from_environment("TAMPER_HISTORIES", 200);
    for seed in seed..seed + histories {
        let mut random = Random::new(seed);
        let (mut author, snapshots) = history(seed, 20 + random.below(200));
        if random.below(2) == 0 {
            author.stop();
        }
        let all = author.folder.checkpoints();
        for keyed in [false, true] {
            let report = author.folder.verify(evidence(keyed, &all));
            assert!(!is_accused(&report, keyed), "seed {seed}: {:?}", report.findings);
            assert_eq!(report.proven.checkpoints, all.len(), "seed {seed}");
            if keyed {
                assert_eq!(report.proven.macs_through, report.last, "seed {seed}");
            }
            // As it was before, and with the checkpoints of that time: older than what retention removed since.
            let earlier = &snapshots[random.index(snapshots.len())];
            let report =
                author.folder.verify(evidence(keyed, &still_there(&author.folder, &earlier.checkpoints())));
            assert!(!is_accused(&report, keyed), "seed {seed}: {:?}", report.findings);
            let report = earlier.verify(evidence(keyed, &earlier.checkpoints()));
            assert!(!is_accused(&report, keyed), "seed {seed}: {:?}", report.findings);
        }
    }
}

#[test]
fn a_log_that_a_crash_cut_anywhere_is_not_accused() {
    let seed = from_environment("TAMPER_SEED", 1);
    for seed in seed..seed + from_environment("TAMPER_HISTORIES", 200) {
        let mut random = Random::new(seed);
        let (author, _) = history(seed, 60);
        let mut folder = author.folder;
        let last = folder.0.last_mut().unwrap();
        // A record of retention is durable before anything is removed.
        let removed = |line: &[u8]| Sealed::read(line).is_some_and(|sealed| sealed.kind == "retention");
        let lines: Vec<&[u8]> = last.bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let durable = lines.iter().rposition(|line| removed(line)).map_or(0, |at| at + 1);
        let durable: usize = lines[..durable].iter().map(|line| line.len()).sum();
        last.bytes.truncate(durable + random.index(last.bytes.len() - durable + 1));
        for keyed in [false, true] {
            let report = folder.verify(evidence(keyed, &[]));
            assert!(!is_accused(&report, keyed), "seed {seed}: {:?}", report.findings);
        }
    }
}

#[test]
fn every_edit_is_found_given_the_last_checkpoint() {
    let seed = from_environment("TAMPER_SEED", 1);
    let edits = from_environment("TAMPER_EDITS", 400);
    let (mut tried, mut equal, mut named) = (BTreeMap::<&str, u64>::new(), 0, 0);
    let mut at = seed;
    while tried.values().sum::<u64>() < edits {
        at += 1;
        // A new log for each 25 edits.
        let (mut author, snapshots) = history(at / 25, 90);
        let mut random = Random::new(at);
        author.checkpoint();
        // Half of the logs go on after it.
        if (at / 25).is_multiple_of(2) {
            author.request();
            author.intent();
        }
        let last = author.folder.last_checkpoint().unwrap();
        let kind = KINDS[random.index(KINDS.len())];
        let attacker = Attacker::of(&author, &snapshots);
        let Some(edited) = edits::edit(kind, &author.folder, &attacker, &mut random) else { continue };
        if edited == author.folder {
            equal += 1;
            continue;
        }
        for keyed in [false, true] {
            let report = edited.verify(evidence(keyed, std::slice::from_ref(&last)));
            assert!(!report.clean, "TAMPER_SEED={} {kind:?}, chain key {keyed}: not found", at - 1);
            if keyed && kind.is_of_lines() && names_first(&author.folder, &edited, &report) {
                named += 1;
            }
        }
        *tried.entry(kind.name()).or_default() += 1;
    }
    println!(
        "{} edits, all found; {equal} left the bytes equal; {named} of those to lines were named to the line",
        tried.values().sum::<u64>()
    );
    for (kind, count) in tried {
        println!("{count:6} {kind}");
    }
}

/// Whether the first finding is at the first line that was edited, and never behind the one after it.
fn names_first(before: &Folder, after: &Folder, report: &Report) -> bool {
    let files = before.0.iter().zip(&after.0).enumerate();
    let Some((file, _)) = files.clone().find(|(_, (before, after))| before != after) else { return false };
    let (old, new) = (before.lines(file), after.lines(file));
    let line = old.iter().zip(&new).take_while(|(old, new)| old == new).count() + 1;
    // Where the record of retention is edited too, the missing beginning of the log has nothing that explains it.
    let beginning = |finding: &&Finding| {
        !matches!(finding.wrong, Wrong::Missing { first: 1, .. } | Wrong::RetentionUnproven { .. })
    };
    let Some(place) = report.findings.iter().find(beginning).and_then(|finding| finding.place) else {
        // Of lines that were cut off there is no place.
        let cut = |folder: &Folder| folder.0.iter().flat_map(|file| file.bytes.clone()).collect::<Vec<u8>>();
        assert!(cut(before).starts_with(&cut(after)), "{:?}", report.findings);
        return false;
    };
    let at = (place.segment, place.line);
    let truth = (before.0[file].name, line as u64);
    // The first line of a log whose beginning was removed is proven by checkpoints alone, and the end of a segment
    // by the beginning of the next.
    let unnameable = line == 1 || line > new.len() || (line == old.len() && is_checkpoint(&old[line - 1]));
    assert!(
        unnameable || at == truth || at == (truth.0, truth.1 + 1),
        "{at:?} instead of {truth:?}: {:?}",
        report.findings
    );
    at == truth
}

/// `TAMPER_MIB` says how large the log is; with `TAMPER_FOLDER` it is left there, to be tried with the command.
#[test]
fn a_log_of_any_size_is_verified() {
    let size = from_environment("TAMPER_MIB", 2) << 20;
    let mut author = Author::begin(1);
    let mut written = 0;
    while written < size {
        let before = author.present().bytes.len();
        (0..1000).for_each(|_| author.request());
        author.checkpoint();
        let grown = author.present().bytes.len();
        written += (grown - before) as u64;
        if grown > 64 << 20 {
            author.rotate();
        }
    }
    author.stop();
    for keyed in [false, true] {
        let begun = std::time::Instant::now();
        let report = author.folder.verify(evidence(keyed, &[]));
        assert!(report.clean);
        let elapsed_us = begun.elapsed().as_micros().max(1);
        let rate = u128::from(report.bytes) / elapsed_us;
        println!("{} lines, {} bytes, chain key {keyed}: {rate} MB/s", report.lines, report.bytes);
    }
    if let Some(folder) = std::env::var_os("TAMPER_FOLDER") {
        author.folder.write(folder.as_ref());
    }
}
