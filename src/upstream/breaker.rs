//! Is it worth while to try at all?
//!
//! Closed, everything passes and is counted. When the failures amount to an outage it opens, and nothing passes
//! for a pause of random length. After that it is half open: a few attempts at once probe the upstream. Enough
//! of them that are fine close it; one that fails opens it again, for twice as long. What asks for nothing changes
//! nothing: there is no clock in here but the one that callers bring.

use std::time::{Duration, Instant};

use super::jitter::{Jitter, doubled};
use super::tally::{Source, Tally};
use crate::config::Breaker as Settings;

/// The state machine, for one upstream or one caller's share of it.
pub struct Breaker {
    state: State,
    /// Grows with every change: what an attempt came to is news only in the state that let it pass.
    generation: u64,
    /// How often it opened since it was last closed.
    opened: u32,
}

enum State {
    Closed(Tally),
    Open { until: Instant },
    HalfOpen { probing: Vec<Source>, fine: u32, failed: Option<Source> },
}

/// What the operators see of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Everything passes.
    Closed,
    /// A few attempts pass, to see whether the upstream is well again.
    HalfOpen,
    /// Nothing passes.
    Open,
}

/// That an attempt may be made. It is given back when the attempt came to its end, or to nothing.
#[must_use]
pub struct Permit {
    generation: u64,
    prober: Option<Source>,
}

/// What an attempt tells of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It is well.
    Fine,
    /// It is not, and that is put down to this source.
    Failed(Source),
    /// Nothing: the caller left, or the fault was on this side.
    Nothing,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed(Tally::default()), generation: 0, opened: 0 }
    }
}

impl Condition {
    /// The name in records and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

impl Breaker {
    /// What it is at the moment. Open it stays, after its pause too, until something asks to pass.
    #[must_use]
    pub fn condition(&self) -> Condition {
        match self.state {
            State::Closed(_) => Condition::Closed,
            State::Open { .. } => Condition::Open,
            State::HalfOpen { .. } => Condition::HalfOpen,
        }
    }

    /// Lets an attempt of `who` pass.
    ///
    /// # Errors
    ///
    /// The time until it is worth while to ask again.
    pub fn admit(&mut self, settings: &Settings, now: Instant, who: Source) -> Result<Permit, Duration> {
        if settings.failures == 0 {
            return Ok(Permit { generation: self.generation, prober: None });
        }
        if let State::Open { until } = self.state {
            if now < until {
                return Err(until - now);
            }
            self.change(State::HalfOpen { probing: Vec::new(), fine: 0, failed: None });
        }
        let generation = self.generation;
        let State::HalfOpen { probing, .. } = &mut self.state else {
            return Ok(Permit { generation, prober: None });
        };
        // One caller takes one place: with requests that hang it could take them all from the others.
        let has_place = matches!(who, Source::Caller(_)) && probing.contains(&who);
        if has_place || probing.len() >= settings.probes {
            return Err(settings.open_for.min(Duration::from_secs(1)));
        }
        probing.push(who);
        Ok(Permit { generation, prober: Some(who) })
    }

    /// Takes note of what the attempt of `permit`, made by `who`, came to.
    pub fn settle(
        &mut self,
        settings: &Settings,
        now: Instant,
        permit: &Permit,
        who: Source,
        sign: Sign,
        jitter: &Jitter,
    ) {
        if permit.generation != self.generation || settings.failures == 0 {
            return;
        }
        match &mut self.state {
            State::Closed(tally) => match sign {
                Sign::Fine => tally.fine(settings, now, who),
                Sign::Failed(source) if tally.failed(settings, now, source) => {
                    self.open(settings, now, jitter)
                }
                _ => {}
            },
            State::HalfOpen { probing, fine, failed } => {
                if let Some(place) = permit.prober.and_then(|who| probing.iter().position(|it| *it == who)) {
                    probing.swap_remove(place);
                }
                match sign {
                    Sign::Fine => {
                        (*fine, *failed) = (*fine + 1, None);
                        if usize::try_from(*fine).unwrap_or(usize::MAX) >= settings.probes {
                            self.opened = 0;
                            self.change(State::Closed(Tally::default()));
                        }
                    }
                    // What one caller's requests cause keeps it open no more than it opens it.
                    Sign::Failed(source @ Source::Caller(_)) if failed.is_none_or(|it| it == source) => {
                        *failed = Some(source);
                    }
                    Sign::Failed(_) => self.open(settings, now, jitter),
                    Sign::Nothing => {}
                }
            }
            State::Open { .. } => {}
        }
    }

    /// From half of the pause to all of it, so that several gateways do not probe in step.
    fn open(&mut self, settings: &Settings, now: Instant, jitter: &Jitter) {
        let pause = doubled(settings.open_for, self.opened, settings.open_max);
        let until = now + pause.mul_f64(0.5 + jitter.fraction() / 2.0);
        self.opened = self.opened.saturating_add(1);
        self.change(State::Open { until });
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

#[cfg(test)]
#[path = "breaker/tests.rs"]
mod tests;
