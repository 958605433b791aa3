//! How are the figures shown?

use std::fmt::Write as _;

use crate::contestants::Contestant::{self, Gateway};
use crate::figures::{Results, Workload, spread};

/// A table for each workload that was measured: medians of the rounds, and the gateway's ratio to each contestant.
pub fn tables(results: &Results) -> String {
    let mut text = String::new();
    for workload in Workload::ALL {
        if results.rounds.keys().any(|(measured, _)| *measured == workload) {
            table(&mut text, results, workload);
        }
    }
    for (contestant, why) in &results.skipped {
        let _ = writeln!(text, "skipped: {} ({why})", contestant.name());
    }
    text
}

fn table(text: &mut String, results: &Results, workload: Workload) {
    let _ = writeln!(text, "**{}**: {}\n", workload.word(), workload.title());
    let _ = writeln!(
        text,
        "| | CPU µs a request | spread | requests/s | p50 µs | p99 µs | peak RSS MB | above idle MB | gateway's CPU ÷ this |"
    );
    let _ = writeln!(text, "|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    for contestant in Contestant::ALL {
        row(text, results, workload, contestant);
    }
    text.push('\n');
}

fn row(text: &mut String, results: &Results, workload: Workload, contestant: Contestant) {
    if let Some(why) = results.failed.get(&(workload, contestant)) {
        let _ = writeln!(text, "| {} | disqualified: {why} | | | | | | | |", contestant.name());
        return;
    }
    let Some(rounds) = results.rounds.get(&(workload, contestant)) else { return };
    let of = |pick| results.median(workload, contestant, pick).unwrap_or_default();
    let per_second = number(of(|figures| figures.per_second));
    let (p50, p99) = (number(of(|figures| figures.p50_us)), number(of(|figures| figures.p99_us)));
    let _ = write!(text, "| {} ", contestant.name());
    if contestant == Contestant::Floor {
        let _ = writeln!(text, "| | | {per_second} | {p50} | {p99} | | | |");
        return;
    }
    let cpu: Vec<f64> = rounds.iter().map(|figures| figures.cpu_us).collect();
    let ratio = results.ratio(workload, Gateway, contestant, |figures| figures.cpu_us);
    let ratio = ratio.map_or(String::new(), |ratio| {
        let mark = if ratio.is_unstable() { " unstable" } else { "" };
        format!("{:.2} ±{:.0} %{mark}", ratio.value, ratio.spread * 50.0)
    });
    let _ = writeln!(
        text,
        "| {} | {:.0} % | {per_second} | {p50} | {p99} | {} | {} | {ratio} |",
        number(of(|figures| figures.cpu_us)),
        spread(&cpu) * 100.0,
        number(of(|figures| figures.peak_mb)),
        number(of(|figures| figures.above_idle_mb)),
    );
}

fn number(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}
