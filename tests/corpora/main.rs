//! Do the seeds of the fuzz targets pass their oracles, and does each show what it is there for?
//!
//! The oracles are those of `fuzz/`, without its engine: what a target once found is a seed, and is tried here ever
//! after, on every machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    // Each oracle is also used by its fuzz target.
    dead_code,
    missing_docs
)]

#[path = "../../fuzz/src/answers.rs"]
mod answers;
#[path = "../../fuzz/src/configuration.rs"]
mod configuration;
#[path = "../../fuzz/src/filled.rs"]
mod filled;
#[path = "../stack/fixture.rs"]
mod fixture;
#[path = "../../fuzz/src/heads.rs"]
mod heads;
#[path = "../tamper/log.rs"]
mod log;
#[path = "../../fuzz/src/logs.rs"]
mod logs;
#[path = "../json/oracle.rs"]
mod oracle;
#[path = "../tamper/random.rs"]
mod random;
#[path = "../json/reader.rs"]
mod reader;
#[path = "../../fuzz/src/records.rs"]
mod records;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::path::Path;

/// Judges every seed of `target`, and gives what became of each by its name.
fn replayed<V: Debug>(target: &str, check: impl Fn(&[u8]) -> V) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let seeds = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // What the fuzzer adds to its folder is named by a digest, and not committed.
    let named = seeds.filter(|seed| seed.file_name().unwrap().len() != 40);
    let judged = named.map(|seed| {
        let name = seed.file_stem().unwrap().to_str().unwrap().to_owned();
        println!("{target}: {name}");
        (name, format!("{:?}", check(&fs::read(&seed).unwrap())))
    });
    judged.collect()
}

/// Fails unless every one of `verdicts` is the verdict on some seed, and no seed stands for nothing.
fn assert_all_shown(judged: &BTreeMap<String, String>, verdicts: &[&str]) {
    for verdict in verdicts {
        assert!(judged.values().any(|one| one.contains(verdict)), "no seed is {verdict}: {judged:#?}");
    }
    let nothing: Vec<_> = judged.iter().filter(|(_, verdict)| *verdict == "None").collect();
    assert!(nothing.is_empty(), "these are no inputs: {nothing:?}");
}

#[test]
fn bodies_are_sent_or_refused_as_their_oracle_says() {
    let judged = replayed("parse_inject", oracle::judge);
    assert_all_shown(&judged, &["Sent", "NamesCredentials", "Syntax", "Duplicate", "TooComplex"]);
}

#[test]
fn answers_are_believed_or_withheld_as_their_oracle_says() {
    let judged = replayed("answer_checks", answers::check);
    assert_all_shown(&judged, &["Believed", "Echoed", "Withheld", "Invalid"]);
}

#[test]
fn heads_are_forwarded_or_refused_as_their_oracle_says() {
    let judged = replayed("route_policy", heads::check);
    assert_all_shown(&judged, &["Forwarded", "Unauthenticated", "Refused"]);
}

#[test]
fn configurations_are_accepted_or_refused_as_their_oracle_says() {
    let judged = replayed("configuration", configuration::check);
    assert_all_shown(&judged, &["Accepted", "Refused", "Concealed"]);
}

#[test]
fn records_are_written_as_their_oracle_says() {
    let judged = replayed("audit_records", records::check);
    assert_all_shown(&judged, &["Bodyless", "Valid", "Violating"]);
}

#[test]
fn logs_are_judged_as_their_oracle_says() {
    let judged = replayed("audit_log", logs::check);
    assert_all_shown(&judged, &["Clean", "Found", "Strange"]);
}
