//! How do several callers ask at the same time, and whose answers do they get?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::harness::{BATCH, Gateway, KYC_API, OPS_PORTAL, message};

pub const CALLERS: usize = 3;
const KEYS: [&str; CALLERS] = [KYC_API, OPS_PORTAL, BATCH];
/// Connections of each caller, with one request at a time each.
const CONNECTIONS: usize = 8;

/// Whose answers came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// To this very request.
    pub own: u64,
    /// To an earlier request of the same caller.
    pub earlier: u64,
    /// None of DCAMS.
    pub refused: u64,
    /// To a request of another caller.
    pub crossed: u64,
}

impl Counts {
    pub fn all(&self) -> u64 {
        self.own + self.earlier + self.refused + self.crossed
    }

    /// Whose is the answer `body` to the request for `email` of `caller`?
    fn count(&mut self, body: &[u8], caller: usize, email: &str) {
        match between(body, b"\"email\":\"", b"\"") {
            None => self.refused += 1,
            Some(answered) if answered == email.as_bytes() => self.own += 1,
            Some(answered) if answered.starts_with(prefix(caller).as_bytes()) => self.earlier += 1,
            Some(_) => self.crossed += 1,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            own: self.own + other.own,
            earlier: self.earlier + other.earlier,
            refused: self.refused + other.refused,
            crossed: self.crossed + other.crossed,
        }
    }
}

fn prefix(caller: usize) -> String {
    format!("caller-{caller}.")
}

fn request(caller: usize, number: u64) -> (String, String) {
    let email = format!("{}{number}@example.com", prefix(caller));
    let body = format!(r#"{{"service":"getStatus","target":{{"email":"{email}"}}}}"#);
    (email, body)
}

/// What stands between the first `begin` and the next `end`.
pub fn between<'a>(bytes: &'a [u8], begin: &[u8], end: &[u8]) -> Option<&'a [u8]> {
    let from = memchr::memmem::find(bytes, begin)? + begin.len();
    let rest = bytes.get(from..)?;
    rest.get(..memchr::memmem::find(rest, end)?)
}

/// Asks `requests` times, as all callers at once, each on connections of its own.
pub fn through_gateway(gateway: &Gateway, requests: u64) -> Counts {
    let address = gateway.data();
    interleaved(requests, move |caller, numbers| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut counts = Counts::default();
        while let Some(number) = next(&numbers) {
            let (email, body) = request(caller, number);
            stream.write_all(&message(KEYS[caller], body.as_bytes())).await.unwrap();
            counts.count(&read_answer(&mut stream).await, caller, &email);
        }
        counts
    })
}

/// The same, through one client of hyper-util that all callers share.
pub fn through_stock_client(url: &str, requests: u64) -> Counts {
    let url = Arc::<str>::from(url);
    let client = Arc::new(std::sync::OnceLock::new());
    interleaved(requests, move |caller, numbers| {
        let (url, client) = (Arc::clone(&url), Arc::clone(&client));
        async move {
            let client =
                client.get_or_init(|| Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
            let mut counts = Counts::default();
            while let Some(number) = next(&numbers) {
                let (email, body) = request(caller, number);
                let request = Request::post(&*url).body(Full::from(body)).unwrap();
                let answer = match client.request(request).await {
                    Ok(response) => response.into_body().collect().await.map(|body| body.to_bytes()).ok(),
                    Err(_) => None,
                };
                counts.count(&answer.unwrap_or_default(), caller, &email);
            }
            counts
        }
    })
}

/// Runs `ask` for every connection of every caller until `requests` were sent by all of them together.
fn interleaved<F>(requests: u64, ask: impl Fn(usize, Arc<AtomicU64>) -> F) -> Counts
where
    F: Future<Output = Counts> + Send + 'static,
{
    let left = Arc::new(AtomicU64::new(requests));
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut asking = JoinSet::new();
        for connection in 0..CALLERS * CONNECTIONS {
            asking.spawn(ask(connection % CALLERS, Arc::clone(&left)));
        }
        asking.join_all().await.into_iter().fold(Counts::default(), Counts::plus)
    })
}

/// The number of the next request, counted down to nothing.
fn next(left: &AtomicU64) -> Option<u64> {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok()
}

/// The body of one answer.
async fn read_answer(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::with_capacity(1024);
    loop {
        if let Some(head) = memchr::memmem::find(&read, b"\r\n\r\n").map(|at| at + 4) {
            let length = between(&read[..head], b"content-length: ", b"\r\n").unwrap();
            let end = head + std::str::from_utf8(length).unwrap().parse::<usize>().unwrap();
            if read.len() >= end {
                assert_eq!(read.len(), end, "more than one answer came");
                return read.split_off(head);
            }
        }
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "the gateway closed the connection");
    }
}
