//! How does a caller open a connection of HTTP/2?

use std::error::Error;
use std::sync::Arc;

use http_body::Body;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::Gateway;

/// A connection by ALPN `h2`, with this window for each answer.
pub async fn connect<B>(gateway: &Gateway, window: u32) -> http2::SendRequest<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + Send + 'static,
{
    let stream = std::net::TcpStream::connect(gateway.data()).unwrap();
    connect_over(stream, gateway, window).await
}

/// As [`connect`], over a TCP connection that is there.
pub fn connect_over<B>(
    stream: std::net::TcpStream,
    gateway: &Gateway,
    window: u32,
) -> impl Future<Output = http2::SendRequest<B>> + Send + use<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + Send + 'static,
{
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(gateway.tls_ca().unwrap().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    async move {
        stream.set_nonblocking(true).unwrap();
        let tcp = tokio::net::TcpStream::from_std(stream).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window).initial_connection_window_size(window.max(65_535));
        let (sender, connection) = builder.handshake(TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        sender
    }
}
