//! What is the least that a proxy of hyper, tokio and rustls costs?
//!
//! A server, a pool of client connections and nothing between them: bodies stream through unread. Like a worker of
//! the gateway it is one thread with a runtime of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::identity;

/// `PORT UPSTREAM_PORT FOLDER [tls-upstream] [http2]`; the folder has the certificates.
pub fn serve(words: &[String]) {
    let port: u16 = words[0].parse().unwrap();
    let folder = Path::new(&words[2]);
    let has = |word: &str| words.iter().any(|other| other == word);
    let ca = CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap();
    let pool = Arc::new(Pool {
        address: (Ipv4Addr::LOCALHOST, words[1].parse().unwrap()).into(),
        tls: has("tls-upstream").then(|| identity::client(ca, b"http/1.1")),
        idle: Mutex::default(),
    });
    let acceptor = has("http2").then(|| {
        let chain = vec![CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
        TlsAcceptor::from(identity::server(chain, key, b"h2"))
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(accept(port, acceptor, pool));
}

async fn accept(port: u16, acceptor: Option<TlsAcceptor>, pool: Arc<Pool>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (acceptor, pool) = (acceptor.clone(), Arc::clone(&pool));
        tokio::spawn(async move {
            let service = service_fn(move |request| forward(request, Arc::clone(&pool)));
            match acceptor {
                None => {
                    let http1 = hyper::server::conn::http1::Builder::new();
                    let _ = http1.serve_connection(TokioIo::new(stream), service).await;
                }
                Some(acceptor) => {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let mut http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    http2.initial_stream_window_size(16 << 20).initial_connection_window_size(64 << 20);
                    let _ = http2.serve_connection(TokioIo::new(stream), service).await;
                }
            }
        });
    }
}

type Sender = SendRequest<Incoming>;

struct Pool {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    idle: Mutex<Vec<Sender>>,
}

impl Pool {
    async fn take(&self) -> Result<Sender, Box<dyn std::error::Error + Send + Sync>> {
        while let Some(mut sender) = { self.idle.lock().unwrap().pop() } {
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let handshake = hyper::client::conn::http1::Builder::new();
        if let Some(tls) = &self.tls {
            let name = ServerName::try_from("localhost")?;
            let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
            let (sender, connection) = handshake.handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok(sender)
        } else {
            let (sender, connection) = handshake.handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok(sender)
        }
    }
}

async fn forward(
    mut request: Request<Incoming>,
    pool: Arc<Pool>,
) -> Result<Response<Through>, Box<dyn std::error::Error + Send + Sync>> {
    let mut sender = pool.take().await?;
    *request.version_mut() = http::Version::HTTP_11;
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map(Into::into).unwrap_or_default();
    request.headers_mut().insert("host", http::HeaderValue::from_static("localhost"));
    let mut response = sender.send_request(request).await?;
    *response.version_mut() = http::Version::default();
    Ok(response.map(|body| Through { body, lent: Some((sender, pool)) }))
}

/// An answer on its way; the connection is free again when it is through.
struct Through {
    body: Incoming,
    lent: Option<(Sender, Arc<Pool>)>,
}

impl Body for Through {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Through {
    fn drop(&mut self) {
        if let Some((sender, pool)) = self.lent.take() {
            pool.idle.lock().unwrap().push(sender);
        }
    }
}
