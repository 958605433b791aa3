//! With which configuration does the gateway run here?
//!
//! The operator's own, overrides included, but for what the tables below replace. Their secrets are never read.

use std::io;
use std::path::Path;

use toml::{Table, Value};

use super::audit_table::{Records, audit_table, keys};
use super::canary::{Allowed, LENGTH, Mint};
use super::folder::private_file;
use crate::audit::hex;
use crate::config::{Config, Source};
use crate::stages::key_hash;

/// What is replaced in the operator's configuration, for the report.
const REPLACED: [(&str, &str); 14] = [
    ("environment", "empty: secrets come from files"),
    ("data.listen, ops.listen", "loopback addresses with free ports"),
    ("data.tls", "absent: callers are served in plain on loopback"),
    ("data timeouts", "1s, so that what must time out does so now"),
    (
        "data.max_connections, max_connections_per_peer, max_requests",
        "at least 256, but for the test of scarcity",
    ),
    ("log.filter", "trace"),
    ("upstream.roots, connect_timeout, answer_limit", "the double's authority, 500ms, at most 1MiB"),
    ("upstream.breaker.failures, share", "0 and 1%, so that each fault is met; 1 for the test of scarcity"),
    ("upstream.http, plain_http_to_loopback", "1.1 and true, for hostile answers alone"),
    ("endpoints.*.url, deadline", "the double of DCAMS, 1s"),
    ("credentials.*", "a user and a password of this run; no limit of the account"),
    ("callers.*.keys, uid, anonymous", "one key of this run for each caller"),
    ("callers.*.rate, service_rates, max_requests", "raised, so that they do not slow the test"),
    ("callers", "two more: one with a rate of 1 a second, one that may use one service only"),
];

/// What is replaced in `config`, for the report: keys, and what stands in their place.
pub(super) fn replaced(config: &Config) -> impl Iterator<Item = (&'static str, &'static str)> {
    REPLACED.into_iter().chain([("audit", Records::of(config).replacement())])
}

/// A limit that is never met here.
pub(super) fn ample() -> Value {
    rate(1_000_000)
}

/// The callers that are added: what is theirs to meet, whatever the operator's own may do.
#[derive(Clone, Debug)]
pub(super) struct Added {
    /// May ask once a second.
    pub(super) limited: String,
    /// May use one service only.
    pub(super) narrow: String,
}

/// What the gateway and its callers hold in this run.
pub(super) struct Secrets {
    pub(super) user: String,
    pub(super) pass: String,
    /// The keys of the audit: file and content.
    keys: Vec<(&'static str, String)>,
    /// The key of each caller, by name.
    callers: Vec<(String, String)>,
}

impl Secrets {
    /// New ones for the callers of `config` and for those that are `added`.
    pub(super) fn new(config: &Config, added: &Added, mint: &mut Mint) -> Self {
        let mut secret = |name: &str, make: &dyn Fn(&mut Mint) -> String| {
            let text = mint.reserve(name, make);
            mint.plant(name, &text, Allowed::Nowhere);
            text
        };
        // With characters that every way of writing treats in its own manner.
        let user = secret("user", &|mint| format!("{}\"\\/é{}", mint.letters(14), mint.letters(LENGTH)));
        let pass = secret("pass", &|mint| format!("{}\"/\\ü€ {}", mint.letters(14), mint.letters(LENGTH)));
        let names =
            config.callers.iter().map(|caller| &*caller.name).chain([&*added.limited, &*added.narrow]);
        let key = |name: &str| {
            let key = secret(&format!("key of {name}"), &|mint| format!("dgw_{}", mint.letters(56)));
            (name.to_owned(), key)
        };
        let callers = names.map(key).collect();
        Self { user, pass, keys: keys(config, mint), callers }
    }

    /// The bearer key of `caller`.
    pub(super) fn key(&self, caller: &str) -> &str {
        self.callers.iter().find(|(name, _)| name == caller).map_or("", |(_, key)| key)
    }
}

/// What one run of the gateway needs beside the operator's configuration.
pub(super) struct Stand<'a> {
    pub(super) config: &'a Config,
    pub(super) source: &'a Source,
    /// The operator's file with its overrides.
    pub(super) effective: &'a Table,
    pub(super) secrets: &'a Secrets,
    pub(super) added: &'a Added,
    /// Where every endpoint is forwarded to.
    pub(super) url: &'a str,
    /// PEM; empty where the upstream speaks HTTP/1.1 without TLS.
    pub(super) authority: &'a str,
    /// Where the records go.
    pub(super) records: Records,
    /// Whether there is room for one request at a time only.
    pub(super) scarce: bool,
}

