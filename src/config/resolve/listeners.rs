//! Where does the gateway listen, and is that safe?

use std::collections::BTreeSet;
use std::path::Path;

use super::{files, size};
use crate::config::findings::Findings;
use crate::config::model::{Data, Listen, Ops, TlsFiles};
use crate::config::reader::Field;
use crate::config::written::{self, Root};
use crate::tls::{TlsFault, certified_key};

pub(super) fn data(root: &Root, base: &Path, findings: &mut Findings) -> Option<Data> {
    let written = root.data.value()?;
    judge_addresses(written, findings);
    let tls = written.tls.value().map(|tls| tls_files(tls, base, findings));
    let tls = match tls {
        Some(tls) => Some(tls?),
        None => None,
    };
    let body_budget_bytes = written.body_budget.value()?.0;
    let share = written.caller_share.value()?.0;
    Some(Data {
        listen: written.listen.value()?.items.iter().map(|at| at.value.clone()).collect(),
        tls,
        workers: workers(written),
        body_budget_bytes,
        answer_budget_bytes: written.answer_budget.value()?.0,
        caller_share_bytes: part(body_budget_bytes, share),
        budget_wait: written.budget_wait.value()?.0,
        min_body_rate_bytes_per_s: written.min_body_rate.value()?.0,
        min_body_rate_grace: written.min_body_rate_grace.value()?.0,
        first_byte_timeout: written.first_byte_timeout.value()?.0,
        header_timeout: written.header_timeout.value()?.0,
        body_timeout: written.body_timeout.value()?.0,
        idle_timeout: written.idle_timeout.value()?.0,
        max_connections: size(written.max_connections.value()?.0),
        max_connections_per_peer: size(written.max_connections_per_peer.value()?.0),
        max_requests: size(written.max_requests.value()?.0),
        max_head_bytes: size(written.max_head.value()?.0),
        hosts: written.hosts.value()?.items.iter().map(|at| at.value.0.as_str().into()).collect(),
        drain_timeout: written.drain_timeout.value()?.0,
        drain_grace: written.drain_grace.value()?.0,
    })
}

pub(super) fn ops(root: &Root) -> Option<Ops> {
    let written = root.ops.value()?;
    let listen = written.listen.value()?.0;
    let private = listen.is_none_or(|address| address.ip().is_loopback());
    Some(Ops { listen, caller_names: written.caller_names.value().map_or(private, |flag| flag.0) })
}

/// What one caller may hold of the body budget, bytes; `None` where that could not be read.
pub(super) fn caller_share_bytes(root: &Root) -> Option<u64> {
    let data = root.data.value()?;
    Some(part(data.body_budget.value()?.0, data.caller_share.value()?.0))
}

fn part(whole: u64, percent: u64) -> u64 {
    // In this order nothing overflows, and less than one byte in a hundred is lost.
    (whole / 100).saturating_mul(percent).saturating_add((whole % 100).saturating_mul(percent) / 100)
}

fn judge_addresses(written: &written::Data, findings: &mut Findings) {
    let Some(list) = written.listen.at() else { return };
    if list.value.items.is_empty() && !list.value.broken {
        findings.error_at(&list.spot, "has no address", "write at least one, such as \"127.0.0.1:3226\"");
    }
    let mut seen = BTreeSet::new();
    for at in &list.value.items {
        let shown = match &at.value {
            Listen::Tcp(address) => address.to_string(),
            Listen::Unix(path) => path.display().to_string(),
        };
        // Port 0 means any free port, which may be asked for more than once.
        let any_port = matches!(at.value, Listen::Tcp(address) if address.port() == 0);
        if !seen.insert(shown) && !any_port {
            findings.error_at(&at.spot, "stands in the list twice", "keep one of the two");
        }
        let exposed = matches!(at.value, Listen::Tcp(address) if !address.ip().is_loopback());
        if exposed && written.tls.is_absent() {
            let problem = "is not a loopback address, and there is no [data.tls]";
            let remedy = "listen on 127.0.0.1 or [::1] or a unix socket, or give [data.tls] a certificate: \
                          callers' keys and personal data must not travel in clear";
            findings.error_at(&at.spot, problem, remedy);
        }
    }
    judge_tls_use(written, findings);
    if let Some(hosts) =
        written.hosts.at().filter(|hosts| hosts.value.items.is_empty() && !hosts.value.broken)
    {
        findings.error_at(
            &hosts.spot,
            "has no host",
            "write what callers put into `Host`, such as \"localhost\"",
        );
    }
}

fn judge_tls_use(written: &written::Data, findings: &mut Findings) {
    let (Field::Is(tls), Some(list)) = (&written.tls, written.listen.value()) else { return };
    let tcp = list.items.iter().any(|at| matches!(at.value, Listen::Tcp(_)));
    if !tcp && !list.broken {
        let remedy = "leave it out, or add an address with a port to `listen`";
        findings.error_at(&tls.spot, "serves the TCP addresses, and there is none", remedy);
    }
}

fn tls_files(tls: &written::Tls, base: &Path, findings: &mut Findings) -> Option<TlsFiles> {
    let cert_there =
        tls.cert.at().is_some_and(|at| files::expect_file(&base.join(&at.value.0), &at.spot, findings));
    let key_there =
        tls.key.at().is_some_and(|at| files::expect_private_file(&at.value.0, base, &at.spot, findings));
    let (cert, key) = (tls.cert.at()?, tls.key.at()?);
    let files = TlsFiles { cert: base.join(&cert.value.0), key: base.join(&key.value.0) };
    if cert_there
        && key_there
        && let Err(fault) = certified_key(&files.cert, &files.key)
    {
        let of_key = !matches!(&fault, TlsFault::Pem { expected: "certificate", .. });
        let spot = if of_key { &key.spot } else { &cert.spot };
        let remedy = "provide the certificate chain and the private key that belongs to it, both as PEM";
        findings.error_at(spot, &fault.to_string(), remedy);
    }
    Some(files)
}

fn workers(written: &written::Data) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    written.workers.value().map_or_else(cores, |count| size(count.0))
}
