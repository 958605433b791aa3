//! How does a caller speak TLS to the gateway, and HTTP/2 with heads that no library would send?

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::canaries::{Person, core, key};
use super::scene::{PATH, PATIENCE, Stage, read_all};

/// The name by which the gateway is asked for.
pub fn server_name() -> String {
    format!("{}.example.com", core("server name"))
}

/// Writes `tls.crt` and `tls.key`; what trusts them.
pub fn certificate(stage: &Stage) -> CertificateDer<'static> {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec![server_name()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    stage.file("tls.crt", certificate.pem().as_bytes());
    stage.file("tls.key", key.serialize_pem().as_bytes());
    certificate.into()
}

/// Sends `bytes` under `protocol`, and reads until the other side closes, or `pause` long nothing comes.
pub fn exchange(
    address: SocketAddr,
    root: &CertificateDer<'static>,
    protocol: &str,
    bytes: &[u8],
) -> Vec<u8> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols.push(protocol.as_bytes().to_vec());
    let name = ServerName::try_from(server_name()).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    // An HTTP/2 connection stays open; what it says in a while is all.
    let patience = if protocol == "h2" { Duration::from_millis(500) } else { PATIENCE };
    socket.set_read_timeout(Some(patience)).unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(client), name).unwrap(), socket);
    // A server that refuses may have closed it already.
    let _ = stream.write_all(bytes);
    read_all(&mut stream)
}

/// HTTP/2 requests by hand, with `canary` where a head breaks the rules; each is one connection's bytes.
pub fn http2_requests(canary: &str) -> Vec<Vec<u8>> {
    let authorization = format!("Bearer {}", key("kyc-api"));
    let good = Person::asked("getStatus").to_string();
    let odd_path = format!("/{canary} {canary}\u{7f}");
    let odd_authority = format!("{canary}@@ {canary}");
    let long = canary.repeat(4);
    let fields = |path: &str, authority: &str, more: (&str, &str)| {
        let [method, scheme] = [(":method", "POST"), (":scheme", "https")];
        let head = [method, scheme, (":path", path), (":authority", authority)];
        let fields = [("authorization", authorization.as_str()), ("content-type", "application/json"), more];
        [&head[..], &fields].concat().iter().flat_map(|(name, value)| field(name, value)).collect::<Vec<u8>>()
    };
    let heads = [
        fields(PATH, "localhost", ("cookie", canary)),
        fields(&odd_path, "localhost", ("x", canary)),
        fields(PATH, &odd_authority, ("x", canary)),
        fields(PATH, "localhost", (canary, &long)),
        fields(PATH, "localhost", ("connection", canary)),
        fields(PATH, "localhost", (":unknown", canary)),
        fields(PATH, "localhost", ("X-Upper", canary)),
        fields(PATH, "localhost", ("content-length", canary)),
        fields(PATH, "localhost", ("transfer-encoding", canary)),
        [field(":status", canary), field(":method", canary)].concat(),
        [&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff], canary.as_bytes()].concat(),
    ];
    let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat();
    let mut all: Vec<Vec<u8>> = heads
        .iter()
        .map(|head| [&preface[..], &frame(1, 4, 1, head), &frame(0, 1, 1, good.as_bytes())].concat())
        .collect();
    // A farewell with a message, a push that only servers may send, and no HTTP/2 at all.
    let farewell = [&[0, 0, 0, 0, 0, 0, 0, 1], canary.as_bytes()].concat();
    all.push([&preface[..], &frame(7, 0, 0, &farewell)].concat());
    all.push([&preface[..], &frame(5, 4, 1, canary.as_bytes())].concat());
    all.push(format!("GET /{canary} HTTP/1.1\r\n\r\n").into_bytes());
    all
}

/// A literal field without indexing and without Huffman coding (RFC 7541, section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap();
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

/// RFC 9113, section 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
