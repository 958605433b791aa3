//! How are requests sent, and how long does each take?

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio_rustls::TlsConnector;

use crate::traffic::{BEARER, Case, PATH, http1};
use crate::wire::read_message;

/// Where requests go, and in which HTTP version.
#[derive(Clone)]
pub enum Door {
    Http1(SocketAddr),
    /// HTTP/2 over TLS, with so many streams on each connection.
    Http2(SocketAddr, Arc<ClientConfig>, usize),
}

/// One request and the answer that must come back.
#[derive(Clone)]
pub struct Shot {
    body: Bytes,
    message: Bytes,
    answer: Bytes,
}

impl Shot {
    pub fn new(case: &Case, injects: bool) -> Self {
        let body = case.sent(injects).clone();
        Self { message: http1(&body), body, answer: case.answer.clone() }
    }
}

/// What came of a load.
#[derive(Default)]
pub struct Tally {
    pub requests: u64,
    pub elapsed: Duration,
    pub cpu: Duration,
    pub latencies: Vec<Duration>,
}

pub type Outcome<T> = Result<T, String>;

/// A clock of what the contestant has spent.
pub type Cpu<'a> = &'a dyn Fn() -> Duration;

/// Runs `load` on a runtime of this thread's own.
pub fn run<T>(load: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(load)
}

/// Each of `lines` sends its next request when its last is answered; what the first `warm` brings is not counted.
pub async fn saturate(
    door: &Door,
    shot: &Shot,
    lines: usize,
    warm: Duration,
    time: Duration,
    cpu: Cpu<'_>,
) -> Outcome<Tally> {
    let (over, counting) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let count = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for mut line in open(door, lines).await? {
        let (over, counting, count, shot) = (over.clone(), counting.clone(), count.clone(), shot.clone());
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let started = Instant::now();
                line.exchange(&shot).await?;
                count.fetch_add(1, Ordering::Relaxed);
                if counting.load(Ordering::Relaxed) {
                    latencies.push(started.elapsed());
                }
            }
            Ok::<_, String>(latencies)
        }));
    }
    tokio::time::sleep(warm).await;
    counting.store(true, Ordering::Relaxed);
    let (started, spent, before) = (Instant::now(), cpu(), count.load(Ordering::Relaxed));
    tokio::time::sleep(time).await;
    let (elapsed, cpu) = (started.elapsed(), cpu() - spent);
    let requests = count.load(Ordering::Relaxed) - before;
    over.store(true, Ordering::Relaxed);
    Ok(Tally { requests, elapsed, cpu, latencies: gather(tasks).await? })
}

/// So many requests altogether, on so many lines: the whole cost of each, where a single one takes long.
pub async fn batch(door: &Door, shot: &Shot, lines: usize, requests: u64, cpu: Cpu<'_>) -> Outcome<Tally> {
    let left = Arc::new(AtomicU64::new(requests));
    let opened = open(door, lines).await?;
    let (started, spent) = (Instant::now(), cpu());
    let tasks = opened.into_iter().map(|mut line| {
        let (left, shot) = (left.clone(), shot.clone());
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            let take = |left: u64| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                let started = Instant::now();
                line.exchange(&shot).await?;
                latencies.push(started.elapsed());
            }
            Ok::<_, String>(latencies)
        })
    });
    let latencies = gather(tasks.collect()).await?;
    Ok(Tally { requests, elapsed: started.elapsed(), cpu: cpu() - spent, latencies })
}

/// So many requests a second, whatever becomes of those before; a request that must wait for its line has waited.
pub async fn at_rate(
    door: &Door,
    shot: &Shot,
    lines: usize,
    per_second: u32,
    time: Duration,
    cpu: Cpu<'_>,
) -> Outcome<Tally> {
    let opened = open(door, lines).await?;
    let step = Duration::from_secs(1) / per_second;
    let (begin, spent) = (Instant::now(), cpu());
    let tasks = opened.into_iter().enumerate().map(|(number, mut line)| {
        let shot = shot.clone();
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            let mut due = begin + step * number as u32;
            while due < begin + time {
                // The timer's own lateness, up to a millisecond, is not the contestant's.
                let late = Instant::now() > due;
                tokio::time::sleep_until(due.into()).await;
                let started = if late { due } else { Instant::now() };
                line.exchange(&shot).await?;
                latencies.push(started.elapsed());
                due += step * lines as u32;
            }
            Ok::<_, String>(latencies)
        })
    });
    let latencies = gather(tasks.collect()).await?;
    let requests = latencies.len() as u64;
    Ok(Tally { requests, elapsed: begin.elapsed(), cpu: cpu() - spent, latencies })
}

