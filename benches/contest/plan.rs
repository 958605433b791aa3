//! In which order is everything measured, and for how long?

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::alone::{self, Told};
use crate::configurations::configuration_digest;
use crate::contestants::{Contestant, Place, Running, Variant, start};
use crate::double::Double;
use crate::figures::{Figures, Results, Workload};
use crate::identity::Identity;
use crate::lines::{Door, Outcome, Shot};
use crate::load::{self, Tally};
use crate::machine::{load_of_machine, processor, version};
use crate::options::Options;
use crate::traffic::{Case, Traffic};
use crate::{distance, goals, growth, memory, table};

pub const LINES: usize = 32;
/// Lines of the workload that compares the kinds of audit.
const AUDIT_LINES: usize = 64;
pub const LARGE_LINES: usize = 4;
/// Uploads of the memory workload, at once.
pub const AT_ONCE: usize = 32;
const PER_SECOND: u32 = 500;
const UPLOADS_PER_SECOND: u32 = 8;

/// Rounds of what one goal asks for, and of what none does, so that a run takes less than five minutes.
const FEWER: usize = 3;
const FEWEST: usize = 2;

/// The contestants of one variant, side by side, for at most so many rounds.
const VARIANTS: [(Variant, &[Workload], usize); 4] = [
    (
        Variant::Tls,
        &[
            Workload::Small,
            Workload::SmallAudits,
            Workload::Rate,
            Workload::Upload,
            Workload::Download,
            Workload::Mixed,
        ],
        usize::MAX,
    ),
    (Variant::Plain, &[Workload::SmallPlain, Workload::UploadPlain, Workload::DownloadPlain], FEWER),
    (Variant::Http2, &[Workload::SmallHttp2, Workload::UploadHttp2, Workload::DownloadHttp2], FEWEST),
    // Last and with fresh processes: the first round tells what memory is needed when nothing was freed before.
    (Variant::Tls, &[Workload::Memory], FEWEST),
];

type Measure = fn(&Contest<'_>) -> Outcome<Told>;

/// What the gateway does alone, by its word in `only=`.
const ALONE: [(&str, Measure); 4] = [
    ("alone", alone::measure),
    ("M", memory::measure),
    ("distance", distance::measure),
    ("growth", growth::measure),
];

pub fn run(options: &Options) {
    let begun = Instant::now();
    let contest = Contest::new(options);
    let load_before = load_of_machine();
    for (variant, workloads, most) in VARIANTS {
        let wanted: Vec<_> = workloads.iter().copied().filter(|one| options.wants(one.word())).collect();
        if !wanted.is_empty() {
            contest.variant(variant, &wanted, options.rounds.min(most));
        }
    }
    let told = contest.alone();
    let results = contest.results.borrow();
    let mut report = table::tables(&results) + &told.tables;
    report.push_str("```text\n");
    for line in goals::lines(&results).iter().chain(&told.lines) {
        report.push_str(line);
        report.push('\n');
    }
    report.push_str("```\n\n");
    report.push_str(&format!(
        "{} rounds (plain: at most {FEWER}, HTTP/2 and M: {FEWEST}) in {:.0} s; load average before {load_before}, after {}; {}; version {}; {}; digest of \
         the measured configurations sha256:{}\n",
        options.rounds,
        begun.elapsed().as_secs_f64(),
        load_of_machine(),
        processor(),
        version(),
        options.binary(),
        configuration_digest()
    ));
    fs::write(contest.place.folder.join("table.md"), &report).unwrap();
    println!("{report}");
}

/// The double and everything else that a run needs.
pub struct Contest<'a> {
    pub options: &'a Options,
    pub place: Place,
    pub traffic: Arc<Traffic>,
    pub identity: Identity,
    pub double: Double,
    results: RefCell<Results>,
}

