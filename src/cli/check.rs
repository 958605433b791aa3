//! `check`: is everything in order before it is started?

use std::fs::File;
use std::io::ErrorKind;
use std::sync::Arc;

use clap::Args;
use rustix::fs::{FlockOperation, flock};
use tokio::runtime::Runtime;

use super::run::{PIPE, not_wanted, relies_on_a_pipe};
use super::{Configured, Exit, config_source, print, process, tell};
use crate::audit::AuditSecrets;
use crate::config::{AuditFolder, AuditOutput, Config, Listen};
use crate::reject::Reject;
use crate::server::{self, Passed};
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
    let passed = match Passed::take() {
        Ok(passed) => passed,
        Err(fault) => return not_wanted(&fault),
    };
    // Before a secret is read.
    process::keep_memory_private();
    let (loaded, _secrets) = match config_source::load(&check.configured) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let config = loaded.config;
    if let Err(fault) = passed.expect_wanted(&config) {
        return not_wanted(&fault);
    }
    let mut report = summary(&config);
    warn_of_descriptors(&config);
    warn_of_audit(&config);
    let verdict = if check.offline { Exit::Ok } else { online(&config, passed, &mut report) };
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
    text.push_str(&match &config.audit.output {
        AuditOutput::Stdout => "audit ok: standard output\n".to_owned(),
        AuditOutput::Folder(AuditFolder { path, .. }) if AuditSecrets::are_all_needed(path) => {
            format!("audit ok: {} (a new chain will be begun)\n", path.display())
        }
        AuditOutput::Folder(folder) => format!("audit ok: {} (its chain goes on)\n", folder.path.display()),
    });
    text
}

fn warn_of_audit(config: &Config) {
    if relies_on_a_pipe(config) {
        tell(&format!("warning: {PIPE}"));
    }
    if let AuditOutput::Folder(folder) = &config.audit.output
        && folder.chain_key.is_some()
        && !AuditSecrets::are_all_needed(&folder.path)
    {
        tell(
            "warning: the chain was begun, and audit.chain_key is not read any more: keep it where the log is \
             verified, take it off this host, and the key out of the configuration",
        );
    }
}

fn warn_of_descriptors(config: &Config) {
    let needed = server::descriptors::needed(config);
    if let Some(limit) = process::raise_descriptor_limit().filter(|limit| *limit < needed) {
        tell(&format!(
            "warning: up to {needed} descriptors are needed and {limit} are allowed here: raise the limit \
             (ulimit -Hn, LimitNOFILE=), or lower data.max_connections and data.max_requests, which a gateway here \
             would do by itself, after it keeps fewer idle connections to the upstream"
        ));
    }
}

/// Tries what `run` would open, and whether each upstream shows a certificate that holds. No request
/// is sent.
fn online(config: &Config, mut passed: Passed, report: &mut String) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Exit::Io };
    let listeners = runtime.block_on(async { listeners(config, &mut passed) });
    let verdicts = [lock(config), listeners, upstreams(config, &runtime, report)];
    // A look-up of a name may last half a minute, and what is said of it is known.
    runtime.shutdown_background();
    verdicts.into_iter().find(|verdict| *verdict != Exit::Ok).unwrap_or(Exit::Ok)
}

