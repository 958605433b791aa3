//! What stands behind a gateway in memory: a server of HTTP/2, without a network.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use dcams_gateway::arrival::Arrival;
use dcams_gateway::config::UpstreamUrl;
use dcams_gateway::stack::stack;
use dcams_gateway::stages::Reply;
use dcams_gateway::upstream::{Reach, Reached};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tower::Service;

use crate::fixture::Fixture;

/// Answers each request by a function.
pub struct Peer<F> {
    pub answer: F,
    /// Requests at once on one connection.
    pub streams: u32,
    /// So many bytes of a request's body may be under way.
    pub window: u32,
    /// How many connections were opened.
    pub connections: Arc<AtomicU32>,
}

impl<F> Peer<F> {
    pub fn new(answer: F) -> Self {
        Self { answer, streams: 100, window: 1 << 20, connections: Arc::default() }
    }
}

impl<F, A> Reach for Peer<F>
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    fn reach<'r>(
        &'r self,
        _: &'r UpstreamUrl,
    ) -> Pin<Box<dyn Future<Output = io::Result<Reached>> + Send + 'r>> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let (here, there) = tokio::io::duplex(64 << 10);
        let answer = self.answer.clone();
        let service = service_fn(move |request| {
            let answered = answer(request);
            async move { Ok::<_, Infallible>(answered.await) }
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.max_concurrent_streams(self.streams).initial_stream_window_size(self.window);
        tokio::spawn(builder.serve_connection(TokioIo::new(there), service));
        Box::pin(ready(Ok(Reached { wire: Box::new(here), silent: Box::new(|| true) })))
    }
}

/// Waits for nothing but the upstream.
const SETTINGS: [(&str, &str); 7] = [
    ("upstream.http", "2"),
    ("upstream.plain_http_to_loopback", "true"),
    ("endpoints.storage.url", "http://127.0.0.1:9/v3/stable/api/storage"),
    ("services.getStatus.audit", "best_effort"),
    ("services.getDocumentImages.audit", "best_effort"),
    ("services.updateStatus.audit", "best_effort"),
    ("callers.kyc-api.max_requests", "8"),
];

/// A gateway before `peer`, and its stack.
pub fn gateway_before(
    peer: impl Reach + 'static,
    overrides: &[(&str, &str)],
) -> (
    Fixture,
    impl Service<Arrival<Full<Bytes>>, Response = Response<Reply>, Error = Infallible, Future: Send>
    + Clone
    + Send,
) {
    let fixture = Fixture::new(&[&SETTINGS, overrides].concat());
    let client = Arc::new(fixture.gateway.current().client(Some(Arc::new(peer)), None));
    let stack = stack(&fixture.gateway, &fixture.gateway.current(), client);
    (fixture, stack)
}

/// An answer of the upstream.
pub fn says(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let head = Response::builder().status(status).header("content-type", "application/json");
    head.body(Full::new(body.into())).unwrap()
}
