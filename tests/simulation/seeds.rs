//! Which seeds are run, and what is said of them?

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::flaw::Flaw;
use crate::run::Ran;
use crate::witness::End;

/// So many seeds find each planted fault.
const SEEDS_PER_FLAW: u64 = 40;

#[test]
fn every_invariant_holds_for_all_seeds() {
    if let Some(seed) = number_of("SIMULATION_SEED") {
        return one(seed);
    }
    let first = number_of("SIMULATION_FIRST").unwrap_or(1);
    let seeds = number_of("SIMULATION_SEEDS").unwrap_or(300);
    println!("seeds {first} to {}", first + seeds - 1);
    let (next, all) = (AtomicU64::new(first), Mutex::new(All::default()));
    let run_all = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return;
            }
            // It says which seed it was, and the others go on.
            let ran = catch_unwind(|| Ran::of(seed, None));
            all.lock().unwrap().add(seed, ran.ok());
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(run_all);
        }
    });
    let All { figures, broken } = all.into_inner().unwrap();
    for (figure, count) in &figures {
        println!("{count:>9} {figure}");
    }
    assert!(broken.is_empty(), "{} of {seeds} seeds:\n{}", broken.len(), broken.join("\n"));
    let missing: Vec<_> = EVENTS.into_iter().filter(|event| !figures.contains_key(*event)).collect();
    assert!(seeds < 100 || missing.is_empty(), "never met: {missing:?}");
}

/// What a hundred seeds must meet, or they would show nothing.
const EVENTS: [&str; 12] = [
    "gateway crashes",
    "power fails",
    "drain",
    "upstream crashes",
    "partition",
    "hold",
    "latency",
    "sync failed",
    "new password",
    "answered audit_unavailable",
    "answered upstream_suspended",
    "answered upstream_credentials_rejected",
];

/// What all seeds came to.
#[derive(Default)]
struct All {
    figures: BTreeMap<String, u64>,
    broken: Vec<String>,
}

impl All {
    fn add(&mut self, seed: u64, ran: Option<Ran>) {
        let broken = ran.as_ref().map_or_else(|| vec!["it panicked".to_owned()], |ran| ran.broken.clone());
        if !broken.is_empty() {
            let said = format!("{}\n  {}", reproduce(seed), broken.join("\n  "));
            println!("{said}");
            self.broken.push(said);
        }
        let Some(ran) = ran else { return };
        let facts = ran.witness.facts();
        let mut count = |figure: String, by: u64| *self.figures.entry(figure).or_default() += by;
        facts.events.iter().for_each(|(event, times)| count((*event).to_owned(), *times));
        for sent in facts.sent.values() {
            if let End::Answered(answered) = &sent.end {
                count(format!("answered {}", answered.code.as_deref().unwrap_or("by DCAMS")), 1);
            }
        }
        let whole = facts.received.iter().filter(|received| received.attempt.is_some()).count() as u64;
        count("forwards seen".to_owned(), whole);
        count("forwards of which too little came".to_owned(), facts.received.len() as u64 - whole);
    }
}

/// Shows the whole course of events of one seed.
fn one(seed: u64) {
    // RUST_LOG=turmoil=trace shows every segment on every link.
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).without_time().with_test_writer().init();
    let ran = Ran::of(seed, None);
    let facts = ran.witness.facts();
    println!("{}\ndigest {}", facts.trace(), facts.digest());
    assert!(ran.broken.is_empty(), "seed {seed}:\n{}", ran.broken.join("\n"));
}

fn reproduce(seed: u64) -> String {
    format!("SIMULATION_SEED={seed} cargo test --test simulation seeds -- --nocapture")
}

#[test]
fn the_same_seed_goes_the_same_way() {
    for seed in 1..=10 {
        let [one, other] = [(); 2].map(|()| Ran::of(seed, None).witness);
        let (one, other) = (one.facts(), other.facts());
        let differs = one.trace().lines().zip(other.trace().lines()).position(|(one, other)| one != other);
        if let Some(at) = differs {
            let around = |trace: String| {
                trace.lines().skip(at.saturating_sub(3)).take(5).collect::<Vec<_>>().join("\n")
            };
            panic!("seed {seed}:\n{}\n-- and --\n{}", around(one.trace()), around(other.trace()));
        }
        assert_eq!(one.digest(), other.digest(), "seed {seed}");
        assert!(one.trace().lines().count() > 20, "seed {seed}");
    }
}

/// Runs seeds with `flaw` until one shows it, and says how.
fn found(flaw: Flaw) -> String {
    let broken = (1..=SEEDS_PER_FLAW).find_map(|seed| Ran::of(seed, Some(flaw)).broken.into_iter().next());
    broken.unwrap_or_else(|| panic!("{flaw:?} was not found in {SEEDS_PER_FLAW} seeds"))
}

#[test]
fn a_line_that_is_told_to_be_durable_too_early_is_found() {
    let found = found(Flaw::DurableTooEarly);
    assert!(found.starts_with("no unrecorded forward"), "{found}");
}

#[test]
fn a_write_that_is_sent_twice_is_found() {
    let found = found(Flaw::SendsTwice);
    assert!(found.starts_with("no duplicate write"), "{found}");
}

#[test]
fn a_user_with_another_password_is_found() {
    let found = found(Flaw::MixesCredentials);
    assert!(found.starts_with("no mixed credentials"), "{found}");
}

#[test]
fn an_intent_that_nobody_closes_is_found() {
    let found = found(Flaw::ForgetsIntents);
    assert!(found.starts_with("one outcome"), "{found}");
}

/// A number in the environment.
fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}