/// All lines send all but the last bytes of their upload; when all have, the rest: all are in flight at once.
pub async fn at_once(address: SocketAddr, shot: &Shot, lines: usize, cpu: Cpu<'_>) -> Outcome<Tally> {
    const LAST: usize = 64;
    let barrier = Arc::new(Barrier::new(lines));
    let opened = open(&Door::Http1(address), lines).await?;
    let (started, spent) = (Instant::now(), cpu());
    let tasks = opened.into_iter().map(|line| {
        let (barrier, shot) = (barrier.clone(), shot.clone());
        tokio::spawn(async move {
            let Line::Http1(mut line) = line else { return Err("not HTTP/1.1".to_owned()) };
            let begun = Instant::now();
            let (most, last) = shot.message.split_at(shot.message.len() - LAST);
            line.stream.write_all(most).await.map_err(|error| format!("sending: {error}"))?;
            barrier.wait().await;
            line.stream.write_all(last).await.map_err(|error| format!("sending: {error}"))?;
            line.receive(&shot).await?;
            Ok(vec![begun.elapsed()])
        })
    });
    // A line that fails leaves the others at the barrier.
    let all = tokio::time::timeout(Duration::from_secs(30), gather(tasks.collect())).await;
    let latencies = all.map_err(|_| "not answered within 30 s".to_owned())??;
    Ok(Tally { requests: lines as u64, elapsed: started.elapsed(), cpu: cpu() - spent, latencies })
}

/// What `look` sees while so many lines are open and idle, each after one request.
pub async fn hold<T>(door: &Door, shot: &Shot, lines: usize, look: impl FnOnce() -> T) -> Outcome<T> {
    let mut opened = open(door, lines).await?;
    for line in &mut opened {
        line.exchange(shot).await?;
    }
    let seen = look();
    drop(opened);
    Ok(seen)
}

async fn gather(tasks: Vec<tokio::task::JoinHandle<Outcome<Vec<Duration>>>>) -> Outcome<Vec<Duration>> {
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.map_err(|error| error.to_string())??);
    }
    Ok(latencies)
}

/// What carries one request at a time.
enum Line {
    Http1(Http1Line),
    Http2(http2::SendRequest<Full<Bytes>>),
}

struct Http1Line {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

async fn open(door: &Door, lines: usize) -> Outcome<Vec<Line>> {
    let mut opened = Vec::with_capacity(lines);
    match door {
        Door::Http1(address) => {
            for _ in 0..lines {
                let stream = connect(*address).await?;
                opened.push(Line::Http1(Http1Line { address: *address, stream, buffer: Vec::new() }));
            }
        }
        Door::Http2(address, tls, streams) => {
            while opened.len() < lines {
                let stream = connect(*address).await?;
                let name = ServerName::try_from("localhost").unwrap();
                let stream = TlsConnector::from(tls.clone()).connect(name, stream).await;
                let stream = TokioIo::new(stream.map_err(|error| format!("TLS: {error}"))?);
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.initial_stream_window_size(16 << 20).initial_connection_window_size(64 << 20);
                let (sender, connection) =
                    builder.handshake(stream).await.map_err(|error| format!("HTTP/2: {error}"))?;
                tokio::spawn(connection);
                opened.extend((0..*streams).map(|_| Line::Http2(sender.clone())));
            }
            opened.truncate(lines);
        }
    }
    Ok(opened)
}

async fn connect(address: SocketAddr) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("connecting: {error}"))?;
    stream.set_nodelay(true).unwrap();
    Ok(stream)
}

impl Line {
    async fn exchange(&mut self, shot: &Shot) -> Outcome<()> {
        match self {
            Self::Http1(line) => line.exchange(shot).await,
            Self::Http2(sender) => {
                let request = http::Request::post(format!("https://localhost{PATH}"))
                    .header("authorization", format!("Bearer {BEARER}"))
                    .header("content-type", "application/json")
                    .header("content-length", shot.body.len())
                    .body(Full::new(shot.body.clone()))
                    .unwrap();
                let failed = |error: hyper::Error| format!("HTTP/2: {error:?}");
                let answer = sender.send_request(request).await.map_err(failed)?;
                let status = answer.status();
                let body = answer.into_body().collect().await.map_err(failed)?.to_bytes();
                checked(status.as_u16() == 200, &body, shot)
            }
        }
    }
}

impl Http1Line {
    async fn exchange(&mut self, shot: &Shot) -> Outcome<()> {
        // Most proxies end a connection at times, between two requests.
        if self.stream.write_all(&shot.message).await.is_ok() && self.receive_or_closed(shot).await? {
            return Ok(());
        }
        self.stream = connect(self.address).await?;
        self.stream.write_all(&shot.message).await.map_err(|error| format!("sending: {error}"))?;
        self.receive(shot).await
    }

    async fn receive(&mut self, shot: &Shot) -> Outcome<()> {
        if self.receive_or_closed(shot).await? { Ok(()) } else { Err("closed without an answer".to_owned()) }
    }

    async fn receive_or_closed(&mut self, shot: &Shot) -> Outcome<bool> {
        let message = read_message(&mut self.stream, &mut self.buffer).await;
        let Some(message) = message.map_err(|error| format!("receiving: {error}"))? else { return Ok(false) };
        let (head, body) = self.buffer[..message.end].split_at(message.body);
        checked(head.starts_with(b"HTTP/1.1 200"), body, shot)?;
        self.buffer.drain(..message.end);
        Ok(true)
    }
}

fn checked(success: bool, body: &[u8], shot: &Shot) -> Outcome<()> {
    if success && body == shot.answer {
        return Ok(());
    }
    let what = if success { "another answer than the upstream's" } else { "no success" };
    let text = String::from_utf8_lossy(&body[..body.len().min(120)])
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    Err(format!("{what}: {text}"))
}
