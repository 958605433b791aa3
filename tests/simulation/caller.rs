//! What does a simulated caller do?

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;

use crate::machine;
use crate::message::Message;
use crate::random::Random;
use crate::rules::key_of;
use crate::witness::{ATTEMPTS, Answered, Attempt, End, Sent, Witness, attempt_in, email_of, id_of};
use crate::{CALLERS, GATEWAY};

/// Calls with one key, one request after the other.
pub struct Caller {
    pub number: u64,
    pub witness: Witness,
    pub random: Random,
    pub requests: u64,
    /// The longest pause between two requests.
    pub pause_ms: u64,
    /// How often it does something wrong, or leaves early, of 1,000.
    pub whims: u64,
}

/// A connection without a request, and since when it is that.
struct Open {
    stream: TcpStream,
    since_ms: u64,
}

/// What it does with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whim {
    None,
    /// Leaves while it waits for the answer.
    Leaves,
    /// Leaves within its body.
    LeavesInBody,
    /// Sends its body slowly.
    Dawdles,
    /// Has no key.
    Stranger,
    /// Sends what the schema does not allow.
    Invalid,
}

/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_millis(1_500);

impl Caller {
    /// The software of the host.
    pub async fn run(mut self) -> turmoil::Result {
        let mut line: Option<Open> = None;
        for turn in 0..self.requests {
            sleep(Duration::from_millis(self.random.below(self.pause_ms + 1))).await;
            let attempt = self.number * ATTEMPTS + turn;
            line = self.call(attempt, line.take()).await;
        }
        Ok(())
    }

    /// A read and a write without whims.
    pub async fn probe(mut self) -> turmoil::Result {
        for (turn, service) in ["getStatus", "updateStatus"].into_iter().enumerate() {
            // It has only just been started.
            let line = loop {
                match TcpStream::connect((GATEWAY, machine::PORT)).await {
                    Ok(stream) => break self.open(stream),
                    Err(_) => sleep(Duration::from_millis(5)).await,
                }
            };
            self.exchange_one(self.number * ATTEMPTS + turn as u64, service, Whim::None, line).await;
        }
        Ok(())
    }

    /// One request; gives the connection back where it can serve another.
    async fn call(&mut self, attempt: Attempt, line: Option<Open>) -> Option<Open> {
        let whim = self.whim();
        let service = self.service();
        let keeps = self.random.below(4) > 0;
        let line = match line {
            Some(line) => line,
            None => {
                self.open(timeout(PATIENCE, TcpStream::connect((GATEWAY, machine::PORT))).await.ok()?.ok()?)
            }
        };
        let line = self.exchange_one(attempt, service, whim, line).await;
        line.filter(|_| keeps)
    }

    fn open(&self, stream: TcpStream) -> Open {
        Open { stream, since_ms: self.witness.now_ms() }
    }

    async fn exchange_one(
        &mut self,
        attempt: Attempt,
        service: &'static str,
        whim: Whim,
        line: Open,
    ) -> Option<Open> {
        let Open { stream, since_ms: open_ms } = line;
        {
            let mut facts = self.witness.facts();
            facts.tell(service, format_args!("{attempt} {whim:?}"));
            let sent = Sent {
                open_ms,
                at_ms: facts.now_ms,
                ended_ms: u64::MAX,
                service,
                stranger: whim == Whim::Stranger,
                dawdles: whim == Whim::Dawdles,
                end: End::Open,
            };
            facts.sent.insert(attempt, sent);
        }
        let text = self.request(attempt, service, whim);
        let waits = match whim {
            Whim::Leaves => Duration::from_millis(self.random.below(300)),
            _ => PATIENCE,
        };
        let line = timeout(waits, self.exchange(attempt, stream, &text, whim)).await;
        let left = line.is_err() || whim == Whim::LeavesInBody;
        let mut facts = self.witness.facts();
        let now_ms = facts.now_ms;
        let sent = facts.sent.get_mut(&attempt).unwrap();
        sent.ended_ms = now_ms;
        if matches!(sent.end, End::Open) {
            sent.end = if left { End::Left } else { End::Broken };
            facts.tell(if left { "caller left" } else { "connection broke" }, attempt);
        }
        // Who dawdles reads late what came long ago.
        let since_ms = if whim == Whim::Dawdles { open_ms } else { now_ms };
        line.ok().flatten().map(|stream| Open { stream, since_ms })
    }

    async fn exchange(
        &mut self,
        attempt: Attempt,
        mut line: TcpStream,
        text: &[u8],
        whim: Whim,
    ) -> Option<TcpStream> {
        match whim {
            Whim::LeavesInBody => {
                line.write_all(&text[..text.len() - 10]).await.ok()?;
                sleep(Duration::from_millis(self.random.below(100))).await;
                return None;
            }
            Whim::Dawdles => {
                for piece in text.chunks(100) {
                    line.write_all(piece).await.ok()?;
                    sleep(Duration::from_millis(self.random.below(250))).await;
                }
            }
            _ => line.write_all(text).await.ok()?,
        }
        let mut unread = Vec::new();
        let answer = loop {
            if let Some(answer) = Message::take(&mut unread) {
                break answer;
            }
            line.read_buf(&mut unread).await.ok().filter(|read| *read > 0)?;
        };
        let closes = answer.header("connection") == Some("close");
        self.note(attempt, &answer);
        Some(line).filter(|_| !closes)
    }

    fn note(&self, attempt: Attempt, answer: &Message) {
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let mut facts = self.witness.facts();
        let answered = Answered {
            status: answer.status(),
            code: body["code"].as_str().map(str::to_owned),
            unknown: body["outcome"] == "unknown",
            of: attempt_in(&answer.body),
        };
        let code = answered.code.as_deref().unwrap_or("-");
        facts.tell("answer", format_args!("{attempt} {} {code}", answered.status));
        facts.sent.get_mut(&attempt).unwrap().end = End::Answered(answered);
    }

    fn whim(&mut self) -> Whim {
        if self.random.below(1_000) >= self.whims {
            return Whim::None;
        }
        match self.random.below(8) {
            0..=3 => Whim::Leaves,
            4 => Whim::LeavesInBody,
            5 => Whim::Dawdles,
            6 => Whim::Stranger,
            _ => Whim::Invalid,
        }
    }

    fn service(&mut self) -> &'static str {
        match self.random.below(5) {
            0 | 1 => "getStatus",
            // The last caller does not ask for what it may not have at first.
            2 | 3 if self.number != 2 => "createOrUpdateCustomer",
            _ => "updateStatus",
        }
    }

    fn request(&self, attempt: Attempt, service: &str, whim: Whim) -> Vec<u8> {
        let email = email_of(attempt);
        let invalid = if whim == Whim::Invalid { r#","favourite":"none""# } else { "" };
        let (reference, more) = match service {
            "getStatus" => (String::new(), ""),
            "updateStatus" => (String::new(), r#","status":"PASS""#),
            _ => (format!(r#""reference":"r-{attempt}","#), r#","fn":"Jane""#),
        };
        let body =
            format!(r#"{{"service":"{service}",{reference}"target":{{"email":"{email}"{more}{invalid}}}}}"#);
        let stranger = whim == Whim::Stranger;
        let key = if stranger { "of-nobody".to_owned() } else { key_of(self.number % CALLERS) };
        format!(
            "POST /v3/stable/api/storage HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nX-Request-Id: {}\r\nContent-Length: {}\r\n\r\n{body}",
            id_of(attempt),
            body.len()
        )
        .into_bytes()
    }
}
