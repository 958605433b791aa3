//! How fast are questions to a large log answered?
//!
//! `RECORDS=10000000 cargo test --release --test audit_questions speed -- --nocapture` prints figures, into a folder of
//! TMPDIR that is removed afterwards. Nothing is asserted of times: machines differ.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use dcams_gateway::audit::{Entry, Filter, Group, Index, Order, Segments};

use crate::log::{BEGIN_US, HOUR_US, Log, Random, has_intent, person, request};

const DAYS: i64 = 30;
const ROUNDS: usize = 20;

fn records() -> u64 {
    std::env::var_os("RECORDS").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(20_000)
}

/// As many lines; how many requests they are about.
fn write(folder: &Path, records: u64) -> u64 {
    let mut log = Log::begin(folder, 1);
    let mut random = Random(1);
    let step = DAYS * 24 * HOUR_US / i64::try_from(records).unwrap();
    let (mut requests, mut open, mut segment) = (0, Vec::new(), 0);
    let persons = (records / 20).max(10);
    while log.next_seq() <= records {
        let time = BEGIN_US + i64::try_from(log.next_seq()).unwrap() * step;
        let request = request(&mut random, time, persons);
        requests += 1;
        if has_intent(&request) {
            log.intent(&request);
            open.push(request);
        } else {
            log.outcome(&request);
        }
        if open.len() > 8 {
            log.outcome(&open.remove(usize::try_from(random.below(8)).unwrap()));
        }
        if log.next_seq() / 1000 > segment {
            segment = log.next_seq() / 1000;
            log.event("checkpoint", time, r#","first":1"#);
            // About 64 MiB.
            if segment % 75 == 0 {
                log.rotate(time);
            }
        }
    }
    requests
}

fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = what();
    (done, start.elapsed())
}

/// From opening the index, which looks for new lines, to the last line of the answer.
fn ask(folder: &Path, filter: &Filter, by: Option<&[Group]>) -> u64 {
    let index =
        Index::open(folder, Some(&folder.join("index.sqlite")), &mut |notice| panic!("{notice:?}")).unwrap();
    match by {
        Some(by) => index.count(filter, by).unwrap().iter().map(|(_, count)| count).sum(),
        None => index.list(filter, Order::Newest, 100, &mut |_| ControlFlow::Continue(())).unwrap(),
    }
}

#[test]
fn speed_of_answers_from_a_large_log() {
    let folder = tempfile::tempdir().unwrap();
    let records = records();
    let (requests, written) = timed(|| write(folder.path(), records));
    let bytes = Segments::open(folder.path()).unwrap().bytes();
    println!("log: {records} records, {requests} requests, {bytes} bytes, written in {written:.1?}");

    let (size, built) = timed(|| {
        Index::make(folder.path(), Some(&folder.path().join("index.sqlite")), &mut |_| {})
            .unwrap()
            .size()
            .unwrap()
    });
    let rate = records as f64 / built.as_secs_f64();
    println!(
        "index: built in {built:.1?}, {rate:.0} records/s; {} bytes, {:.1} % of the log, {:.0} bytes/request",
        size.bytes,
        size.bytes as f64 * 100.0 / bytes as f64,
        size.bytes as f64 / requests as f64,
    );
    assert_eq!(size.requests, requests);

    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let all = Filter::default();
    let middle = BEGIN_US + DAYS * 12 * HOUR_US;
    let id = an_id(folder.path());
    let of_day =
        Filter { since_us: Some(middle + 1), until_us: Some(middle + 24 * HOUR_US + 1), ..all.clone() };
    let rare = Filter { callers: list(&["batch"]), codes: list(&["response_withheld"]), ..all.clone() };
    let by_status = Filter { callers: list(&["batch"]), statuses: vec![(504, 504)], ..all.clone() };
    let questions: [(&str, Filter, Option<&[Group]>); 16] = [
        ("newest 100", all.clone(), None),
        (
            "newest 100 of an hour",
            Filter { since_us: Some(middle), until_us: Some(middle + HOUR_US), ..all.clone() },
            None,
        ),
        ("newest 100 of a caller", Filter { callers: list(&["batch"]), ..all.clone() }, None),
        ("newest 100 of a service", Filter { services: list(&["getDocumentImages"]), ..all.clone() }, None),
        ("newest 100 of an outcome", Filter { outcomes: list(&["unknown"]), ..all.clone() }, None),
        ("newest 100 of a code", Filter { codes: list(&["schema_violation"]), ..all.clone() }, None),
        ("newest 100 of a rare pair", rare, None),
        ("newest 100 of a caller and status", by_status, None),
        ("open requests", Filter { outcomes: list(&["open"]), ..all.clone() }, None),
        ("one id", Filter { ids: vec![id], ..all.clone() }, None),
        ("one person", Filter { fingerprints: vec![person(3)], ..all.clone() }, None),
        ("count of all", all.clone(), Some(&[])),
        ("count of a day, not at its border", of_day.clone(), Some(&[])),
        ("count by caller and outcome", all.clone(), Some(&[Group::Caller, Group::Outcome])),
        ("count by hour", all, Some(&[Group::Hour])),
        ("count of a day by code, caller", of_day, Some(&[Group::Code, Group::Caller])),
    ];
    for (name, filter, by) in &questions {
        let mut times: Vec<Duration> = Vec::new();
        let mut answer = 0;
        for _ in 0..ROUNDS {
            let (found, time) = timed(|| ask(folder.path(), filter, *by));
            answer = found;
            times.push(time);
        }
        times.sort();
        println!(
            "{name:36} {answer:>9}  median {:>9.1?}  max {:>9.1?}",
            times[ROUNDS / 2],
            times[ROUNDS - 1]
        );
        assert!(answer > 0 || records < 1_000_000, "{name}");
    }
    let all = ask(folder.path(), &Filter::default(), Some(&[]));
    assert_eq!(all, requests);
}

/// The id of some request.
fn an_id(folder: &Path) -> u128 {
    let segments = Segments::open(folder).unwrap();
    let mut lines = segments[segments.len() / 2].lines().unwrap();
    loop {
        let line = lines.read_line().unwrap().unwrap();
        if let Some(id) = Entry::read(line.bytes).unwrap().request_id() {
            return id;
        }
    }
}
