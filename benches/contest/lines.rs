//! What carries a request, and is its answer the right one?

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::traffic::{BEARER, Case, PATH, bearer_of, http1};
use crate::wire::read_message;

pub type Outcome<T> = Result<T, String>;

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
    /// The same as one HTTP/1.1 message.
    pub message: Bytes,
    answer: Bytes,
}

impl Shot {
    pub fn new(case: &Case, injects: bool) -> Self {
        Self::of(case, injects, BEARER)
    }

    /// The same request of so many callers.
    pub fn of_each(case: &Case, callers: usize) -> Arc<[Self]> {
        (0..callers).map(|caller| Self::of(case, true, &bearer_of(caller))).collect()
    }

    /// Over HTTP/2 the caller is always the same.
    fn of(case: &Case, injects: bool, bearer: &str) -> Self {
        let body = case.sent(injects).clone();
        Self { message: http1(&body, bearer), body, answer: case.answer.clone() }
    }
}

/// Lines that are open and idle, each after one request, for as long as this is kept.
#[derive(Default)]
pub struct Held(Vec<Line>);

impl Held {
    /// Opens more of them, some together, until there are so many.
    pub async fn grow(&mut self, door: &Door, shot: &Shot, lines: usize, together: usize) -> Outcome<()> {
        while self.0.len() < lines {
            let mut opened = open(door, together.min(lines - self.0.len())).await?;
            try_join_all(opened.iter_mut().map(|line| line.exchange(shot))).await?;
            self.0.append(&mut opened);
        }
        Ok(())
    }
}

/// What carries one request at a time.
pub enum Line {
    Http1(Http1Line),
    Http2(http2::SendRequest<Full<Bytes>>),
}

pub struct Http1Line {
    address: SocketAddr,
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

pub async fn open(door: &Door, lines: usize) -> Outcome<Vec<Line>> {
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

pub async fn connect(address: SocketAddr) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("connecting: {error}"))?;
    stream.set_nodelay(true).unwrap();
    Ok(stream)
}

impl Line {
    pub async fn exchange(&mut self, shot: &Shot) -> Outcome<()> {
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

    pub async fn receive(&mut self, shot: &Shot) -> Outcome<()> {
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
