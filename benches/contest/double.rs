//! Does the upstream receive what it must, and how fast can it say so?
//!
//! Every body is compared byte by byte with one that was read as JSON before and means what it must, credentials
//! included; one that is new is read as JSON. So nothing wrong is ever counted, at the price of a `memcmp`.

use std::io::Result;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::traffic::{PATH, Traffic};
use crate::wire::read_message;

const REFUSAL: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"result\":\"Wrong\"}";

/// The upstream of all contestants, on a thread of its own.
pub struct Double {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    judge: Arc<Judge>,
}

struct Judge {
    traffic: Arc<Traffic>,
    /// The answer to each of the cases, with its head.
    answers: Vec<Bytes>,
    /// Bodies that mean what they must, with the number of their case.
    known: RwLock<Vec<(usize, Bytes)>>,
    wrong: AtomicU64,
}

impl Double {
    pub fn start(traffic: Arc<Traffic>, tls: Arc<ServerConfig>) -> Self {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [plain, secure] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        let answers = traffic.cases().map(|case| answer(&case.answer)).collect();
        let judge = Judge { traffic, answers, known: RwLock::default(), wrong: AtomicU64::new(0) };
        let double = Self { plain, tls: secure, judge: Arc::new(judge) };
        let judge = Arc::clone(&double.judge);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(listen(listeners, TlsAcceptor::from(tls), judge));
        });
        double
    }

    /// How many bodies did not mean what they must, so far.
    pub fn wrong(&self) -> u64 {
        self.judge.wrong.load(Ordering::Relaxed)
    }
}

fn answer(body: &Bytes) -> Bytes {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut message = head.into_bytes();
    message.extend_from_slice(body);
    message.into()
}

async fn listen(listeners: [TcpListener; 2], acceptor: TlsAcceptor, judge: Arc<Judge>) {
    let [plain, tls] = listeners.map(|listener| {
        listener.set_nonblocking(true).unwrap();
        tokio::net::TcpListener::from_std(listener).unwrap()
    });
    loop {
        tokio::select! {
            accepted = plain.accept() => {
                let (stream, _) = accepted.unwrap();
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream, Arc::clone(&judge)));
            }
            accepted = tls.accept() => {
                let (stream, _) = accepted.unwrap();
                stream.set_nodelay(true).unwrap();
                let (acceptor, judge) = (acceptor.clone(), Arc::clone(&judge));
                tokio::spawn(async move { serve(acceptor.accept(stream).await?, judge).await });
            }
        }
    }
}

/// Answers until the peer closes.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, judge: Arc<Judge>) -> Result<()> {
    let mut buffer = Vec::new();
    while let Some(message) = read_message(&mut stream, &mut buffer).await? {
        let to_path = is_posted(&buffer[..message.body]);
        let case = judge.case_of(&buffer[message.body..message.end]).filter(|_| to_path);
        match case {
            Some(case) => stream.write_all(&judge.answers[case]).await?,
            None => {
                judge.wrong.fetch_add(1, Ordering::Relaxed);
                stream.write_all(REFUSAL).await?;
            }
        }
        stream.flush().await?;
        buffer.drain(..message.end);
        // What an upload took is not kept for as long as its connection is idle.
        buffer.shrink_to(1 << 20);
    }
    Ok(())
}

fn is_posted(head: &[u8]) -> bool {
    head.strip_prefix(b"POST ")
        .and_then(|rest| rest.strip_prefix(PATH.as_bytes()))
        .is_some_and(|rest| rest[0] == b' ')
}

impl Judge {
    fn case_of(&self, body: &[u8]) -> Option<usize> {
        let known = self.known.read().unwrap();
        if let Some((case, _)) = known.iter().find(|(_, known)| known == body) {
            return Some(*case);
        }
        drop(known);
        let meaning: serde_json::Value = serde_json::from_slice(body).ok()?;
        let case = self.traffic.cases().position(|case| case.meaning == meaning)?;
        self.known.write().unwrap().push((case, Bytes::copy_from_slice(body)));
        Some(case)
    }
}
