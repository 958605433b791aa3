//! `health`: is a running gateway ready?

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::Request;
use http::header::HOST;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Exit, tell};

#[derive(Args)]
pub(super) struct Health {
    /// The readiness address of the ops listener
    #[arg(long, default_value = "http://127.0.0.1:3227/readyz")]
    url: http::Uri,
    /// How long to wait, in seconds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

pub(super) fn health(health: &Health) -> Exit {
    let Some(authority) = health.url.authority().filter(|_| health.url.scheme_str() == Some("http")) else {
        tell("--url: expected http://HOST:PORT/readyz");
        return Exit::Usage;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Exit::Io };
    let address = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
    let asking = ask(address, authority.as_str(), health.url.path());
    let answered =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(health.timeout), asking).await });
    match answered {
        Ok(Some(status)) if status.is_success() => Exit::Ok,
        Ok(Some(status)) => {
            tell(&format!("not ready: {status}"));
            Exit::Negative
        }
        Ok(None) => {
            tell("no gateway answers there");
            Exit::Negative
        }
        Err(_) => {
            tell("no answer in time");
            Exit::Negative
        }
    }
}

async fn ask(address: (&str, u16), authority: &str, path: &str) -> Option<http::StatusCode> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = Request::get(path).header(HOST, authority).body(Empty::<Bytes>::new()).ok()?;
    Some(sender.send_request(request).await.ok()?.status())
}
