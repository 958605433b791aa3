//! Do the parts of the configuration fit together, and what do they amount to?
//!
//! Where something is missing because it was reported already, the checks that need it are passed over,
//! so that no fault causes a second report.

mod audit;
mod callers;
mod endpoints;
mod files;
mod fixed;
mod listeners;
mod retries;
mod schemas;
mod services;
mod together;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::canonical::Canonical;
use super::collections::Named;
use super::findings::Findings;
use super::model::{
    Caller, Config, Credential, Data, HttpVersion, Log, Rate, Roots, SecretRef, Service, Upstream,
};
use super::reader::{At, Field, Written, listed, nearest};
use super::secrets::{Role, SecretUse, SecretUses};
use super::units::Count;
use super::written::{self, RateTable, Root};
use crate::schema::Schema;

/// More would not fit the indices that requests carry.
const MOST_ENTRIES: usize = 4096;

/// Judges `root` as a whole; `None` only after at least one fault was reported. Schemas that are among the `compiled`
/// are not compiled again.
pub(super) fn resolve(
    root: &Root,
    base: &Path,
    compiled: &[Arc<Schema>],
    findings: &mut Findings,
) -> Option<Config> {
    let too_many = limit_entries(root, findings);
    let data = listeners::data(root, base, findings);
    let ops = listeners::ops(root);
    let upstream = upstream(root, base, findings);
    let audit = audit::audit(root, base, findings);
    let endpoints = endpoints::endpoints(root, findings);
    let services = services::services(root, base, compiled, findings);
    let callers = callers::callers(root, findings);
    let credentials = credentials(root, base);
    let log = log(root, findings);
    together::judge(root, services.as_deref(), findings);
    conceal_unlikely_references(root, base, findings);
    let services = services?;
    if too_many {
        return None;
    }
    let mut canonical = Canonical::new();
    root.feed("", &mut canonical);
    for service in &services {
        canonical.schema(&service.name, &service.schema.digest());
    }
    let (data, mut upstream, callers) = (data?, upstream?, callers?);
    upstream.max_idle = most_idle(&data, &upstream, &callers, &services);
    Some(Config {
        digest: canonical.finish(),
        instance: instance(root),
        data,
        ops: ops?,
        audit: audit?,
        log: log?,
        upstream,
        endpoints: endpoints?,
        credentials: credentials?,
        services,
        callers,
        schemas_dir: root.schemas_dir.value().map(|folder| base.join(&folder.0)),
        fixed: fixed::fixed(root, findings),
        secret_uses: SecretUses { list: secret_uses(root, base, findings).into() },
    })
}

/// Every place that refers to a secret that is read, as far as it could be understood.
pub(super) fn secret_uses(root: &Root, base: &Path, findings: &Findings) -> Vec<SecretUse> {
    let used = |(role, at): (Role, &At<SecretRef>)| SecretUse {
        role,
        key: at.spot.key.to_string(),
        origin: findings.origin(&at.spot.place),
        reference: located(&at.value, base),
        quotable: files::is_likely_reference(&at.value, base),
    };
    secret_references(root).filter(|(role, _)| audit::is_read(root, base, *role)).map(used).collect()
}

/// The keys of the audit, then user and password of each credential, and those of its second pair.
fn secret_references(root: &Root) -> impl Iterator<Item = (Role, &At<SecretRef>)> {
    let keys = root.audit.value().into_iter().flat_map(|audit| {
        [
            (Role::FingerprintKey, audit.fingerprint_key.at()),
            (Role::SigningKey, audit.signing_key.at()),
            (Role::ChainKey, audit.chain_key.at()),
        ]
    });
    let keys = keys.filter_map(|(role, at)| Some((role, at?)));
    let pairs = entries(&root.credentials).flat_map(|(_, credential)| {
        let (first, next) = (&credential.value, credential.value.next.value());
        let pairs = [
            (Role::User, first.user.at()),
            (Role::Pass, first.pass.at()),
            (Role::NextUser, next.and_then(|next| next.user.at())),
            (Role::NextPass, next.and_then(|next| next.pass.at())),
        ];
        pairs.into_iter().filter_map(|(role, at)| Some((role, at?)))
    });
    keys.chain(pairs)
}

/// Keeps out of every report what may be a secret in the place of its name.
fn conceal_unlikely_references(root: &Root, base: &Path, findings: &mut Findings) {
    for (_, at) in secret_references(root) {
        if !files::is_likely_reference(&at.value, base) {
            findings.conceal_at(&at.spot.place);
        }
    }
}

fn limit_entries(root: &Root, findings: &mut Findings) -> bool {
    let mut counts = Vec::new();
    counts.extend(root.endpoints.at().map(|at| (&at.spot, at.value.entries.len())));
    counts.extend(root.credentials.at().map(|at| (&at.spot, at.value.entries.len())));
    counts.extend(root.services.at().map(|at| (&at.spot, at.value.entries.len())));
    counts.extend(root.callers.at().map(|at| (&at.spot, at.value.items.len())));
    let mut too_many = false;
    for (spot, count) in counts {
        if count == 0 {
            findings.error_at(spot, "has no entry", "write at least one");
        } else if count > MOST_ENTRIES {
            findings.error_at(spot, "has more than 4096 entries", "split them over several instances");
            too_many = true;
        }
    }
    too_many
}

