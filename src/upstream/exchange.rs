//! What becomes of one request and its answer on the wire?

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::{Connection, Connector};
use super::examined::{Examined, Examining};
use super::head::Head;
use super::needles::Needles;
use super::outgoing::Outgoing;
use super::pool::{Pool, Share};
use super::retry::Left;
use super::waits::Waits;
use crate::budget::{Room, Shares};
use crate::config::{Config, Endpoint};
use crate::ids::{CallerId, EndpointId};
use crate::reject::{Fate, Reject};
use crate::spares;

/// So much of each answer needs no room in the budget: what a write is answered never waits behind images.
const SMALL_BYTES: u64 = 64 << 10;
/// More stale connections than this are not tried; the next one is fresh.
const MAX_REUSED: u8 = 2;

/// How long an answer that is here waits for its connection to become fit for the next request: the end of the answer
/// was seen, and the whole request written. An upstream that answered early may never read the rest of it.
const SETTLE: Duration = Duration::from_millis(20);

/// Sends requests to the endpoints of one configuration.
pub struct Client {
    config: Arc<Config>,
    connector: Connector,
    /// By [`EndpointId`].
    heads: Box<[Result<Head, Reject>]>,
    pool: Pool,
    answers: Shares,
}

/// One request to send.
pub struct Exchange {
    /// Whose connections may be used.
    pub caller: CallerId,
    /// Where it goes.
    pub endpoint: EndpointId,
    /// The body.
    pub parts: [Bytes; 2],
    /// Until when the whole answer must be here.
    pub deadline: Instant,
    /// What a failure after the first byte means.
    pub fate: Fate,
    /// What no answer may hold.
    pub needles: Arc<Needles>,
    /// Counts body bytes handed to a connection.
    pub sent: Arc<AtomicU64>,
    /// Counts the time for which its answer waits for room.
    pub waits: Arc<Waits>,
    /// Whether idle connections are left alone: one of them was closed a moment ago.
    pub fresh: bool,
}

/// Why there is no answer, and how much of the request had left by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// What the caller would be told.
    pub reject: Reject,
    /// Whether it can have been received.
    pub left: Left,
}

/// An answer as it came, whole.
pub struct Answered<B = Examined> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, which holds the room that it takes.
    pub body: B,
}

impl Answered {
    /// Without what was found in it, whose memory is in no budget.
    pub fn judged(self) -> Answered<Bytes> {
        Answered { status: self.status, headers: self.headers, body: self.body.into_bytes() }
    }
}

impl Client {
    /// Sends through `connector`; holds answers within `answers`.
    #[must_use]
    pub fn new(config: Arc<Config>, connector: Connector, answers: Shares) -> Self {
        Self::of(Pool::new(&config), config, connector, answers)
    }

    /// A client for `config`, which follows; connections of the same caller to the same address are kept. Not to be
    /// called where the upstream is verified in another way than before.
    #[must_use]
    pub fn succeeded_by(&self, config: Arc<Config>, connector: Connector, answers: Shares) -> Self {
        Self::of(self.pool.succeeded_by(&self.config, &config), config, connector, answers)
    }

    fn of(pool: Pool, config: Arc<Config>, connector: Connector, answers: Shares) -> Self {
        let heads = config.endpoints.iter().map(|endpoint| Head::new(&endpoint.url, config.upstream.http));
        Self { heads: heads.collect(), pool, config, connector, answers }
    }

