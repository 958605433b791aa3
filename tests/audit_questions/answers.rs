//! Does the index say what the lines say?

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use dcams_gateway::audit::{Entry, Filter, Group, Index, Lines, NONE, Order, Segments};
use jiff::Timestamp;
use proptest::prelude::*;

use crate::log::{BEGIN_US, HOUR_US, Log, Random, Request, has_intent, person, request};

/// Every line of the log with whether it is an intent without outcome, read without an index.
fn all_lines(log: &Log) -> Vec<(Vec<u8>, bool)> {
    let mut all = Vec::new();
    for segment in Segments::open(&log.folder).unwrap().iter() {
        let mut lines: Lines<_> = segment.lines().unwrap();
        while let Some(line) = lines.read_line().unwrap() {
            all.push(line.bytes.to_vec());
        }
    }
    let closed: BTreeSet<u128> = all
        .iter()
        .filter_map(|line| Entry::read(line).filter(|entry| entry.kind == "outcome")?.request_id())
        .collect();
    let open = |line: &Vec<u8>| {
        let entry = Entry::read(line).unwrap();
        entry.kind == "intent" && !closed.contains(&entry.request_id().unwrap())
    };
    all.into_iter().map(|line| (line.clone(), open(&line))).collect()
}

/// What a filter without an index finds: times and lines, oldest first.
fn expected(log: &Log, filter: &Filter) -> Vec<(i64, Vec<u8>, bool)> {
    let asked = |entry: &Entry<'_>, open: bool| match filter.kinds.as_slice() {
        [] => entry.kind == "outcome" || open,
        kinds => kinds.iter().any(|kind| kind == entry.kind),
    };
    let mut found: Vec<_> = all_lines(log)
        .into_iter()
        .filter_map(|(line, open)| {
            let mut entry = Entry::read(&line)?;
            let (time, asked) = (entry.time_us()?, asked(&entry, open));
            entry.outcome = entry.outcome.or(open.then_some("open"));
            (asked && filter.accepts(&entry)).then(|| (time, entry.seq, line.clone(), open))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(time, _, line, open)| (time, line, open)).collect()
}

