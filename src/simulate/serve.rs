//! How are connections accepted, and taken back from hyper where a fault strikes below HTTP?

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::dcams::Dcams;
use super::fault::Fault;
use super::script::{Step, perform};
use super::spoil::Delivery;
use super::wire::{Wire, reset};

/// A pause after a failed `accept`: out of file descriptors, the next one fails at once.
const AFTER_ACCEPT_FAULT: Duration = Duration::from_millis(20);

/// Accepts and serves until it is dropped; its connections end with it.
pub(super) async fn serve(dcams: Arc<Dcams>, listener: TcpListener, tls: Option<Arc<ServerConfig>>) {
    let tls = tls.map(TlsAcceptor::from);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connect(dcams.clone(), stream, tls.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the double could not accept a connection");
                    tokio::time::sleep(AFTER_ACCEPT_FAULT).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(dcams: Arc<Dcams>, stream: TcpStream, tls: Option<TlsAcceptor>) {
    let number = dcams.witness.accepted();
    match dcams.plan.take_on_accept() {
        Fault::ResetOnAccept => return reset(&stream),
        Fault::HangOnAccept => return std::future::pending().await,
        _ => {}
    }
    // Without it the last part of an answer can wait 40 ms for an acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection without TCP_NODELAY");
    }
    let Some(tls) = tls else {
        return serve_http1(&dcams, Wire::plain(stream, dcams.witness.clone()), number).await;
    };
    let shaken: io::Result<_> = tls.accept(stream).await;
    dcams.witness.shook_hands(shaken.is_ok());
    let Ok(stream) = shaken else { return };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let wire = Wire::tls(stream, dcams.witness.clone());
    if http2 {
        serve_http2(&dcams, wire, number).await;
    } else {
        serve_http1(&dcams, wire, number).await;
    }
}

async fn serve_http1(dcams: &Dcams, mut wire: Wire, number: u64) {
    let tap = wire.tap();
    loop {
        let (order, mut orders) = mpsc::unbounded_channel::<Vec<Step>>();
        let (tap, order) = (&tap, &order);
        let service = service_fn(move |request| async move {
            match dcams.answer(request, tap, number).await {
                Delivery::Proper(response) => Ok::<_, Infallible>(response),
                Delivery::Scripted(steps) => {
                    // Whoever receives it takes the connection away, and this future with it.
                    let _ = order.send(steps);
                    std::future::pending().await
                }
                Delivery::Never => std::future::pending().await,
            }
        });
        let mut connection =
            http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(wire), service);
        let steps = tokio::select! {
            // How it ended is the peer's business; what arrived is recorded.
            _ = &mut connection => return,
            Some(steps) = orders.recv() => steps,
        };
        let parts = connection.into_parts();
        let mut taken = parts.io.into_inner();
        taken.put_back(parts.read_buf);
        match perform(taken, steps).await {
            Some(left) => wire = left,
            None => return,
        }
    }
}

async fn serve_http2(dcams: &Arc<Dcams>, wire: Wire, number: u64) {
    let tap = wire.tap();
    let (order, mut orders) = mpsc::unbounded_channel::<Vec<Step>>();
    let inner = (dcams.clone(), tap.clone(), order);
    let service = service_fn(move |request| {
        let (dcams, tap, order) = inner.clone();
        async move {
            match dcams.answer(request, &tap, number).await {
                Delivery::Proper(response) => Ok::<_, Infallible>(response),
                Delivery::Scripted(steps) => {
                    let _ = order.send(steps);
                    std::future::pending().await
                }
                Delivery::Never => std::future::pending().await,
            }
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(wire), service);
    tokio::select! {
        _ = connection => {}
        // Streams interleave, so the only step that has a meaning here is the end of them all.
        Some(_) = orders.recv() => tap.reset_on_drop(),
    }
}
