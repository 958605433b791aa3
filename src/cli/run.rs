//! `run`: serve until told to stop.

use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use super::process::Stop;
use super::{Configured, Exit, config_source, process, tell};
use crate::audit::AuditFault;
use crate::config::{AuditOutput, Config, Listen, Loaded, Recording, Secrets};
use crate::gateway::{Gateway, StartFault};
use crate::reload::{self, Reloader};
use crate::server::{self, Drained, Passed, PassedFault, Running, descriptors};

pub(super) fn run(configured: &Configured) -> Exit {
    // Before anything is opened that could be taken for one.
    let passed = match Passed::take() {
        Ok(passed) => passed,
        Err(fault) => return not_wanted(&fault),
    };
    process::keep_memory_private();
    let descriptors = process::raise_descriptor_limit();
    let (mut loaded, secrets) = match config_source::load(configured) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    if let Err(fault) = process::log_to_stderr(&loaded.config.log) {
        tell(&fault.to_string());
        return Exit::Config;
    }
    if descriptors::fit(&mut loaded.config, descriptors) {
        descriptors::tell(&loaded.config, descriptors);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tell(&format!("no runtime: {error}"));
            return Exit::Io;
        }
    };
    let exit = runtime.block_on(serve(configured, loaded, secrets, passed));
    // What still reads a file (a configuration on a file system that hangs) must not keep the process.
    runtime.shutdown_background();
    exit
}

async fn serve(configured: &Configured, loaded: Loaded, secrets: Secrets, passed: Passed) -> Exit {
    if let Err(fault) = passed.expect_wanted(&loaded.config) {
        return not_wanted(&fault);
    }
    // Before anything is begun that a signal should not cut off.
    let (Ok(source), Ok(hangup)) = (config_source::source(configured), signal(SignalKind::hangup())) else {
        tell("signals cannot be received");
        return Exit::Io;
    };
    let mut stop = match Stop::expected() {
        Ok(stop) => stop,
        Err(exit) => return exit,
    };
    warn_of_anonymous(&loaded);
    if relies_on_a_pipe(&loaded.config) {
        tracing::warn!("{PIPE}");
    }
    let gateway = match Gateway::new(loaded.config, &secrets) {
        Ok(gateway) => Arc::new(gateway),
        Err(fault) => return failed(&fault),
    };
    drop(secrets);
    let running = match server::start_on(Arc::clone(&gateway), passed).await {
        Ok(running) => running,
        Err(fault) => return failed(&fault),
    };
    announce(&running);
    process::tell_supervisor(&NotifyState::Ready);
    tokio::spawn(reload::follow(Reloader::new(Arc::clone(&gateway), source), hangup));
    stop.told().await;
    process::tell_supervisor(&NotifyState::Stopping);
    tracing::info!(requests = gateway.in_progress(), "draining");
    // A second signal ends at once, and even then every record is written.
    match running.drain_until(stop.told()).await {
        Drained::Whole => tracing::info!("stopped: every request was answered and recorded"),
        Drained::Cut(requests) => tracing::warn!(requests, "stopped with requests in progress"),
        Drained::Unrecorded(lines) => {
            tracing::error!(lines, "stopped, and audit records were lost: their output took nothing");
            return Exit::Io;
        }
    }
    Exit::Ok
}

fn warn_of_anonymous(loaded: &Loaded) {
    for caller in loaded.config.callers.iter().filter(|caller| caller.known_by.anonymous) {
        let name = &*caller.name;
        tracing::warn!(
            caller = name,
            "every local process is this caller without a key: for first steps only"
        );
    }
}

/// What an operator should know of required records on standard output.
pub(super) const PIPE: &str = "audit.output is stdout: the records of services whose audit is required are as \
                               durable as what reads standard output makes them";

/// Whether [`PIPE`] applies.
pub(super) fn relies_on_a_pipe(config: &Config) -> bool {
    let required = config.services.iter().any(|service| service.audit == Recording::Required);
    required && config.audit.output == AuditOutput::Stdout
}

fn announce(running: &Running) {
    for address in running.addresses() {
        match address {
            Listen::Tcp(address) => tracing::info!(%address, "serving callers"),
            Listen::Unix(path) => tracing::info!(path = %path.display(), "serving callers"),
        }
    }
    if let Some(address) = running.ops() {
        tracing::info!(%address, "serving operators");
    }
}

/// Sockets were passed that the configuration does not ask for.
pub(super) fn not_wanted(fault: &PassedFault) -> Exit {
    tell(&format!("cannot start: {fault}"));
    Exit::Config
}

fn failed(fault: &StartFault) -> Exit {
    tell(&format!("cannot start: {fault}"));
    let kind = match fault {
        StartFault::Io { source, .. } => source.kind(),
        StartFault::Audit(AuditFault::Open(source)) => source.kind(),
        StartFault::Audit(AuditFault::Locked) => return Exit::Io,
        StartFault::Audit(AuditFault::NoChainKey | AuditFault::NoState) => return Exit::Config,
        StartFault::SigningKey(_) | StartFault::Tls(_) | StartFault::Secret(_) => return Exit::Config,
    };
    if kind == std::io::ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Io }
}
