//! What runs on the gateway's host, and what is left when it dies?

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dcams_gateway::arrival::Peer;
use dcams_gateway::audit::{AuditSecrets, JournalSettings, Output, Rounds, SigningKey, Writer};
use dcams_gateway::config::{self, Source};
use dcams_gateway::gateway::{Gateway, origin};
use dcams_gateway::secret::Secret;
use dcams_gateway::server::Apart;
use dcams_gateway::stages::key_hash;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::sleep;
use turmoil::net::TcpListener;

use crate::CALLERS;
use crate::disk::Disk;
use crate::flaw::Flaw;
use crate::line::Net;
use crate::random::Random;
use crate::witness::Witness;

/// Where it listens.
pub const PORT: u16 = 3226;

const CONFIGURATION: &str = include_str!("gateway.toml");
/// The key of RFC 8410, section 10.3.
const SIGNING_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
const CHAIN_KEY: &str = "chain-key-of-the-simulation-0123456789abcdef0123456789abcdef";

/// The host: its disk, and the process on it while there is one.
#[derive(Clone)]
pub struct Machine(Arc<Host>);

struct Host {
    folder: TempDir,
    disk: Disk,
    witness: Witness,
    random: Mutex<Random>,
    flaw: Option<Flaw>,
    /// Values of the configuration that the seed decides.
    chosen: Vec<(String, String)>,
    slow: Mutex<Slow>,
    process: Mutex<Option<Process>>,
}

/// How long commits of the audit take.
#[derive(Clone, Copy)]
struct Slow {
    most_ms: u64,
    /// One of so many takes a second.
    stall_of: u64,
}

struct Process {
    gateway: Arc<Gateway>,
    rounds: Arc<Mutex<Rounds>>,
    drain: watch::Sender<bool>,
}

/// The key of a caller.
pub fn key_of(caller: u64) -> String {
    format!("the-key-of-caller-{caller}")
}

/// What verifies the log.
pub fn signing_key() -> SigningKey {
    SigningKey::of_pem(&Secret::new(SIGNING_KEY.as_bytes().to_vec())).unwrap()
}

impl Machine {
    pub fn new(witness: Witness, mut random: Random, flaw: Option<Flaw>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = (0..CALLERS).map(|caller| (format!("@KEY-{caller}@"), hash_of(&key_of(caller))));
        let text = keys.fold(CONFIGURATION.to_owned(), |text, (place, hash)| text.replace(&place, &hash));
        fs::write(folder.path().join("gateway.toml"), text).unwrap();
        write_private(&folder.path().join("fingerprint-key"), &"k".repeat(32));
        let disk = Disk::new(witness.clone(), random.clone(), flaw);
        let slow = Slow { most_ms: 1 + random.below(8), stall_of: 200 + random.below(2_000) };
        let chosen = chosen(&mut random);
        let (random, slow, process) = (Mutex::new(random), Mutex::new(slow), Mutex::default());
        let machine = Self(Arc::new(Host { folder, disk, witness, random, flaw, chosen, slow, process }));
        machine.write_pair(1);
        machine
    }

    pub fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// Where the audit is.
    pub fn audit(&self) -> PathBuf {
        self.0.folder.path().join("audit")
    }

    /// Puts the credentials of that version in place, both at once, as Kubernetes does.
    pub fn write_pair(&self, version: u64) {
        let root = self.0.folder.path();
        let folder = root.join(format!("pair-{version}"));
        fs::create_dir_all(&folder).unwrap();
        let pass = if self.0.flaw == Some(Flaw::MixesCredentials) { version + version % 2 } else { version };
        write_private(&folder.join("user"), &format!("user-{version}"));
        write_private(&folder.join("pass"), &format!("password-of-version-{pass}"));
        let link = root.join("pair-new");
        symlink(&folder, &link).unwrap();
        fs::rename(link, root.join("pair")).unwrap();
    }

    /// The audit takes no time from now on.
    pub fn hurry(&self) {
        *self.0.slow.lock().unwrap() = Slow { most_ms: 1, stall_of: u64::MAX };
    }

    /// The software of the host.
    pub async fn run(self) -> turmoil::Result {
        let (gateway, rounds) = self.start();
        gateway.reseed_pauses(self.0.random.lock().unwrap().next());
        let (drain, drained) = watch::channel(false);
        let commits = tokio::spawn(self.clone().commit(Arc::clone(&rounds)));
        let client = Arc::new(gateway.client_over(Box::new(Net { flaw: self.0.flaw })));
        tokio::spawn(Arc::clone(&client).sweep());
        let apart = Apart::new(&gateway, client, drained.clone());
        let process = Process { gateway: Arc::clone(&gateway), rounds, drain };
        *self.0.process.lock().unwrap() = Some(process);
        {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
            let mut drained = drained;
            loop {
                tokio::select! {
                    biased;
                    _ = drained.wait_for(|drained| *drained) => break,
                    accepted = listener.accept() => {
                        let (stream, _) = accepted?;
                        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
                        let peer = Peer::Tcp { address, loopback_listener: true };
                        // In a crash these end in their order, and not in that of numbers which all runs share.
                        tokio::task::spawn_local(apart.serve(Box::new(stream), peer));
                    }
                }
            }
        }
        // Served is until the end what was accepted.
        commits.await?;
        Ok(())
    }

