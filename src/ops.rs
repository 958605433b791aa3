//! What do operators and probes see?

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::arrival::Peer;
use crate::audit::hex;
use crate::gateway::Gateway;
use crate::ids::CallerId;
use crate::metrics::Format;
use crate::server::descriptors;
use crate::server::doors::{Doors, Entry};

/// Whoever asks here: one that has asked is preferred to one that has not.
const OPERATOR: CallerId = CallerId(0);
/// From one request to the next head; a probe needs no longer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection is closed after this, so that nobody can hold all of them.
const LIFETIME: Duration = Duration::from_secs(300);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// RFC 9457. Records on standard output never have one.
const NO_CHECKPOINT: &str = "{\"type\":\"urn:dcams-gateway:problem:no_checkpoint\",\
    \"title\":\"No checkpoint was written since the start\",\"status\":404,\"code\":\"no_checkpoint\"}\n";

/// Serves `/livez`, `/readyz`, `/metrics`, `/version` and `/audit/checkpoint` for ever. No identities, no secrets.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>) {
    let loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let most = descriptors::of_operators();
    let doors = Arc::new(Doors::new(most, most, None));
    loop {
        doors.settled().await;
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let peer = Peer::Tcp { address: address.ip().to_canonical(), loopback_listener: loopback };
        // Refused by no limit: every answer is made at once, so there is always one that does nothing.
        let Ok(entry) = doors.enter(peer) else { continue };
        tokio::spawn(serve_one(stream, loopback, Arc::clone(&gateway), entry));
    }
}

async fn serve_one(stream: TcpStream, loopback: bool, gateway: Arc<Gateway>, entry: Entry) {
    let service = service_fn(|request| {
        // One that has never asked gives way first.
        entry.seat().identified(OPERATOR);
        let foreign = loopback && is_foreign(&request, &gateway);
        let response = if foreign { misdirected() } else { answer(&request, &gateway) };
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(8 << 10)
        .serve_connection(TokioIo::new(stream), service);
    // A probe that breaks off has nobody left to be told.
    tokio::select! {
        _ = tokio::time::timeout(LIFETIME, connection) => {}
        () = entry.must_leave() => {}
    }
}

/// On a loopback address a browser could be made to ask (DNS rebinding): it would name a foreign host,
/// or its origin.
fn is_foreign<B>(request: &Request<B>, gateway: &Gateway) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host.rfind(':').filter(|colon| !host.get(*colon..).is_some_and(|rest| rest.contains(']')));
    let name = port.and_then(|colon| host.get(..colon)).unwrap_or(host);
    let generation = gateway.current();
    let ours = generation.config.data.hosts.iter().any(|known| known.eq_ignore_ascii_case(name));
    request.headers().contains_key(ORIGIN) || !ours
}

fn misdirected() -> Response<Full<Bytes>> {
    respond(StatusCode::MISDIRECTED_REQUEST, TEXT, "this host is not served here\n".to_owned())
}

fn answer<B>(request: &Request<B>, gateway: &Gateway) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is served here\n".to_owned());
    }
    match request.uri().path() {
        "/livez" => respond(StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" => ready(gateway, request.uri().query() == Some("verbose")),
        "/metrics" => {
            gateway.refresh_gauges();
            let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
            let format = Format::asked_for(accept.unwrap_or_default());
            respond(StatusCode::OK, format.content_type(), gateway.metrics.render_as(format))
        }
        "/version" => respond(StatusCode::OK, JSON, version()),
        "/audit/checkpoint" => checkpoint(gateway),
        _ => respond(
            StatusCode::NOT_FOUND,
            TEXT,
            "try /livez, /readyz, /metrics, /version or /audit/checkpoint\n".to_owned(),
        ),
    }
}

/// The last checkpoint, to be kept off this machine: it holds digests and a signature.
fn checkpoint(gateway: &Gateway) -> Response<Full<Bytes>> {
    match gateway.writer.health().last_checkpoint() {
        Some(checkpoint) => respond(StatusCode::OK, JSON, format!("{}\n", checkpoint.line)),
        None => respond(StatusCode::NOT_FOUND, PROBLEM, NO_CHECKPOINT.to_owned()),
    }
}

/// Ready is who may be sent requests. Neither DCAMS being down nor an audit fault changes that: taking
/// every instance out of service would help nobody.
fn ready(gateway: &Gateway, verbose: bool) -> Response<Full<Bytes>> {
    let draining = gateway.stopping.load(Ordering::Acquire);
    let status = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let word = if draining { "draining" } else { "ready" };
    if !verbose {
        return respond(status, TEXT, format!("{word}\n"));
    }
    let audit = if gateway.writer.health().available() { "ok" } else { "unavailable" };
    let generation = gateway.current();
    let suspended =
        generation.credentials.iter().filter(|credential| credential.current().is_suspended()).count();
    let digest = hex(generation.config.digest.get(..8).unwrap_or_default());
    let reload = match gateway.faults_of_reload.load(Ordering::Acquire) {
        0 => "as written".to_owned(),
        faults => format!("the last good one: what was written since has {faults} faults (see the log)"),
    };
    let text = format!(
        "{word}\naudit {audit}\nconfiguration {digest}, {reload}\ncredentials {} configured, {suspended} suspended\nrequests {} in progress\n",
        generation.config.credentials.len(),
        gateway.in_progress(),
    );
    respond(status, TEXT, text)
}

fn version() -> String {
    concat!("{\"name\":\"", env!("CARGO_PKG_NAME"), "\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}\n")
        .to_owned()
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
