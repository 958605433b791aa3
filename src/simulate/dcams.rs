//! What happens to one request?

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, Request, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::answer::Answer;
use super::control::{PREFIX, control};
use super::fault::Fault;
use super::plan::Plan;
use super::script::Step;
use super::spoil::{Delivery, html, spoil};
use super::storage::{Failure, FailureStyle, Storage, text};
use super::wire::Tap;
use super::witness::{Received, Witness};

/// Longer bodies are answered 413.
pub const LONGEST_BODY: usize = 80 * 1024 * 1024;

/// A user and a password.
pub(super) type Pair = (String, String);

/// What all connections of one double share.
pub(super) struct Dcams {
    pub(super) path: String,
    pub(super) style: FailureStyle,
    /// What is accepted; the last of them is what the account has.
    pub(super) credentials: Mutex<Vec<Pair>>,
    /// What was sent since the start, accepted or not.
    pub(super) seen: Mutex<BTreeSet<Pair>>,
    pub(super) storage: Storage,
    pub(super) plan: Plan,
    pub(super) witness: Arc<Witness>,
}

impl Dcams {
    pub(super) fn accept(&self, user: String, pass: String) {
        *self.credentials() = vec![(user, pass)];
    }

    pub(super) fn accept_also(&self, user: String, pass: String) {
        self.credentials().push((user, pass));
    }

    pub(super) fn pairs_seen(&self) -> BTreeSet<Pair> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn credentials(&self) -> MutexGuard<'_, Vec<Pair>> {
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers `request`, which came on connection number `connection`.
    pub(super) async fn answer(&self, request: Request<Incoming>, tap: &Tap, connection: u64) -> Delivery {
        let (head, mut body) = request.into_parts();
        if let Some(what) = head.uri.path().strip_prefix(PREFIX) {
            let order = body.collect().await.map(|order| order.to_bytes()).unwrap_or_default();
            return Delivery::Proper(control(self, &head.method, what, &order).into_response());
        }
        let fault = self.plan.take_for_request();
        let mut arrival = self.witness.head_arrived(Received {
            number: 0,
            connection,
            version: head.version,
            method: head.method.clone(),
            target: head.uri.path_and_query().map(|target| target.as_str().to_owned()).unwrap_or_default(),
            headers: head.headers,
            head: tap.head().filter(|_| head.version != Version::HTTP_2).unwrap_or_default(),
            body: bytes::Bytes::new(),
            complete: false,
        });
        match fault {
            // The body is kept, unread: dropping it would make hyper close the connection.
            Fault::HangBeforeRead | Fault::HangOnAccept => {
                let _unread = (body, arrival);
                return std::future::pending().await;
            }
            Fault::EarlyHtml { status } => {
                return Delivery::Proper(
                    html(StatusCode::from_u16(status).unwrap_or_default()).into_response(),
                );
            }
            Fault::ResetOnAccept => return Delivery::Scripted(vec![Step::Reset]),
            _ => {}
        }
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return given_up(head.version) };
            if let Some(bytes) = frame.data_ref() {
                arrival.extend(bytes);
            }
            if arrival.length() > LONGEST_BODY {
                return Delivery::Proper(html(StatusCode::PAYLOAD_TOO_LARGE).into_response());
            }
        }
        let body = arrival.complete();

        let answer = if head.uri.path() != self.path {
            html(StatusCode::NOT_FOUND)
        } else if head.method != Method::POST {
            html(StatusCode::METHOD_NOT_ALLOWED)
        } else {
            self.carry_out(&body, fault)
        };
        self.wait(fault).await;
        if fault == Fault::HangAfterRead {
            return Delivery::Never;
        }
        let pass = self.credentials().last().map(|(_, pass)| pass.clone()).unwrap_or_default();
        spoil(answer, fault, &pass, head.version)
    }

    fn carry_out(&self, body: &[u8], fault: Fault) -> Answer {
        // As PHP's json_decode does, this reads the last of equal names; what it cannot read is null.
        let request: Value = std::str::from_utf8(body)
            .ok()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        if fault == Fault::RejectCredential || !self.accepts(&request) {
            return Failure::WrongCredentials.answer(self.style);
        }
        self.storage.serve(&request).unwrap_or_else(|failure| failure.answer(self.style))
    }

    fn accepts(&self, request: &Value) -> bool {
        let (Some(user), Some(pass)) = (text(request, "user"), text(request, "pass")) else { return false };
        let pair = (user.to_owned(), pass.to_owned());
        let accepted = self.credentials().contains(&pair);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(pair);
        accepted
    }

    async fn wait(&self, fault: Fault) {
        let latency =
            self.plan.latency() + if let Fault::Latency(more) = fault { more } else { Default::default() };
        // Even a sleep of zero waits for the timer's next millisecond.
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }
}

/// The sender stopped within its body: there is nobody to answer. On HTTP/2 hyper drops the stream by itself.
fn given_up(version: Version) -> Delivery {
    if version == Version::HTTP_2 { Delivery::Never } else { Delivery::Scripted(vec![Step::CloseCleanly]) }
}
