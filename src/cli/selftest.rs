//! `selftest`: does the gateway keep to itself what is entrusted to it, here, with this configuration?

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};

use super::{Configured, Exit, config_source, print, process, tell};
use crate::selftest::{Plan, Problem, Report, Verdict, redaction};

#[derive(Args)]
pub(super) struct Selftest {
    #[command(subcommand)]
    test: Test,
}

#[derive(Subcommand)]
enum Test {
    /// Drive canaries through every refusal and fault, and search every output for them
    ///
    /// Runs this binary with your configuration in a throw-away folder: your callers, services, schemas and limits,
    /// but a double of DCAMS on loopback, and credentials and keys that are made for the run. Your secrets are not
    /// read, nothing of yours is written, and no other machine is spoken to. What is replaced stands in the report.
    ///
    /// Ends with 0 when everything was driven and nothing came out, with 1 when something came out or was not covered.
    #[command(
        after_help = "Examples:\n  dcams-gateway selftest redaction --config gateway.toml\n  dcams-gateway selftest redaction --config gateway.toml -o markdown --report redaction.md\n  dcams-gateway selftest redaction --config gateway.toml --sample openAccount=account.json"
    )]
    Redaction(Redaction),
}

#[derive(Args)]
struct Redaction {
    #[command(flatten)]
    configured: Configured,
    /// A valid document for a service whose schema does not say enough to make one; may be repeated
    #[arg(long = "sample", value_name = "SERVICE=FILE")]
    samples: Vec<String>,
    /// The form of the report
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,
    /// Write the report to this file; the verdict alone goes to standard output
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// For a terminal
    Text,
    /// One JSON object
    Json,
    /// For a review
    Markdown,
}

pub(super) fn selftest(selftest: &Selftest) -> Exit {
    match &selftest.test {
        Test::Redaction(command) => run(command),
    }
}

fn run(command: &Redaction) -> Exit {
    let sample = |text: &String| {
        let (service, file) = text.split_once('=')?;
        Some((service.to_owned(), PathBuf::from(file)))
    };
    let Some(samples) = command.samples.iter().map(sample).collect() else {
        tell("error: a value of '--sample' is not SERVICE=FILE: expected for example getStatus=status.json");
        return Exit::Usage;
    };
    let source = match config_source::source(&command.configured) {
        Ok(source) => source,
        Err(exit) => return exit,
    };
    let Ok(binary) = std::env::current_exe() else {
        tell("this program's own file cannot be found");
        return Exit::Io;
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    watch_for_signals(Arc::clone(&interrupted));
    let told = Mutex::new(Instant::now());
    // Nothing within the first second, and then no more than a line each second.
    let progress = |what: &str| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= Duration::from_secs(1) {
            *told = Instant::now();
            tell(&format!("selftest: {what}"));
        }
    };
    let plan = Plan { source, samples, binary, progress: &progress, interrupted: &interrupted };
    match redaction(&plan) {
        Ok(report) => deliver(&report, command),
        Err(Problem::Configuration(faults)) => config_source::refuse(&command.configured, &faults),
        Err(problem) => {
            tell(&format!("selftest: {problem}"));
            match problem {
                Problem::Sample { .. } => Exit::Usage,
                Problem::Interrupted | Problem::Patience(_) | Problem::Start { .. } => Exit::Negative,
                _ => Exit::Io,
            }
        }
    }
}

/// The first signal ends the test in order; the gateway of the moment is ended and its folder removed.
fn watch_for_signals(interrupted: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        if runtime.block_on(process::told_to_stop()) == Exit::Ok {
            interrupted.store(true, Ordering::Relaxed);
        }
    });
}

fn deliver(report: &Report, command: &Redaction) -> Exit {
    let text = match command.output {
        Form::Text => report.text(),
        Form::Markdown => report.markdown(),
        Form::Json => match report.json() {
            Ok(text) => text,
            Err(_) => return Exit::Io,
        },
    };
    let printed = match &command.report {
        Some(path) => match std::fs::write(path, text) {
            Ok(()) => print(&format!("verdict: {}\n", report.verdict.word())),
            Err(error) => {
                tell(&format!("{}: {error}", path.display()));
                Exit::Io
            }
        },
        None => print(&text),
    };
    match (printed, report.verdict) {
        (Exit::Ok, Verdict::Pass) => Exit::Ok,
        (Exit::Ok, _) => Exit::Negative,
        (failed, _) => failed,
    }
}