    /// Sends `exchange` once and reads its answer. A connection that turns out to be closed before a
    /// byte was written to it is no attempt: the request goes to another.
    ///
    /// # Errors
    ///
    /// The refusals that mean a failure beyond the gateway.
    pub async fn exchange(&self, exchange: Exchange) -> Result<Answered, Unanswered> {
        let endpoint = self.config.endpoints.get(usize::from(exchange.endpoint.0));
        let endpoint = endpoint.ok_or(Reject::Internal).map_err(unsent)?;
        let (body, keeper) = Outgoing::new(exchange.parts.clone(), Arc::clone(&exchange.sent));
        let head = self.heads.get(usize::from(exchange.endpoint.0)).ok_or(Reject::Internal);
        let request =
            head.and_then(|head| head.as_ref().map_err(|reject| *reject)).map_err(unsent)?.above(body);
        let mut used = Share::none(&self.pool, exchange.caller, exchange.endpoint);
        let ended = {
            let answering = pin!(async {
                let (connection, response) = self.send(request, &exchange, endpoint, &mut used).await?;
                Ok((self.read(response, &exchange).await?, connection))
            });
            timeout_at(exchange.deadline, answering).await
        };
        let (answered, mut connection) = ended.unwrap_or_else(|_| Err(out_of_time(&exchange)))?;
        match &mut connection {
            Connection::Http1 { sender, .. } => {
                if matches!(timeout(SETTLE, sender.ready()).await, Ok(Ok(()))) {
                    self.pool.put(exchange.caller, exchange.endpoint, connection);
                }
            }
            // Until its end the connection would keep what is left of the body, and the room that it takes.
            Connection::Http2 { .. } => {
                if timeout(SETTLE, keeper.let_go()).await.is_ok() {
                    used.settle();
                }
            }
        }
        Ok(answered)
    }

    /// Does what blocks on files on a thread of its own; where the network is simulated, on this one, because a
    /// simulation has no other. `None`: it panicked.
    pub async fn aside<T: Send + 'static>(&self, blocking: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        if self.connector.is_simulated() {
            return Some(blocking());
        }
        tokio::task::spawn_blocking(blocking).await.ok()
    }

    /// Closes idle connections for as long as the client lives, and lets go of pages that wait for the next body.
    pub async fn sweep(self: Arc<Self>) {
        let pause = (self.config.upstream.idle_timeout / 2).max(Duration::from_secs(1));
        let client = Arc::downgrade(&self);
        drop(self);
        loop {
            tokio::time::sleep(pause).await;
            let Some(client) = client.upgrade() else { return };
            client.pool.sweep();
            spares::let_go();
        }
    }

    async fn send(
        &self,
        mut request: Request<Outgoing>,
        exchange: &Exchange,
        endpoint: &Endpoint,
        used: &mut Share<'_>,
    ) -> Result<(Connection, Response<Incoming>), Unanswered> {
        let mut reused = if exchange.fresh { MAX_REUSED } else { 0 };
        loop {
            let idle =
                if reused < MAX_REUSED { self.pool.take(exchange.caller, exchange.endpoint) } else { None };
            let was_idle = idle.is_some();
            let mut connection = match idle {
                Some(connection) => connection,
                // Boxed, because most requests open none and would carry the room for it.
                None => Box::pin(self.connect(exchange, endpoint)).await.map_err(unsent)?,
            };
            used.is_of(&connection);
            match connection.send(request).await {
                Ok(response) => return Ok((connection, response)),
                // hyper gives a request back only where it had not begun with it: not a byte was written.
                Err(mut error) => match error.take_message() {
                    Some(untouched) if was_idle => {
                        reused += 1;
                        request = untouched;
                    }
                    Some(_) => return Err(unsent(Reject::UpstreamUnreachable)),
                    None => {
                        let left = if was_idle { Left::Stale } else { Left::Something };
                        return Err(Unanswered { reject: failure(error.error(), exchange.fate), left });
                    }
                },
            }
        }
    }

    async fn connect(&self, exchange: &Exchange, endpoint: &Endpoint) -> Result<Connection, Reject> {
        let connection = match self.connector.connect(&endpoint.url).await {
            // Out of descriptors: those of idle connections serve better here.
            Err(Reject::Internal) => {
                self.pool.clear();
                self.connector.connect(&endpoint.url).await?
            }
            connected => connected?,
        };
        if let Some(share) = connection.share() {
            self.pool.put(exchange.caller, exchange.endpoint, share);
        }
        Ok(connection)
    }

    async fn read(&self, response: Response<Incoming>, exchange: &Exchange) -> Result<Answered, Unanswered> {
        let (head, mut body) = response.into_parts();
        let limit = self.config.upstream.answer_limit_bytes;
        let promised = body.size_hint().exact().filter(|bytes| *bytes <= limit);
        if body.size_hint().lower() > limit || is_ambiguous(&head.headers) {
            return Err(begun(Reject::UpstreamInvalid(exchange.fate)));
        }
        let mut room = self.answers.room(exchange.caller).ok_or(Reject::Internal).map_err(begun)?;
        let mut examining = Examining::new(promised, limit, Arc::clone(&exchange.needles));
        if let Some(promised) = promised {
            // All at once: answers that each hold a part and wait for the rest would never end.
            let patience = exchange.deadline.saturating_duration_since(Instant::now());
            make_room(&mut room, promised.saturating_sub(SMALL_BYTES), patience, exchange).await?;
        }
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| begun(failure(&error, exchange.fate)))?;
            let Ok(chunk) = frame.into_data() else { continue };
            let before = examining.len_bytes();
            let after = before + chunk.len() as u64;
            if after > limit {
                return Err(begun(Reject::UpstreamInvalid(exchange.fate)));
            }
            if promised.is_none() {
                let more = after.saturating_sub(before.max(SMALL_BYTES));
                make_room(&mut room, more, self.config.data.budget_wait, exchange).await?;
            }
            examining.push(chunk);
        }
        Ok(Answered { status: head.status, headers: head.headers, body: examining.end(room) })
    }
}

