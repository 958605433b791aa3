//! What exactly is found, and what is said to be proven.

use dcams_gateway::audit::verify::{Key, Proven, Report, Wrong};

use crate::log::{Author, File, Folder, evidence, hex, signing_key};

/// A log of two segments: the lines 1 to 10, and 11 to 24. Checkpoints are 10, 18 and 24.
fn author() -> Author {
    let mut author = Author::begin(1);
    (0..3).for_each(|_| author.request());
    author.rotate();
    (0..3).for_each(|_| author.request());
    author.checkpoint();
    (0..2).for_each(|_| author.request());
    author.stop();
    author
}

/// Each finding's code, segment, line and number.
fn found(report: &Report) -> Vec<(&'static str, u64, u64, Option<u64>)> {
    let place = |finding: &dcams_gateway::audit::verify::Finding| {
        let (segment, line, seq) =
            finding.place.map_or((0, 0, None), |place| (place.segment, place.line, place.seq));
        (finding.wrong.code(), segment, line, seq)
    };
    report.findings.iter().map(place).collect()
}

fn notes(report: &Report) -> Vec<&'static str> {
    report.notes.iter().map(|note| note.code).collect()
}

/// The log with its lines changed by `edit`; each has its file.
fn edited(log: &Folder, edit: impl FnOnce(&mut Vec<(usize, Vec<u8>)>)) -> Folder {
    let mut lines = log.all_lines();
    edit(&mut lines);
    let mut folder = Folder(log.0.iter().map(|file| File { name: file.name, bytes: Vec::new() }).collect());
    for (file, line) in lines {
        folder.0[file].bytes.extend_from_slice(&line);
    }
    folder
}

fn replaced(line: &[u8], from: &str, to: &str) -> Vec<u8> {
    let line = String::from_utf8(line.to_vec()).unwrap();
    assert!(line.contains(from), "{line}");
    line.replacen(from, to, 1).into_bytes()
}

#[test]
fn the_verdict_says_up_to_where_what_is_proven() {
    let mut author = author();
    let last = author.folder.last_checkpoint().unwrap();
    author.start();
    let key = Key { id: hex(&signing_key().public().id()), first: 10, last: 24 };
    let signed = Proven { signed_through: Some(24), keys: vec![key], ..Proven::default() };
    let expected = Proven {
        chain_key: true,
        macs_from: Some(1),
        macs_through: Some(26),
        checkpoints: 1,
        checkpoint: Some(24),
        ..signed.clone()
    };
    let report = author.folder.verify(evidence(true, &[last]));
    assert_eq!((report.clean, report.proven), (true, expected));
    let report = author.folder.verify(evidence(false, &[]));
    assert_eq!((report.clean, &report.proven), (true, &signed));
    assert_eq!(
        (report.chain, report.first, report.last, report.lines),
        (Some(author.id), Some(1), Some(26), 26)
    );
    let said = report.statements();
    assert!(
        said.contains(
            &"not proven: seq 25 to 26, after the last checkpoint, without the chain key".to_owned()
        ),
        "{said:?}"
    );
}

#[test]
fn a_changed_line_is_named_by_the_chain_key_and_narrowed_down_by_the_signature() {
    let log = author().folder;
    let edited = edited(&log, |lines| lines[13].1 = replaced(&lines[13].1, "kyc-api", "batch--"));
    let keyed = edited.verify(evidence(true, &[]));
    assert_eq!(found(&keyed), [("mac", 11, 4, Some(14)), ("checkpoint_digest", 11, 8, Some(18))]);
    assert_eq!((keyed.proven.signed_through, keyed.proven.macs_through), (Some(10), Some(13)));
    let signed = edited.verify(evidence(false, &[]));
    assert_eq!(found(&signed), [("checkpoint_digest", 11, 8, Some(18))]);
    assert_eq!(signed.findings[0].wrong, Wrong::CheckpointDigest { lines: (11, 17) });
}