impl Stand<'_> {
    /// Writes the configuration and what it refers to into `folder`.
    pub(super) fn set_up(&self, folder: &Path) -> io::Result<()> {
        private_file(&folder.join("user"), self.secrets.user.as_bytes())?;
        private_file(&folder.join("pass"), self.secrets.pass.as_bytes())?;
        for (file, key) in &self.secrets.keys {
            private_file(&folder.join(file), key.as_bytes())?;
        }
        private_file(&folder.join("authority.pem"), self.authority.as_bytes())?;
        let text = toml::to_string(&self.configuration()).map_err(io::Error::other)?;
        private_file(&folder.join("gateway.toml"), text.as_bytes())
    }

    /// The operator's configuration with everything replaced that [`replaced`] lists.
    fn configuration(&self) -> Table {
        let mut root = self.effective.clone();
        set(&mut root, "instance", self.config.instance.as_ref());
        self.schemas(&mut root);
        edit(&mut root, "data", |data| self.data(data));
        edit(&mut root, "ops", |ops| {
            set(ops, "listen", "127.0.0.1:0");
            set(ops, "caller_names", self.config.ops.caller_names);
        });
        root.insert("audit".to_owned(), Value::Table(audit_table(self.config, self.records)));
        edit(&mut root, "log", |log| set(log, "filter", "trace"));
        edit(&mut root, "upstream", |upstream| {
            if self.authority.is_empty() {
                set(upstream, "roots", "webpki");
                set(upstream, "http", "1.1");
                set(upstream, "plain_http_to_loopback", true);
            } else {
                set(upstream, "roots", file("authority.pem"));
            }
            set(upstream, "connect_timeout", "500ms");
            // Each fault is met by each request: none is kept away by the faults before it.
            edit(upstream, "breaker", |breaker| {
                set(breaker, "failures", i64::from(self.scarce));
                set(breaker, "share", "1%");
            });
            set(upstream, "answer_limit", size(self.config.upstream.answer_limit_bytes.min(1 << 20)));
        });
        for endpoint in tables(&mut root, "endpoints") {
            set(endpoint, "url", self.url);
            set(endpoint, "deadline", "1s");
        }
        for credential in tables(&mut root, "credentials") {
            *credential = Table::new();
            set(credential, "user", file("user"));
            set(credential, "pass", file("pass"));
        }
        self.callers(&mut root);
        root
    }

    fn schemas(&self, root: &mut Table) {
        if let Some(Value::String(written)) = root.get("schemas_dir") {
            let base = self.source.path.parent().map(Path::to_path_buf).unwrap_or_default();
            let folder = base.join(written);
            let folder = std::path::absolute(&folder).unwrap_or(folder);
            set(root, "schemas_dir", folder.to_string_lossy().into_owned());
        }
    }

    fn data(&self, data: &mut Table) {
        set(data, "listen", Value::Array(vec!["127.0.0.1:0".into()]));
        data.remove("tls");
        for timeout in ["first_byte_timeout", "header_timeout", "body_timeout"] {
            set(data, timeout, "1s");
        }
        if self.scarce {
            // A head is begun here before the end, and finished after it.
            set(data, "header_timeout", "10s");
        }
        set(data, "drain_timeout", "5s");
        // What comes after the stop is refused, as it otherwise is after a while.
        set(data, "drain_grace", "0s");
        let given = &self.config.data;
        set(data, "max_connections", count(given.max_connections));
        set(data, "max_connections_per_peer", count(given.max_connections_per_peer));
        set(data, "max_requests", if self.scarce { 1.into() } else { count(given.max_requests) });
        if self.scarce {
            set(data, "workers", 1);
        }
    }

    fn callers(&self, root: &mut Table) {
        let Some(Value::Array(callers)) = root.get_mut("callers") else { return };
        for caller in callers.iter_mut().filter_map(Value::as_table_mut) {
            caller.remove("uid");
            caller.remove("anonymous");
            let name = caller.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            set(caller, "keys", self.keys(&name));
            set(caller, "rate", ample());
            for rate in caller.get_mut("service_rates").and_then(Value::as_table_mut).into_iter().flatten() {
                *rate.1 = ample();
            }
            let known = self.config.callers.iter().find(|known| *known.name == name);
            set(caller, "max_requests", count(known.map_or(0, |known| known.max_requests)));
        }
        let Some(first) = self.config.callers.first() else { return };
        let credential = self.config.credentials.get(usize::from(first.credentials.0));
        let service = first.services.first().and_then(|id| self.config.services.get(usize::from(id.0)));
        for (name, rate) in [(&self.added.limited, rate(1)), (&self.added.narrow, ample())] {
            let mut caller = Table::new();
            set(&mut caller, "name", name.as_str());
            set(&mut caller, "keys", self.keys(name));
            set(&mut caller, "credentials", credential.map_or("", |credential| &*credential.name));
            set(&mut caller, "rate", rate);
            let services = service.map(|service| Value::from(&*service.name)).into_iter().collect();
            set(&mut caller, "services", Value::Array(services));
            callers.push(Value::Table(caller));
        }
    }

    fn keys(&self, caller: &str) -> Value {
        let mut key = Table::new();
        set(&mut key, "sha256", hex(&key_hash(self.secrets.key(caller).as_bytes())));
        Value::Array(vec![Value::Table(key)])
    }
}

fn set(table: &mut Table, key: &str, value: impl Into<Value>) {
    table.insert(key.to_owned(), value.into());
}

