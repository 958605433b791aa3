//! Do the failures of late amount to an outage?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::config::Breaker as Settings;

/// To whom an attempt is put down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// To no caller in particular: nothing of a request had left, so no request can have caused it; or there is
    /// only one caller whose attempts are counted.
    Nobody,
    /// To the caller of that number.
    Caller(u64),
}

/// The attempts of the last half to whole window, by who made them. As large as there are callers at work.
#[derive(Default)]
pub struct Tally {
    since: Option<Instant>,
    now: Half,
    before: Half,
}

#[derive(Default)]
struct Half {
    nobody: Counts,
    callers: BTreeMap<u64, Counts>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    failed: u32,
    fine: u32,
}

impl Tally {
    /// Counts an attempt that was fine.
    pub fn fine(&mut self, settings: &Settings, now: Instant, source: Source) {
        let counts = self.counts(settings.window, now, source);
        counts.fine = counts.fine.saturating_add(1);
    }

    /// Counts an attempt that failed; whether the failures amount to an outage now.
    ///
    /// Those of nobody do by their number and their share of all attempts. Those of callers do only where two
    /// callers or more fail by that measure, and more of them than fare well: what one caller's requests cause is
    /// no outage for the others.
    pub fn failed(&mut self, settings: &Settings, now: Instant, source: Source) -> bool {
        let counts = self.counts(settings.window, now, source);
        counts.failed = counts.failed.saturating_add(1);
        match source {
            Source::Nobody => self.of_nobody().amount_to_outage(settings, self.attempts()),
            Source::Caller(_) => {
                let by_caller = self.by_caller();
                let fails = |counts: &&Counts| counts.amount_to_outage(settings, counts.attempts());
                let failing = by_caller.values().filter(fails).count();
                failing >= 2 && failing * 2 > by_caller.len()
            }
        }
    }

    /// Two halves that take turns: nothing older than the window counts, and the last half of it always does.
    fn counts(&mut self, window: Duration, now: Instant, source: Source) -> &mut Counts {
        let (half, since) = (window / 2, *self.since.get_or_insert(now));
        let age = now.saturating_duration_since(since);
        if age >= half {
            let last = std::mem::take(&mut self.now);
            (self.before, self.since) =
                if age < window { (last, Some(since + half)) } else { (Half::default(), Some(now)) };
        }
        match source {
            Source::Nobody => &mut self.now.nobody,
            Source::Caller(caller) => self.now.callers.entry(caller).or_default(),
        }
    }

    fn of_nobody(&self) -> Counts {
        self.now.nobody.and(self.before.nobody)
    }

    fn by_caller(&self) -> BTreeMap<u64, Counts> {
        let mut sum = self.before.callers.clone();
        for (caller, counts) in &self.now.callers {
            let both = sum.entry(*caller).or_default();
            *both = both.and(*counts);
        }
        sum
    }

    fn attempts(&self) -> u32 {
        let callers = self.now.callers.values().chain(self.before.callers.values());
        callers.fold(self.of_nobody(), |sum, counts| sum.and(*counts)).attempts()
    }
}

impl Counts {
    fn and(self, other: Self) -> Self {
        Self { failed: self.failed.saturating_add(other.failed), fine: self.fine.saturating_add(other.fine) }
    }

    fn attempts(self) -> u32 {
        self.failed.saturating_add(self.fine)
    }

    fn amount_to_outage(self, settings: &Settings, attempts: u32) -> bool {
        let share = u64::from(self.failed) * 100 >= u64::from(attempts) * u64::from(settings.share_percent);
        self.failed >= settings.failures && share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Source = Source::Caller(1);
    const B: Source = Source::Caller(2);
    const C: Source = Source::Caller(3);

    fn settings() -> Settings {
        Settings { failures: 4, share_percent: 50, window: Duration::from_secs(10), ..Settings::never() }
    }

    /// Whether the last of these failures amounts to an outage.
    fn outage(tally: &mut Tally, now: Instant, failures: &[Source]) -> bool {
        failures.iter().fold(false, |_, source| tally.failed(&settings(), now, *source))
    }

    #[test]
    fn failures_of_nobody_are_an_outage_by_their_number_and_their_share() {
        let now = Instant::now();
        let mut tally = Tally::default();
        assert!(!outage(&mut tally, now, &[Source::Nobody; 3]));
        assert!(outage(&mut tally, now, &[Source::Nobody]));

        let mut busy = Tally::default();
        for _ in 0..6 {
            busy.fine(&settings(), now, A);
        }
        assert!(!outage(&mut busy, now, &[Source::Nobody; 5]), "5 of 11 are less than half");
        assert!(outage(&mut busy, now, &[Source::Nobody]), "6 of 12 are half");
    }

    #[test]
    fn failures_of_one_caller_are_an_outage_however_many_to_that_caller_alone() {
        let mut tally = Tally::default();
        assert!(!outage(&mut tally, Instant::now(), &[A; 10_000]));
    }

    #[test]
    fn failures_of_two_callers_are_an_outage_where_fewer_fare_well() {
        let now = Instant::now();
        let mut tally = Tally::default();
        assert!(!outage(&mut tally, now, &[A, A, A, A, B, B, B]));
        assert!(outage(&mut tally, now, &[B]));

        let mut mixed = Tally::default();
        mixed.fine(&settings(), now, C);
        mixed.fine(&settings(), now, Source::Caller(4));
        assert!(!outage(&mut mixed, now, &[A, A, A, A, B, B, B, B]), "two fail and two fare well");
    }

    #[test]
    fn a_caller_that_mostly_fares_well_does_not_help_another_to_an_outage() {
        let now = Instant::now();
        let mut tally = Tally::default();
        for _ in 0..100 {
            tally.fine(&settings(), now, B);
        }
        assert!(!outage(&mut tally, now, &[A, A, A, A, B, B, B, B]));
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count_and_the_last_half_does() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut tally = Tally::default();
        outage(&mut tally, at(0), &[Source::Nobody; 3]);
        assert!(outage(&mut tally, at(6), &[Source::Nobody]), "the half before counts");

        let mut slow = Tally::default();
        outage(&mut slow, at(0), &[Source::Nobody; 3]);
        assert!(!outage(&mut slow, at(11), &[Source::Nobody]), "a whole window went by");

        let mut steady = Tally::default();
        for second in (0..100).step_by(4) {
            assert!(!outage(&mut steady, at(second), &[Source::Nobody]), "{second}");
        }
    }
}
