//! What does a simulated caller do?

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;

use crate::machine;
use crate::message::Message;
use crate::random::Random;
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
        let mut line = None;
        for turn in 0..self.requests {
            sleep(Duration::from_millis(self.random.below(self.pause_ms + 1))).await;
            let attempt = self.number * ATTEMPTS + turn;
            line = self.call(attempt, line.take()).await;
        }
        Ok(())
    }

    /// A read and a write without whims.
    pub async fn probe(mut self) -> turmoil::Result {
        for (turn, write) in [false, true].into_iter().enumerate() {
            // It has only just been started.
            let line = loop {
                match TcpStream::connect((GATEWAY, machine::PORT)).await {
                    Ok(line) => break line,
                    Err(_) => sleep(Duration::from_millis(5)).await,
                }
            };
            self.exchange_one(self.number * ATTEMPTS + turn as u64, write, Whim::None, line).await;
        }
        Ok(())
    }

    /// One request; gives the connection back where it can serve another.
    async fn call(&mut self, attempt: Attempt, line: Option<TcpStream>) -> Option<TcpStream> {
        let whim = self.whim();
        let write = self.random.below(5) < 3;
        let keeps = self.random.below(4) > 0;
        let line = match line {
            Some(line) => line,
            None => timeout(PATIENCE, TcpStream::connect((GATEWAY, machine::PORT))).await.ok()?.ok()?,
        };
        let line = self.exchange_one(attempt, write, whim, line).await;
        line.filter(|_| keeps)
    }

    async fn exchange_one(
        &mut self,
        attempt: Attempt,
        write: bool,
        whim: Whim,
        line: TcpStream,
    ) -> Option<TcpStream> {
        {
            let mut facts = self.witness.facts();
            facts.tell(if write { "write" } else { "read" }, format_args!("{attempt} {whim:?}"));
            let at_ms = facts.now_ms;
            facts.sent.insert(attempt, Sent { at_ms, write, end: End::Open });
        }
        let text = self.request(attempt, write, whim);
        let waits = match whim {
            Whim::Leaves => Duration::from_millis(self.random.below(300)),
            _ => PATIENCE,
        };
        let line = timeout(waits, self.exchange(attempt, line, &text, whim)).await.ok().flatten();
        let mut facts = self.witness.facts();
        let sent = facts.sent.get_mut(&attempt).unwrap();
        if matches!(sent.end, End::Open) {
            sent.end = End::Nothing;
            facts.tell("no answer", attempt);
        }
        line
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

    fn request(&mut self, attempt: Attempt, write: bool, whim: Whim) -> Vec<u8> {
        let email = email_of(attempt);
        let invalid = if whim == Whim::Invalid { r#","favourite":"none""# } else { "" };
        let body = match (write, self.random.below(2)) {
            (false, _) => format!(r#"{{"service":"getStatus","target":{{"email":"{email}"{invalid}}}}}"#),
            // The last caller may not create customers.
            (true, 0) if self.number != 2 => format!(
                r#"{{"service":"createOrUpdateCustomer","reference":"r-{attempt}","target":{{"email":"{email}","fn":"Jane"{invalid}}}}}"#
            ),
            (true, _) => {
                format!(
                    r#"{{"service":"updateStatus","target":{{"email":"{email}","status":"PASS"{invalid}}}}}"#
                )
            }
        };
        let key = if whim == Whim::Stranger {
            "of-nobody".to_owned()
        } else {
            machine::key_of(self.number % CALLERS)
        };
        format!(
            "POST /v3/stable/api/storage HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nX-Request-Id: {}\r\nContent-Length: {}\r\n\r\n{body}",
            id_of(attempt),
            body.len()
        )
        .into_bytes()
    }
}