async fn make_room(
    room: &mut Room,
    bytes: u64,
    patience: Duration,
    exchange: &Exchange,
) -> Result<(), Unanswered> {
    if bytes == 0 {
        return Ok(());
    }
    // Boxed, because only large answers need any, and all would carry the room for it.
    let grown = Box::pin(exchange.waits.during(room.grow(bytes, patience))).await;
    grown.map_err(|_| without_room(exchange.fate))
}

/// The deadline has come. Where the answer waits for room, it is not the upstream that took too long.
fn out_of_time(exchange: &Exchange) -> Unanswered {
    match exchange.waits.is_waiting() {
        false => begun(Reject::UpstreamTimeout(exchange.fate)),
        true => without_room(exchange.fate),
    }
}

/// It was answered, and there was no room for the answer.
fn without_room(fate: Fate) -> Unanswered {
    let reject = match fate {
        Fate::Harmless => Reject::Overloaded,
        Fate::Unknown => Reject::UpstreamTimeout(fate),
    };
    Unanswered { reject, left: Left::Answered }
}

/// Nothing of the request has left.
fn unsent(reject: Reject) -> Unanswered {
    Unanswered { reject, left: Left::Nothing }
}

/// Something of the request may have left.
fn begun(reject: Reject) -> Unanswered {
    Unanswered { reject, left: Left::Something }
}

/// What hyper's error means. Its text is never used: it may quote the answer.
fn failure(error: &hyper::Error, fate: Fate) -> Reject {
    if is_invalid(error) { Reject::UpstreamInvalid(fate) } else { Reject::UpstreamTruncated(fate) }
}

fn is_invalid(error: &hyper::Error) -> bool {
    error.is_parse() || error.is_parse_too_large() || error.is_parse_status() || breaks_framing(error)
}

/// hyper tells of a chunk that is none as it does of a broken connection, but with a kind that only rustls
/// uses, too.
fn breaks_framing(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| {
        let of_framing = matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
        of_framing && !cause.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
    })
}

/// Whether two readers could disagree on where the answer ends: a length beside a transfer coding, or another
/// coding than one `chunked` (RFC 9112, section 6.3). hyper goes on with what it makes of it.
fn is_ambiguous(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return false };
    let chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    !chunked || codings.next().is_some() || headers.contains_key(CONTENT_LENGTH)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::secret::Secret;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_put_down_to_the_upstream_where_no_room_is_waited_for() {
        for fate in [Fate::Harmless, Fate::Unknown] {
            let exchange = Exchange {
                caller: CallerId(0),
                endpoint: EndpointId(0),
                parts: [Bytes::new(), Bytes::new()],
                deadline: Instant::now(),
                fate,
                needles: Arc::new(Needles::of(&Secret::new(b"a password".to_vec()))),
                sent: Arc::default(),
                waits: Arc::default(),
                fresh: false,
            };
            assert_eq!(out_of_time(&exchange), begun(Reject::UpstreamTimeout(fate)));
            exchange.waits.during(tokio::time::sleep(SETTLE)).await;
            assert_eq!(
                out_of_time(&exchange),
                begun(Reject::UpstreamTimeout(fate)),
                "it had its room by then"
            );
            assert!(exchange.waits.during(std::future::pending::<()>()).now_or_never().is_none());
            assert_eq!(out_of_time(&exchange), without_room(fate));
        }
    }
}
