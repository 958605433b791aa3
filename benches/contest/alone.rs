//! What does the gateway take before it is asked anything?

use std::fs;
use std::path::{Path, PathBuf};

use crate::contestants::{Contestant, Variant, start};
use crate::figures::median;
use crate::goals::{line, unmeasured};
use crate::lines::{Door, Held, Outcome, Shot};
use crate::load;
use crate::plan::Contest;

/// Idle connections that are held; the default allows one peer 512.
const CONNECTIONS: usize = 400;
const STARTS: usize = 5;
/// Where `make dist` puts the static binary.
const DIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dist");

/// What is told of the gateway alone: tables, and a line for each goal.
#[derive(Default)]
pub struct Told {
    pub tables: String,
    pub lines: Vec<String>,
}

impl Told {
    pub fn add(&mut self, other: Self) {
        self.tables.push_str(&other.tables);
        self.lines.extend(other.lines);
    }
}

pub fn measure(contest: &Contest<'_>) -> Outcome<Told> {
    let upstream = contest.upstream(Variant::Tls);
    let start = || start(Contestant::Gateway, Variant::Tls, upstream, &contest.place);
    let running = start()?;
    let shot = Shot::new(&contest.traffic.small, true);
    let grown = load::run(async {
        let (mut held, door) = (Held::default(), Door::Http1(running.address));
        // What the first request brings into memory, code above all, is there once.
        held.grow(&door, &shot, 1, 1).await?;
        let before = running.process.resident_kib();
        // One after the other, so that one connection to the upstream is enough.
        held.grow(&door, &shot, 1 + CONNECTIONS, 1).await?;
        Ok::<_, String>(running.process.resident_kib().saturating_sub(before))
    })?;
    let idle_mb = running.process.idle_kib as f64 * 1024.0 / 1e6;
    drop(running);
    let ready = (0..STARTS).map(|_| Ok(start()?.process.ready_after.as_secs_f64() * 1e3));
    let ready_ms = median(ready.collect::<Outcome<Vec<_>>>()?).ok_or("no start")?;
    let lines = vec![
        line("idle RSS, MB", idle_mb, 15.0),
        line("RSS of an idle kept-alive connection, KiB", grown as f64 / CONNECTIONS as f64, 10.0),
        line("cold start to ready, ms", ready_ms, 50.0),
        binary_line(&contest.place.gateway),
    ];
    Ok(Told { lines, ..Told::default() })
}

/// The goal is of the static binary; the measured one is told beside it.
fn binary_line(measured: &Path) -> String {
    const WHAT: &str = "size of the static binary, stripped, MB";
    let megabytes = |path: &Path| fs::metadata(path).map_or(0.0, |file| file.len() as f64 / 1e6);
    let told = match static_binary() {
        Some(path) => line(WHAT, megabytes(&path), 12.0),
        None => unmeasured(WHAT, "not built: make dist"),
    };
    format!("{told}; the measured one has {:.2}", megabytes(measured))
}

fn static_binary() -> Option<PathBuf> {
    let files = fs::read_dir(DIST).ok()?.flatten().map(|entry| entry.path());
    let name =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    files.into_iter().find(|path| name(path).starts_with("dcams-gateway-") && name(path).ends_with("-musl"))
}
