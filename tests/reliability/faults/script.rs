//! What does a raw peer do on one connection?

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};
use socket2::SockRef;

use super::http2::{self, Frame};
use super::peer::Seen;

/// One step of a peer. A script without an end closes the connection properly.
#[derive(Clone, Debug)]
pub enum Step {
    /// On TCP, below TLS: waits for the first bytes.
    ReadRaw,
    /// On TCP, below TLS.
    SayRaw(Vec<u8>),
    /// On TCP, below TLS, until the gateway leaves.
    SayRawEndlessly(Vec<u8>),
    /// So many percent of the server's first flight in the handshake.
    Flight(usize),
    /// The server's first flight, a byte at a time.
    DripFlight,
    /// These bytes in the server's first flight, before it has heard the end of the handshake.
    SayInFlight(Vec<u8>),
    /// The TLS handshake, to its end.
    Handshake,
    /// The client's preface and the server's settings, of HTTP/2.
    Preface(Vec<u8>),
    /// The head of a request.
    ReadHead,
    /// So many bytes.
    Read(usize),
    /// A whole request of HTTP/1.1.
    ReadRequest,
    /// A whole request of HTTP/2.
    ReadStream,
    Say(Vec<u8>),
    /// Answers each request of HTTP/2 with these frames, which are written for stream 1; once healed, as DCAMS would.
    SayToEach(Vec<u8>),
    /// The first bytes, then the others again and again until the gateway leaves.
    SayEndlessly(Vec<u8>, Vec<u8>),
    /// A byte at a time.
    Drip(Vec<u8>),
    /// New keys of TLS again and again until the gateway leaves.
    RenewKeys,
    /// FIN, and reads on: half of a connection is left.
    HalfClose,
    /// TLS close_notify without FIN, and reads on.
    Notify,
    /// FIN without TLS close_notify.
    Cut,
    Reset,
    /// Says and reads nothing any more.
    Hang,
    /// Reads all, and says nothing any more.
    Swallow,
}

/// The pause between the bytes of what drips.
const DRIP: Duration = Duration::from_millis(100);

/// One connection of a peer.
pub struct Line {
    tcp: Arc<TcpStream>,
    tls: ServerConnection,
    seen: Arc<Seen>,
    /// Read and not yet used.
    ahead: Vec<u8>,
}

impl Line {
    pub fn new(tcp: Arc<TcpStream>, tls: Arc<ServerConfig>, seen: Arc<Seen>) -> Self {
        tcp.set_nodelay(true).unwrap();
        Self { tcp, tls: ServerConnection::new(tls).unwrap(), seen, ahead: Vec::new() }
    }

    /// Performs `steps` until one fails, which means that the gateway has left.
    pub fn perform(&mut self, steps: &[Step]) -> io::Result<()> {
        for step in steps {
            self.step(step)?;
        }
        self.close()
    }

    /// Answers every request as DCAMS would.
    pub fn serve(&mut self) -> io::Result<()> {
        self.handshake()?;
        if self.tls.alpn_protocol() == Some(b"h2") {
            self.preface(&Frame::SETTINGS)?;
            loop {
                let stream = self.read_stream()?;
                self.say(&http2::answer(stream))?;
            }
        }
        loop {
            self.read_request()?;
            self.say(super::OK.as_bytes())?;
        }
    }

