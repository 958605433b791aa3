//! What became of a target's inputs, in per cent?
//!
//! A fuzz target whose inputs are all refused at the first byte shows nothing, however long it runs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts the inputs of one target by what became of them, and says so on stderr now and then.
pub struct Shares<const FATES: usize> {
    names: [&'static str; FATES],
    counts: [AtomicU64; FATES],
    inputs: AtomicU64,
}

/// Inputs between two reports, after the first ones.
const EVERY: u64 = 1 << 18;

impl<const FATES: usize> Shares<FATES> {
    /// Nothing counted yet.
    pub const fn new(names: [&'static str; FATES]) -> Self {
        Self { names, counts: [const { AtomicU64::new(0) }; FATES], inputs: AtomicU64::new(0) }
    }

    /// Counts one input whose fate is the `fate`-th of the names.
    pub fn count(&self, fate: usize) {
        self.counts[fate].fetch_add(1, Relaxed);
        let inputs = self.inputs.fetch_add(1, Relaxed) + 1;
        if inputs.is_multiple_of(EVERY) || ((1024..EVERY).contains(&inputs) && inputs.is_power_of_two()) {
            self.report(inputs);
        }
    }

    fn report(&self, inputs: u64) {
        let share = |count: &AtomicU64| count.load(Relaxed) as f64 * 100.0 / inputs as f64;
        let shares: Vec<_> = std::iter::zip(self.names, &self.counts)
            .map(|(name, count)| format!("{name} {:.1} %", share(count)))
            .collect();
        eprintln!("{inputs} inputs: {}", shares.join(", "));
    }
}
