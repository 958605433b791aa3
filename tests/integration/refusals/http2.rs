//! Does HTTP/2 refuse the same, each on its own stream?

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::scene::Scene;
use crate::harness::{GET_STATUS, Gateway, KYC_API, PATH};

async fn connect(gateway: &Gateway) -> SendRequest<Full<Bytes>> {
    let mut roots = RootCertStore::empty();
    let ca = gateway.tls_ca().unwrap();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(gateway.data()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    request: http::request::Builder,
    body: String,
) -> (u16, HeaderMap, Value) {
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status.as_u16(), head.headers, serde_json::from_slice(&body).unwrap())
}

#[test]
fn refusals_end_their_stream_and_not_the_connection() {
    let scene = Scene::with(|setup| setup.tls().set("services.getStatus.body_limit", "1KiB"));
    let url = format!("https://localhost{PATH}");
    let ordinary = || {
        Request::post(&url)
            .header("authorization", format!("Bearer {KYC_API}"))
            .header("content-type", "application/json")
    };
    let cases = [
        (Request::post(&url), GET_STATUS.to_owned(), json!("unauthenticated")),
        (ordinary().header("origin", "https://localhost"), GET_STATUS.to_owned(), json!("bad_request")),
        (ordinary().header("host", "other.example.com"), GET_STATUS.to_owned(), json!("bad_request")),
        (ordinary().uri("https://other.example.com/"), GET_STATUS.to_owned(), json!("bad_request")),
        (ordinary().uri("https://localhost/"), GET_STATUS.to_owned(), json!("not_found")),
        (ordinary(), " ".repeat(21 << 20), json!("body_too_large")),
        (ordinary(), GET_STATUS.to_owned() + &" ".repeat(1_024), json!("body_too_large")),
        (ordinary(), String::new(), json!("malformed_json")),
    ];
    let count = cases.len();
    scene.upstream.runtime().block_on(async {
        let mut sender = connect(&scene.gateway).await;
        for (request, body, code) in cases {
            let (status, headers, problem) = send(&mut sender, request, body).await;
            assert_eq!((&problem["code"], &problem["status"]), (&code, &json!(status)));
            assert_eq!(
                (headers.get("connection"), headers["x-content-type-options"].as_bytes()),
                (None, &b"nosniff"[..])
            );
        }
        let (status, _, answer) = send(&mut sender, ordinary(), GET_STATUS.to_owned()).await;
        assert_eq!((status, &answer["message"]), (200, &json!("The email address was not found")));
    });
    let lines = scene.gateway.wait_for_outcomes(count + 1);
    assert_eq!(lines.len(), count + 1);
    assert_eq!(scene.upstream.received().len(), 1);
}
