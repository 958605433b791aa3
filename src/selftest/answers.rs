//! What could a hostile or broken DCAMS say, in every part of a message?

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::child::PATIENCE;

/// A server that gives each connection the next of its answers, whatever was asked, and closes it.
pub struct Scripted {
    address: SocketAddr,
    answers: Arc<Mutex<VecDeque<Vec<u8>>>>,
}

impl Scripted {
    /// Listens on a free port of this machine, until the process ends: it holds nothing.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let answers: Arc<Mutex<VecDeque<Vec<u8>>>> = Arc::default();
        let queue = Arc::clone(&answers);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answer = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                thread::spawn(move || serve(stream, &answer.unwrap_or_default()));
            }
        });
        Ok(Self { address, answers })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Queues an answer.
    pub fn next(&self, answer: &[u8]) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer.to_vec());
    }
}

/// Takes one request, or the first bytes of something else, and answers.
fn serve(mut stream: TcpStream, answer: &[u8]) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut read = Vec::new();
    let mut buffer = [0; 16 << 10];
    while !is_whole(&read) {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => read.extend_from_slice(buffer.get(..count).unwrap_or_default()),
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

/// Answers full of canaries, which `new` makes by name.
pub fn hostile_answers(new: &mut dyn FnMut(&str) -> String) -> Vec<Vec<u8>> {
    let mut answers = json_answers(new);
    answers.extend(other_answers(new));
    answers.extend(broken_answers(new));
    answers.into_iter().map(String::into_bytes).collect()
}

/// What the gateway reads, some of it wrong.
fn json_answers(new: &mut dyn FnMut(&str) -> String) -> Vec<String> {
    let c = new("values");
    let attributes = format!(
        "{{\"result\":\"Success\",\"reference\":\"{c}\",\"customer_link\":\"https://dcams.app/{c}\",\"status\":\"PASS\",\
         \"type\":\"createCustomer\",\"target\":{{\"email\":\"{c}@example.com\",\"{c}\":\"{c}\"}}}}"
    );
    let duplicate = new("duplicate");
    let bodies = [
        attributes,
        format!("{{\"result\":\"Error\",\"message\":\"{}\"}}", new("message")),
        format!("{{\"result\":\"{}\"}}", new("result")),
        format!("{{\"{duplicate}\":1,\"{duplicate}\":2}}"),
        format!("\"{}\"", new("string")),
        format!("{{\"result\":\"{}", new("unterminated")),
        format!("{{\"result\":\"\u{1}{}\"}}", new("control character")),
        format!("{{\"result\":\"\\ud800{}\"}}", new("surrogate")),
        format!("{{\"result\":\"Success\"}}{}", new("after the end")),
    ];
    bodies.iter().map(|body| whole("200 OK", "application/json", "", body)).collect()
}

/// Pages, redirects, headers.
fn other_answers(new: &mut dyn FnMut(&str) -> String) -> Vec<String> {
    let c = new("page");
    let page = format!("<html><title>{c}</title>SQLSTATE[42000]: {c}</html>");
    let c = new("location");
    let location = format!("location: https://{c}.example.com/{c}\r\n");
    let c = new("headers");
    let headers = format!(
        "set-cookie: {c}={c}; path=/{c}\r\nx-{c}: {c}\r\nserver: {c}\r\nx-request-id: {c}\r\netag: \"{c}\"\r\n\
         content-language: {c}\r\nretry-after: {c}\r\ncache-control: {c}\r\ndate: {c}\r\n"
    );
    let status = "{\"result\":\"Success\",\"status\":\"PASS\"}";
    vec![
        whole("500 Oops", "text/html", "", &page),
        whole("200 OK", "application/json", "", &page),
        whole("302 Found", "text/html", &location, ""),
        whole("200 OK", "application/json", &headers, status),
        whole(&format!("200 {}", new("reason")), "application/json", "", "{}"),
        whole("200 OK", &format!("text/{}", new("media type")), "", "{}"),
        whole("200 OK", &format!("application/json; charset={}", new("charset")), "", "{}"),
        whole("200 OK", "application/json", &format!("content-encoding: {}\r\n", new("coding")), "{}"),
        whole("418 Teapot", "application/json", "", &format!("{{\"{}\":1}}", new("teapot"))),
    ]
}

/// What is no HTTP, or only half of it.
fn broken_answers(new: &mut dyn FnMut(&str) -> String) -> Vec<String> {
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let [trailer, hint, upgrade] = ["trailer", "early hint", "upgrade"].map(&mut *new);
    vec![
        format!("{} is no HTTP\r\n\r\n", new("no HTTP")),
        format!("HTTP/{} 200 OK\r\n\r\n", new("version")),
        format!("HTTP/1.1 {} OK\r\n\r\n", new("status")),
        format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", new("no colon")),
        format!("HTTP/1.1 200 OK\r\n{} x: y\r\n\r\n", new("header name")),
        format!("HTTP/1.1 200 OK\r\nx: \u{1}{}\r\n\r\n", new("header value")),
        format!("HTTP/1.1 200 OK\r\ncontent-length: 12{}\r\n\r\n", new("length")),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {}\r\n\r\n", new("transfer coding")),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}\r\n", new("chunk size")),
        format!("{chunked}2;{}\r\n{{}}\r\n0\r\n\r\n", new("chunk extension")),
        format!("{chunked}2\r\n{{}}\r\n0\r\nx-{trailer}: {trailer}\r\n\r\n"),
        format!("HTTP/1.1 103 {hint}\r\nlink: {hint}\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
        format!("HTTP/1.1 101 {upgrade}\r\nupgrade: {upgrade}\r\nconnection: upgrade\r\n\r\n{upgrade}"),
        format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{{\"{}", new("half a body")),
        String::new(),
    ]
}

fn whole(status: &str, media_type: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}
