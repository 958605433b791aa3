//! What did the words behind `--` ask for?

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::contestants::Contestant;
use crate::guard::Task;

/// The gateway as cargo builds it for tests and benches.
const BENCHS_OWN: &str = env!("CARGO_BIN_EXE_dcams-gateway");

pub struct Options {
    pub rounds: usize,
    pub contestants: Vec<Contestant>,
    /// What is measured, by its word; without it everything.
    only: Option<Vec<String>>,
    quick: bool,
    /// Counts instructions instead.
    pub guard: Option<Task>,
    pub gateway: PathBuf,
}

impl Options {
    pub fn of(words: &[String]) -> Self {
        let mut options = Self {
            rounds: 5,
            contestants: Contestant::ALL.into(),
            only: None,
            quick: false,
            guard: None,
            gateway: BENCHS_OWN.into(),
        };
        for word in words {
            match word.split_once('=') {
                Some(("rounds", count)) => options.rounds = count.parse().expect("rounds=NUMBER"),
                Some(("with", names)) => {
                    options.contestants.retain(|one| names.split(',').any(|name| name == one.word()))
                }
                Some(("only", names)) => options.only = Some(names.split(',').map(str::to_owned).collect()),
                Some(("binary", path)) => options.gateway = path.into(),
                Some(("guard", "write")) => options.guard = Some(Task::Write),
                Some(("guard", "profile")) => options.guard = Some(Task::Profile),
                None if word == "guard" => options.guard = Some(Task::Compare),
                None if word == "quick" => (options.quick, options.rounds) = (true, 1),
                _ => panic!("unknown word: {word}"),
            }
        }
        options
    }

    /// Which gateway is measured.
    pub fn binary(&self) -> String {
        let own = if self.gateway == Path::new(BENCHS_OWN) {
            " (built by cargo bench, with tokio's test-util: slower than what users run, `make bench` measures that)"
        } else {
            ""
        };
        format!("binary {}{own}", self.gateway.display())
    }

    /// Whether it is to be measured.
    pub fn wants(&self, word: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|one| one == word))
    }

    /// A slice of a round.
    pub fn slice(&self, milliseconds: u64) -> Duration {
        Duration::from_millis(if self.quick { milliseconds / 3 } else { milliseconds })
    }
}
