//! What was measured, and how far apart do the rounds lie?

use std::collections::BTreeMap;
use std::time::Duration;

use crate::contestants::Contestant;
use crate::load::Tally;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Workload {
    /// Small requests, 32 lines, as fast as they are answered.
    Small,
    SmallPlain,
    SmallHttp2,
    /// Small requests, 64 lines: only the gateway, with either kind of audit.
    SmallAudits,
    /// Small requests, 500 a second.
    Rate,
    /// Uploads of 5 MB, 4 lines.
    Upload,
    UploadPlain,
    UploadHttp2,
    /// Answers of 5 MB, 4 lines.
    Download,
    DownloadPlain,
    DownloadHttp2,
    /// Small requests, 500 a second, while 8 uploads of 5 MB arrive a second.
    Mixed,
    /// 32 uploads of 5 MB at once.
    Memory,
}

impl Workload {
    pub const ALL: [Self; 13] = [
        Self::Small,
        Self::SmallAudits,
        Self::Rate,
        Self::Upload,
        Self::Download,
        Self::Mixed,
        Self::SmallPlain,
        Self::UploadPlain,
        Self::DownloadPlain,
        Self::SmallHttp2,
        Self::UploadHttp2,
        Self::DownloadHttp2,
        Self::Memory,
    ];

    /// Its word in `only=` and in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Small => "S",
            Self::SmallPlain => "S-plain",
            Self::SmallHttp2 => "S-h2",
            Self::SmallAudits => "S-64",
            Self::Rate => "S-500",
            Self::Upload => "L",
            Self::UploadPlain => "L-plain",
            Self::UploadHttp2 => "L-h2",
            Self::Download => "D",
            Self::DownloadPlain => "D-plain",
            Self::DownloadHttp2 => "D-h2",
            Self::Mixed => "mixed",
            Self::Memory => "M",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Small => "small request, 32 lines, saturated; TLS upstream",
            Self::SmallPlain => "small request, 32 lines, saturated; plain upstream",
            Self::SmallHttp2 => "small request, 32 streams on 4 HTTP/2 connections, saturated; TLS upstream",
            Self::SmallAudits => {
                "small request, 64 lines, saturated, with either kind of audit; TLS upstream"
            }
            Self::Rate => "small request, 500 a second on 32 lines; TLS upstream",
            Self::Upload => "upload of 5 MB, 4 lines; TLS upstream",
            Self::UploadPlain => "upload of 5 MB, 4 lines; plain upstream",
            Self::UploadHttp2 => "upload of 5 MB, 4 HTTP/2 connections; TLS upstream",
            Self::Download => "answer of 5 MB, 4 lines; TLS upstream",
            Self::DownloadPlain => "answer of 5 MB, 4 lines; plain upstream",
            Self::DownloadHttp2 => "answer of 5 MB, 4 HTTP/2 connections; TLS upstream",
            Self::Mixed => {
                "500 small requests a second (figures are theirs) beside 8 uploads of 5 MB; TLS upstream"
            }
            Self::Memory => "32 uploads of 5 MB at once; TLS upstream",
        }
    }
}

/// One contestant in one round of one workload.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// CPU of all its processes a request, user and system.
    pub cpu_us: f64,
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// The most that was resident.
    pub peak_mb: f64,
    /// The same without what was resident when it was ready.
    pub above_idle_mb: f64,
}

impl Figures {
    pub fn of(tally: Tally, peak_kib: u64, idle_kib: u64) -> Self {
        let mut latencies = tally.latencies;
        latencies.sort_unstable();
        let at = |percent: usize| {
            let latency = latencies.get((latencies.len() * percent / 100).min(latencies.len().max(1) - 1));
            latency.copied().unwrap_or(Duration::ZERO).as_secs_f64() * 1e6
        };
        let megabytes = |kib: u64| kib as f64 * 1024.0 / 1e6;
        Self {
            cpu_us: tally.cpu.as_secs_f64() * 1e6 / tally.requests.max(1) as f64,
            per_second: tally.requests as f64 / tally.elapsed.as_secs_f64(),
            p50_us: at(50),
            p99_us: at(99),
            peak_mb: megabytes(peak_kib),
            above_idle_mb: megabytes(peak_kib.saturating_sub(idle_kib)),
        }
    }
}

/// Everything of one run: figures by round, or why there are none.
#[derive(Default)]
pub struct Results {
    pub rounds: BTreeMap<(Workload, Contestant), Vec<Figures>>,
    pub skipped: BTreeMap<Contestant, String>,
    pub failed: BTreeMap<(Workload, Contestant), String>,
}

/// Which figure of a round.
pub type Pick = fn(&Figures) -> f64;

impl Results {
    pub fn median(&self, workload: Workload, contestant: Contestant, pick: Pick) -> Option<f64> {
        median(self.of(workload, contestant)?.iter().map(pick).collect())
    }

    fn of(&self, workload: Workload, contestant: Contestant) -> Option<&Vec<Figures>> {
        self.rounds.get(&(workload, contestant)).filter(|rounds| !rounds.is_empty())
    }

    /// How `ours` compares with `theirs`: the ratio of the medians, and its spread over the rounds.
    pub fn ratio(
        &self,
        workload: Workload,
        ours: Contestant,
        theirs: Contestant,
        pick: Pick,
    ) -> Option<Ratio> {
        let value = self.median(workload, ours, pick)? / self.median(workload, theirs, pick)?;
        let pairs = self.of(workload, ours)?.iter().zip(self.of(workload, theirs)?);
        Some(Ratio {
            value,
            spread: spread(&pairs.map(|(ours, theirs)| pick(ours) / pick(theirs)).collect::<Vec<_>>()),
        })
    }
}

pub struct Ratio {
    pub value: f64,
    /// From the least to the greatest ratio of the rounds, as a share of their median.
    pub spread: f64,
}

impl Ratio {
    /// A ratio that varies more than this between rounds proves little.
    pub const UNSTABLE: f64 = 0.15;

    pub fn is_unstable(&self) -> bool {
        self.spread > Self::UNSTABLE
    }
}

pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

pub fn spread(values: &[f64]) -> f64 {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (most - least) / median(values.to_vec()).unwrap_or(1.0)
}
