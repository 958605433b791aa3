//! How does a caller speak: exact bytes out, whole answers in?

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use super::{PATH, PATIENCE};

/// A connection on which a test decides about every byte.
pub struct Connection {
    stream: Stream,
    /// Read and not yet given away.
    ahead: Vec<u8>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// One answer of HTTP/1.1, its body without framing.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// The bytes of the head up to and with the blank line.
    pub head: String,
}

impl Connection {
    pub fn plain(address: SocketAddr) -> Self {
        Self::of(Stream::Tcp(tcp(address)))
    }

    pub fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self::of(Stream::Unix(stream))
    }

    /// TLS to `localhost`, trusting `ca_pem` alone and offering one protocol.
    pub fn tls(address: SocketAddr, ca_pem: &str, alpn: &[u8]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let client =
            ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
        Self::of(Stream::Tls(Box::new(StreamOwned::new(client, tcp(address)))))
    }

    /// Lets the kernel take little that is not read yet, however much it would by default.
    pub fn receive_little(&self) {
        let socket = match &self.stream {
            Stream::Tcp(tcp) => socket2::SockRef::from(tcp),
            Stream::Tls(tls) => socket2::SockRef::from(tls.get_ref()),
            Stream::Unix(unix) => socket2::SockRef::from(unix),
        };
        socket.set_recv_buffer_size(16 << 10).unwrap();
    }

    fn of(stream: Stream) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    /// Sends exactly these bytes. That the gateway has closed already is no fault: its answer tells.
    pub fn send(&mut self, bytes: &[u8]) {
        let sent = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        if let Err(error) = sent {
            let closed = matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
            assert!(closed, "sending failed: {error}");
        }
    }

    /// Sends these bytes, or says why not: the gateway takes no more, or has closed.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush())
    }

    /// Posts `body` with the head of an ordinary client and reads the answer.
    pub fn post(&mut self, key: &str, body: &[u8]) -> Answer {
        self.send(&message(key, body));
        self.read_answer()
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&mut self) {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write).unwrap(),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write).unwrap(),
            Stream::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush().unwrap();
            }
        }
    }

    /// Reads one answer; interim ones (1xx) are passed over.
    pub fn read_answer(&mut self) -> Answer {
        self.try_read_answer().expect("an answer")
    }

    /// Reads the head of an answer, and leaves its body.
    pub fn read_head(&mut self) -> Vec<u8> {
        self.read_until(b"\r\n\r\n").expect("a head")
    }

    /// Reads the body that belongs to a head that was read.
    pub fn read_body_of(&mut self, head: &[u8]) -> Answer {
        let head = String::from_utf8(head.to_vec()).expect("a head in ASCII");
        let (status, headers) = parse_head(&head);
        let body = self.read_body(&headers);
        Answer { status, headers, body, head }
    }

    /// As [`read_answer`](Self::read_answer), or `None` when the connection ends before its first byte.
    pub fn try_read_answer(&mut self) -> Option<Answer> {
        loop {
            let head = self.read_until(b"\r\n\r\n")?;
            let head = String::from_utf8(head).expect("a head in ASCII");
            let (status, headers) = parse_head(&head);
            if (100..200).contains(&status) {
                continue;
            }
            let body = self.read_body(&headers);
            return Some(Answer { status, headers, body, head });
        }
    }

    fn read_body(&mut self, headers: &HeaderMap) -> Vec<u8> {
        if let Some(length) = headers.get("content-length") {
            let length = length.to_str().unwrap().parse().unwrap();
            return self.read_exactly(length);
        }
        if headers.get("transfer-encoding").is_none() {
            return self.read_to_end();
        }
        let mut body = Vec::new();
        loop {
            let line = String::from_utf8(self.read_until(b"\r\n").expect("a chunk")).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).expect("a chunk's size");
            let chunk = self.read_exactly(size + 2);
            if size == 0 {
                return body;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    /// Reads up to and with `end`; `None` when the connection ends before the first byte.
    pub fn read_until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|window| window == end) {
                let rest = self.ahead.split_off(at + end.len());
                return Some(std::mem::replace(&mut self.ahead, rest));
            }
            if !self.read_more() {
                let text = String::from_utf8_lossy(&self.ahead);
                assert!(text.is_empty(), "the connection ended within: {text}");
                return None;
            }
        }
    }

    fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        while self.ahead.len() < count {
            assert!(self.read_more(), "the connection ended within a body");
        }
        let rest = self.ahead.split_off(count);
        std::mem::replace(&mut self.ahead, rest)
    }

    /// Reads until the gateway closes the connection; a reset ends it like a close.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.read_more() {}
        std::mem::take(&mut self.ahead)
    }

    /// Whether the gateway has closed the connection without a further byte; waits for either.
    pub fn is_closed(&mut self) -> bool {
        self.ahead.is_empty() && !self.read_more()
    }

    /// Whether the gateway has ended the connection in order, without a further byte and without a reset; waits.
    pub fn is_ended(&mut self) -> bool {
        self.ahead.is_empty() && matches!(self.stream.read(&mut [0]), Ok(0))
    }

    /// Whether the gateway's process has read all that was sent to it (on plain TCP over IPv4): the kernel
    /// has nothing left of it on either side.
    pub fn is_read_by_its_peer(&self) -> bool {
        let Stream::Tcp(stream) = &self.stream else { panic!("not a plain TCP connection") };
        let (ours, theirs) = (in_hex(stream.local_addr().unwrap()), in_hex(stream.peer_addr().unwrap()));
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let queues = |local: &str, remote: &str| {
            let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            rows.find(|row| row.get(1) == Some(&local) && row.get(2) == Some(&remote))
                .map(|row| row[4].to_owned())
        };
        let nothing = Some("00000000:00000000".to_owned());
        queues(&ours, &theirs) == nothing && queues(&theirs, &ours) == nothing
    }

    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.ahead.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => {
                false
            }
            Err(error) => panic!("reading failed: {error}"),
        }
    }
}

impl Answer {
    /// The answer in bytes that came from a raw exchange.
    pub fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let (status, headers) = parse_head(&head);
        Self { status, headers, body: bytes[end..].to_vec(), head }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The only value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        assert!(values.next().is_none(), "{name} is repeated");
        Some(value.to_str().unwrap())
    }

    /// The id in the audit record: of a problem's `instance`, else `X-Request-Id`.
    pub fn id(&self) -> String {
        let problem: Option<Value> = serde_json::from_slice(&self.body).ok();
        let instance =
            problem.as_ref().and_then(|problem| problem["instance"].as_str()?.strip_prefix("urn:uuid:"));
        instance.or_else(|| self.header("x-request-id")).expect("a request id").to_owned()
    }
}

/// The bytes of an ordinary request.
pub fn message(key: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// As in `/proc/net/tcp`.
fn in_hex(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else { panic!("not IPv4") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}

fn parse_head(head: &str) -> (u16, HeaderMap) {
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status line");
    let header = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header");
        (name.parse::<HeaderName>().unwrap(), value.trim().parse::<HeaderValue>().unwrap())
    };
    (status, lines.filter(|line| !line.is_empty()).map(header).collect())
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
