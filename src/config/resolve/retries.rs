//! How often is what fails tried again, and when is it left alone?

use super::size;
use crate::config::findings::Findings;
use crate::config::model::{Breaker, Retry};
use crate::config::reader::At;
use crate::config::units::{Count, Share, Time};
use crate::config::written::Upstream;

pub(super) fn retry(upstream: &Upstream, findings: &mut Findings) -> Option<Retry> {
    let written = upstream.retry.value()?;
    let (base, max) = (written.backoff_base.at()?, written.backoff_max.at()?);
    judge_order(base, max, "backoff_base", "backoff_max", findings);
    Some(Retry {
        attempts: number(written.attempts.value()?),
        attempt_timeout: written.attempt_timeout.value().map(|time| time.0),
        backoff_base: base.value.0,
        backoff_max: max.value.0,
        budget_percent: percent(written.budget.value()?),
        budget_min_per_s: number(written.budget_min_per_second.value()?),
        budget_window: written.budget_window.value()?.0,
    })
}

pub(super) fn breaker(upstream: &Upstream, findings: &mut Findings) -> Option<Breaker> {
    let written = upstream.breaker.value()?;
    let (first, most) = (written.open_for.at()?, written.open_max.at()?);
    judge_order(first, most, "open_for", "open_max", findings);
    Some(Breaker {
        failures: number(written.failures.value()?),
        share_percent: percent(written.share.value()?),
        window: written.window.value()?.0,
        slow: written.slow.value()?.0,
        open_for: first.value.0,
        open_max: most.value.0,
        probes: size(written.probes.value()?.0),
    })
}

fn judge_order(low: &At<Time>, high: &At<Time>, low_name: &str, high_name: &str, findings: &mut Findings) {
    if low.value.0 > high.value.0 {
        let problem = format!("is more than `{high_name}`");
        findings.error_at(&low.spot, &problem, &format!("raise `{high_name}`, or lower `{low_name}`"));
    }
}

fn number(count: &Count) -> u32 {
    u32::try_from(count.0).unwrap_or(u32::MAX)
}

/// Of a share its limits say that it is 100 at most.
fn percent(share: &Share) -> u8 {
    u8::try_from(share.0).unwrap_or(100)
}
