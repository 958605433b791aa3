//! Does the state machine do what it says, at any time and in any order?

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const ME: Source = Source::Nobody;
const A: Source = Source::Caller(1);
const B: Source = Source::Caller(2);
const FAILED: Sign = Sign::Failed(Source::Nobody);

fn settings() -> Settings {
    Settings {
        failures: 3,
        share_percent: 50,
        window: Duration::from_secs(10),
        slow: Duration::from_secs(5),
        open_for: Duration::from_secs(4),
        open_max: Duration::from_secs(30),
        probes: 2,
    }
}

/// A breaker, its clock and its random numbers.
struct Bench {
    breaker: Breaker,
    settings: Settings,
    now: Instant,
    jitter: Jitter,
}

impl Bench {
    fn new() -> Self {
        Self {
            breaker: Breaker::default(),
            settings: settings(),
            now: Instant::now(),
            jitter: Jitter::seeded(1),
        }
    }

    /// One that has just opened.
    fn opened() -> Self {
        let mut bench = Self::new();
        (0..3).for_each(|_| bench.attempt(ME, FAILED));
        assert_eq!(bench.breaker.condition(), Condition::Open);
        bench
    }

    /// One whose pause is over; nobody asked yet.
    fn rested() -> Self {
        let mut bench = Self::opened();
        bench.pass(bench.settings.open_max);
        bench
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn admit(&mut self, who: Source) -> Result<Permit, Duration> {
        self.breaker.admit(&self.settings, self.now, who)
    }

    fn settle(&mut self, permit: &Permit, who: Source, sign: Sign) {
        self.breaker.settle(&self.settings, self.now, permit, who, sign, &self.jitter);
    }

    fn attempt(&mut self, who: Source, sign: Sign) {
        let permit = self.admit(who).expect("it lets attempts pass");
        self.settle(&permit, who, sign);
    }
}

#[test]
fn it_opens_when_failures_amount_to_an_outage_and_says_for_how_long() {
    let mut bench = Bench::opened();
    let wait = bench.admit(ME).err().expect("nothing passes");
    assert!(wait >= Duration::from_secs(2) && wait <= Duration::from_secs(4), "{wait:?}");
    bench.pass(wait - Duration::from_millis(1));
    assert!(bench.admit(ME).is_err());
    bench.pass(Duration::from_millis(1));
    assert!(bench.admit(ME).is_ok(), "what was promised holds");
}

#[test]
fn only_so_many_probes_pass_at_once() {
    let mut bench = Bench::rested();
    let probes = [bench.admit(ME).unwrap(), bench.admit(ME).unwrap()];
    assert!(bench.admit(ME).is_err());
    assert_eq!(bench.breaker.condition(), Condition::HalfOpen);
    drop(probes);
}

#[test]
fn a_probe_that_came_to_nothing_frees_its_place() {
    let mut bench = Bench::rested();
    let first = bench.admit(ME).unwrap();
    let _second = bench.admit(ME).unwrap();
    assert!(bench.admit(ME).is_err());
    bench.settle(&first, ME, Sign::Nothing);
    assert!(bench.admit(ME).is_ok());
}

#[test]
fn enough_probes_that_are_fine_close_it() {
    let mut bench = Bench::rested();
    bench.attempt(ME, Sign::Fine);
    assert_eq!(bench.breaker.condition(), Condition::HalfOpen);
    bench.attempt(ME, Sign::Fine);
    assert_eq!(bench.breaker.condition(), Condition::Closed);
    // What was counted before the outage is forgotten.
    bench.attempt(ME, FAILED);
    bench.attempt(ME, FAILED);
    assert_eq!(bench.breaker.condition(), Condition::Closed);
}

#[test]
fn a_probe_that_fails_opens_it_for_twice_as_long_up_to_a_limit() {
    let mut bench = Bench::rested();
    for limit in [8, 16, 30, 30, 30] {
        bench.attempt(ME, FAILED);
        let wait = bench.admit(ME).err().expect("it is open");
        let limit = Duration::from_secs(limit);
        assert!(wait >= limit / 2 && wait <= limit, "{wait:?} of {limit:?}");
        bench.pass(limit);
    }
    bench.attempt(ME, Sign::Fine);
    bench.attempt(ME, Sign::Fine);
    (0..3).for_each(|_| bench.attempt(ME, FAILED));
    assert!(
        bench.admit(ME).is_err_and(|wait| wait <= bench.settings.open_for),
        "once closed, it begins anew"
    );
}

#[test]
fn what_was_begun_before_it_opened_tells_nothing_after() {
    let mut bench = Bench::new();
    let old = bench.admit(ME).unwrap();
    (0..3).for_each(|_| bench.attempt(ME, FAILED));
    bench.pass(bench.settings.open_max);
    let _probe = bench.admit(ME).unwrap();
    bench.settle(&old, ME, FAILED);
    assert_eq!(bench.breaker.condition(), Condition::HalfOpen);
    bench.settle(&old, ME, Sign::Fine);
    bench.settle(&old, ME, Sign::Fine);
    assert_eq!(bench.breaker.condition(), Condition::HalfOpen);
}

#[test]
fn one_caller_neither_opens_it_for_others_nor_keeps_it_open() {
    let mut bench = Bench::new();
    (0..1_000).for_each(|_| bench.attempt(A, Sign::Failed(A)));
    assert_eq!(bench.breaker.condition(), Condition::Closed);

    let mut bench = Bench::rested();
    (0..1_000).for_each(|_| bench.attempt(A, Sign::Failed(A)));
    assert_eq!(bench.breaker.condition(), Condition::HalfOpen);
    let hanging = bench.admit(A).unwrap();
    assert!(bench.admit(A).is_err(), "a caller has one place");
    bench.attempt(B, Sign::Fine);
    bench.attempt(B, Sign::Fine);
    assert_eq!(bench.breaker.condition(), Condition::Closed);
    drop(hanging);
}

#[test]
fn two_callers_open_it_and_keep_it_open() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.attempt(A, Sign::Failed(A));
        bench.attempt(B, Sign::Failed(B));
    }
    assert_eq!(bench.breaker.condition(), Condition::Open);
    bench.pass(bench.settings.open_max);
    bench.attempt(A, Sign::Failed(A));
    assert_eq!(bench.breaker.condition(), Condition::HalfOpen);
    bench.attempt(B, Sign::Failed(B));
    assert_eq!(bench.breaker.condition(), Condition::Open);
}

