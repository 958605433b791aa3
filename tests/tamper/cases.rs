//! What exactly is found, and what is said to be proven.

use dcams_gateway::audit::verify::{Key, Proven, Report, Retired, Verdict, Wrong};

use crate::log::{Author, File, Folder, evidence, hex, next_signing_key, signing_key};

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
    assert_eq!((found(&report), notes(&report)), (vec![], vec!["retention"]));
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
}

#[test]
fn checkpoints_of_another_chain_are_compared_with_nothing_and_prove_nothing() {
    let log = author().folder;
    let mut before = Author::begin(2);
    before.checkpoint();
    (0..30).for_each(|_| before.request());
    before.checkpoint();
    let kept = [before.folder.checkpoints(), log.checkpoints()].concat();
    let report = log.verify(evidence(true, &kept));
    assert_eq!((found(&report), notes(&report)), (vec![], vec!["other_chain"]));
    assert_eq!((report.clean, report.proven.checkpoints, report.proven.checkpoint), (true, 3, Some(24)));
    // Another log in the place of the one whose checkpoints were kept.
    let report = log.verify(evidence(true, &before.folder.checkpoints()));
    assert_eq!((found(&report), report.clean), (vec![("given_other_chain", 0, 0, None)], false));
}

#[test]
fn findings_beyond_those_that_are_listed_are_findings() {
    let mut author = Author::begin(1);
    author.rotate();
    (0..2100).for_each(|_| author.next_segment());
    let first = author.folder.0[0].name;
    let every_other: Vec<u64> = author.folder.0[1..].iter().step_by(2).map(|file| file.name).collect();
    author.remove(&every_other[..1050]);
    author.remove(&[first]);
    author.checkpoint();
    for keyed in [false, true] {
        let report = author.folder.verify(evidence(keyed, &[]));
        assert_eq!((report.clean, report.verdict), (false, Verdict::NotClean));
        // The beginning is as it should be, and takes no place.
        assert_eq!((report.findings.len(), report.findings_left_out), (1000, 49));
        assert!(report.findings.iter().all(|finding| finding.wrong.code() == "missing"));
    }
}

#[test]
fn what_retention_lists_inside_the_log_is_missing_all_the_same() {
    let mut author = author();
    author.next_segment();
    author.remove(&[11]);
    author.checkpoint();
    for keyed in [false, true] {
        let report = author.folder.verify(evidence(keyed, &[]));
        assert_eq!((found(&report), report.clean), (vec![("missing", 25, 1, Some(25))], false));
    }
}

#[test]
fn a_record_of_retention_that_nothing_proves_explains_nothing() {
    let mut author = author();
    author.next_segment();
    author.retain(2);
    let unproven = [("retention_unproven", 11, 1, Some(11))];
    let report = author.folder.verify(evidence(false, &author.folder.checkpoints()));
    assert_eq!((found(&report), report.clean), (unproven.to_vec(), false));
    assert_eq!(report.findings[0].wrong, Wrong::RetentionUnproven { last: 10, record: 26 });
    assert!(author.folder.verify(evidence(true, &[])).clean, "its MAC is right");
    // Its author has no key.
    let forged = edited(&author.folder, |lines| {
        let line = &mut lines.last_mut().unwrap().1;
        let mac = line.len() - 10;
        line[mac] = if line[mac] == b'0' { b'1' } else { b'0' };
    });
    let report = forged.verify(evidence(true, &[]));
    assert_eq!(found(&report), [unproven[0], ("mac", 25, 2, Some(26))]);
    // Signed, but changed.
    author.checkpoint();
    assert!(author.folder.verify(evidence(false, &[])).clean);
    let changed = edited(&author.folder, |lines| {
        let line = &mut lines[15].1;
        *line = replaced(line, "T", "U");
    });
    assert_eq!(found(&changed.verify(evidence(false, &[])))[0], unproven[0]);
    // In a segment that was changed, though the later checkpoint's fault is not told again.
    let mut author = self::author();
    author.next_segment();
    author.request();
    author.checkpoint();
    author.retain(2);
    author.checkpoint();
    let changed = edited(&author.folder, |lines| lines[15].1 = replaced(&lines[15].1, "kyc-api", "batch--"));
    let report = changed.verify(evidence(false, &[]));
    assert_eq!(found(&report), [unproven[0], ("checkpoint_digest", 25, 4, Some(28))]);
    // A checkpoint of the next segment does, as that one was written after this one.
    let mut author = self::author();
    author.next_segment();
    author.retain(2);
    author.next_segment();
    author.checkpoint();
    let report = author.folder.verify(evidence(false, &[]));
    assert_eq!((found(&report), notes(&report)), (vec![], vec!["retention", "unsigned_end"]));
}

