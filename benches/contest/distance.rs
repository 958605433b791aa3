//! What does the gateway add to 5 MB when the upstream is far away?

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

use crate::alone::Told;
use crate::contestants::{Contestant, Variant, start};
use crate::figures::median;
use crate::goals::line;
use crate::lines::{Outcome, connect};
use crate::load;
use crate::plan::Contest;
use crate::traffic::{BEARER, Case, http1};
use crate::wire::read_message;

/// Of every byte, on each way.
const DELAY: Duration = Duration::from_millis(10);
const REPETITIONS: usize = 15;

pub fn measure(contest: &Contest<'_>) -> Outcome<Told> {
    let far = lay_road(contest.double.tls);
    let gateway = start(Contestant::Gateway, Variant::Tls, far.port(), &contest.place)?;
    let traffic = &contest.traffic;
    let (mut tables, mut lines) = (String::new(), Vec::new());
    tables.push_str("**distance**: 5 MB over a road that takes 20 ms there and back; TLS upstream\n\n");
    tables.push_str("| | direct, ms | dcams-gateway, ms |\n|---|--:|--:|\n");
    for (name, case) in [("up", &traffic.upload), ("down", &traffic.download)] {
        let (direct, through) = load::run(side_by_side(contest, case, far, gateway.address))?;
        let _ = writeln!(tables, "| {name} | {direct:.1} | {through:.1} |");
        lines.push(line(&format!("5 MB {name} over a round trip of 20 ms, × direct"), through / direct, 1.1));
    }
    tables.push('\n');
    Ok(Told { tables, lines })
}

/// Median times in milliseconds, each on one connection that is warm: to the upstream, and to the gateway before it.
async fn side_by_side(
    contest: &Contest<'_>,
    case: &Case,
    far: SocketAddr,
    gateway: SocketAddr,
) -> Outcome<(f64, f64)> {
    let told = |error: std::io::Error| error.to_string();
    let tls = TlsConnector::from(contest.identity.client(b"http/1.1"));
    let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
    let mut direct = tls.connect(name, connect(far).await?).await.map_err(told)?;
    let mut through = connect(gateway).await?;
    let (mut directly, mut with_gateway) = (Vec::new(), Vec::new());
    for repetition in 0..REPETITIONS + 2 {
        let took = exchange(&mut direct, &http1(&case.full, BEARER), &case.answer).await?;
        let took_through = exchange(&mut through, &http1(&case.bare, BEARER), &case.answer).await?;
        if repetition >= 2 {
            directly.push(took.as_secs_f64() * 1e3);
            with_gateway.push(took_through.as_secs_f64() * 1e3);
        }
    }
    Ok((median(directly).unwrap_or_default(), median(with_gateway).unwrap_or_default()))
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    message: &Bytes,
    answer: &Bytes,
) -> Outcome<Duration> {
    let told = |error: std::io::Error| error.to_string();
    let (started, mut buffer) = (Instant::now(), Vec::new());
    stream.write_all(message).await.map_err(told)?;
    stream.flush().await.map_err(told)?;
    let received =
        read_message(stream, &mut buffer).await.map_err(told)?.ok_or("closed without an answer")?;
    if buffer[received.body..received.end] == *answer {
        Ok(started.elapsed())
    } else {
        Err("another answer than the upstream's".to_owned())
    }
}

/// A road to `upstream`, on a thread of its own, on which every byte takes `DELAY`, however many are on it.
fn lay_road(upstream: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let begin = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        load::run(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((near, _)) = listener.accept().await {
                near.set_nodelay(true).unwrap();
                let Ok(far) = connect(upstream).await else { continue };
                let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                tokio::spawn(carry(from_near, to_far));
                tokio::spawn(carry(from_far, to_near));
            }
        });
    });
    begin
}

/// One way, until its end; what is on it waits in memory, so that the sender never does.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Send + Unpin + 'static) {
    let (sender, mut under_way) = mpsc::unbounded_channel::<(tokio::time::Instant, Bytes)>();
    tokio::spawn(async move {
        while let Some((due, chunk)) = under_way.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(256 << 10);
        match from.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) if sender.send((tokio::time::Instant::now() + DELAY, buffer.split().freeze())).is_err() => {
                return;
            }
            Ok(_) => {}
        }
    }
}
