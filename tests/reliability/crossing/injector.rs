//! How does an upstream answer that says some things twice?

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::load::between;

/// An upstream on a thread of its own, plain HTTP/1.1.
pub struct Injector {
    address: SocketAddr,
    injected: Arc<AtomicU64>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// When an answer is sent again.
#[derive(Clone, Copy)]
enum Again {
    Never,
    /// In the same write.
    AtOnce,
    /// Before the next answer, or after this time.
    Later(Duration),
}

impl Injector {
    pub fn start() -> Self {
        let (started, starting) = mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        let injected = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&injected);
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                started.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = accept(&listener, &count) => {}
                    _ = ended => {}
                }
            });
        });
        Self { address: starting.recv().unwrap(), injected, end: Some(end), thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many answers were sent that nobody had asked for.
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::Relaxed)
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: &TcpListener, injected: &Arc<AtomicU64>) {
    let mut number = 0_u64;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        number += 1;
        let injected = Arc::clone(injected);
        tokio::spawn(async move {
            // An error means that the client closed the connection, as it must after what nobody asked for.
            let _ = serve(stream, number, &injected).await;
        });
    }
}

async fn serve(mut stream: TcpStream, number: u64, injected: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(4096);
    let mut late: Option<(Vec<u8>, Duration)> = None;
    let mut turn = number;
    loop {
        let ended = match &late {
            Some((_, pause)) => tokio::time::timeout(*pause, read_request(&mut stream, &mut read)).await,
            None => Ok(read_request(&mut stream, &mut read).await),
        };
        if let Some((again, _)) = late.take() {
            injected.fetch_add(1, Ordering::Relaxed);
            stream.write_all(&again).await?;
        }
        // The time was up: what was read of a request so far is kept.
        let Ok(request) = ended else { continue };
        let Some(mut answer) = request?.as_deref().map(answer) else { return Ok(()) };
        turn += 1;
        match again(turn) {
            Again::Never => {}
            Again::AtOnce => {
                injected.fetch_add(1, Ordering::Relaxed);
                answer = answer.repeat(2);
            }
            Again::Later(pause) => late = Some((answer.clone(), pause)),
        }
        stream.write_all(&answer).await?;
    }
}

fn again(turn: u64) -> Again {
    match turn % 12 {
        1 => Again::AtOnce,
        5 => Again::Later(Duration::ZERO),
        9 => Again::Later(Duration::from_millis(1)),
        _ => Again::Never,
    }
}

/// The body of the next request; `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(head) = memchr::memmem::find(read, b"\r\n\r\n").map(|at| at + 4) {
            let length = between(&read[..head], b"content-length: ", b"\r\n").unwrap();
            let end = head + std::str::from_utf8(length).unwrap().parse::<usize>().unwrap();
            if read.len() >= end {
                let body = read[head..end].to_vec();
                read.drain(..end);
                return Ok(Some(body));
            }
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

fn answer(request: &[u8]) -> Vec<u8> {
    let email = between(request, b"\"email\":\"", b"\"").unwrap();
    let email = std::str::from_utf8(email).unwrap();
    let body =
        format!(r#"{{"result":"Success","reference":"r","status":"PASS","target":{{"email":"{email}"}}}}"#);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
    format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes()
}
