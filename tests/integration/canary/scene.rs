//! How is the gateway run so that everything it says is caught?

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::canaries;

/// What callers post to.
pub const PATH: &str = "/v3/stable/api/storage";
/// How long anything is waited for before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with a configuration, its secrets, and room for what is said.
pub struct Stage {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
    full_stdout: bool,
}

/// A gateway that runs on a [`Stage`].
pub struct Scene {
    stage: Stage,
    process: Child,
    data: SocketAddr,
    ops: SocketAddr,
    own: Mutex<Vec<u8>>,
    heads: Mutex<Vec<u8>>,
    bodies: Mutex<Vec<u8>>,
    answers: Mutex<Vec<Answer>>,
}

/// One answer to a caller, as it came.
#[derive(Clone)]
pub struct Answer {
    /// 0 where there was none.
    pub status: u16,
    /// Up to the blank line.
    pub head: Vec<u8>,
    /// What followed, framing included.
    pub body: Vec<u8>,
}

/// Everything that was caught, channel by channel.
pub struct Caught {
    /// Name and bytes of what the gateway said to anybody but the caller.
    pub channels: Vec<(String, Vec<u8>)>,
    /// The gateway's own answers to callers, and the heads of all answers.
    pub own_answers: Vec<(String, Vec<u8>)>,
    /// Bodies that came from the upstream.
    pub forwarded: Vec<u8>,
    /// How the process ended.
    pub status: ExitStatus,
}

impl Stage {
    /// With the secrets of [`canaries`] in private files.
    pub fn new(configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stage = Self { folder, variables: Vec::new(), full_stdout: false };
        for folder in ["run", "caught"] {
            fs::create_dir(stage.path(folder)).unwrap();
        }
        stage.file("user", canaries::user().as_bytes());
        stage.file("pass", canaries::pass().as_bytes());
        stage.file("fingerprint-key", canaries::fingerprint_key().as_bytes());
        stage.file("signing-key", canaries::signing_key().as_bytes());
        stage.file("chain-key", canaries::chain_key().as_bytes());
        stage.file("gateway.toml", configuration.as_bytes());
        stage
    }

    /// Nothing can be written to standard output.
    pub fn full_stdout(mut self) -> Self {
        self.full_stdout = true;
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a private file.
    pub fn file(&self, name: &str, bytes: &[u8]) {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(self.path(name)).unwrap().write_all(bytes).unwrap();
    }

    /// Sets a variable of the gateway's environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The binary, with its output caught; nothing of this process's environment reaches it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dcams-gateway"));
        command
            .args(arguments)
            .env_clear()
            .envs(self.variables.iter().cloned())
            .current_dir(self.path("run"));
        let stdout = if self.full_stdout { "/dev/full".into() } else { self.path("caught/stdout") };
        command.stdout(File::create(stdout).unwrap());
        command.stderr(File::create(self.path("caught/stderr")).unwrap());
        command
    }

    /// Runs a command to its end: exit code, and both outputs.
    pub fn said(&self, arguments: &[&str]) -> (Option<i32>, Vec<u8>) {
        let status = self.command(arguments).status().unwrap();
        let said = ["stdout", "stderr"].map(|name| self.caught(name));
        (status.code(), said.concat())
    }

    /// `stdout` or `stderr`, so far.
    pub fn caught(&self, name: &str) -> Vec<u8> {
        fs::read(self.path("caught").join(name)).unwrap_or_default()
    }

    /// Starts the gateway and waits until it serves.
    pub fn start(self) -> Scene {
        let configuration = self.path("gateway.toml");
        let process = self.command(&["run", "--config", configuration.to_str().unwrap()]).spawn().unwrap();
        let address = |what: &str| wait_for(what, || self.announced(what));
        let (data, ops) = (address("serving callers"), address("serving operators"));
        let [own, heads, bodies] = [const { Mutex::new(Vec::new()) }; 3];
        Scene { stage: self, process, data, ops, own, heads, bodies, answers: Mutex::default() }
    }

    fn announced(&self, what: &str) -> Option<SocketAddr> {
        let stderr = String::from_utf8_lossy(&self.caught("stderr")).into_owned();
        // The last line may still be half written.
        let line = stderr.split_inclusive('\n').find(|line| line.contains(what) && line.ends_with('\n'))?;
        let address = line.get(line.find("127.0.0.1:")?..)?;
        let end = address.find(|letter: char| !letter.is_ascii_digit() && !".:".contains(letter));
        address.get(..end.unwrap_or(address.len()))?.parse().ok()
    }
}

impl Scene {
    pub fn data(&self) -> SocketAddr {
        self.data
    }

    /// Sends `bytes` on a connection of their own and reads until it is closed.
    pub fn send(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        // Refused early, a request need not be taken to its end.
        let _ = stream.write_all(bytes);
        self.take(&read_all(&mut stream))
    }

