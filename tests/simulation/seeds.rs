//! Which seeds are run, and what is said of them?

use std::collections::{BTreeMap, BTreeSet};
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::flaw::Flaw;
use crate::run::Ran;
use crate::witness::End;

/// How many are run where nobody says how many: without optimisation one takes seven times as long.
const SEEDS: u64 = if cfg!(debug_assertions) { 100 } else { 300 };

/// So many seeds find each planted fault.
const SEEDS_PER_FLAW: u64 = 40;

#[test]
fn every_invariant_holds_for_all_seeds() {
    if let Some(seed) = number_of("SIMULATION_SEED") {
        return one(seed);
    }
    let first = number_of("SIMULATION_FIRST").unwrap_or(1);
    let seeds = number_of("SIMULATION_SEEDS").unwrap_or(SEEDS);
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
const EVENTS: [&str; 17] = [
    "gateway crashes",
    "power fails",
    "stop done",
    "stop cut short",
    "reload",
    "reload refused",
    "upstream crashes",
    "partition",
    "hold",
    "latency",
    "sync failed",
    "new password",
    "answered audit_unavailable",
    "answered draining",
    "answered service_not_permitted",
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

/// Runs seeds with `flaw` until one breaks the invariant that is called `name`.
fn is_found(flaw: Flaw, name: &str) {
    let mut seen = BTreeSet::new();
    for seed in 1..=SEEDS_PER_FLAW {
        let Ran { broken, .. } = Ran::of(seed, Some(flaw));
        if broken.iter().any(|broken| broken.starts_with(name)) {
            return println!("{flaw:?} breaks \"{name}\" in seed {seed}");
        }
        seen.extend(broken);
    }
    panic!("{flaw:?} did not break \"{name}\" in {SEEDS_PER_FLAW} seeds, but {seen:#?}");
}

#[test]
fn a_line_that_is_told_to_be_durable_too_early_is_found() {
    is_found(Flaw::DurableTooEarly, "no unrecorded forward");
}

#[test]
fn a_write_that_is_sent_twice_is_found() {
    is_found(Flaw::SendsTwice, "no duplicate write");
}

#[test]
fn an_attempt_that_is_not_recorded_is_found() {
    is_found(Flaw::SendsTwice, "no false record");
}

#[test]
fn a_user_with_another_password_is_found() {
    is_found(Flaw::MixesCredentials, "no mixed credentials");
}

#[test]
fn an_intent_that_nobody_closes_is_found() {
    is_found(Flaw::ForgetsIntents, "one outcome");
}

#[test]
fn a_write_of_which_is_not_said_that_its_outcome_is_unknown_is_found() {
    is_found(Flaw::HidesUnknown, "no false answer");
}

#[test]
fn an_answer_to_another_caller_is_found() {
    is_found(Flaw::ConfusesCallers, "no answer crosses callers");
}

#[test]
fn a_record_of_another_caller_is_found() {
    is_found(Flaw::ConfusesCallers, "one configuration");
}

#[test]
fn a_forward_that_is_recorded_as_not_sent_is_found() {
    is_found(Flaw::RecordsUnsent, "no false record");
}

#[test]
fn a_line_that_was_changed_is_found() {
    is_found(Flaw::RecordsUnsent, "the log is sound");
}

#[test]
fn a_password_that_is_not_read_again_is_found() {
    is_found(Flaw::NeverRereads, "it serves afterwards");
}

#[test]
fn a_request_that_never_ends_is_found() {
    is_found(Flaw::ForgetsConnections, "it serves afterwards: what was in progress");
}

#[test]
fn a_caller_that_was_put_out_and_is_served_is_found() {
    is_found(Flaw::ReloadsLate, "nothing taken back is sent");
}

#[test]
fn a_caller_that_was_taken_in_and_is_refused_is_found() {
    is_found(Flaw::ReloadsLate, "no false refusal");
}

#[test]
fn a_stop_that_does_not_wait_is_found() {
    is_found(Flaw::CutsStops, "every request is answered");
}

/// A number in the environment.
fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}
