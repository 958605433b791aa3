//! What does a request cost here, beside what users would pick instead?
//!
//! `make bench` installs the contestants and runs this; `benches/README.md` has the method and the latest table.
//! Each contestant has core 0 for itself; callers and the double of the upstream share core 1. All is on loopback.
//!
//! Words behind `--` change the run: `rounds=3`, `with=nginx,gateway` (contestants), `only=S,L` (workloads, and of
//! the gateway alone `alone`, `M`, `distance`, `growth`),
//! `quick` (one short round: does it work?), `guard`, `guard=write` or `guard=profile` (instructions, see `guard`),
//! `binary=PATH` (the gateway that is measured; without it cargo's build for benches, which is slower than a release).
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a bench prints its figures and may fail"
)]

mod alone;
mod configurations;
mod contestants;
mod distance;
mod double;
mod figures;
mod goals;
mod growth;
mod guard;
mod identity;
mod lines;
mod load;
mod machine;
mod memory;
mod options;
mod passthrough;
mod plan;
mod process;
mod table;
mod traffic;
mod wire;

use std::os::unix::process::CommandExt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The core of the contestant that is measured.
const CONTESTANTS_CORE: &str = "0";
/// The core of the callers and the double.
const CALLERS_CORE: &str = "1";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("passthrough") => passthrough::serve(&words[1..]),
        Some("pinned") => {
            let options = options::Options::of(&words[1..]);
            match &options.guard {
                Some(task) => guard::run(task, &options),
                None => plan::run(&options),
            }
        }
        // `cargo test --benches` only asks whether it compiles and starts.
        _ if words.iter().any(|word| word == "--bench") => pin(&words),
        _ => {}
    }
}

/// Becomes the same program on the callers' core.
fn pin(words: &[String]) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Both ends of the connections that are held have descriptors in some process.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let mut command = process::on_core(CALLERS_CORE);
    command.arg(std::env::current_exe().unwrap()).arg("pinned");
    let error = command.args(words.iter().filter(|word| *word != "--bench")).exec();
    panic!("setpriv (util-linux) does not start: {error}");
}
