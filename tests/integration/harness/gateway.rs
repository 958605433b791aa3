//! How is a running gateway spoken to, read and ended?

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{Answer, Connection, PATH, wait_for};

/// The process of `run`. It ends when this is dropped.
pub struct Gateway {
    child: Child,
    data: Option<SocketAddr>,
    ops: Option<SocketAddr>,
    stdout: Captured,
    stderr: Captured,
    folder: Arc<TempDir>,
    tls_ca: Option<String>,
}

impl Gateway {
    /// Runs `command` and waits until it says on stderr where it serves (JSON, level info).
    /// Standard output is captured where it is not a file.
    pub(super) fn start(
        mut command: Command,
        stdout: Option<File>,
        folder: Arc<TempDir>,
        tls_ca: Option<String>,
        ops: bool,
    ) -> Self {
        command.stderr(Stdio::piped());
        command.stdout(stdout.map_or_else(Stdio::piped, Stdio::from));
        let mut child = command.spawn().unwrap();
        let stdout = Captured::from_some(child.stdout.take());
        let stderr = Captured::from(child.stderr.take().unwrap());
        let mut gateway = Self { child, data: None, ops: None, stdout, stderr, folder, tls_ca };
        wait_for("the gateway to serve", || {
            if let Some(ended) = gateway.child.try_wait().unwrap() {
                panic!("the gateway ended, {ended}: {}", gateway.stderr.text());
            }
            // The operators are announced last.
            let last = if ops { "serving operators" } else { "serving callers" };
            gateway.log_lines().iter().any(|line| line["message"] == last).then_some(())
        });
        gateway.data = gateway.announced("serving callers");
        gateway.ops = gateway.announced("serving operators");
        gateway
    }

    fn announced(&self, message: &str) -> Option<SocketAddr> {
        let lines = self.log_lines();
        let line = lines.iter().find(|line| line["message"] == message && line["address"].is_string())?;
        line["address"].as_str()?.parse().ok()
    }

    /// The first TCP address of `data.listen`.
    pub fn data(&self) -> SocketAddr {
        self.data.expect("a TCP listener")
    }

    /// Where operators are served.
    pub fn ops(&self) -> SocketAddr {
        self.ops.expect("an ops listener")
    }

    /// The folder of the configuration; relative paths in it start here.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new connection of a caller: TLS with HTTP/1.1 where the gateway was set up with it, else plain.
    pub fn connect(&self) -> Connection {
        match &self.tls_ca {
            Some(ca) => Connection::tls(self.data(), ca, b"http/1.1"),
            None => Connection::plain(self.data()),
        }
    }

    /// The CA that signed the gateway's own certificate, as PEM.
    pub fn tls_ca(&self) -> Option<&str> {
        self.tls_ca.as_deref()
    }

    /// Posts `body` as the caller of `key` on a connection of its own.
    pub fn post(&self, key: &str, body: impl AsRef<[u8]>) -> Answer {
        self.connect().post(key, body.as_ref())
    }

    /// Sends exactly `bytes` on a connection of its own and reads what comes until the gateway closes it.
    pub fn send_raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut connection = self.connect();
        connection.send(bytes);
        connection.read_to_end()
    }

    /// `GET` of the operators' listener.
    pub fn operators(&self, path: &str) -> Answer {
        let mut connection = Connection::plain(self.ops());
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        connection.read_answer()
    }

    /// The value of a metric: `name{labels}` exactly as it stands before the space.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.operators("/metrics").text();
        let of = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.trim().parse().ok();
        text.lines().find_map(of)
    }

    /// How many TCP connections its process holds, to whomever.
    pub fn connections(&self) -> usize {
        const LISTENS: &str = "0A";
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", self.pid())).unwrap();
        let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        let sockets: HashSet<String> =
            rows.filter(|row| row[3] != LISTENS).map(|row| format!("socket:[{}]", row[9])).collect();
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        let target = |entry: io::Result<fs::DirEntry>| fs::read_link(entry.unwrap().path()).ok();
        descriptors.filter_map(target).filter(|target| sockets.contains(&*target.to_string_lossy())).count()
    }

    /// Everything on standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Everything on standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// The lines of the log so far that are whole and JSON.
    pub fn log_lines(&self) -> Vec<Value> {
        lines(&self.stderr.text()).filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Every line of the audit so far: in the segments of the folder `audit` if it is there, else on standard
    /// output. A whole line that is no JSON fails the test.
    pub fn audit(&self) -> Vec<Value> {
        let folder = self.folder().join("audit");
        let text = if folder.exists() { segments(&folder) } else { self.stdout.text() };
        lines(&text)
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect()
    }

    /// The outcomes in the audit so far: one line a request.
    pub fn outcomes(&self) -> Vec<Value> {
        self.audit().into_iter().filter(|line| line["kind"] == "outcome").collect()
    }

    /// Waits for the outcome of the request with this id.
    pub fn record(&self, id: &str) -> Value {
        wait_for("the audit line of a request", || self.outcomes().into_iter().find(|line| line["id"] == id))
    }

    /// Waits for the outcome of the request that was answered so: by the `instance` of a problem, else
    /// by `X-Request-Id`, which must then be the gateway's own.
    pub fn record_of(&self, answer: &Answer) -> Value {
        self.record(&answer.id())
    }

    /// Waits until there are so many outcomes, and gives them all.
    pub fn wait_for_outcomes(&self, count: usize) -> Vec<Value> {
        wait_for("outcomes", || Some(self.outcomes()).filter(|lines| lines.len() >= count))
    }

    /// Sends SIGTERM and returns at once.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// How the process ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until the process has ended and all its output is here.
    pub fn wait(&mut self) -> ExitStatus {
        let ended = wait_for("the gateway to end", || self.child.try_wait().unwrap());
        self.stdout.finish();
        self.stderr.finish();
        ended
    }

    /// SIGTERM, and how the process ended.
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait()
    }

    /// The path that callers post to.
    pub fn path(&self) -> &'static str {
        PATH
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All segments of an audit folder, one after the other.
fn segments(folder: &Path) -> String {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        names.filter(|path| path.extension().is_some_and(|kind| kind == "jsonl")).collect();
    paths.sort();
    // One that is removed meanwhile, as too old, is no part of it any more.
    paths.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// The whole lines of `text`: the last one is still being written.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
}

/// What a stream gave so far.
struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    fn from_some(stream: Option<impl Read + Send + 'static>) -> Self {
        stream.map_or_else(|| Self { bytes: Arc::default(), reader: None }, Self::from)
    }

    fn from(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                kept.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}