/// Whether the audit folder could be written to now.
fn lock(config: &Config) -> Exit {
    let AuditOutput::Folder(folder) = &config.audit.output else { return Exit::Ok };
    // Shared, and for an instant: a gateway that starts meanwhile tries again.
    let locked = match File::open(&folder.path) {
        Ok(opened) => flock(&opened, FlockOperation::NonBlockingLockShared).map_err(std::io::Error::from),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    let Err(error) = locked else { return Exit::Ok };
    let folder = folder.path.display();
    match error.kind() {
        ErrorKind::WouldBlock => {
            tell(&format!("audit {folder}: another gateway writes to this folder"));
            Exit::Io
        }
        ErrorKind::PermissionDenied => {
            tell(&format!("audit {folder}: {error}"));
            Exit::Permission
        }
        _ => {
            tell(&format!("audit {folder}: {error}"));
            Exit::Io
        }
    }
}

fn listeners(config: &Config, passed: &mut Passed) -> Exit {
    let mut verdict = Exit::Ok;
    let ops = config.ops.listen.map(Listen::Tcp);
    for address in config.data.listen.iter().chain(&ops) {
        let tried = match passed.has(address) {
            true => server::try_passed(passed, address),
            false => server::try_address(address),
        };
        if let Err(error) = tried {
            let shown = match address {
                Listen::Tcp(address) => address.to_string(),
                Listen::Unix(path) => format!("unix:{}", path.display()),
            };
            verdict = match error.kind() {
                ErrorKind::AddrInUse => {
                    tell(&format!(
                        "listener {shown}: in use: is a gateway running, or does a socket unit hold it?"
                    ));
                    Exit::Io
                }
                ErrorKind::PermissionDenied => {
                    tell(&format!("listener {shown}: {error}"));
                    Exit::Permission
                }
                _ => {
                    tell(&format!("listener {shown}: {error}"));
                    Exit::Io
                }
            };
        }
    }
    verdict
}

fn upstreams(config: &Config, runtime: &Runtime, report: &mut String) -> Exit {
    let client = match tls::client(&config.upstream.roots, config.upstream.http) {
        Ok(client) => client,
        Err(fault) => {
            tell(&format!("upstream.roots: {fault}"));
            return Exit::Config;
        }
    };
    let connector =
        Connector::new(Arc::clone(&client), config.upstream.http, config.upstream.connect_timeout);
    let mut verdict = Exit::Ok;
    for endpoint in &config.endpoints {
        let authority = &endpoint.url.authority;
        match runtime.block_on(probe(&connector, &endpoint.url)) {
            Ok(()) if endpoint.url.tls => {
                report.push_str(&format!("upstream ok: {authority} (certificate verified, nothing sent)\n"));
            }
            Ok(()) => report.push_str(&format!("upstream ok: {authority} (plain HTTP, nothing sent)\n")),
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::{Source, load};

    fn config(data: &str, ops: &str) -> Config {
        let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let overrides = vec![set("data.listen", data), set("ops.listen", ops), set("audit.output", "stdout")];
        let source = Source { path: "config/minimal.toml".into(), overrides, ..Source::default() };
        load(&source).unwrap_or_else(|faults| panic!("{faults}")).config
    }

    fn judged(data: &str, ops: &str) -> Exit {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { listeners(&config(data, ops), &mut Passed::default()) })
    }

    #[test]
    fn every_listener_is_tried_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let unix = |name: &str| format!("[\"unix:{}/{name}\"]", folder.path().display());
        assert_eq!(judged("[\"127.0.0.1:0\"]", "127.0.0.1:0"), Exit::Ok);
        assert_eq!(judged(&unix("made/free.sock"), "off"), Exit::Ok);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

        let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = busy.local_addr().unwrap().to_string();
        assert_eq!(judged(&format!("[{address:?}]"), "off"), Exit::Io);
        assert_eq!(judged("[\"127.0.0.1:0\"]", &address), Exit::Io);

        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("busy.sock")).unwrap();
        assert_eq!(judged(&unix("busy.sock"), "off"), Exit::Io);
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(judged(&unix("free.sock"), "off"), Exit::Permission);
    }

    #[test]
    fn a_folder_that_another_gateway_writes_to_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config("[\"127.0.0.1:0\"]", "off");
        config.audit.output = AuditOutput::Folder(AuditFolder {
            path: folder.path().to_owned(),
            signing_key: crate::config::SecretRef::Env("SIGNING_KEY".into()),
            chain_key: None,
            segment_bytes: 0,
            segment_age: std::time::Duration::ZERO,
            checkpoint_interval: std::time::Duration::ZERO,
            retention: crate::audit::Retention::default(),
            reserve_bytes: 0,
        });
        assert_eq!(lock(&config), Exit::Ok, "nobody writes to it");
        let held = File::open(folder.path()).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        assert_eq!(lock(&config), Exit::Io);
    }
}
