//! Who may call, how is each known, and can two be taken for one another?

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{entries, listeners, rate, refer, size};
use crate::config::addresses::is_loopback;
use crate::config::findings::Findings;
use crate::config::model::{Caller, KeyHash, KnownBy, Listen};
use crate::config::reader::{At, Field};
use crate::config::written::{self, Root};
use crate::ids::{CredentialId, ServiceId};

/// What the kernel reports for a user id that it cannot map (user_namespaces(7)), and "no change" (chown(2)).
const NOBODY_UIDS: [u64; 2] = [65_534, 4_294_967_295];

pub(super) fn callers(root: &Root, findings: &mut Findings) -> Option<Box<[Caller]>> {
    let list = &root.callers.value()?.items;
    judge_names(list, findings);
    judge_keys(list, findings);
    judge_uids(root, list, findings);
    judge_anonymous(root, list, findings);
    let mut resolved = Vec::new();
    let mut complete = true;
    for at in list {
        judge_identity(at, findings);
        match caller(root, &at.value, findings) {
            Some(caller) => resolved.push(caller),
            None => complete = false,
        }
    }
    complete.then(|| resolved.into())
}

fn caller(root: &Root, written: &written::Caller, findings: &mut Findings) -> Option<Caller> {
    let credentials =
        written.credentials.at().and_then(|name| refer(&root.credentials, "credentials", name, findings));
    let services = services(root, written, findings);
    let service_rates = service_rates(root, written, findings);
    let max_body_bytes = max_body(root, written, findings);
    Some(Caller {
        name: written.name.value()?.0.as_str().into(),
        known_by: known_by(written)?,
        credentials: CredentialId(credentials?),
        rate: rate(written.rate.value()?)?,
        service_rates: service_rates?,
        max_requests: size(written.max_requests.value()?.0),
        max_body_bytes: max_body_bytes?,
        services: services?,
    })
}

fn known_by(written: &written::Caller) -> Option<KnownBy> {
    let key = |at: &At<written::KeyTable>| {
        Some(KeyHash {
            sha256: at.value.sha256.value()?.0,
            expires: at.value.expires.value().map(|expiry| expiry.0),
        })
    };
    Some(KnownBy {
        keys: written.keys.value()?.items.iter().map(key).collect::<Option<_>>()?,
        uid: written.uid.value().and_then(|uid| u32::try_from(uid.0).ok()),
        anonymous: written.anonymous.value()?.0,
    })
}

fn services(root: &Root, written: &written::Caller, findings: &mut Findings) -> Option<Box<[ServiceId]>> {
    let list = written.services.at()?;
    if list.value.items.is_empty() && !list.value.broken {
        findings.error_at(&list.spot, "has no service", "name the services that this caller may use");
    }
    let mut ids = Vec::new();
    let mut complete = true;
    for name in &list.value.items {
        match refer(&root.services, "services", name, findings).map(ServiceId) {
            Some(id) if ids.contains(&id) => {
                findings.error_at(&name.spot, "stands in the list twice", "keep one of the two");
            }
            Some(id) => ids.push(id),
            None => complete = false,
        }
    }
    complete.then(|| ids.into())
}

fn service_rates(
    root: &Root,
    written: &written::Caller,
    findings: &mut Findings,
) -> Option<BTreeMap<ServiceId, crate::config::model::Rate>> {
    let mut rates = BTreeMap::new();
    let mut complete = written.service_rates.value().is_some();
    for (name, at) in entries(&written.service_rates) {
        let listed = written.services.value().map(|list| list.items.iter().any(|item| item.value.0 == name));
        if listed == Some(false) && written.services.value().is_some_and(|list| !list.broken) {
            let remedy = "name one of this caller's `services`";
            findings.error_at(&at.spot, "is not a service that this caller may use", remedy);
        }
        let known = root.services.value().map(|named| named.entries.keys().position(|known| known == name));
        let id = known.flatten().and_then(|index| u16::try_from(index).ok()).map(ServiceId);
        match (id, rate(&at.value)) {
            (Some(id), Some(rate)) => {
                rates.insert(id, rate);
            }
            _ => complete = false,
        }
    }
    complete.then_some(rates)
}

fn max_body(root: &Root, written: &written::Caller, findings: &mut Findings) -> Option<u64> {
    let share = listeners::caller_share_bytes(root)?;
    match &written.max_body {
        Field::Absent => Some(share),
        Field::Broken => None,
        Field::Is(at) if at.value.0 > share => {
            let problem = format!("is more than a caller's share of the body budget, {share} bytes");
            findings.error_at(
                &at.spot,
                &problem,
                "lower it, or raise `body_budget` or `caller_share` in [data]",
            );
            None
        }
        Field::Is(at) => Some(at.value.0),
    }
}

