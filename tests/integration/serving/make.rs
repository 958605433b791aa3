//! What do these tests send?

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::harness::{Gateway, PATH, PATIENCE, wait_for};

/// A photograph as a phone takes it, 3.5 MB.
const PHOTO: &[u8] = include_bytes!("../../images/phone-photo.jpg");

pub const MIB: usize = 1 << 20;

/// A customer with a photograph of 4.7 MB in base64, which is all that an answer with images holds.
pub fn customer_with_photo() -> String {
    let photo = STANDARD.encode(PHOTO);
    format!(
        r#"{{"service":"createOrUpdateCustomer","target":{{"email":"jane@example.com","documents":{{"front":"{photo}"}}}}}}"#
    )
}

/// A customer with two photographs, and white space up to `bytes`.
pub fn customer_of(bytes: usize) -> Vec<u8> {
    let photo = STANDARD.encode(PHOTO);
    let mut body = format!(
        r#"{{"service":"createOrUpdateCustomer","target":{{"email":"jane@example.com","documents":{{"front":"{photo}","back":"{photo}"}}}}}}"#
    )
    .into_bytes();
    assert!(body.len() < bytes);
    let end = body.pop().unwrap();
    body.resize(bytes - 1, b' ');
    body.push(end);
    body
}

/// `{"service":"getStatus",…}` with white space up to `bytes`.
pub fn status_of(bytes: usize) -> Vec<u8> {
    let mut body = br#"{"service":"getStatus","target":{"email":"jane@example.com"}"#.to_vec();
    body.resize(bytes - 1, b' ');
    body.push(b'}');
    body
}

pub const GET_IMAGES: &str = r#"{"service":"getDocumentImages","target":{"email":"jane@example.com"}}"#;

/// What the upstream sees of `body`.
pub fn sealed(body: &[u8]) -> Vec<u8> {
    let mut sealed = br#"{"user":"double-user","pass":"double-password-for-tests","#.to_vec();
    sealed.extend_from_slice(&body[1..]);
    sealed
}

/// A request's head with these further lines, each with its line feed.
pub fn head(key: &str, lines: &str) -> Vec<u8> {
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\n{lines}\r\n"
    )
    .into_bytes()
}

/// The bytes of all bodies that the gateway holds in memory.
pub fn bodies_in_memory(gateway: &Gateway) -> u64 {
    let bytes = gateway.metric(r#"dcams_gateway_memory_bytes{kind="bodies"}"#);
    format!("{}", bytes.unwrap()).parse().unwrap()
}

/// Waits until this has happened to connections so often.
pub fn wait_for_events(gateway: &Gateway, event: &str, count: f64) {
    let series = format!("dcams_gateway_connections_total{{event=\"{event}\"}}");
    wait_for(event, || (gateway.metric(&series)? == count).then_some(()));
}

/// The members of a record that say how its request ended.
pub fn ending(record: &Value) -> (&str, Option<&str>, Option<u64>) {
    (record["outcome"].as_str().unwrap(), record["code"].as_str(), record["upstream"]["status"].as_u64())
}

/// A caller whose system takes few bytes that it does not read.
pub fn narrow(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let socket =
        socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut first = [0; 1024];
    stream.read_exact(&mut first).unwrap();
    stream
}