#[test]
fn a_line_that_is_no_strict_json_is_named_without_any_key() {
    let log = author().folder;
    for (from, to) in [
        (r#""peer":"loopback""#, r#""peer":"remote","peer":"loopback""#),
        (r#""v":1,"#, r#""v":2,"#),
        (r#""outcome":"forwarded""#, r#""outcome":"forwarded"}"#),
        (r#""kind":"outcome""#, r#""kind":"outcome"x"#),
        (r#"{"seq":"#, r#" {"seq":"#),
    ] {
        let edited = edited(&log, |lines| lines[14].1 = replaced(&lines[14].1, from, to));
        let report = edited.verify(evidence(false, &[]));
        let place = report.findings[0].place.unwrap();
        assert_eq!((place.segment, place.line, place.seq), (11, 5, None), "{from}");
        let before: usize = log.lines(1)[..4].iter().map(Vec::len).sum();
        assert_eq!(place.offset, before as u64);
    }
}

#[test]
fn missing_copied_and_swapped_lines_are_named() {
    let log = author().folder;
    let keyed = |folder: &Folder| found(&folder.verify(evidence(true, &[])));
    let digest = ("checkpoint_digest", 11, 8, Some(18));
    let lost = edited(&log, |lines| drop(lines.drain(13..15)));
    assert_eq!(keyed(&lost), [("missing", 11, 4, Some(16)), ("checkpoint_digest", 11, 6, Some(18))]);
    let copied = edited(&log, |lines| lines.insert(14, (1, lines[4].1.clone())));
    assert_eq!(keyed(&copied), [("out_of_place", 11, 5, Some(5)), ("checkpoint_digest", 11, 9, Some(18))]);
    let swapped = edited(&log, |lines| {
        let (one, other) = (lines[13].1.clone(), lines[14].1.clone());
        (lines[13].1, lines[14].1) = (other, one);
    });
    assert_eq!(keyed(&swapped), [("out_of_place", 11, 4, Some(15)), ("missing", 11, 6, Some(16)), digest]);
    let renumbered = edited(&log, |lines| lines[13].1 = replaced(&lines[13].1, r#""seq":14"#, r#""seq":94"#));
    assert_eq!(keyed(&renumbered), [("number", 11, 4, Some(94)), digest]);
}

#[test]
fn later_findings_are_told_and_lines_in_a_row_are_one() {
    let log = author().folder;
    let twice = edited(&log, |lines| {
        lines[4].1 = replaced(&lines[4].1, "kyc-api", "batch--");
        lines[20].1 = replaced(&lines[20].1, "kyc-api", "batch--");
        lines[19].1 = replaced(&lines[19].1, "kyc-api", "batch--");
    });
    let report = twice.verify(evidence(true, &[]));
    let expected = [
        ("mac", 1, 5, Some(5)),
        ("checkpoint_digest", 1, 10, Some(10)),
        ("mac", 11, 10, Some(20)),
        ("checkpoint_digest", 11, 14, Some(24)),
    ];
    assert_eq!(found(&report), expected);
    assert_eq!(report.findings[2].lines, 2);
}

#[test]
fn a_segment_that_is_gone_is_missing_unless_retention_removed_it() {
    let mut author = author();
    author.next_segment();
    let mut gone = author.folder.clone();
    gone.0.remove(0);
    let report = gone.verify(evidence(true, &[]));
    assert_eq!(found(&report), [("missing", 11, 1, Some(11))]);
    assert_eq!(report.findings[0].wrong, Wrong::Missing { first: 1, last: 10, explained: None });
    let mut middle = author.folder.clone();
    middle.0.remove(1);
    assert_eq!(found(&middle.verify(evidence(true, &[]))), [("missing", 25, 1, Some(25))]);
    author.retain(2);
    let report = author.folder.verify(evidence(true, &author.folder.checkpoints()));
    assert_eq!((found(&report), notes(&report)), (vec![], vec!["retention", "retired"]));
    assert_eq!((report.proven.macs_from, report.proven.macs_through), (Some(12), Some(26)));
    author.folder.0.remove(0);
    assert_eq!(found(&author.folder.verify(evidence(true, &[]))), [("missing", 25, 1, Some(25))]);
}

#[test]
fn the_line_after_what_retention_removed_is_proven_by_a_checkpoint_that_was_its_last() {
    let mut author = author();
    let kept = author.folder.checkpoints();
    author.next_segment();
    author.retain(2);
    let report = author.folder.verify(evidence(true, &kept));
    assert_eq!((report.clean, report.proven.macs_from), (true, Some(11)));
}

#[test]
fn a_retention_record_that_names_another_segment_explains_nothing() {
    let mut author = author();
    author.next_segment();
    author.folder.0.remove(0);
    let other = hex(&[7; 32]);
    author.line("retention", &format!(r#","removed":[{{"first":1,"last":10,"sha256":"{other}"}}]"#));
    assert_eq!(found(&author.folder.verify(evidence(true, &[]))), [("retention_digest", 11, 1, Some(11))]);
}

#[test]
fn a_checkpoint_that_was_kept_elsewhere_must_be_in_the_log() {
    let log = author().folder;
    let kept = log.checkpoints();
    let mut cut = log.clone();
    cut.0.pop();
    // As a log that was never longer.
    assert!(cut.verify(evidence(true, &kept[..1])).clean);
    let report = cut.verify(evidence(true, &kept));
    let beyond = |seq| Wrong::GivenBeyond { seq, last: 10 };
    let wrong: Vec<Wrong> = report.findings.iter().map(|finding| finding.wrong).collect();
    assert_eq!(wrong, [beyond(18), beyond(24)]);
    // Another history that the same keys wrote.
    let mut other = Author::begin(1);
    (0..3).for_each(|_| other.refusal());
    (0..4).for_each(|_| other.line("loss", r#","strangers":1,"best_effort":0"#));
    other.line("stop", r#","in_progress":0"#);
    assert!(other.folder.verify(evidence(true, &[])).clean);
    let report = other.folder.verify(evidence(true, &kept[..1]));
    assert_eq!(found(&report), [("given_differs", 1, 10, Some(10))]);
    // Not signed, and of another chain.
    let unsigned = replaced(&kept[0], r#""first":1"#, r#""first":2"#);
    let report = log.verify(evidence(true, &[unsigned, kept[2].clone(), b"checkpoint".to_vec()]));
    let wrong: Vec<Wrong> = report.findings.iter().map(|finding| finding.wrong).collect();
    assert_eq!(wrong, [Wrong::GivenInvalid { number: 1 }, Wrong::GivenInvalid { number: 3 }]);
    let mut strange = Author::begin(2);
    strange.checkpoint();
    let report = log.verify(evidence(true, &strange.folder.checkpoints()));
    assert_eq!(found(&report), [("given_differs", 1, 4, Some(4)), ("given_invalid", 0, 0, None)]);
}

#[test]
fn a_checkpoint_that_was_kept_elsewhere_and_removed_by_retention_needs_a_later_one() {
    let mut author = author();
    let kept = author.folder.checkpoints();
    author.next_segment();
    author.retain(2);
    assert_eq!(found(&author.folder.verify(evidence(true, &kept[..1]))), [("given_missing", 0, 0, None)]);
    assert!(author.folder.verify(evidence(true, &kept[..2])).clean);
}

#[test]
fn what_the_gateway_lost_is_missing_and_its_own_record_says_why() {
    // The file was cut while it was written.
    let mut author = author();
    author.start();
    author.request();
    author.next_segment();
    author.fault("segment_truncated");
    author.request();
    author.checkpoint();
    let length = author.folder.0[1].bytes.len();
    author.folder.0[1].bytes.truncate(length - 10);
    let report = author.folder.verify(evidence(true, &[]));
    assert_eq!(found(&report), [("torn", 11, 18, None), ("missing", 29, 1, Some(29))]);
    let explained = Some(("segment_truncated", 30));
    assert_eq!(report.findings[1].wrong, Wrong::Missing { first: 28, last: 28, explained });
    assert_eq!(notes(&report), ["open", "fault"]);
    // It was removed.
    author.folder.0.remove(1);
    let report = author.folder.verify(evidence(true, &[]));
    assert_eq!(found(&report), [("missing", 29, 1, Some(29))]);
    assert_eq!(report.findings[0].wrong, Wrong::Missing { first: 11, last: 28, explained });
}

#[test]
fn a_segment_that_was_changed_behind_the_gateways_back_is_told_with_its_record() {
    let mut author = author();
    author.start();
    let end = author.present().bytes.len();
    author.next_segment();
    author.fault("segment_altered");
    author.checkpoint();
    let changed = &mut author.folder.0[1].bytes[end - 100];
    *changed = if *changed == b'0' { b'1' } else { b'0' };
    let report = author.folder.verify(evidence(false, &[]));
    assert_eq!(found(&report), [("previous_digest", 27, 1, Some(27))]);
    let explained = Some(("segment_altered", 28));
    assert_eq!(report.findings[0].wrong, Wrong::PreviousDigest { lines: (25, 26), explained });
}

#[test]
fn a_fault_that_says_that_the_log_was_edited_is_a_finding_and_any_other_a_note() {
    let mut author = author();
    author.fault("write_failed");
    assert_eq!(notes(&author.folder.verify(evidence(true, &[]))), ["fault"]);
    author.fault("chain_broken");
    let report = author.folder.verify(evidence(true, &[]));
    assert_eq!(found(&report), [("chain_broken", 11, 16, Some(26))]);
    assert_eq!(report.findings[0].wrong, Wrong::ChainBroken { good: Some(25) });
}

#[test]
fn a_torn_end_and_open_intents_are_notes_and_a_second_outcome_is_a_finding() {
    let mut author = author();
    author.start();
    let id = author.intent();
    author.present().bytes.extend_from_slice(b"{\"seq\":28,\"v\":1,\"ki");
    let report = author.folder.verify(evidence(true, &[]));
    assert_eq!((found(&report), notes(&report)), (vec![], vec!["torn", "open"]));
    let end = author.present().bytes.len() - 19;
    author.present().bytes.truncate(end);
    author.outcome(id, "forwarded");
    author.outcome(id, "unknown");
    let report = author.folder.verify(evidence(true, &[]));
    assert_eq!(report.findings[0].wrong, Wrong::Twice("outcome", id));
}

#[test]
fn a_segment_by_another_name_is_told() {
    let mut log = author().folder;
    log.0[1].name = 12;
    assert_eq!(found(&log.verify(evidence(true, &[]))), [("name", 12, 1, Some(11))]);
}

#[test]
fn an_empty_folder_proves_nothing() {
    assert_eq!(found(&Folder::default().verify(evidence(true, &[]))), [("no_segments", 0, 0, None)]);
    // The gateway was killed before the first line of a new segment was written.
    let mut log = author().folder;
    log.0.push(File { name: 25, bytes: Vec::new() });
    let report = log.verify(evidence(true, &[]));
    assert_eq!((found(&report), notes(&report)), (vec![], vec!["empty"]));
    log.0.push(File { name: 26, bytes: Vec::new() });
    assert_eq!(found(&log.verify(evidence(true, &[]))), [("empty_segment", 25, 0, None)]);
}

#[test]
fn a_checkpoint_of_a_key_that_was_not_given_proves_nothing() {
    let log = author().folder;
    let mut evidence = evidence(false, &[]);
    evidence.keys.clear();
    let report = log.verify(evidence);
    assert_eq!(found(&report)[0], ("unknown_key", 1, 10, Some(10)));
    assert_eq!(report.proven.signed_through, None);
}
