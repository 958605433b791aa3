//! Who calls without a pause while the gateway is restarted, and which calls failed?

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::scene::body_for;
use crate::harness::{KYC_API, PATIENCE, message};

/// Callers that keep their connection, and callers that open one for each call.
const KEEPING: usize = 4;
const OPENING: usize = 2;

/// What is done about a connection that is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The caller tries again: nobody has seen its request.
    TriesAgain,
    /// The call has failed.
    Fails,
}

/// Callers that go on until they are told to stop.
pub struct Callers {
    stop: Arc<AtomicBool>,
    next: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Calls>>,
}

/// What became of the calls.
#[derive(Debug, Default)]
pub struct Calls {
    pub answered: u64,
    /// Refused because the disk was too slow for the intent, which says nothing of restarts.
    pub unrecorded: u64,
    /// Connections that were refused and tried again.
    pub tried_again: u64,
    pub failed: Vec<String>,
    /// The longest that a call took.
    pub longest: Duration,
}

impl Callers {
    pub fn start(address: SocketAddr, refused: Refused) -> Self {
        let mut callers = Self {
            stop: Arc::default(),
            next: Arc::default(),
            answered: Arc::default(),
            threads: Vec::new(),
        };
        for number in 0..KEEPING + OPENING {
            let (stop, next, answered) = (&callers.stop, &callers.next, &callers.answered);
            let mut caller = Caller {
                address,
                refused,
                keeps: number < KEEPING,
                line: None,
                calls: Calls::default(),
                next: Arc::clone(next),
                answered: Arc::clone(answered),
            };
            let stop = Arc::clone(stop);
            callers.threads.push(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    caller.call();
                }
                caller.calls
            }));
        }
        callers
    }

    /// How many calls were answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// What all of them saw, and how many customers they called for.
    pub fn stop(self) -> (Calls, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Calls::default();
        for calls in self.threads.into_iter().map(|thread| thread.join().unwrap()) {
            all.answered += calls.answered;
            all.unrecorded += calls.unrecorded;
            all.tried_again += calls.tried_again;
            all.failed.extend(calls.failed);
            all.longest = all.longest.max(calls.longest);
        }
        (all, self.next.load(Ordering::Relaxed))
    }
}

struct Caller {
    address: SocketAddr,
    refused: Refused,
    keeps: bool,
    line: Option<TcpStream>,
    calls: Calls,
    next: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
}

impl Caller {
    fn call(&mut self) {
        let body = body_for(self.next.fetch_add(1, Ordering::Relaxed) + 1);
        let began = std::time::Instant::now();
        match self.attempt(body.as_bytes()) {
            Ok(answer) if answer.starts_with("http/1.1 200 ") => {
                self.calls.answered += 1;
                self.answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) if answer.contains("\"audit_unavailable\"") => self.calls.unrecorded += 1,
            Ok(answer) => self.calls.failed.push(answer),
            Err(error) => self.calls.failed.push(error.to_string()),
        }
        self.calls.longest = self.calls.longest.max(began.elapsed());
    }

    /// One request and its answer, in lower case.
    fn attempt(&mut self, body: &[u8]) -> std::io::Result<String> {
        let mut line = match self.line.take() {
            Some(line) => line,
            None => self.connect()?,
        };
        line.write_all(&message(KYC_API, body))?;
        let answer = read_answer(&mut line)?;
        // Only what is not announced to be closed is used again.
        if self.keeps && !answer.contains("\r\nconnection: close\r\n") {
            self.line = Some(line);
        }
        Ok(answer)
    }

    fn connect(&mut self) -> std::io::Result<TcpStream> {
        loop {
            match TcpStream::connect(self.address) {
                Err(error)
                    if error.kind() == ErrorKind::ConnectionRefused
                        && self.refused == Refused::TriesAgain =>
                {
                    self.calls.tried_again += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                connected => {
                    let line = connected?;
                    line.set_nodelay(true)?;
                    line.set_read_timeout(Some(PATIENCE))?;
                    return Ok(line);
                }
            }
        }
    }
}

fn read_answer(line: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4 << 10];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.and_then(|length| length.parse().ok()) == Some(body.len()) {
                return Ok(text);
            }
        }
        match line.read(&mut buffer)? {
            0 => {
                return Err(std::io::Error::new(ErrorKind::UnexpectedEof, format!("ended within: {text:?}")));
            }
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}