/// Changes the table `name` of `root`, which is made where it is missing.
fn edit(root: &mut Table, name: &str, change: impl FnOnce(&mut Table)) {
    let mut table = match root.remove(name) {
        Some(Value::Table(table)) => table,
        _ => Table::new(),
    };
    change(&mut table);
    root.insert(name.to_owned(), Value::Table(table));
}

/// The tables in the table `name`.
fn tables<'t>(root: &'t mut Table, name: &str) -> impl Iterator<Item = &'t mut Table> {
    let all = root.get_mut(name).and_then(Value::as_table_mut);
    all.into_iter().flat_map(|all| all.iter_mut()).filter_map(|(_, value)| value.as_table_mut())
}

fn file(path: &str) -> Value {
    let mut table = Table::new();
    set(&mut table, "file", path);
    Value::Table(table)
}

fn rate(per_second: i64) -> Value {
    let mut table = Table::new();
    set(&mut table, "per_second", per_second);
    Value::Table(table)
}

fn size(bytes: u64) -> String {
    format!("{bytes}B")
}

/// At least what the test itself needs.
fn count(number: usize) -> Value {
    Value::Integer(i64::try_from(number.max(256)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{effective, load};

    fn set(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    /// The configuration of a run on the shipped one with `overrides`, as text.
    fn text(mut overrides: Vec<(String, String)>, authority: &str, folder: &Path) -> (Config, String) {
        // The folder that is named there is not on every machine.
        overrides.push(set("audit.output", "stdout"));
        let source = Source { path: "config/gateway.toml".into(), overrides, ..Source::default() };
        let config = load(&source).map_err(|faults| faults.render(false)).unwrap().config;
        let added = Added { limited: "limited".to_owned(), narrow: "narrow".to_owned() };
        let secrets = Secrets::new(&config, &added, &mut Mint::seeded(1));
        let stand = Stand {
            config: &config,
            source: &source,
            effective: &effective(&source).unwrap(),
            secrets: &secrets,
            added: &added,
            url: if authority.is_empty() { "http://127.0.0.1:1/" } else { "https://localhost:1/" },
            authority,
            records: Records::of(&config),
            scarce: false,
        };
        stand.set_up(folder).unwrap();
        let text = std::fs::read_to_string(folder.join("gateway.toml")).unwrap();
        (config, text)
    }

    #[test]
    fn nothing_that_is_secret_or_elsewhere_is_named_in_the_configuration_of_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let overrides = vec![
            set("data.listen", "[\"unix:/run/theirs.sock\", \"127.0.0.1:4711\"]"),
            set("credentials.production.pass", "{ env = \"THEIR_PASS\" }"),
            set("callers.ops-portal.uid", "4711"),
            set("credentials.production.rate", "{ per_second = 1 }"),
        ];
        let (_, text) = text(overrides, "", folder.path());
        for theirs in
            ["/run/", "dcams.app", "4711", "THEIR", "5f1d7a84", "0c2b5a1e", "77aa0a4c", "uid", "expires"]
        {
            assert!(!text.contains(theirs), "{theirs}: {text}");
        }
    }

    #[test]
    fn what_is_not_replaced_is_kept_and_the_result_is_a_good_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let overrides = vec![
            set("data.max_head", "32KiB"),
            set("services.getStatus.body_limit", "9KiB"),
            set("services.getStatus.validate", "report"),
            set("data.hosts", "[\"gateway.internal\"]"),
            set("schemas_dir", "../schemas"),
            set("instance", "5"),
            set("ops.listen", "off"),
        ];
        let (theirs, _) = text(overrides, "", folder.path());
        let source = Source { path: folder.path().join("gateway.toml"), ..Source::default() };
        let ours = crate::config::load_with_secrets(&source)
            .map_err(|faults| faults.render(false))
            .unwrap()
            .0
            .config;
        assert_eq!((ours.data.max_head_bytes, &ours.data.hosts), (32 << 10, &theirs.data.hosts));
        assert_eq!((&ours.instance, ours.ops.caller_names), (&theirs.instance, theirs.ops.caller_names));
        let services = |config: &Config| {
            let each = |service: &crate::config::Service| {
                (service.name.clone(), service.body_limit_bytes, service.validate, service.schema.digest())
            };
            config.services.iter().map(each).collect::<Vec<_>>()
        };
        assert_eq!(services(&ours), services(&theirs));
        let callers = |config: &Config| {
            config
                .callers
                .iter()
                .map(|caller| (caller.name.to_string(), caller.services.clone()))
                .collect::<Vec<_>>()
        };
        let added =
            ["limited", "narrow"].map(|name| (name.to_owned(), theirs.callers[0].services[..1].into()));
        assert_eq!(callers(&ours), [callers(&theirs), added.to_vec()].concat());
        assert!(ours.callers.iter().all(|caller| caller.known_by.keys.len() == 1));
        assert_eq!(ours.callers.iter().map(|caller| caller.rate.per_second).min(), Some(1));
    }
}