fn listed(index: &Index, filter: &Filter, order: Order, limit: u64) -> Vec<(i64, Vec<u8>, bool)> {
    let mut found = Vec::new();
    let shown = index
        .list(filter, order, limit, &mut |line| {
            found.push((line.entry.time_us().unwrap(), line.line.to_vec(), line.open));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(shown, found.len() as u64);
    found
}

fn counted(found: &[(i64, Vec<u8>, bool)], by: &[Group]) -> BTreeMap<Vec<String>, u64> {
    let mut counts = BTreeMap::new();
    for (time, line, open) in found {
        let entry = Entry::read(line).unwrap();
        let value = |group: &Group| {
            let text = match group {
                Group::Caller => entry.caller,
                Group::Service => entry.service,
                Group::Outcome => entry.outcome.or(open.then_some("open")),
                Group::Code => entry.code,
                Group::Credential => entry.credential.map(|credential| credential.0),
                Group::Status => {
                    return entry.status.map_or(NONE.to_owned(), |status| status.to_string());
                }
                Group::Hour | Group::Day => {
                    let time = Timestamp::from_microsecond(*time).unwrap();
                    let form = if *group == Group::Hour { "%Y-%m-%dT%H:00:00Z" } else { "%Y-%m-%d" };
                    return time.strftime(form).to_string();
                }
            };
            text.unwrap_or(NONE).to_owned()
        };
        *counts.entry(by.iter().map(value).collect()).or_default() += 1;
    }
    counts
}

/// Some hours of traffic: requests that overlap, rotation, checkpoints, requests that are still open.
fn write_traffic(
    log: &mut Log,
    random: &mut Random,
    open: &mut Vec<Request>,
    requests: usize,
    from_us: i64,
) -> i64 {
    let mut time = from_us;
    for number in 0..requests {
        time += i64::try_from(random.below(900_000_000)).unwrap();
        let request = request(random, time, 10);
        if has_intent(&request) {
            log.intent(&request);
            open.push(request);
        } else {
            log.outcome(&request);
        }
        if open.len() > 3 {
            log.outcome(&open.remove(usize::try_from(random.below(3)).unwrap()));
        }
        match random.below(20) {
            0 => log.rotate(time),
            1 => log.event("checkpoint", time, r#","first":1"#),
            2 => log.event("loss", time, r#","strangers":3,"best_effort":0"#),
            _ => {}
        }
        // The last ones stay open.
        if number % 25 == 24 {
            open.drain(..).for_each(|request| log.outcome(&request));
        }
    }
    log.write();
    time
}

fn filters() -> impl Strategy<Value = Filter> {
    let some = |values: &'static [&'static str]| {
        let list = proptest::sample::subsequence(values, 0..=2);
        (proptest::bool::weighted(0.3), list).prop_map(|(given, list)| {
            let list = list.into_iter().map(str::to_owned).collect::<Vec<_>>();
            if given { list } else { Vec::new() }
        })
    };
    let time = || {
        proptest::option::weighted(
            0.3,
            (0..40_i64, 0..3_usize)
                .prop_map(|(hour, part)| BEGIN_US + hour * HOUR_US + [0, 1, HOUR_US / 2][part]),
        )
    };
    (
        (time(), time()),
        some(&["kyc-api", "batch", "nobody", NONE]),
        some(&["getStatus", "updateStatus", NONE]),
        some(&["forwarded", "refused", "unknown", "open"]),
        some(&["rate_limited", "unauthenticated", NONE]),
        some(&["production", NONE]),
        prop_oneof![8 => Just(Vec::new()), 1 => Just(vec![(200, 299)]), 1 => Just(vec![(429, 429), (500, 599)])],
        prop_oneof![
            6 => Just(Vec::new()),
            1 => Just(vec!["outcome".to_owned()]),
            1 => Just(vec!["intent".to_owned()]),
            1 => Just(vec!["intent".to_owned(), "outcome".to_owned()]),
            1 => Just(vec!["loss".to_owned(), "checkpoint".to_owned(), "segment".to_owned()]),
        ],
        proptest::option::weighted(0.2, 0..12_u64),
    )
        .prop_map(|(times, callers, services, outcomes, codes, credentials, statuses, kinds, of)| {
            let mut filter = Filter { since_us: times.0, until_us: times.1, kinds, ..Filter::default() };
            // Other kinds of lines have none of these, and the command line does not let them meet.
            if filter.kinds.iter().all(|kind| ["outcome", "intent"].contains(&kind.as_str())) {
                filter = Filter { callers, services, outcomes, codes, credentials, statuses, ..filter };
                filter.fingerprints = of.map(person).into_iter().collect();
            }
            // What an intent says of the outcome is asked of outcomes.
            if filter.kinds.iter().any(|kind| kind == "intent") {
                filter = Filter { outcomes: vec![], codes: vec![], statuses: vec![], ..filter };
            }
            filter
        })
}

const GROUPS: [Group; 8] = [
    Group::Caller,
    Group::Service,
    Group::Outcome,
    Group::Code,
    Group::Status,
    Group::Credential,
    Group::Hour,
    Group::Day,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// Twice: as the index was made, and as it was brought up to date.
    #[test]
    fn the_index_finds_and_counts_what_reading_every_line_finds(
        seed in any::<u64>(),
        asked in proptest::collection::vec(
            (filters(), proptest::sample::subsequence(&GROUPS[..], 0..3), 0..30_u64, any::<bool>()), 6,
        ),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random(seed);
        let mut log = Log::begin(folder.path(), 1);
        let (mut time, mut open) = (BEGIN_US, Vec::new());
        for requests in [40, 70] {
            time = write_traffic(&mut log, &mut random, &mut open, requests, time);
            let mut notices = Vec::new();
            let file = folder.path().join("index.sqlite");
            let index = Index::open(folder.path(), Some(&file), &mut |notice| notices.push(notice)).unwrap();
            prop_assert_eq!(&notices, &vec![]);
            for (filter, by, limit, newest) in &asked {
                let expected = expected(&log, filter);
                prop_assert_eq!(&listed(&index, filter, Order::Oldest, u64::MAX), &expected);
                let newest_first: Vec<_> = expected.iter().rev().take(usize::try_from(*limit).unwrap()).cloned().collect();
                if *newest {
                    prop_assert_eq!(listed(&index, filter, Order::Newest, *limit), newest_first);
                }
                let counts = index.count(filter, by).unwrap();
                let by_key: BTreeMap<_, _> = counts.iter().cloned().collect();
                prop_assert_eq!(counts.len(), by_key.len());
                if by.is_empty() {
                    prop_assert_eq!(counts, vec![(vec![], expected.len() as u64)]);
                } else {
                    // What an intent says of its outcome is not the intent's.
                    let intents = filter.kinds.iter().any(|kind| kind == "intent");
                    if !intents || by.iter().all(|group| matches!(group, Group::Caller | Group::Service)) {
                        prop_assert_eq!(by_key, counted(&expected, by));
                    }
                }
            }
        }
    }
}

/// As other properties; each case of this one writes and reads a folder of files.
fn cases() -> u32 {
    let asked = std::env::var_os("PROPTEST_CASES").and_then(|text| text.to_str()?.parse::<u32>().ok());
    asked.map_or(48, |cases| (cases / 100).max(48))
}
