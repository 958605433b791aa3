//! Can those who are slow keep others waiting?

use std::io::{Read, Write};
use std::time::Duration;

use super::assert_served;
use crate::harness::{
    BATCH, GET_STATUS, Gateway, KYC_API, OPS_PORTAL, PATH, Setup, Upstream, message, wait_for,
};

fn promise(key: &str, bytes: usize) -> Vec<u8> {
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n"
    )
    .into_bytes()
}

fn held(gateway: &Gateway, kind: &str) -> f64 {
    gateway.metric(&format!("dcams_gateway_memory_bytes{{kind=\"{kind}\"}}")).unwrap()
}

#[test]
fn slow_heads_and_slow_bodies_keep_nobody_waiting() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("data.max_connections", "128").start();
    let _heads: Vec<_> = (0..200)
        .map(|_| {
            let mut connection = gateway.connect();
            connection.send(b"POST /v3/stable/api/storage HTTP/1.1\r\nHost: loc");
            connection
        })
        .collect();
    let _bodies: Vec<_> = (0..60)
        .map(|_| {
            let mut connection = gateway.connect();
            connection.send(&promise(OPS_PORTAL, 1_000));
            connection.send(b"{");
            connection
        })
        .collect();
    assert_served(&gateway, KYC_API);
    assert_served(&gateway, BATCH);
}

/// Readers of 5 MB who stop, and of a small answer who never begin.
#[test]
fn slow_readers_keep_nobody_waiting_and_are_given_up() {
    use base64::Engine;
    let photo =
        base64::engine::general_purpose::STANDARD.encode(include_bytes!("../../images/phone-photo.jpg"));
    let customer = format!(
        r#"{{"service":"createOrUpdateCustomer","target":{{"email":"jane@example.com","documents":{{"front":"{photo}"}}}}}}"#
    );
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .set("data.idle_timeout", "1s")
        .set("data.min_body_rate", "1GiB/s")
        .set("upstream.answer_limit", "8MiB")
        .set("data.answer_budget", "32MiB")
        .start();
    assert_eq!(gateway.post(KYC_API, &customer).status, 200);
    let images = r#"{"service":"getDocumentImages","target":{"email":"jane@example.com"}}"#;
    let mut readers = Vec::new();
    for number in 0..12 {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        socket.connect(&gateway.data().into()).unwrap();
        let mut stream = std::net::TcpStream::from(socket);
        let body = if number % 2 == 0 { images } else { GET_STATUS };
        stream.write_all(&message(KYC_API, body.as_bytes())).unwrap();
        readers.push(stream);
    }
    wait_for("answers to be held", || (held(&gateway, "answers") > 0.0).then_some(()));
    assert!(held(&gateway, "answers") <= f64::from(32 << 20));
    assert_served(&gateway, BATCH);
    // Not for longer than they may take.
    wait_for("the answers to be given up", || (held(&gateway, "answers") == 0.0).then_some(()));
    readers[1].set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut first = [0; 12];
    readers[1].read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200", "a small answer lies in the system's buffers");
}