    /// A connection to the callers' listener.
    pub fn connect(&self) -> TcpStream {
        connect(self.data)
    }

    /// Keeps an answer for the scan.
    pub fn take(&self, bytes: &[u8]) -> Answer {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        let (head, body) = bytes.split_at(end);
        let status = std::str::from_utf8(head.get(9..12).unwrap_or_default()).unwrap_or_default();
        let answer = Answer { status: status.parse().unwrap_or(0), head: head.to_vec(), body: body.to_vec() };
        let kept = if answer.is_own() { &self.own } else { &self.bodies };
        kept.lock().unwrap().extend_from_slice(body);
        self.heads.lock().unwrap().extend_from_slice(head);
        self.answers.lock().unwrap().push(answer.clone());
        answer
    }

    /// Keeps what came by HTTP/2 for the scan: farewells, and bodies by who made them.
    pub fn take_http2(&self, mut bytes: &[u8]) {
        while let [high, middle, low, kind, _, _, _, _, _, rest @ ..] = bytes {
            let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
            let (payload, after) = rest.split_at(length.min(rest.len()));
            let is_own = *kind != 0 || payload.windows(7).any(|letters| letters == b"\"code\":");
            let kept = if is_own { &self.own } else { &self.bodies };
            kept.lock().unwrap().extend_from_slice(payload);
            bytes = after;
        }
    }

    /// The codes of all refusals so far.
    pub fn codes(&self) -> Vec<String> {
        self.answers.lock().unwrap().iter().filter_map(Answer::code).collect()
    }

    /// How many answers there were so far.
    pub fn answered(&self) -> usize {
        self.answers.lock().unwrap().iter().filter(|answer| answer.status != 0).count()
    }

    /// What operators see at `target`, head included.
    pub fn operators(&self, target: &str) -> Vec<u8> {
        let mut stream = connect(self.ops);
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        read_all(&mut stream)
    }

    /// Asks it to stop.
    pub fn ask_to_stop(&self) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Ends the gateway and hands over all that it said.
    pub fn end(mut self) -> Caught {
        let mut channels = Vec::new();
        for target in
            ["/metrics", "/readyz?verbose", "/audit/checkpoint", "/livez", "/version", "/nothing-here"]
        {
            channels.push((target.to_owned(), self.operators(target)));
        }
        for name in ["cmdline", "environ"] {
            // Who may not look has seen nothing, which is as good.
            let bytes = fs::read(format!("/proc/{}/{name}", self.process.id())).unwrap_or_default();
            channels.push((name.to_owned(), bytes));
        }
        self.ask_to_stop();
        let process = &mut self.process;
        let status = wait_for("the end of the gateway", || process.try_wait().unwrap());
        for name in ["stdout", "stderr"] {
            channels.push((name.to_owned(), self.stage.caught(name)));
        }
        channels.extend(left_behind(&self.stage));
        let take = |kept: &Mutex<Vec<u8>>| std::mem::take(&mut *kept.lock().unwrap());
        let own_answers =
            vec![("problem bodies".to_owned(), take(&self.own)), ("heads".to_owned(), take(&self.heads))];
        Caught { channels, own_answers, forwarded: take(&self.bodies), status }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // After a failed assertion; a gateway that has ended cannot be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Answer {
    /// Whether the gateway made it.
    fn is_own(&self) -> bool {
        let head = String::from_utf8_lossy(&self.head).to_ascii_lowercase();
        head.contains("application/problem+json") || !head.contains("application/json")
    }

    /// The code of the refusal.
    pub fn code(&self) -> Option<String> {
        let body = String::from_utf8_lossy(&self.body);
        let rest = body.split_once("\"code\":\"")?.1;
        self.is_own().then(|| rest.split('"').next().unwrap_or_default().to_owned())
    }
}

/// The files that the gateway made, the audit's among them.
fn left_behind(stage: &Stage) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for folder in ["", "run", "audit"] {
        let entries = fs::read_dir(stage.path(folder)).into_iter().flatten();
        for entry in entries.map(Result::unwrap) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = [
                "user",
                "pass",
                "fingerprint-key",
                "signing-key",
                "chain-key",
                "gateway.toml",
                "ca.pem",
                "tls.crt",
                "tls.key",
                "schemas",
            ];
            if entry.path().is_file() && !ours.contains(&&*name) {
                found.push((name.clone(), fs::read(entry.path()).unwrap()));
                found.push((format!("the name of {folder}/{name}"), name.into_bytes()));
            }
        }
    }
    found
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes until the connection ends, however it does.
pub fn read_all(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..read]);
    }
    bytes
}

/// Asks again and again until there is something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The file of `name` in the folder of schemas.
pub fn schema_file(stage: &Stage, name: &str, text: &str) {
    fs::create_dir_all(stage.path("schemas")).unwrap();
    fs::write(stage.path(&Path::new("schemas").join(name).to_string_lossy()), text).unwrap();
}
