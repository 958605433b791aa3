//! What runs on the gateway's host, and what is left when it dies?

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dcams_gateway::arrival::Peer;
use dcams_gateway::audit::{AuditSecrets, JournalSettings, Output, Rounds, SigningKey, Writer};
use dcams_gateway::config::{self, Source};
use dcams_gateway::gateway::{Gateway, origin};
use dcams_gateway::reload::Reloader;
use dcams_gateway::secret::Secret;
use dcams_gateway::server::Apart;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use turmoil::net::{TcpListener, TcpStream};

use crate::dcams::SECOND;
use crate::disk::Disk;
use crate::flaw::Flaw;
use crate::line::Net;
use crate::operator::{Operator, Order, tell_in_force};
use crate::planted::Hiding;
use crate::random::Random;
use crate::rules::Rules;
use crate::witness::Witness;

/// Where it listens.
pub const PORT: u16 = 3226;

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
    /// What the configuration file says.
    rules: Arc<Mutex<Rules>>,
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
    orders: mpsc::UnboundedSender<Order>,
    /// Each open connection has a share of it.
    connections: Arc<()>,
}

/// What verifies the log.
pub fn signing_key() -> SigningKey {
    SigningKey::of_pem(&Secret::new(SIGNING_KEY.as_bytes().to_vec())).unwrap()
}

impl Machine {
    pub fn new(witness: Witness, mut random: Random, flaw: Option<Flaw>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_private(&folder.path().join("fingerprint-key"), &"k".repeat(32));
        let disk = Disk::new(witness.clone(), random.clone(), flaw);
        let slow = Slow { most_ms: 1 + random.below(8), stall_of: 200 + random.below(2_000) };
        let rules = Arc::new(Mutex::new(Rules::open(&mut random)));
        let (random, slow, process) = (Mutex::new(random), Mutex::new(slow), Mutex::default());
        let machine = Self(Arc::new(Host { folder, disk, witness, random, flaw, rules, slow, process }));
        machine.write_version(&machine.path("second"), SECOND);
        machine.write_pair(1);
        machine
    }

    pub fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// Where the audit is.
    pub fn audit(&self) -> PathBuf {
        self.path("audit")
    }

    /// What the configuration file says.
    pub fn rules(&self) -> Rules {
        self.0.rules.lock().unwrap().clone()
    }

    /// Puts the credentials of that version in place, both at once, as Kubernetes does.
    pub fn write_pair(&self, version: u64) {
        if version > 1 && self.has(Flaw::NeverRereads) {
            return;
        }
        let folder = self.path(&format!("pair-{version}"));
        self.write_version(&folder, version);
        let link = self.path("pair-new");
        symlink(&folder, &link).unwrap();
        fs::rename(link, self.path("pair")).unwrap();
    }

    fn write_version(&self, folder: &Path, version: u64) {
        fs::create_dir_all(folder).unwrap();
        let pass = if self.has(Flaw::MixesCredentials) { version + version % 2 } else { version };
        write_private(&folder.join("user"), &format!("user-{version}"));
        write_private(&folder.join("pass"), &format!("password-of-version-{pass}"));
    }

    /// The audit takes no time from now on.
    pub fn hurry(&self) {
        *self.0.slow.lock().unwrap() = Slow { most_ms: 1, stall_of: u64::MAX };
    }

    /// The operator does that, at once where a gateway runs.
    pub fn order(&self, order: Order) {
        let process = self.0.process.lock().unwrap();
        let unheard = match &*process {
            Some(process) => process.orders.send(order).err().map(|error| error.0),
            None => Some(order),
        };
        if let Some(Order::Install(rules)) = unheard {
            *self.0.rules.lock().unwrap() = *rules;
        }
    }

    /// The software of the host.
    pub async fn run(self) -> turmoil::Result {
        let (gateway, rounds, reloader) = self.start();
        gateway.reseed_pauses(self.0.random.lock().unwrap().next());
        let (drain, mut drained) = watch::channel(false);
        let (orders, heard) = mpsc::unbounded_channel();
        let connections = Arc::new(());
        let commits = tokio::spawn(self.clone().commit(Arc::clone(&rounds)));
        let net = Net { witness: self.0.witness.clone(), flaw: self.0.flaw };
        let apart = Apart::new(&gateway, Arc::new(net), drained.clone());
        tokio::task::spawn_local(self.operator(&gateway, reloader).obey(heard));
        let share = Arc::clone(&connections);
        *self.0.process.lock().unwrap() = Some(Process { gateway, rounds, drain, orders, connections });
        {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
            loop {
                tokio::select! {
                    biased;
                    _ = drained.wait_for(|drained| *drained) => break,
                    accepted = listener.accept() => {
                        let serving = self.serve(&apart, accepted?.0);
                        let share = Arc::clone(&share);
                        // In a crash these end in their order, and not in that of numbers which all runs share.
                        tokio::task::spawn_local(async move {
                            serving.await;
                            drop(share);
                        });
                    }
                }
            }
        }
        drop(share);
        // Served is until the end what was accepted.
        commits.await?;
        Ok(())
    }

