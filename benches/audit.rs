//! What does it cost that every forward waits for its durable intent?
//!
//! `cargo bench --bench audit` runs two gateways on this machine's disk, one with `audit = "required"`, one with
//! `"best_effort"`, in turn, round by round, under the same load, and prints medians: CPU of the gateway's process per
//! request (user and system, from the kernel) and requests per second, with the ratios of this one run.
//!
//! The gateway, all its threads, has one core; callers and upstream have the others. The upstream is a canned answer
//! over plain HTTP, so that the gateway is what is saturated.
//!
//! `AUDIT_ROUNDS` (7), `AUDIT_SECONDS` per round (3) and `AUDIT_CONNECTIONS` (`64,256`) change the run.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a bench prints its figures and may fail"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "a-key-of-the-benchmark-0123456789";
const ANSWER: &str = r#"{"result":"Success","type":"getStatus","status":"PENDING"}"#;
const BODY: &str = r#"{"service":"getStatus","target":{"email":"jane@example.com"}}"#;
const MODES: [&str; 2] = ["best_effort", "required"];

fn main() {
    // `cargo test --benches` only asks whether it compiles and starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let rounds = number("AUDIT_ROUNDS", 7);
    let seconds = number("AUDIT_SECONDS", 3);
    let connections = std::env::var("AUDIT_CONNECTIONS").unwrap_or_else(|_| "64,256".to_owned());
    let connections: Vec<usize> = connections.split(',').map(|count| count.trim().parse().unwrap()).collect();
    let runtime = single_threaded();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    std::thread::spawn(|| single_threaded().block_on(answer_all(listener)));
    let gateways = MODES.map(|mode| Gateway::start(mode, upstream));
    println!("fdatasync of 1 KiB on this disk: median {:.0} us", disk_us(gateways[0].folder.path()));
    println!("load of the machine before the run: {}", fs::read_to_string("/proc/loadavg").unwrap().trim());
    for count in connections {
        compare(&runtime, &gateways, count, rounds, Duration::from_secs(seconds as u64));
    }
}

fn single_threaded() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// One mode's figures of one number of connections, a value per round.
#[derive(Default)]
struct Figures {
    cpu_us: Vec<f64>,
    per_second: Vec<f64>,
    p99_ms: Vec<f64>,
    per_commit: Vec<f64>,
}

fn compare(
    runtime: &tokio::runtime::Runtime,
    gateways: &[Gateway; 2],
    connections: usize,
    rounds: usize,
    time: Duration,
) {
    let mut figures = [Figures::default(), Figures::default()];
    for round in 0..=rounds {
        for (gateway, figures) in gateways.iter().zip(&mut figures) {
            let before = gateway.cpu();
            let commits = gateway.metric("dcams_gateway_audit_commit_duration_seconds_count");
            let started = Instant::now();
            let mut latencies = runtime.block_on(load(gateway.address, connections, time));
            let elapsed = started.elapsed().as_secs_f64();
            let requests = latencies.len() as f64;
            let commits = gateway.metric("dcams_gateway_audit_commit_duration_seconds_count") - commits;
            let cpu = gateway.cpu() - before;
            // The first round warms connections, caches and the file up.
            if round > 0 {
                latencies.sort_unstable();
                figures.cpu_us.push(cpu.as_secs_f64() * 1e6 / requests);
                figures.per_second.push(requests / elapsed);
                figures.p99_ms.push(latencies[latencies.len() * 99 / 100].as_secs_f64() * 1e3);
                figures.per_commit.push(requests / commits.max(1.0));
            }
        }
    }
    println!("\n{connections} connections, {rounds} rounds of {} s", time.as_secs());
    println!(
        "{:<14}{:>20}{:>22}{:>12}{:>22}",
        "", "CPU us a request", "requests a second", "p99 ms", "requests a commit"
    );
    for (mode, figures) in MODES.iter().zip(&figures) {
        println!(
            "{mode:<14}{:>20}{:>22}{:>12}{:>22}",
            spread(&figures.cpu_us),
            spread(&figures.per_second),
            spread(&figures.p99_ms),
            spread(&figures.per_commit)
        );
    }
    let [best_effort, required] = &figures;
    println!(
        "required / best_effort: CPU {:.2}, throughput {:.2}",
        median(&required.cpu_us) / median(&best_effort.cpu_us),
        median(&required.per_second) / median(&best_effort.per_second)
    );
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Median and, in brackets, the least and the most.
fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("{:.1} [{least:.1}..{most:.1}]", median(values))
}

/// Posts on `connections` connections until `time` is over; how long each request took.
async fn load(gateway: SocketAddr, connections: usize, time: Duration) -> Vec<Duration> {
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..connections).map(|_| tokio::spawn(call(gateway, Arc::clone(&over)))).collect();
    tokio::time::sleep(time).await;
    over.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    for caller in callers {
        latencies.extend(caller.await.unwrap());
    }
    latencies
}

