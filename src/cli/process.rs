//! What does the process promise about itself before it serves?

use std::io;
use std::sync::OnceLock;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::Exit;
use super::diagnostics::Diagnostics;
use crate::config::{Log, LogFormat};

/// A panic message may quote a request: only its place is told.
pub(super) fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| (place.file(), place.line()));
        let (file, line) = place.unwrap_or(("unknown", 0));
        if tracing::dispatcher::has_been_set() {
            tracing::error!(file, line, "panicked");
            flush_log();
        } else {
            super::tell(&format!("panicked at {file}:{line}"));
        }
    }));
}

/// No core file and no other process of the same user may read this one's memory.
pub(super) fn keep_memory_private() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if setrlimit(Resource::Core, none).is_err()
        || set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err()
    {
        tracing::warn!("core dumps could not be switched off");
    }
}

/// Lets this process have as many descriptors as it may ever have, and says how many (`None`: no limit): the
/// limit that is in force at first is often 1024.
pub(super) fn raise_descriptor_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// SIGTERM and SIGINT, none of which is lost from here on.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From now on neither ends the process by itself.
    pub(super) fn expected() -> Result<Self, Exit> {
        match [SignalKind::terminate(), SignalKind::interrupt()].map(signal) {
            [Ok(terminate), Ok(interrupt)] => Ok(Self { terminate, interrupt }),
            _ => {
                super::tell("signals cannot be received");
                Err(Exit::Io)
            }
        }
    }

    /// Waits for the next of either.
    pub(super) async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Waits for SIGTERM or SIGINT.
pub(super) async fn told_to_stop() -> Exit {
    match Stop::expected() {
        Ok(mut stop) => {
            stop.told().await;
            Exit::Ok
        }
        Err(exit) => exit,
    }
}

/// Tells systemd, where it is what started this process (`Type=notify`).
pub(super) fn tell_supervisor(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// Where diagnostics go once they were configured.
static DIAGNOSTICS: OnceLock<Diagnostics> = OnceLock::new();

/// Waits a moment until diagnostics are written.
pub(super) fn flush_log() {
    if let Some(diagnostics) = DIAGNOSTICS.get() {
        diagnostics.flush();
    }
}

/// Where our own events come from.
const OURS: &str = "dcams_gateway";

/// Diagnostics go to standard error; standard output may be the audit's.
///
/// Events of libraries are never written, whatever the filter says: h2 quotes the paths and hosts that it
/// refuses, and any update could make another library quote more.
///
/// # Errors
///
/// The filter is none, or no thread can be started.
pub(super) fn log_to_stderr(log: &Log) -> Result<(), LogFault> {
    let filter = EnvFilter::try_new(&*log.filter)?;
    let ours = filter_fn(|event| event.target().starts_with(OURS));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(diagnostics()?);
    // An error means that a subscriber was set before, by a test.
    let _ = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).finish().with(ours).try_init(),
        LogFormat::Text => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            builder.with_ansi(colours).finish().with(ours).try_init()
        }
    };
    Ok(())
}

/// Diagnostics cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogFault {
    #[error("log.filter is not a filter: expected for example info or dcams_gateway=debug")]
    Filter(#[from] ParseError),
    #[error("no thread for diagnostics: {0}")]
    Thread(#[from] io::Error),
}

fn diagnostics() -> io::Result<Diagnostics> {
    let started = Diagnostics::to(io::stderr())?;
    Ok(DIAGNOSTICS.get_or_init(|| started).clone())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// What a message could quote.
    const QUOTED: &str = "q8rT2mXw5LpZ-quoted-by-a-panic";

    /// Panics with a message that quotes a request, in the process that the test below starts.
    #[test]
    #[ignore = "the test below runs it"]
    #[should_panic]
    fn it_panics() {
        let log = Log { filter: "trace".into(), format: LogFormat::Json };
        quiet_panics();
        if std::env::args().any(|argument| argument == "--show-output") {
            log_to_stderr(&log).unwrap();
        }
        panic!("{}", QUOTED);
    }

    #[test]
    fn the_descriptor_limit_is_raised_to_the_most_that_is_allowed() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        // One less: other tests run in this process.
        let lower = maximum.map_or(1 << 16, |most| most - 1);
        setrlimit(Resource::Nofile, Rlimit { current: Some(lower), maximum }).unwrap();
        assert_eq!(raise_descriptor_limit(), maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }

    #[test]
    fn a_panic_tells_its_place_and_nothing_else() {
        for logged in [false, true] {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["cli::process::tests::it_panics", "--exact", "--ignored", "--nocapture"]);
            command.args(logged.then_some("--show-output"));
            let said = command.output().unwrap();
            let said = [said.stdout, said.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(said.contains("panicked"), "{said}");
            assert!(said.contains("process.rs"), "{said}");
            assert_eq!(said.contains("\"level\":\"ERROR\""), logged, "{said}");
            assert!(!said.contains("quoted"), "{said}");
        }
    }
}