    fn step(&mut self, step: &Step) -> io::Result<()> {
        match step {
            Step::ReadRaw => self.tcp.peek(&mut [0]).map(drop),
            Step::SayRaw(bytes) => (&*self.tcp).write_all(bytes),
            Step::SayRawEndlessly(bytes) => loop {
                (&*self.tcp).write_all(bytes)?;
            },
            Step::Flight(percent) => {
                let flight = self.flight(&[])?;
                (&*self.tcp).write_all(&flight[..flight.len() * percent / 100])
            }
            Step::DripFlight => {
                let flight = self.flight(&[])?;
                self.drip(&flight, |line, byte| (&*line.tcp).write_all(byte))
            }
            Step::SayInFlight(bytes) => {
                let flight = self.flight(bytes)?;
                (&*self.tcp).write_all(&flight)?;
                self.handshake()
            }
            Step::Handshake => self.handshake(),
            Step::Preface(settings) => self.preface(settings),
            Step::ReadHead => self.read_head().map(drop),
            Step::Read(count) => self.read_exactly(*count).map(drop),
            Step::ReadRequest => self.read_request(),
            Step::ReadStream => self.read_stream().map(drop),
            Step::Say(bytes) => self.say(bytes),
            Step::SayToEach(frames) => loop {
                let stream = self.read_stream()?;
                let healed = self.seen.healed.load(Ordering::Relaxed);
                let frames = if healed { http2::answer(stream) } else { http2::moved(frames, stream) };
                self.say(&frames)?;
            },
            Step::SayEndlessly(first, again) => {
                self.say(first)?;
                let again = again.repeat((16 << 10) / again.len().max(1) + 1);
                loop {
                    self.say(&again)?;
                }
            }
            Step::Drip(bytes) => self.drip(bytes, Self::say),
            Step::RenewKeys => loop {
                self.tls.refresh_traffic_keys().map_err(io::Error::other)?;
                self.say(&[])?;
            },
            Step::HalfClose => {
                self.tcp.shutdown(Shutdown::Write)?;
                self.swallow()
            }
            Step::Notify => {
                self.notify()?;
                self.swallow()
            }
            Step::Cut => {
                self.tcp.shutdown(Shutdown::Both)?;
                Err(io::ErrorKind::NotConnected.into())
            }
            Step::Reset => {
                SockRef::from(&*self.tcp).set_linger(Some(Duration::ZERO))?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Step::Hang => {
                while !self.seen.ended.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(())
            }
            Step::Swallow => self.swallow(),
        }
    }

    /// The server's first flight, with `early` behind it.
    fn flight(&mut self, early: &[u8]) -> io::Result<Vec<u8>> {
        let tls = &mut self.tls;
        while !tls.wants_write() {
            if tls.read_tls(&mut &*self.tcp)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
        tls.writer().write_all(early)?;
        let mut flight = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut flight)?;
        }
        Ok(flight)
    }

    fn handshake(&mut self) -> io::Result<()> {
        while self.tls.is_handshaking() {
            self.tls.complete_io(&mut &*self.tcp)?;
        }
        Ok(())
    }

    fn preface(&mut self, settings: &[u8]) -> io::Result<()> {
        self.read_exactly(http2::PREFACE.len())?;
        self.say(settings)
    }

    fn notify(&mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut &*self.tcp)?;
        }
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.notify()?;
        self.tcp.shutdown(Shutdown::Both)
    }

    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut tcp = &*self.tcp;
        let mut stream = rustls::Stream::new(&mut self.tls, &mut tcp);
        stream.write_all(bytes)?;
        stream.flush()
    }

    fn drip(
        &mut self,
        bytes: &[u8],
        mut say: impl FnMut(&mut Self, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        for byte in bytes {
            if self.seen.ended.load(Ordering::Relaxed) {
                break;
            }
            say(self, &[*byte])?;
            std::thread::sleep(DRIP);
        }
        Ok(())
    }

    fn swallow(&mut self) -> io::Result<()> {
        while self.read_more().is_ok() {}
        Ok(())
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        let mut tcp = &*self.tcp;
        let count = rustls::Stream::new(&mut self.tls, &mut tcp).read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.seen.bytes.lock().unwrap().extend_from_slice(&buffer[..count]);
        self.ahead.extend_from_slice(&buffer[..count]);
        Ok(())
    }

    fn read_exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < count {
            self.read_more()?;
        }
        Ok(self.ahead.drain(..count).collect())
    }

    fn read_head(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.ahead, b"\r\n\r\n") {
                return self.read_exactly(end + 4);
            }
            self.read_more()?;
        }
    }

    fn read_request(&mut self) -> io::Result<()> {
        let head = String::from_utf8(self.read_head()?).unwrap();
        let length =
            head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
        self.read_exactly(length.parse().unwrap()).map(drop)
    }

    /// Reads frames until a stream has been sent whole, and gives its number.
    fn read_stream(&mut self) -> io::Result<u32> {
        loop {
            let head = self.read_exactly(9)?;
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            self.read_exactly(length)?;
            let [kind, flags] = [head[3], head[4]];
            let of_stream = kind == http2::DATA || kind == http2::HEADERS;
            if of_stream && flags & http2::END_STREAM != 0 {
                return Ok(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
            }
        }
    }
}
