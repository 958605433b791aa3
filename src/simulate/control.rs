//! How is a running double told what to do, and asked what it saw?
//!
//! | request | body | does |
//! |---|---|---|
//! | `GET /control/state` | | fault, queue, latency, customers, counts, as JSON |
//! | `POST /control/fault` | `truncate:100`, or `once truncate:100` | the standing fault, or one for the next request |
//! | `POST /control/latency` | `50ms` | the wait before every answer |
//! | `POST /control/credentials` | `{"user":"…","pass":"…"}` | what is accepted from now on |
//! | `POST /control/keep` | `on`, `off` | whether requests are kept |
//! | `GET /control/received` | | the kept requests, as JSON; `head` and `body` are base64 |
//! | `DELETE /control/received` | | forgets them |
//! | `DELETE /control/customers` | | forgets the customers |
//!
//! No fault strikes a control request, unless it strikes on acceptance of its connection: order such a one with
//! `once`, or keep the control connection open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::answer::Answer;
use super::dcams::Dcams;
use super::duration::{parse_duration, show_duration};
use super::fault::Fault;
use super::spoil::html;
use super::storage::text;
use super::witness::Received;

/// Where control requests begin.
pub(super) const PREFIX: &str = "/control/";

/// Answers one control request; `what` is the path after [`PREFIX`].
pub(super) fn control(dcams: &Dcams, method: &Method, what: &str, body: &[u8]) -> Answer {
    let order = String::from_utf8_lossy(body);
    match (method, what) {
        (&Method::GET, "state") => json(&state(dcams)),
        (&Method::GET, "received") => {
            json(&Value::Array(dcams.witness.received().iter().map(show).collect()))
        }
        (&Method::DELETE, "received") => {
            dcams.witness.forget();
            done()
        }
        (&Method::DELETE, "customers") => {
            dcams.storage.forget();
            done()
        }
        (&Method::POST, "fault") => order_fault(dcams, order.trim()),
        (&Method::POST, "latency") => match parse_duration(&order) {
            Some(latency) => {
                dcams.plan.delay(latency);
                done()
            }
            None => wrong("a latency is a duration such as 50ms"),
        },
        (&Method::POST, "credentials") => {
            let wanted: Option<Value> = serde_json::from_str(&order).ok();
            let pair =
                wanted.as_ref().and_then(|wanted| Some((text(wanted, "user")?, text(wanted, "pass")?)));
            let Some((user, pass)) = pair else {
                return wrong("credentials are {\"user\":…,\"pass\":…}");
            };
            dcams.accept(user.to_owned(), pass.to_owned());
            done()
        }
        (&Method::POST, "keep") => match order.trim() {
            "on" => {
                dcams.witness.keep(true);
                done()
            }
            "off" => {
                dcams.witness.keep(false);
                done()
            }
            _ => wrong("keep is on or off"),
        },
        _ => html(StatusCode::NOT_FOUND),
    }
}

fn order_fault(dcams: &Dcams, order: &str) -> Answer {
    let (once, name) = match order.strip_prefix("once ") {
        Some(name) => (true, name),
        None => (false, order),
    };
    match Fault::parse(name) {
        Ok(fault) if once => dcams.plan.queue(fault),
        Ok(fault) => dcams.plan.stand(fault),
        Err(unknown) => return wrong(&unknown.to_string()),
    }
    done()
}

fn state(dcams: &Dcams) -> Value {
    let (standing, once) = dcams.plan.pending();
    let once: Vec<String> = once.iter().map(ToString::to_string).collect();
    let counts = dcams.witness.counts();
    json!({
        "fault": standing.to_string(),
        "once": once,
        "latency": show_duration(dcams.plan.latency()),
        "customers": dcams.storage.customers(),
        "keeps": dcams.witness.keeps(),
        "connections": counts.connections,
        "handshakes": counts.handshakes,
        "failed_handshakes": counts.failed_handshakes,
        "requests": counts.requests,
        "bytes": counts.bytes,
    })
}

fn show(received: &Received) -> Value {
    let headers: Vec<Value> = received
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    json!({
        "number": received.number,
        "connection": received.connection,
        "version": format!("{:?}", received.version),
        "method": received.method.as_str(),
        "target": received.target,
        "headers": headers,
        "head": STANDARD.encode(&received.head),
        "body": STANDARD.encode(&received.body),
        "complete": received.complete,
    })
}

fn json(value: &Value) -> Answer {
    Answer::json(StatusCode::OK, value.to_string())
}

fn done() -> Answer {
    Answer::labelled(StatusCode::OK, "text/plain", Bytes::from_static(b"done\n"))
}

fn wrong(why: &str) -> Answer {
    Answer::labelled(StatusCode::BAD_REQUEST, "text/plain", Bytes::from(format!("{why}\n")))
}