async fn call(gateway: SocketAddr, over: Arc<AtomicBool>) -> Vec<Duration> {
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let request = format!(
        "POST /v3/stable/api/storage HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let (mut latencies, mut buffer) = (Vec::new(), Vec::new());
    while !over.load(Ordering::Relaxed) {
        let started = Instant::now();
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_message(&mut stream, &mut buffer).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        latencies.push(started.elapsed());
    }
    latencies
}

/// Reads one HTTP/1.1 message with a `Content-Length` and gives its head; what follows stays in `buffer`.
async fn read_message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            let whole = end + 4 + length.unwrap();
            if buffer.len() >= whole {
                buffer.drain(..whole);
                return Some(head);
            }
        }
        if stream.read_buf(buffer).await.unwrap() == 0 {
            return None;
        }
    }
}

async fn answer_all(listener: std::net::TcpListener) {
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    let answer: Arc<str> = answer.into();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let mut buffer = Vec::new();
            while read_message(&mut stream, &mut buffer).await.is_some() {
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// The median time of a write and its fdatasync, so that a run tells on which disk it was made.
fn disk_us(folder: &Path) -> f64 {
    use std::os::unix::fs::FileExt;
    let file = fs::File::create(folder.join("probe")).unwrap();
    let mut times = Vec::new();
    for block in 0..200_u64 {
        let started = Instant::now();
        file.write_all_at(&[b'x'; 1024], block * 1024).unwrap();
        file.sync_data().unwrap();
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    median(&times)
}

/// A gateway on core 0; it ends when this is dropped.
struct Gateway {
    child: Child,
    address: SocketAddr,
    ops: SocketAddr,
    folder: tempfile::TempDir,
}

impl Gateway {
    fn start(mode: &str, upstream: SocketAddr) -> Self {
        // Not the system's temporary folder, which may be no disk.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let config = configuration(mode, upstream, folder.path());
        let mut child = Command::new("taskset")
            .args(["-c", "0", env!("CARGO_BIN_EXE_dcams-gateway"), "run", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("taskset (util-linux) and the gateway start");
        let (mut address, mut ops) = (None, None);
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        while address.is_none() || ops.is_none() {
            let line = log.next().expect("the gateway says where it serves").unwrap();
            // What is found in the configuration is told before the log begins, in plain text.
            let Ok(line) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
            let at = || line["address"].as_str().and_then(|text| text.parse().ok());
            match line["message"].as_str() {
                Some("serving callers") => address = at(),
                Some("serving operators") => ops = at(),
                _ => {}
            }
        }
        // Checkpoints are logged: the pipe must not fill up.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, address: address.unwrap(), ops: ops.unwrap(), folder }
    }

    /// What all threads have spent so far, user and system.
    fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // proc_pid_stat(5): utime and stime are the fields 14 and 15, in ticks of 10 ms.
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    fn metric(&self, name: &str) -> f64 {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(self.ops).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("the metric {name} is missing"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(mode: &str, upstream: SocketAddr, folder: &Path) -> PathBuf {
    let key = digest::digest(&digest::SHA256, KEY.as_bytes());
    let key: String = key.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    for name in ["user", "pass", "fingerprint-key", "chain-key"] {
        private(&folder.join(name), &format!("{name}-of-the-benchmark-0123456789abcdef"));
    }
    private(&folder.join("signing-key"), SIGNING_KEY);
    let text = format!(
        r#"
[data]
listen = ["127.0.0.1:0"]
workers = 1
[ops]
listen = "127.0.0.1:0"
[audit]
output = {{ folder = "audit" }}
fingerprint_key = {{ file = "fingerprint-key" }}
chain_key = {{ file = "chain-key" }}
signing_key = {{ file = "signing-key" }}
[upstream]
plain_http_to_loopback = true
max_idle_per_caller = 1024
[endpoints.storage]
path = "/v3/stable/api/storage"
url = "http://127.0.0.1:{port}/v3/stable/api/storage"
service_member = "service"
[credentials.bench]
user = {{ file = "user" }}
pass = {{ file = "pass" }}
[services.getStatus]
endpoint = "storage"
effect = "read"
audit = "{mode}"
[[callers]]
name = "kyc-api"
keys = [{{ sha256 = "{key}" }}]
credentials = "bench"
rate = {{ per_second = 1000000, burst = 1000000 }}
max_requests = 1024
services = ["getStatus"]
"#,
        port = upstream.port()
    );
    let path = folder.join("gateway.toml");
    private(&path, &text);
    path
}

/// The private key of RFC 8410, section 10.3: known to everybody, good for a benchmark.
const SIGNING_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

fn private(path: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