fn upstream(root: &Root, base: &Path, findings: &mut Findings) -> Option<Upstream> {
    let written = root.upstream.value()?;
    let roots = written.roots.at().map(|at| match &at.value {
        Roots::File(path) => {
            let path = base.join(path);
            let there = files::expect_file(&path, &at.spot, findings);
            let roots = Roots::File(path);
            if there && let Err(fault) = crate::tls::client(&roots, HttpVersion::Http1) {
                let remedy = "provide the certificates of the authorities, as PEM";
                findings.error_at(&at.spot, &fault.to_string(), remedy);
            }
            roots
        }
        other => other.clone(),
    });
    let retry = retries::retry(written, findings);
    let breaker = retries::breaker(written, findings);
    Some(Upstream {
        http: *written.http.value()?,
        roots: roots?,
        connect_timeout: written.connect_timeout.value()?.0,
        idle_timeout: written.idle_timeout.value()?.0,
        max_idle_per_caller: size(written.max_idle_per_caller.value()?.0),
        max_idle: 0,
        answer_limit_bytes: written.answer_limit.value()?.0,
        retry: retry?,
        breaker: breaker?,
        plain_http_to_loopback: written.plain_http_to_loopback.value()?.0,
    })
}

/// One for each caller and endpoint that it may use, whichever worker its requests come through: with fewer, each
/// request of many callers in turn would need a TLS handshake. Beside those, as many as requests in progress, each of
/// which may leave one.
fn most_idle(data: &Data, upstream: &Upstream, callers: &[Caller], services: &[Service]) -> usize {
    let endpoints = |caller: &Caller| {
        let used = caller.services.iter().filter_map(|service| services.get(usize::from(service.0)));
        used.map(|service| service.endpoint).collect::<BTreeSet<_>>().len()
    };
    let places = data.workers * callers.iter().map(endpoints).sum::<usize>();
    (places + data.max_requests).min(places * upstream.max_idle_per_caller)
}

fn log(root: &Root, findings: &mut Findings) -> Option<Log> {
    let written = root.log.value()?;
    if let Some(filter) = written.filter.at().filter(|filter| filter.value.names_others()) {
        let remedy = "events of libraries are never written: name `dcams_gateway` or a module of it";
        findings.warn_at(&filter.spot, "names a module that has no events", remedy);
    }
    Some(Log { filter: written.filter.value()?.0.as_str().into(), format: *written.format.value()? })
}

fn credentials(root: &Root, base: &Path) -> Option<Box<[Credential]>> {
    let each = |(name, at): (&str, &At<written::Credential>)| {
        Some(Credential {
            name: name.into(),
            user: located(at.value.user.value()?, base),
            pass: located(at.value.pass.value()?, base),
            next: match at.value.next.value() {
                Some(next) => Some([located(next.user.value()?, base), located(next.pass.value()?, base)]),
                None => None,
            },
            rate: match at.value.rate.value() {
                Some(written) => Some(rate(written)?),
                None => None,
            },
        })
    };
    entries(&root.credentials).map(each).collect()
}

fn instance(root: &Root) -> Box<str> {
    match root.instance.value() {
        Some(name) => name.0.as_str().into(),
        None => host_name(rustix::system::uname().nodename().to_string_lossy().as_ref()),
    }
}

/// The host's name, made of the characters that a name may have.
fn host_name(nodename: &str) -> Box<str> {
    let usable = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
    let name: String = nodename.chars().take(64).map(usable).collect();
    if name.is_empty() { "gateway".into() } else { name.into() }
}

/// Links are followed where there is something at their end.
fn same_file(one: &Path, other: &Path) -> bool {
    let target = |path: &Path| std::fs::canonicalize(path).ok();
    one == other || target(one).is_some_and(|one| target(other) == Some(one))
}

fn located(reference: &SecretRef, base: &Path) -> SecretRef {
    match reference {
        SecretRef::File(path) => SecretRef::File(base.join(path)),
        other => other.clone(),
    }
}

fn rate(written: &RateTable) -> Option<Rate> {
    let number = |count: &Count| u32::try_from(count.0).ok();
    let per_second = number(written.per_second.value()?)?;
    let burst = match written.burst.value() {
        Some(burst) => number(burst)?,
        None => per_second,
    };
    Some(Rate { per_second, burst })
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The readable entries of a table of names, in the order of the names.
fn entries<T>(named: &Field<Named<T>>) -> impl Iterator<Item = (&str, &At<T>)> {
    let entries = named.value().into_iter().flat_map(|named| named.entries.iter());
    entries.filter_map(|(name, at)| at.as_ref().map(|at| (name.as_str(), at)))
}

/// The index of the entry called `name`. A name that does not exist is reported at `spot`, unless the table
/// itself could not be read.
fn refer<T>(
    table: &Field<Named<T>>,
    kind: &str,
    name: &At<super::names::Name>,
    findings: &mut Findings,
) -> Option<u16> {
    let entries = &table.value()?.entries;
    let wanted = name.value.0.as_str();
    if let Some(index) = entries.keys().position(|name| name == wanted) {
        return u16::try_from(index).ok();
    }
    let names: Vec<_> = entries.keys().map(String::as_str).collect();
    match nearest(wanted, names.iter().copied()) {
        Some(near) => {
            let problem = format!("there is no [{kind}.{wanted}]");
            findings.error_at(&name.spot, &problem, &format!("did you mean `{near}`?"));
        }
        // What resembles no name may be a secret that slipped here.
        None => {
            findings.conceal_at(&name.spot.place);
            let remedy = format!("the names in [{kind}] are {}", listed(&names));
            findings.error_at(&name.spot, &format!("names nothing in [{kind}]"), &remedy);
        }
    }
    None
}