    fn start(&self) -> (Arc<Gateway>, Arc<Mutex<Rounds>>) {
        let source = Source {
            path: self.0.folder.path().join("gateway.toml"),
            overrides: self.0.chosen.clone(),
            ..Source::default()
        };
        let (loaded, secrets) =
            config::load_with_secrets(&source).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
        let chain_key = Some(Secret::new(CHAIN_KEY.as_bytes().to_vec()));
        let secrets_of_audit = AuditSecrets { signing_key: signing_key(), chain_key };
        let settings = JournalSettings::new(self.audit(), secrets_of_audit);
        let settings = JournalSettings { reserve_bytes: 0, ..settings };
        let output = Output::FolderOn(Box::new(self.0.disk.clone()), settings);
        let (writer, rounds) = Writer::without_thread(output, origin(&loaded.config)).unwrap();
        let gateway = Gateway::recording_with(writer, loaded.config, &secrets).unwrap();
        (Arc::new(gateway), Arc::new(Mutex::new(rounds)))
    }

    /// Commits lines as the audit's thread would, each time a while later.
    async fn commit(self, rounds: Arc<Mutex<Rounds>>) {
        loop {
            let slow = *self.0.slow.lock().unwrap();
            let pause_ms = {
                let mut random = self.0.random.lock().unwrap();
                if random.below(slow.stall_of) == 0 { 1_000 } else { 1 + random.below(slow.most_ms) }
            };
            sleep(Duration::from_millis(pause_ms)).await;
            if !rounds.lock().unwrap().round() {
                return;
            }
        }
    }

    /// A stop was ordered: no request is admitted and no connection accepted any more.
    pub fn drain(&self) {
        if let Some(process) = &*self.0.process.lock().unwrap() {
            process.gateway.draining.store(true, std::sync::atomic::Ordering::Release);
            let _ = process.drain.send(true);
        }
    }

    /// Requests whose end is not recorded; 0 where nothing runs.
    pub fn in_progress(&self) -> u64 {
        let process = self.0.process.lock().unwrap();
        process.as_ref().map_or(0, |process| process.gateway.in_progress())
    }

    /// The process ends in order: what was in progress was cut by `cut`, and is recorded.
    pub fn stop(&self, cut: impl FnOnce()) {
        let process = self.0.process.lock().unwrap().take();
        let left = process.as_ref().map_or(0, |process| process.gateway.in_progress());
        cut();
        let Some(Process { gateway, rounds, .. }) = process else { return };
        gateway.writer.finish(left);
        let mut rounds = rounds.lock().unwrap();
        while rounds.round() {}
    }

    /// The process dies, or with `power_fails` the machine.
    pub fn crash(&self, power_fails: bool, cut: impl FnOnce()) {
        self.0.disk.cut();
        cut();
        drop(self.0.process.lock().unwrap().take());
        if power_fails {
            self.0.disk.lose()
        } else {
            self.0.disk.survive()
        }
        if self.0.flaw == Some(Flaw::ForgetsIntents) && self.audit().exists() {
            let kept = self.0.folder.path().join(format!("lost-{}", self.0.witness.now_ms()));
            fs::rename(self.audit(), kept).unwrap();
        }
    }

    /// All folders that the audit was ever in, the newest last.
    pub fn audits(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut lost: Vec<_> = entries.filter(|path| path.to_string_lossy().contains("/lost-")).collect();
        lost.sort();
        lost.push(self.audit());
        lost
    }
}

/// What makes one gateway patient and another one not.
fn chosen(random: &mut Random) -> Vec<(String, String)> {
    let mut chosen = Vec::new();
    let mut choose = |key: &str, values: &[&str]| {
        chosen.push((key.to_owned(), values[random.index(values.len())].to_owned()));
    };
    choose("data.max_requests", &["2", "6", "100"]);
    choose("upstream.retry.attempts", &["1", "3", "5"]);
    choose("upstream.retry.budget", &["\"0%\"", "\"20%\"", "\"100%\""]);
    choose("upstream.retry.budget_min_per_second", &["0", "1", "100"]);
    choose("upstream.breaker.failures", &["0", "3", "10"]);
    choose("upstream.breaker.slow", &["\"100ms\"", "\"400ms\""]);
    chosen
}

fn hash_of(key: &str) -> String {
    key_hash(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
