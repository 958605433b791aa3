//! `check`: is everything in order before it is started?

use std::sync::Arc;

use clap::Args;

use super::{Configured, Exit, config_source, print, tell};
use crate::config::{Config, Listen};
use crate::reject::Reject;
use crate::tls;
use crate::upstream::{Connector, probe};

#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    configured: Configured,
    /// Open no socket: neither the listeners nor the upstream are tried
    #[arg(long)]
    offline: bool,
}

pub(super) fn check(check: &Check) -> Exit {
    let (loaded, _secrets) = match config_source::load(&check.configured) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let config = loaded.config;
    let mut report = summary(&config);
    let verdict = if check.offline { Exit::Ok } else { online(&config, &mut report) };
    let printed = print(&report);
    if printed == Exit::Ok { verdict } else { printed }
}

fn summary(config: &Config) -> String {
    let mut text = format!(
        "configuration ok: {} callers, {} services, {} endpoints, {} credentials\n",
        config.callers.len(),
        config.services.len(),
        config.endpoints.len(),
        config.credentials.len(),
    );
    for service in &config.services {
        text.push_str(&format!(
            "schema ok: {} ({} places checked)\n",
            service.name,
            service.schema.locations().len()
        ));
    }
    text.push_str("secrets ok: all read\n");
    text
}

/// Tries what `run` would open, and whether each upstream shows a certificate that holds. No request
/// is sent.
fn online(config: &Config, report: &mut String) -> Exit {
    let mut verdict = Exit::Ok;
    for listen in &config.data.listen {
        if let Listen::Tcp(address) = listen
            && let Err(error) = std::net::TcpListener::bind(address)
        {
            tell(&format!("listener {address}: {error}"));
            verdict = Exit::Io;
        }
    }
    if let Some(files) = &config.data.tls
        && let Err(fault) = tls::certified_key(&files.cert, &files.key)
    {
        tell(&format!("data.tls: {fault}"));
        verdict = Exit::Config;
    }
    let client = match tls::client(&config.upstream.roots, config.upstream.http) {
        Ok(client) => client,
        Err(fault) => {
            tell(&format!("upstream.roots: {fault}"));
            return Exit::Config;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Exit::Io };
    let connector =
        Connector::new(Arc::clone(&client), config.upstream.http, config.upstream.connect_timeout);
    for endpoint in &config.endpoints {
        let authority = &endpoint.url.authority;
        match runtime.block_on(probe(&connector, &endpoint.url)) {
            Ok(()) => {
                report.push_str(&format!("upstream ok: {authority} (certificate verified, nothing sent)\n"))
            }
            Err(Reject::UpstreamTls) => {
                tell(&format!("upstream {authority}: its certificate does not hold for upstream.roots"));
                verdict = Exit::UpstreamUnavailable;
            }
            Err(_) => {
                tell(&format!("upstream {authority}: cannot be reached"));
                verdict = Exit::UpstreamUnavailable;
            }
        }
    }
    verdict
}
