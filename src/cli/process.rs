//! What does the process promise about itself before it serves?

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use super::Exit;
use crate::config::{Log, LogFormat};

/// A panic message may quote a request: only its place is told.
pub(super) fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| (place.file(), place.line()));
        let (file, line) = place.unwrap_or(("unknown", 0));
        if tracing::dispatcher::has_been_set() {
            tracing::error!(file, line, "panicked");
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

/// Waits for SIGTERM or SIGINT.
pub(super) async fn told_to_stop() -> Exit {
    let stop = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt)] = stop else {
        super::tell("signals cannot be received");
        return Exit::Io;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Exit::Ok
}

/// Diagnostics go to standard error; standard output may be the audit's.
pub(super) fn log_to_stderr(log: &Log) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(&*log.filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means that a subscriber was set before, by a test.
    let _ = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
    Ok(())
}
