//! `simulate`: the double of DCAMS alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Exit, print, process, tell};
use crate::config::{Log, LogFormat};
use crate::simulate::{Double, FailureStyle, Fault, Settings};

#[derive(Args)]
pub(super) struct Simulate {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The user that is accepted
    #[arg(long, default_value = "double-user")]
    user: String,
    /// The password that is accepted: of this double, never a real one
    #[arg(long, default_value = "double-password-for-tests")]
    pass: String,
    /// The path of the storage services
    #[arg(long, default_value = "/v3/stable/api/storage")]
    path: String,
    /// How failures are told: ok-with-error (200 with `result: Error`) or client-error (4xx with it)
    #[arg(long, default_value = "ok-with-error", value_parser = failure_style)]
    failures: FailureStyle,
    /// What goes wrong with every answer, for example hang-before-read, truncate:100 or html:503
    #[arg(long, value_parser = fault)]
    fault: Option<Fault>,
    /// The wait before every answer, for example 50ms
    #[arg(long, value_parser = latency)]
    latency: Option<Duration>,
    /// Plain HTTP instead of TLS
    #[arg(long)]
    plain: bool,
    /// Write the throw-away certificate authority to this file, for upstream.roots
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Diagnostics on standard error: a filter such as info or trace
    #[arg(long, default_value = "warn")]
    log: String,
}

fn fault(text: &str) -> Result<Fault, String> {
    Fault::parse(text).map_err(|unknown| unknown.to_string())
}

fn latency(text: &str) -> Result<Duration, String> {
    match Fault::parse(&format!("latency:{text}")) {
        Ok(Fault::Latency(duration)) => Ok(duration),
        _ => Err("expected a duration such as 50ms".to_owned()),
    }
}

fn failure_style(text: &str) -> Result<FailureStyle, String> {
    text.parse().map_err(|_| "expected ok-with-error or client-error".to_owned())
}

pub(super) fn simulate(command: Simulate) -> Exit {
    let log = Log { filter: command.log.clone().into(), format: LogFormat::Text };
    if process::log_to_stderr(&log).is_err() {
        tell("--log is not a filter: expected for example info");
        return Exit::Usage;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Exit::Io };
    runtime.block_on(serve(command))
}

async fn serve(command: Simulate) -> Exit {
    let settings = Settings {
        listen: command.listen,
        user: command.user,
        pass: command.pass,
        path: command.path,
        failure_style: command.failures,
        tls: !command.plain,
        latency: command.latency.unwrap_or_default(),
        fault: command.fault.unwrap_or(Fault::None),
        ..Settings::default()
    };
    let double = match Double::start(settings).await {
        Ok(double) => double,
        Err(fault) => {
            let source = std::error::Error::source(&fault).map(|source| format!(": {source}"));
            tell(&format!("{fault}{}", source.unwrap_or_default()));
            return Exit::Io;
        }
    };
    if let Some(path) = &command.ca_file
        && let Err(error) = std::fs::write(path, double.ca_pem())
    {
        tell(&format!("{}: {error}", path.display()));
        return Exit::Io;
    }
    let printed = print(&format!("the double of DCAMS serves {}\n", double.url()));
    if printed != Exit::Ok {
        return printed;
    }
    process::told_to_stop().await
}
