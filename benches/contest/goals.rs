//! Which goals were set, and which of them are reached?

use crate::contestants::Contestant::{self, BestEffort, Envoy, Gateway, Hyper, Nginx, NginxLua, Node};
use crate::figures::Workload::{Download, Mixed, Rate, Small, SmallAudits, SmallPlain, Upload};
use crate::figures::{Pick, Results, Workload};

/// `dcams-gateway` costs at most `most` times what `against` does.
struct Goal {
    workload: Workload,
    what: &'static str,
    pick: Pick,
    against: Contestant,
    most: f64,
}

const fn cpu(workload: Workload, against: Contestant, most: f64) -> Goal {
    Goal { workload, what: "CPU a request", pick: |figures| figures.cpu_us, against, most }
}

const fn p50(workload: Workload, against: Contestant, most: f64) -> Goal {
    Goal { workload, what: "p50", pick: |figures| figures.p50_us, against, most }
}

const fn p99(workload: Workload, against: Contestant, most: f64) -> Goal {
    Goal { workload, what: "p99", pick: |figures| figures.p99_us, against, most }
}

const fn time(workload: Workload, against: Contestant, most: f64) -> Goal {
    Goal { workload, what: "time a request", pick: |figures| 1e6 / figures.per_second, against, most }
}

const GOALS: [Goal; 17] = [
    cpu(Small, Nginx, 1.0),
    cpu(Small, Hyper, 1.15),
    cpu(Small, NginxLua, 0.75),
    cpu(Small, Node, 0.15),
    cpu(Small, Envoy, 0.4),
    cpu(SmallPlain, Nginx, 1.25),
    p50(Rate, Nginx, 1.1),
    cpu(Upload, Nginx, 0.75),
    cpu(Upload, Hyper, 1.4),
    cpu(Upload, NginxLua, 0.1),
    cpu(Upload, Node, 0.05),
    cpu(Download, Nginx, 0.8),
    cpu(Download, Hyper, 1.1),
    p99(Mixed, Nginx, 1.1),
    p99(Mixed, NginxLua, 0.12),
    cpu(SmallAudits, BestEffort, 1.15),
    time(SmallAudits, BestEffort, 1.15),
];

/// A line for each goal: reached or not, and by how much.
pub fn lines(results: &Results) -> Vec<String> {
    GOALS.iter().filter_map(|goal| ratio_line(results, goal)).collect()
}

fn ratio_line(results: &Results, goal: &Goal) -> Option<String> {
    let what = format!("{}: {}, × {}", goal.workload.word(), goal.what, goal.against.name());
    if let Some(ratio) = results.ratio(goal.workload, Gateway, goal.against, goal.pick) {
        let unstable = if ratio.is_unstable() { ", unstable" } else { "" };
        let spread = format!(" (spread {:.0} %{unstable})", ratio.spread * 100.0);
        return Some(line(&what, ratio.value, goal.most) + &spread);
    }
    let measured = results.rounds.keys().any(|(workload, _)| *workload == goal.workload);
    measured.then(|| format!("NOT reached  {what}: nothing to compare with; at most {}", goal.most))
}

/// What was measured beside its goal.
pub fn line(what: &str, value: f64, most: f64) -> String {
    let verdict = if value <= most { "reached     " } else { "NOT reached " };
    format!("{verdict} {what}: {value:.2}, at most {most} ({:+.0} %)", (value / most - 1.0) * 100.0)
}

/// A goal for which there is no figure counts as not reached.
pub fn unmeasured(what: &str, why: &str) -> String {
    format!("NOT measured {what}: {why}")
}