fn judge_names(list: &[At<written::Caller>], findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for name in list.iter().filter_map(|at| at.value.name.at()) {
        if !seen.insert(name.value.0.as_str()) {
            findings.error_at(
                &name.spot,
                "is the name of a caller above too",
                "give each caller a name of its own",
            );
        }
    }
}

fn judge_identity(at: &At<written::Caller>, findings: &mut Findings) {
    let caller = &at.value;
    let no_key = caller.keys.value().is_some_and(|keys| keys.items.is_empty() && !keys.broken);
    let not_anonymous = caller.anonymous.value().is_some_and(|flag| !flag.0);
    if no_key && not_anonymous && caller.uid.is_absent() {
        let remedy = "add `keys = [{ sha256 = \"…\" }]` (see `dcams-gateway hash-key`) or `uid = …`";
        findings.error_at(&at.spot, "cannot be told from anybody else", remedy);
    }
}

fn judge_keys(list: &[At<written::Caller>], findings: &mut Findings) {
    let mut seen: BTreeMap<[u8; 32], &str> = BTreeMap::new();
    for at in list {
        let name = at.value.name.value().map_or("another caller", |name| name.0.as_str());
        for key in at.value.keys.value().into_iter().flat_map(|keys| &keys.items) {
            if let Some(hash) = key.value.sha256.at()
                && let Some(other) = seen.insert(hash.value.0, name)
            {
                let problem = format!("is a key of `{other}` too");
                findings.error_at(
                    &hash.spot,
                    &problem,
                    "make a key of its own with `dcams-gateway hash-key`",
                );
            }
            if let Some(expiry) = key.value.expires.at().filter(|expiry| expiry.value.0 <= Timestamp::now()) {
                let remedy = "remove the key, or replace it by one that is still good";
                findings.warn_at(&expiry.spot, "is in the past: the key is refused", remedy);
            }
        }
    }
}

fn judge_uids(root: &Root, list: &[At<written::Caller>], findings: &mut Findings) {
    let listen = root.data.value().and_then(|data| data.listen.value());
    let unix = listen
        .is_none_or(|list| list.broken || list.items.iter().any(|at| matches!(at.value, Listen::Unix(_))));
    let mut seen = BTreeSet::new();
    for uid in list.iter().filter_map(|at| at.value.uid.at()) {
        if NOBODY_UIDS.contains(&uid.value.0) {
            let remedy = "run the caller under a user id of its own";
            findings.error_at(&uid.spot, "stands for every user that the kernel cannot name", remedy);
            continue;
        }
        if !seen.insert(uid.value.0) {
            let remedy = "give each caller a user id of its own";
            findings.error_at(&uid.spot, "is the user id of a caller above too", remedy);
        }
        if !unix {
            let remedy = "add an address such as \"unix:/run/dcams-gateway/data.sock\" to `listen` in [data]";
            findings.error_at(&uid.spot, "is known on a unix socket only, and there is none", remedy);
        }
    }
}

fn judge_anonymous(root: &Root, list: &[At<written::Caller>], findings: &mut Findings) {
    let flags = list.iter().filter_map(|at| at.value.anonymous.at());
    for (index, flag) in flags.filter(|flag| flag.value.0).enumerate() {
        if index > 0 {
            findings.error_at(
                &flag.spot,
                "is said of a caller above too",
                "let one caller be anonymous at most",
            );
        }
        if exposed(root) {
            let remedy = "give the caller a key, or listen on loopback and unix sockets only";
            findings.error_at(&flag.spot, "needs listeners that nobody else can reach", remedy);
        }
        if entries(&root.endpoints).any(|(_, at)| at.value.url.value().is_some_and(|url| !is_loopback(url))) {
            let remedy =
                "give the caller a key, or forward to a loopback host (see `dcams-gateway simulate`)";
            findings.error_at(&flag.spot, "needs endpoints whose `url` has a loopback host", remedy);
        }
        let remedy = "give the caller a key before anything real is behind it";
        findings.warn_at(&flag.spot, "everybody on this machine can call without a key", remedy);
    }
}

fn exposed(root: &Root) -> bool {
    let listen = root.data.value().and_then(|data| data.listen.value());
    let outside = |at: &At<Listen>| matches!(at.value, Listen::Tcp(address) if !address.ip().is_loopback());
    listen.is_some_and(|list| list.items.iter().any(outside))
}