#[test]
fn switched_off_it_lets_everything_pass() {
    let mut bench = Bench::opened();
    bench.settings.failures = 0;
    (0..100).for_each(|_| bench.attempt(ME, FAILED));
    assert!(bench.admit(ME).is_ok());
}

/// What happens to a breaker.
#[derive(Clone, Copy, Debug)]
enum Event {
    Pass { ms: u64 },
    Begin { who: u64 },
    End { which: usize, sign: u8 },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        (0_u64..20_000).prop_map(|ms| Event::Pass { ms }),
        (0_u64..4).prop_map(|who| Event::Begin { who }),
        (0_usize..8, 0_u8..4).prop_map(|(which, sign)| Event::End { which, sign }),
    ];
    prop::collection::vec(event, 0..400)
}

fn source(who: u64) -> Source {
    if who == 0 { Source::Nobody } else { Source::Caller(who) }
}

fn sign(kind: u8, who: Source) -> Sign {
    match kind {
        0 => Sign::Nothing,
        1 => FAILED,
        2 => Sign::Failed(who),
        _ => Sign::Fine,
    }
}

/// Plays `events` and gives the breaker with what is still under way; fails where an invariant does.
fn play(events: Vec<Event>, seed: u64) -> (Bench, Vec<(Permit, Source)>) {
    let mut bench = Bench { jitter: Jitter::seeded(seed), ..Bench::new() };
    let mut under_way: Vec<(Permit, Source)> = Vec::new();
    for event in events {
        match event {
            Event::Pass { ms } => bench.pass(Duration::from_millis(ms)),
            Event::Begin { who } => {
                let was_open = bench.breaker.condition() == Condition::Open;
                match bench.admit(source(who)) {
                    Ok(permit) => under_way.push((permit, source(who))),
                    Err(wait) => assert!(wait <= bench.settings.open_max && (was_open || !wait.is_zero())),
                }
            }
            Event::End { which, sign: kind } if !under_way.is_empty() => {
                let (permit, who) = under_way.swap_remove(which % under_way.len());
                bench.settle(&permit, who, sign(kind, who));
            }
            Event::End { .. } => {}
        }
        let generation = bench.breaker.generation;
        let probes = under_way.iter().filter(|(permit, _)| permit.generation == generation);
        if bench.breaker.condition() == Condition::HalfOpen {
            assert!(probes.count() <= bench.settings.probes);
        }
    }
    (bench, under_way)
}

proptest! {
    #[test]
    fn it_never_stays_open_for_ever(events in events(), seed: u64) {
        let (mut bench, under_way) = play(events, seed);
        // Whatever is under way ends, or is given up.
        for (permit, who) in under_way {
            bench.settle(&permit, who, Sign::Nothing);
        }
        bench.pass(bench.settings.open_max);
        for _ in 0..bench.settings.probes {
            bench.attempt(ME, Sign::Fine);
        }
        prop_assert_eq!(bench.breaker.condition(), Condition::Closed);
    }

    #[test]
    fn at_most_so_many_probes_are_under_way_at_once(events in events(), seed: u64) {
        play(events, seed);
    }

    #[test]
    fn what_a_single_caller_meets_never_opens_it(events in events(), seed: u64) {
        // Every failure is put down to caller 1, whoever the others are and however they fare.
        let mut bench = Bench { jitter: Jitter::seeded(seed), ..Bench::new() };
        for event in events {
            match event {
                Event::Pass { ms } => bench.pass(Duration::from_millis(ms)),
                Event::Begin { who } if who > 1 => bench.attempt(source(who), Sign::Fine),
                Event::Begin { .. } | Event::End { .. } => bench.attempt(A, Sign::Failed(A)),
            }
            prop_assert_eq!(bench.breaker.condition(), Condition::Closed);
        }
    }
}