#[test]
fn the_verdict_says_what_was_removed_in_the_name_of_retention() {
    let mut author = author();
    author.next_segment();
    author.retain(2);
    author.checkpoint();
    let report = author.folder.verify(evidence(false, &author.folder.checkpoints()));
    assert_eq!(report.proven.retired, Some(Retired { first: 1, last: 10, record: 26 }));
    let said = report.statements();
    let expected = "the lines seq 11 to 27 that are here are unchanged; removed in the name of retention: seq 1 to 10, \
                    says the record at seq 26: compare it with what was decided";
    assert_eq!(said[0], expected);
    let expected = "by checkpoints kept elsewhere: 3 unchanged, the last at seq 27: since it was taken, none of the lines \
                    seq 11 to 27 was changed or removed, whoever holds the gateway's host and keys";
    assert!(said.contains(&expected.to_owned()), "{said:?}");
    let json = serde_json::to_value(&report).unwrap();
    let expected = serde_json::json!({"first": 1, "last": 10, "record": 26});
    assert_eq!((&json["proven"]["retired"], &json["verdict"]), (&expected, &"clean".into()));
}

#[test]
fn what_the_chain_key_alone_does_not_reach_is_said_to_be_unproven() {
    let mut author = Author::begin(1);
    author.rotate();
    author.retain(1);
    let said = author.folder.verify(evidence(true, &[])).statements();
    for expected in [
        "without a checkpoint: seq 6 by the chain key alone, whose present key is on the gateway's host",
        "not proven: seq 5, whose MAC follows a line that is not here, before a checkpoint",
    ] {
        assert!(said.contains(&expected.to_owned()), "{said:?}");
    }
}

#[test]
fn a_log_of_which_nothing_is_proven_is_not_clean() {
    let mut author = Author::begin(1);
    author.request();
    let report = author.folder.verify(evidence(false, &[]));
    assert_eq!((found(&report), report.clean, report.verdict), (vec![], false, Verdict::NothingProven));
    assert!(report.statements()[0].starts_with("nothing: "), "{:?}", report.statements());
    assert_eq!(author.folder.verify(evidence(true, &[])).verdict, Verdict::Clean);
    author.checkpoint();
    assert_eq!(author.folder.verify(evidence(false, &[])).verdict, Verdict::Clean);
}

#[test]
fn a_kept_checkpoint_behind_a_finding_proves_nothing() {
    let log = author().folder;
    let kept = log.checkpoints();
    let edited = edited(&log, |lines| lines[13].1 = replaced(&lines[13].1, "kyc-api", "batch--"));
    let report = edited.verify(evidence(false, &kept));
    assert_eq!((report.proven.checkpoints, report.proven.checkpoint), (1, Some(10)));
}

#[test]
fn the_verdict_says_from_where_to_where_each_key_signed() {
    let mut author = author();
    author.sign_with(next_signing_key());
    author.start();
    author.checkpoint();
    let ids = [signing_key(), next_signing_key()].map(|key| hex(&key.public().id()));
    let mut evidence = evidence(false, &[]);
    evidence.keys.push(next_signing_key().public());
    let report = author.folder.verify(evidence);
    assert!(report.clean);
    let said = report.statements();
    for expected in [
        format!("  key {}: the checkpoints of seq 10 to 24", ids[0]),
        format!("  key {}: the checkpoints of seq 27", ids[1]),
    ] {
        assert!(said.contains(&expected), "{said:?}");
    }
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
    assert_eq!(notes(&report), ["open", "fault", "unsigned_end"]);
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
