//! How do these tests speak to a double?

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::simulate::{Double, Settings};

pub(super) const PATH: &str = "/v3/stable/api/storage";

pub(super) async fn start() -> Double {
    Double::start(Settings::default()).await.unwrap()
}

/// A TLS connection that trusts the double's CA and nothing else.
pub(super) async fn connect(double: &Double, alpn: &str) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(double.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let stream = TcpStream::connect(double.address()).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// A keep-alive connection through hyper's client.
pub(super) enum Client {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub(super) async fn http1(double: &Double) -> Self {
        let (sender, connection) =
            http1::handshake(TokioIo::new(connect(double, "http/1.1").await.unwrap())).await.unwrap();
        tokio::spawn(connection);
        Self::Http1(sender)
    }

    pub(super) async fn plain(double: &Double) -> Self {
        let stream = TcpStream::connect(double.address()).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self::Http1(sender)
    }

    pub(super) async fn http2(double: &Double) -> Self {
        let stream = TokioIo::new(connect(double, "h2").await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        Self::Http2(sender)
    }

    /// Sends one request and reads the whole answer.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> hyper::Result<Response<Bytes>> {
        let uri = match self {
            Self::Http1(_) => path.to_owned(),
            Self::Http2(_) => format!("https://localhost{path}"),
        };
        let request = Request::builder().method(method).uri(uri).header("host", "localhost");
        let request = request.body(Full::new(body.into())).unwrap();
        let response = match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => sender.send_request(request).await?,
        };
        let (head, body) = response.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }

    pub(super) async fn post(&mut self, body: impl Into<Bytes>) -> hyper::Result<Response<Bytes>> {
        self.send(Method::POST, PATH, body).await
    }

    /// Asks for a service with the right credentials; gives status and text.
    pub(super) async fn ask(&mut self, service: &str, target: Value) -> (u16, String) {
        let response = self.post(request(service, &target)).await.unwrap();
        (response.status().as_u16(), String::from_utf8(response.into_body().to_vec()).unwrap())
    }
}

/// A request with the double's default credentials.
pub(super) fn request(service: &str, target: &Value) -> String {
    let settings = Settings::default();
    json!({"user": settings.user, "pass": settings.pass, "service": service, "reference": "888888812", "target": target})
        .to_string()
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    CloseNotify,
    NoCloseNotify,
    Reset,
}

/// Sends `message` as it is over TLS and reads until the connection ends.
pub(super) async fn exchange(double: &Double, message: &str) -> (String, Ending) {
    let mut stream = connect(double, "http/1.1").await.unwrap();
    stream.write_all(message.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    let ending = match stream.read_to_end(&mut read).await {
        Ok(_) => Ending::CloseNotify,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ending::NoCloseNotify,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ending::Reset,
        Err(error) => panic!("an ending of another kind: {error}"),
    };
    (String::from_utf8(read).unwrap(), ending)
}

/// An HTTP/1.1 message with `body`.
pub(super) fn message(body: &str) -> String {
    format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
