//! How is load made that does not wait for its answers?

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// One request that was answered.
#[derive(Clone, Copy)]
pub struct Sample {
    pub status: u16,
    pub took: Duration,
    /// Whether it said when to come back.
    pub retry_after: bool,
}

/// What came of a load.
#[derive(Default)]
pub struct Outcome {
    pub samples: Vec<Sample>,
    /// Connections that were refused or broken.
    pub broken: usize,
    pub lasted: Duration,
}

impl Outcome {
    pub fn with(&self, status: u16) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.status == status)
    }

    pub fn refused(&self) -> Vec<Sample> {
        self.samples.iter().copied().filter(|sample| matches!(sample.status, 429 | 503)).collect()
    }

    /// Answers of DCAMS per second.
    pub fn goodput(&self) -> f64 {
        self.with(200).count() as f64 / self.lasted.as_secs_f64()
    }

    pub fn statuses(&self) -> std::collections::BTreeMap<u16, usize> {
        let mut statuses = std::collections::BTreeMap::new();
        for sample in &self.samples {
            *statuses.entry(sample.status).or_default() += 1;
        }
        statuses
    }
}

/// The time within which this share of the samples was answered.
pub fn quantile<'a>(samples: impl IntoIterator<Item = &'a Sample>, share: f64) -> Duration {
    let mut times: Vec<_> = samples.into_iter().map(|sample| sample.took).collect();
    times.sort();
    let at = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len().max(1)) - 1;
    times.get(at).copied().unwrap_or_default()
}

/// Sends `message` on so many connections, `per_second` in all whatever is answered, or, without a rate, each as
/// soon as it has its last answer. Runs on a thread of its own; joined, it gives what came of it.
pub fn offer(
    address: SocketAddr,
    message: Vec<u8>,
    connections: usize,
    per_second: Option<f64>,
    lasts: Duration,
) -> std::thread::JoinHandle<Outcome> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let begun = Instant::now();
            let (turns, outcome) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(Outcome::default())));
            let message = Arc::new(message);
            for _ in 0..connections {
                tokio::spawn(send_on(
                    address,
                    Arc::clone(&message),
                    Arc::clone(&turns),
                    Arc::clone(&outcome),
                ));
            }
            let mut given = 0;
            while begun.elapsed() < lasts {
                let due =
                    per_second.map_or(usize::MAX, |rate| (begun.elapsed().as_secs_f64() * rate) as usize);
                // Of what could not be sent in time a part is given up: it is no load.
                let room = connections.saturating_sub(turns.available_permits());
                turns.add_permits((due - given).min(room));
                given = if per_second.is_some() { due } else { 0 };
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let mut outcome = std::mem::take(&mut *outcome.lock().unwrap());
            outcome.lasted = begun.elapsed();
            outcome
        })
    })
}

async fn send_on(
    address: SocketAddr,
    message: Arc<Vec<u8>>,
    turns: Arc<Semaphore>,
    outcome: Arc<Mutex<Outcome>>,
) {
    loop {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            outcome.lock().unwrap().broken += 1;
            continue;
        };
        stream.set_nodelay(true).unwrap();
        loop {
            turns.acquire().await.unwrap().forget();
            let begun = Instant::now();
            match exchange(&mut stream, &message).await {
                Ok((status, retry_after, close)) => {
                    let sample = Sample { status, took: begun.elapsed(), retry_after };
                    outcome.lock().unwrap().samples.push(sample);
                    if close {
                        break;
                    }
                }
                Err(_) => {
                    outcome.lock().unwrap().broken += 1;
                    break;
                }
            }
        }
    }
}

async fn exchange(stream: &mut TcpStream, message: &[u8]) -> io::Result<(u16, bool, bool)> {
    stream.write_all(message).await?;
    read_answer(stream).await
}

/// Status, whether it says when to come back, and whether the connection ends with it.
async fn read_answer(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<(u16, bool, bool)> {
    let mut bytes = Vec::with_capacity(2048);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let line = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length: usize = line("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut left = (end + 4 + length).saturating_sub(bytes.len()) as u64;
        let mut rest = [0; 16 << 10];
        while left > 0 {
            let part = rest.len().min(usize::try_from(left).unwrap());
            match stream.read(&mut rest[..part]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => left -= count as u64,
            }
        }
        return Ok((status, line("retry-after:").is_some(), line("connection:") == Some("close")));
    }
}

/// Sends one large message each on so many connections at once, listening for the answer meanwhile, as a good client
/// does; stops sending when it comes.
pub fn upload(address: SocketAddr, messages: Vec<Arc<Vec<u8>>>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let begun = Instant::now();
    let mut outcome = Outcome::default();
    runtime.block_on(async {
        let mut uploads = tokio::task::JoinSet::new();
        for message in messages {
            uploads.spawn(async move {
                let mut stream = TcpStream::connect(address).await?;
                let begun = Instant::now();
                let (mut reader, mut writer) = stream.split();
                let sending = async {
                    // An error means that the gateway has answered and closed.
                    let _ = writer.write_all(&message).await;
                    std::future::pending::<()>().await;
                };
                let (status, retry_after, _) = tokio::select! {
                    answer = read_answer(&mut reader) => answer?,
                    () = sending => unreachable!("it never ends"),
                };
                Ok::<_, io::Error>(Sample { status, took: begun.elapsed(), retry_after })
            });
        }
        for ended in uploads.join_all().await {
            match ended {
                Ok(sample) => outcome.samples.push(sample),
                Err(_) => outcome.broken += 1,
            }
        }
    });
    outcome.lasted = begun.elapsed();
    outcome
}