impl<'a> Contest<'a> {
    pub fn new(options: &'a Options) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("contest");
        let (installed, folder) = (target.join("installed"), target.join("run"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let place = Place { installed, folder, gateway: options.gateway.clone() };
        let traffic = Arc::new(Traffic::new());
        let identity = Identity::new(&place.folder);
        let double = Double::start(Arc::clone(&traffic), identity.server(b"http/1.1"));
        Self { options, place, traffic, identity, double, results: RefCell::default() }
    }

    fn variant(&self, variant: Variant, workloads: &[Workload], rounds: usize) {
        let mut running = BTreeMap::new();
        for &contestant in &self.options.contestants {
            if contestant == Contestant::Floor {
                continue;
            }
            match start(contestant, variant, self.upstream(variant), &self.place) {
                Ok(started) => {
                    self.warm(variant, workloads, contestant, &started);
                    running.insert(contestant, started);
                }
                Err(why) => drop(self.results.borrow_mut().skipped.insert(contestant, why)),
            }
        }
        for round in 0..rounds {
            for &workload in workloads {
                eprintln!("{variant:?} round {} of {}: {}", round + 1, rounds, workload.word());
                for &contestant in &self.options.contestants {
                    self.turn(variant, workload, contestant, running.get(&contestant));
                }
            }
        }
    }

    /// The gateway without the others. What fails leaves its goals unmet, and says why.
    fn alone(&self) -> Told {
        let mut told = Told::default();
        if !self.options.contestants.contains(&Contestant::Gateway) {
            return told;
        }
        for (word, measure) in ALONE.iter().filter(|(word, _)| self.options.wants(word)) {
            eprintln!("the gateway alone: {word}");
            match measure(self) {
                Ok(part) => told.add(part),
                Err(why) => told.lines.push(goals::unmeasured(word, &why)),
            }
        }
        told
    }

    /// Lets a contestant open its connections and compile what it compiles while it runs. Memory is measured fresh.
    fn warm(&self, variant: Variant, workloads: &[Workload], contestant: Contestant, started: &Running) {
        if workloads.contains(&Workload::Memory) {
            return;
        }
        let shot = Shot::new(&self.traffic.small, contestant.injects());
        // V8 compiles what it has seen often; three seconds later it is done.
        let time = self.options.slice(if contestant == Contestant::Node { 3000 } else { 500 });
        let door = self.door(variant, started.address, 8);
        // What goes wrong here goes wrong again in the first round, and is told then.
        let _ = load::run(load::saturate(&door, &shot, LINES, time, Duration::ZERO, &|| Duration::ZERO));
    }

    fn door(&self, variant: Variant, address: std::net::SocketAddr, streams: usize) -> Door {
        match variant {
            Variant::Http2 => Door::Http2(address, self.identity.client(b"h2"), streams),
            Variant::Tls | Variant::Plain => Door::Http1(address),
        }
    }

    /// One contestant's turn in one round.
    fn turn(&self, variant: Variant, workload: Workload, contestant: Contestant, running: Option<&Running>) {
        let takes_part = match contestant {
            Contestant::Floor => {
                matches!(workload, Workload::SmallPlain | Workload::UploadPlain | Workload::DownloadPlain)
            }
            Contestant::Gateway | Contestant::BestEffort => running.is_some(),
            _ => running.is_some() && workload != Workload::SmallAudits,
        };
        if !takes_part || self.results.borrow().failed.contains_key(&(workload, contestant)) {
            return;
        }
        let wrong = self.double.wrong();
        if let Some(running) = running {
            running.process.forget_peak();
        }
        let outcome = self.load(variant, workload, contestant, running);
        let wrong = self.double.wrong() - wrong;
        let mut results = self.results.borrow_mut();
        match outcome {
            Ok(tally) if wrong == 0 => {
                let (peak, idle) =
                    running.map_or((0, 0), |running| (running.process.peak_kib(), running.process.idle_kib));
                results
                    .rounds
                    .entry((workload, contestant))
                    .or_default()
                    .push(Figures::of(tally, peak, idle));
            }
            Ok(_) => {
                let why = format!("{wrong} bodies reached the upstream wrong");
                results.failed.insert((workload, contestant), why);
            }
            Err(why) => drop(results.failed.insert((workload, contestant), why)),
        }
    }

    fn load(
        &self,
        variant: Variant,
        workload: Workload,
        contestant: Contestant,
        running: Option<&Running>,
    ) -> Outcome<Tally> {
        let address = running.map_or(self.double.plain, |running| running.address);
        let cpu = || running.map_or(Duration::ZERO, |running| running.process.cpu());
        let door = |streams| self.door(variant, address, streams);
        let shot = |case: &Case| Shot::new(case, contestant.injects());
        let (small, upload) = (shot(&self.traffic.small), shot(&self.traffic.upload));
        let large = |shot: &Shot| {
            load::run(load::fitting(&door(1), shot, LARGE_LINES, self.options.slice(350), (8, 48), &cpu))
        };
        let warm = Duration::from_millis(100);
        match workload {
            Workload::Small | Workload::SmallPlain | Workload::SmallHttp2 => {
                load::run(load::saturate(&door(8), &small, LINES, warm, self.options.slice(500), &cpu))
            }
            Workload::SmallAudits => {
                load::run(load::saturate(&door(8), &small, AUDIT_LINES, warm, self.options.slice(500), &cpu))
            }
            Workload::Rate => {
                load::run(load::at_rate(&door(8), &small, LINES, PER_SECOND, self.options.slice(600), &cpu))
            }
            Workload::Upload | Workload::UploadPlain | Workload::UploadHttp2 => large(&upload),
            Workload::Download | Workload::DownloadPlain | Workload::DownloadHttp2 => {
                large(&shot(&self.traffic.download))
            }
            Workload::Mixed => self.mixed(&door(1), &small, &upload, &cpu),
            Workload::Memory => load::run(load::at_once(address, &upload, AT_ONCE, &cpu)),
        }
    }

    /// Small requests, timed, while uploads arrive from another thread.
    fn mixed(&self, door: &Door, small: &Shot, upload: &Shot, cpu: load::Cpu<'_>) -> Outcome<Tally> {
        let time = self.options.slice(1000);
        std::thread::scope(|scope| {
            let uploads = scope.spawn(|| {
                let lines = UPLOADS_PER_SECOND as usize;
                load::run(load::at_rate(door, upload, lines, UPLOADS_PER_SECOND, time, &|| Duration::ZERO))
            });
            let tally = load::run(load::at_rate(door, small, LINES, PER_SECOND, time, cpu));
            uploads.join().map_err(|_| "uploads failed".to_owned())??;
            tally
        })
    }

    pub fn upstream(&self, variant: Variant) -> u16 {
        match variant {
            Variant::Plain => self.double.plain.port(),
            Variant::Tls | Variant::Http2 => self.double.tls.port(),
        }
    }
}
