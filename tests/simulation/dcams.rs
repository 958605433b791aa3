//! What does the simulated upstream do with what it is sent?

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;
use turmoil::net::{TcpListener, TcpStream};

use crate::message::Message;
use crate::random::Random;
use crate::witness::{Attempt, Received, Witness, attempt_in, email_of};

/// Where it listens.
pub const PORT: u16 = 8080;
/// The version of the credentials of another account, which never change.
pub const SECOND: u64 = 1_000_000;

/// A double of DCAMS that misbehaves as its mood says.
#[derive(Clone)]
pub struct Dcams {
    witness: Witness,
    random: Arc<Mutex<Random>>,
    mood: Arc<Mutex<Mood>>,
}

/// Which credentials are right, and how often something goes wrong, of 1,000.
#[derive(Clone, Copy)]
pub struct Mood {
    /// Versions from the first to the second are accepted.
    pub accepted: (u64, u64),
    pub faults: u64,
    /// Rejects credentials that are right.
    pub rejections: u64,
    /// The slowest answer.
    pub slowest_ms: u64,
}

/// What becomes of one request that came whole, and of its answer.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Proper,
    /// Answered with this status; carried out all the same.
    Status(u16),
    /// Never.
    Hang,
    /// The connection is closed instead of an answer.
    Close,
    /// Of the answer only a part is sent.
    Part,
    /// The answer comes, and again later.
    Twice,
    /// The connection is closed behind the answer.
    Last,
    /// An answer that is no HTTP.
    Noise,
}

impl Dcams {
    pub fn new(witness: Witness, random: Random, mood: Mood) -> Self {
        Self { witness, random: Arc::new(Mutex::new(random)), mood: Arc::new(Mutex::new(mood)) }
    }

    pub fn set_mood(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut self.mood.lock().unwrap());
    }

    /// The software of the host.
    pub async fn run(self) -> turmoil::Result {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            // In a crash these end in their order, and not in that of numbers which all runs share.
            tokio::task::spawn_local(self.clone().serve(stream));
        }
    }

    async fn serve(self, mut stream: TcpStream) {
        let (mut unread, mut extra) = (Vec::new(), false);
        while let Some(manner) = self.serve_one(&mut stream, &mut unread, extra).await {
            extra |= matches!(manner, Manner::Twice);
        }
    }

    /// `None` when the connection is over. `extra`: on it was answered more than was asked.
    async fn serve_one(&self, stream: &mut TcpStream, unread: &mut Vec<u8>, extra: bool) -> Option<Manner> {
        if self.chance(self.mood().faults / 4) && unread.is_empty() {
            // It closes a connection that may be idle, or about to be used.
            sleep(self.up_to(50)).await;
            return None;
        }
        let mut place = None;
        let message = loop {
            if let Some(message) = Message::take(unread) {
                break message;
            }
            stream.read_buf(unread).await.ok().filter(|read| *read > 0)?;
            let place = *place.get_or_insert_with(|| self.begin(extra));
            self.saw(place, unread, false);
        };
        let place = place.unwrap_or_else(|| self.begin(extra));
        self.saw(place, &message.body, true);
        let answer = self.carry_out(place);
        let manner = self.manner();
        self.witness.tell("upstream", format_args!("{manner:?} {answer:?}"));
        sleep(self.latency()).await;
        self.reply(stream, answer, manner).await?;
        Some(manner)
    }

    async fn reply(&self, stream: &mut TcpStream, answer: Carried, manner: Manner) -> Option<()> {
        let whole = answer.text();
        match manner {
            Manner::Hang => std::future::pending().await,
            Manner::Close => None,
            Manner::Part => {
                let part = self.random.lock().unwrap().index(whole.len());
                let _ = stream.write_all(&whole.as_bytes()[..part]).await;
                None
            }
            Manner::Noise => {
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n")
                    .await;
                None
            }
            Manner::Status(status) => {
                let body = r#"{"result":"Error","message":"Something went wrong"}"#;
                stream.write_all(http(status, body).as_bytes()).await.ok()
            }
            Manner::Proper => stream.write_all(whole.as_bytes()).await.ok(),
            Manner::Last => {
                let _ = stream.write_all(whole.as_bytes()).await;
                None
            }
            Manner::Twice => {
                stream.write_all(whole.as_bytes()).await.ok()?;
                sleep(self.up_to(40)).await;
                stream.write_all(whole.as_bytes()).await.ok()
            }
        }
    }

    fn begin(&self, behind_extra: bool) -> usize {
        let mut facts = self.witness.facts();
        let at_ms = facts.now_ms;
        facts.received.push(Received {
            at_ms,
            attempt: None,
            user: None,
            pass: None,
            whole: false,
            executed: false,
            rejected: false,
            behind_extra,
        });
        facts.received.len() - 1
    }

    fn saw(&self, place: usize, bytes: &[u8], whole: bool) {
        let mut facts = self.witness.facts();
        let received = &mut facts.received[place];
        received.attempt = attempt_in(bytes);
        received.whole = whole;
        let text = String::from_utf8_lossy(bytes);
        received.user = number_behind(&text, "\"user\":\"user-");
        received.pass = number_behind(&text, "\"pass\":\"password-of-version-");
    }

    /// As DCAMS would: where user and password are right, it is done before it is answered.
    fn carry_out(&self, place: usize) -> Carried {
        let (first, last) = self.mood().accepted;
        let rejects = self.chance(self.mood().rejections);
        let mut facts = self.witness.facts();
        let received = &mut facts.received[place];
        let right = received.user == received.pass
            && received.pass.is_some_and(|pass| pass == SECOND || (first..=last).contains(&pass));
        match received.attempt {
            Some(attempt) if right && !rejects => {
                received.executed = true;
                Carried::Out(attempt)
            }
            _ => {
                received.rejected = true;
                Carried::Rejected
            }
        }
    }

    fn manner(&self) -> Manner {
        if !self.chance(self.mood().faults) {
            return Manner::Proper;
        }
        match self.random.lock().unwrap().below(10) {
            0 => Manner::Hang,
            1 | 2 => Manner::Close,
            3 => Manner::Part,
            4 => Manner::Twice,
            5 => Manner::Last,
            6 => Manner::Noise,
            7 => Manner::Status(500),
            8 => Manner::Status(503),
            _ => Manner::Status(502),
        }
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    fn chance(&self, of_1000: u64) -> bool {
        self.random.lock().unwrap().below(1_000) < of_1000
    }

    fn up_to(&self, most_ms: u64) -> Duration {
        Duration::from_millis(self.random.lock().unwrap().below(most_ms + 1))
    }

    /// Mostly short.
    fn latency(&self) -> Duration {
        let slowest = self.mood().slowest_ms;
        self.up_to(if self.chance(100) { slowest } else { slowest / 8 })
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
enum Carried {
    Out(Attempt),
    Rejected,
}

impl Carried {
    fn text(self) -> String {
        let body = match self {
            Self::Out(attempt) => format!(
                r#"{{"result":"Success","reference":"r","status":"PASS","target":{{"email":"{}"}}}}"#,
                email_of(attempt)
            ),
            Self::Rejected => {
                r#"{"result":"Error","message":"Either your username or password is incorrect"}"#.to_owned()
            }
        };
        debug_assert!(serde_json::from_str::<Value>(&body).is_ok());
        http(200, &body)
    }
}

fn http(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn number_behind(text: &str, before: &str) -> Option<u64> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once('"')?.0.parse().ok()
}
