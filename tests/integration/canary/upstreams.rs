//! Which upstreams does the gateway meet here?

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use dcams_gateway::simulate::{Double, FailureStyle, Settings};
use tokio::sync::oneshot;

use super::canaries::{self, core, named};
use super::scene::PATIENCE;
use crate::scanner::Canary;

/// The double of DCAMS, which knows the canaries as its credentials, on a thread of its own.
pub struct Upstream {
    double: Arc<Double>,
    _stop: oneshot::Sender<()>,
}

impl Upstream {
    pub fn start(failure_style: FailureStyle) -> Self {
        dcams_gateway::tls::install_provider();
        let (stop, stopped) = oneshot::channel();
        let (hand_over, started) = channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let settings = Settings {
                    user: canaries::user(),
                    pass: canaries::pass(),
                    failure_style,
                    ..Settings::default()
                };
                hand_over.send(Arc::new(Double::start(settings).await.unwrap())).unwrap();
                let _ = stopped.await;
            });
        });
        Self { double: started.recv().unwrap(), _stop: stop }
    }

    pub fn double(&self) -> &Double {
        &self.double
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}{}", self.double.address().port(), super::scene::PATH)
    }
}

/// A server that gives each connection the next of its answers, whatever was asked, and closes it.
pub struct Scripted {
    pub address: SocketAddr,
    answers: Arc<Mutex<VecDeque<Vec<u8>>>>,
}

impl Scripted {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Arc<Mutex<VecDeque<Vec<u8>>>> = Arc::default();
        let queue = Arc::clone(&answers);
        // Ends with the tests: nothing connects any more, and nothing is held.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answer = queue.lock().unwrap().pop_front().unwrap_or_default();
                thread::spawn(move || serve(stream, &answer));
            }
        });
        Self { address, answers }
    }

    pub fn next(&self, answer: &[u8]) {
        self.answers.lock().unwrap().push_back(answer.to_vec());
    }
}

/// Takes one request, or the first bytes of something else, and answers.
fn serve(mut stream: TcpStream, answer: &[u8]) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut read = Vec::new();
    let mut buffer = [0; 64 << 10];
    while !is_whole(&read) {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => read.extend_from_slice(&buffer[..count]),
            _ => break,
        }
    }
    // The gateway may have closed it already; that is its right.
    let _ = stream.write_all(answer);
    let _ = stream.shutdown(Shutdown::Write);
    while let Ok(1..) = stream.read(&mut buffer) {}
}

fn is_whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read);
    if !text.starts_with("POST") {
        return !read.is_empty();
    }
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    read.len() >= head.len() + 4 + length.unwrap_or(0)
}