    fn start(&self) -> (Arc<Gateway>, Arc<Mutex<Rounds>>, Reloader) {
        let source = Source { path: self.path("gateway.toml"), ..Source::default() };
        fs::write(&source.path, self.rules().text(self.0.flaw)).unwrap();
        let (loaded, secrets) =
            config::load_with_secrets(&source).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
        let chain_key = Some(Secret::new(CHAIN_KEY.as_bytes().to_vec()));
        let secrets_of_audit = AuditSecrets { signing_key: signing_key(), chain_key };
        let settings = JournalSettings::new(self.audit(), secrets_of_audit);
        let settings = JournalSettings { reserve_bytes: 0, ..settings };
        let output = Output::FolderOn(Box::new(self.0.disk.clone()), settings);
        let (writer, rounds) = Writer::without_thread(output, origin(&loaded.config)).unwrap();
        let gateway = Arc::new(Gateway::recording_with(writer, loaded.config, &secrets).unwrap());
        tell_in_force(&self.0.witness, &gateway, &self.rules());
        (Arc::clone(&gateway), Arc::new(Mutex::new(rounds)), Reloader::new(gateway, source))
    }

    fn operator(&self, gateway: &Arc<Gateway>, reloader: Reloader) -> Operator {
        Operator {
            gateway: Arc::clone(gateway),
            reloader,
            file: self.path("gateway.toml"),
            rules: Arc::clone(&self.0.rules),
            witness: self.0.witness.clone(),
            random: Random::new(self.0.random.lock().unwrap().next()),
            flaw: self.0.flaw,
        }
    }

    fn serve(&self, apart: &Apart, stream: TcpStream) -> impl Future<Output = ()> + use<> {
        let peer = Peer::Tcp { address: IpAddr::V4(Ipv4Addr::LOCALHOST), loopback_listener: true };
        let serving = match self.has(Flaw::HidesUnknown) {
            true => apart.serve(Box::new(Hiding(stream)), peer),
            false => apart.serve(Box::new(stream), peer),
        };
        let awake = if self.has(Flaw::ForgetsConnections) { 50 } else { u64::MAX >> 8 };
        async move {
            let mut serving = std::pin::pin!(serving);
            tokio::select! {
                biased;
                () = &mut serving => {}
                () = sleep(Duration::from_millis(awake)) => std::future::pending().await,
            }
        }
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

    /// A stop is ordered: no connection is accepted any more. How long requests are still served, and how long all of it
    /// may take, in milliseconds.
    pub fn stop(&self) -> Option<(u64, u64)> {
        let process = self.0.process.lock().unwrap();
        let Process { gateway, drain, .. } = process.as_ref()?;
        gateway.stopping.store(true, Ordering::Release);
        let _ = drain.send(true);
        let data = &gateway.current().config.data;
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap();
        Some((ms(data.drain_grace), ms(data.drain_timeout)))
    }

    /// A stop has gone on for a while: no request is admitted any more.
    pub fn refuse(&self) {
        if let Some(process) = &*self.0.process.lock().unwrap() {
            process.gateway.draining.store(true, Ordering::Release);
        }
    }

    /// Whether a stop has nothing more to wait for.
    pub fn is_done(&self) -> bool {
        let process = self.0.process.lock().unwrap();
        // One share is the process's own.
        let open = process.as_ref().map_or(0, |process| Arc::strong_count(&process.connections) - 1);
        drop(process);
        self.has(Flaw::CutsStops) || self.in_progress() == 0 && open == 0
    }

    /// Requests whose end is not recorded; 0 where nothing runs.
    pub fn in_progress(&self) -> u64 {
        let process = self.0.process.lock().unwrap();
        process.as_ref().map_or(0, |process| process.gateway.in_progress())
    }

    /// The process ends in order: what was in progress was cut by `cut`, and is recorded.
    pub fn end(&self, cut: impl FnOnce()) {
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
        if self.has(Flaw::ForgetsIntents) && self.audit().exists() {
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

    fn path(&self, name: &str) -> PathBuf {
        self.0.folder.path().join(name)
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.0.flaw == Some(flaw)
    }
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
