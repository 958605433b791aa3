//! How many instructions does one request take, and are they more than they were?
//!
//! `guard` counts them with callgrind: all of the gateway's user space, over a plain upstream, so that encryption
//! (which is not the gateway's) does not hide its own work. It compares with `instructions.txt` beside this file, which
//! `guard=write` writes. `guard=profile` also tells in which functions they are.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::contestants::{Contestant, Running, Variant, start};
use crate::lines::{Door, Shot};
use crate::load;
use crate::options::Options;
use crate::plan::Contest;
use crate::traffic::Case;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/contest/instructions.txt");
/// So far may a figure lie from the committed one.
const TOLERANCE: f64 = 0.05;

pub enum Task {
    Compare,
    Write,
    Profile,
}

/// One kind of request, how many are sent before counting, and how many are counted.
struct Counted<'a> {
    name: &'static str,
    case: &'a Case,
    warm: u64,
    requests: u64,
}

impl Counted<'_> {
    /// The count, beside its goal where there is one: 20,000 for a small request, 0.7 a byte of an upload.
    fn told(&self, instructions: u64) -> String {
        let bytes = (self.case.bare.len() + self.case.answer.len()) as f64;
        let (a_byte, name) = (instructions as f64 / bytes, self.name);
        match name {
            "small" => format!("{name}: {instructions} instructions a request; the goal is 20000"),
            "upload" => format!("{name}: {instructions} instructions, {a_byte:.2} a byte; the goal is 0.7"),
            _ => format!("{name}: {instructions} instructions, {a_byte:.2} a byte"),
        }
    }
}

pub fn run(task: &Task, options: &Options) {
    println!("{}", options.binary());
    let contest = Contest::new(options);
    let traffic = &contest.traffic;
    let small = Counted { name: "small", case: &traffic.small, warm: 200, requests: 1000 };
    let upload = Counted { name: "upload", case: &traffic.upload, warm: 4, requests: 10 };
    let download = Counted { name: "download", case: &traffic.download, warm: 4, requests: 10 };
    let port = contest.upstream(Variant::Plain);
    let running = start(Contestant::Counted, Variant::Plain, port, &contest.place)
        .unwrap_or_else(|why| panic!("the gateway under callgrind: {why}"));
    let mut counts = Vec::new();
    for counted in [small, upload, download] {
        let dump = count(&running, &contest.place.folder, &counted);
        let instructions = total(&dump) / counted.requests;
        println!("{}", counted.told(instructions));
        if matches!(task, Task::Profile) {
            println!("{}", annotated(&dump));
        }
        counts.push((counted.name, instructions));
    }
    match task {
        Task::Write => write(&counts),
        Task::Compare => compare(&counts),
        Task::Profile => {}
    }
}

/// Sends `counted` one at a time and gives the file of what was counted meanwhile.
fn count(running: &Running, folder: &Path, counted: &Counted<'_>) -> PathBuf {
    let shot = Shot::new(counted.case, true);
    let send = |requests| {
        let cpu = || Duration::ZERO;
        let sent = load::run(load::batch(&Door::Http1(running.address), &shot, 1, requests, &cpu));
        sent.unwrap_or_else(|why| panic!("{}: {why}", counted.name));
    };
    send(counted.warm);
    let known = dumps(folder);
    control(running, &["--zero"]);
    send(counted.requests);
    control(running, &["--dump"]);
    let new = dumps(folder).into_iter().find(|file| !known.contains(file));
    new.unwrap_or_else(|| panic!("callgrind_control wrote no dump"))
}

fn control(running: &Running, order: &[&str]) {
    let output = Command::new("callgrind_control").args(order).arg(running.process.id().to_string()).output();
    let output = output.expect("callgrind_control (valgrind) starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn dumps(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let is_dump = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("callgrind.out."))
    };
    entries.filter(is_dump).collect()
}

/// The sum of a dump: its line `totals:`, or `summary:`.
fn total(dump: &Path) -> u64 {
    let text = fs::read_to_string(dump).unwrap();
    let of = |name: &str| {
        let line = text.lines().rev().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    of("totals:").or_else(|| of("summary:")).unwrap_or_else(|| panic!("{} has no sum", dump.display()))
}

fn annotated(dump: &Path) -> String {
    let output = Command::new("callgrind_annotate").args(["--auto=no", "--threshold=90"]).arg(dump).output();
    let text =
        String::from_utf8_lossy(&output.expect("callgrind_annotate (valgrind) starts").stdout).into_owned();
    text.lines().skip_while(|line| !line.contains("file:function")).take(60).fold(
        String::new(),
        |mut all, line| {
            let _ = writeln!(all, "{line}");
            all
        },
    )
}

fn write(counts: &[(&str, u64)]) {
    let mut text = String::from("# Instructions a request, written by `make bench-guard-write`.\n");
    for (name, instructions) in counts {
        let _ = writeln!(text, "{name} {instructions}");
    }
    fs::write(COMMITTED, text).unwrap();
}

fn compare(counts: &[(&str, u64)]) {
    let committed = fs::read_to_string(COMMITTED).unwrap();
    let mut moved = Vec::new();
    for (name, instructions) in counts {
        let before = committed.lines().find_map(|line| line.strip_prefix(*name)?.trim().parse::<f64>().ok());
        let before = before.unwrap_or_else(|| panic!("{COMMITTED} has no figure for {name}"));
        let change = *instructions as f64 / before - 1.0;
        println!("{name}: {:+.1} % against the committed {before}", change * 100.0);
        if change.abs() > TOLERANCE {
            moved.push(format!("{name} {:+.1} %", change * 100.0));
        }
    }
    let within = moved.is_empty();
    assert!(within, "beyond 5 %: {}; if that is meant: make bench-guard-write", moved.join(", "));
}