/// Answers full of canaries: what a hostile or broken DCAMS could say, in every part of a message.
pub fn hostile_answers() -> (Vec<(&'static str, Vec<u8>)>, Vec<Canary>) {
    let mut canaries = Vec::new();
    let mut new = |name: &str| {
        let name = format!("answer: {name}");
        canaries.push(named(&name, core(&name)));
        core(&name)
    };
    let json = |body: &str| whole("200 OK", "application/json", "", body);
    let c = new("values");
    let mut all = vec![
        (
            "attributes and a link",
            json(&format!(
                "{{\"result\":\"Success\",\"reference\":\"{c}\",\"customer_link\":\"https://dcams.app/{c}\",\"status\":\"PASS\",\
             \"type\":\"createCustomer\",\"target\":{{\"email\":\"{c}@example.com\",\"{c}\":\"{c}\"}}}}"
            )),
        ),
        ("an unknown message", json(&format!("{{\"result\":\"Error\",\"message\":\"{}\"}}", new("message")))),
        ("an unknown result", json(&format!("{{\"result\":\"{}\"}}", new("result")))),
        ("a member twice", json(&format!("{{\"{c}\":1,\"{c}\":2}}", c = new("duplicate")))),
        ("no object", json(&format!("\"{}\"", new("string")))),
        ("a broken string", json(&format!("{{\"result\":\"{}", new("unterminated")))),
        ("a control character", json(&format!("{{\"result\":\"\u{1}{}\"}}", new("control character")))),
        ("a surrogate", json(&format!("{{\"result\":\"\\ud800{}\"}}", new("surrogate")))),
        ("JSON and more", json(&format!("{{\"result\":\"Success\"}}{}", new("after the end")))),
    ];
    let c = new("page");
    let page = format!("<html><title>{c}</title>SQLSTATE[42000]: {c}</html>");
    all.push(("a page", whole("500 Oops", "text/html", "", &page)));
    all.push(("a page that is JSON by name", whole("200 OK", "application/json", "", &page)));
    let c = new("location");
    all.push((
        "a redirect",
        whole("302 Found", "text/html", &format!("location: https://{c}.example.com/{c}\r\n"), ""),
    ));
    let c = new("headers");
    let headers = format!(
        "set-cookie: {c}={c}; path=/{c}\r\nx-{c}: {c}\r\nserver: {c}\r\nx-request-id: {c}\r\n\
                           etag: \"{c}\"\r\ncontent-language: {c}\r\nretry-after: {c}\r\ncache-control: {c}\r\ndate: {c}\r\n"
    );
    all.push((
        "headers",
        whole("200 OK", "application/json", &headers, "{\"result\":\"Success\",\"status\":\"PASS\"}"),
    ));
    all.push(("a reason", whole(&format!("200 {}", new("reason")), "application/json", "", "{}")));
    all.push(("a media type", whole("200 OK", &format!("text/{}", new("media type")), "", "{}")));
    all.push((
        "a charset",
        whole("200 OK", &format!("application/json; charset={}", new("charset")), "", "{}"),
    ));
    all.push((
        "an encoding",
        whole("200 OK", "application/json", &format!("content-encoding: {}\r\n", new("coding")), "{}"),
    ));
    all.push((
        "another status",
        whole("418 Teapot", "application/json", "", &format!("{{\"{}\":1}}", new("teapot"))),
    ));
    let raw = [
        ("no HTTP", format!("{} is no HTTP\r\n\r\n", new("no HTTP"))),
        ("a version", format!("HTTP/{} 200 OK\r\n\r\n", new("version"))),
        ("a status", format!("HTTP/1.1 {} OK\r\n\r\n", new("status"))),
        ("a header without a colon", format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", new("no colon"))),
        ("a header name", format!("HTTP/1.1 200 OK\r\n{} x: y\r\n\r\n", new("header name"))),
        ("a header value", format!("HTTP/1.1 200 OK\r\nx: \u{1}{}\r\n\r\n", new("header value"))),
        ("a length", format!("HTTP/1.1 200 OK\r\ncontent-length: 12{}\r\n\r\n", new("length"))),
        ("a coding", format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {}\r\n\r\n", new("transfer coding"))),
        (
            "a chunk size",
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}\r\n", new("chunk size")),
        ),
        (
            "a chunk extension",
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2;{}\r\n{{}}\r\n0\r\n\r\n",
                new("chunk extension")
            ),
        ),
        (
            "a trailer",
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nx-{c}: {c}\r\n\r\n",
                c = new("trailer")
            ),
        ),
        (
            "an early hint",
            format!("HTTP/1.1 103 {c}\r\nlink: {c}\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", c = new("early hint")),
        ),
        (
            "a switch",
            format!("HTTP/1.1 101 {c}\r\nupgrade: {c}\r\nconnection: upgrade\r\n\r\n{c}", c = new("upgrade")),
        ),
        ("half a body", format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{{\"{}", new("half a body"))),
        ("nothing", String::new()),
    ];
    all.extend(raw.map(|(name, text)| (name, text.into_bytes())));
    (all, canaries)
}

fn whole(status: &str, media_type: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
