//! What must be true of every fault?

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use dcams_gateway::simulate::{Fault, Settings};
use serde_json::Value;

use super::certificates::{Shown, roots};
use super::names::{Answer as Named, Names};
use super::peer::{Door, Manner, Peer};
use super::script::Step;
use crate::harness::{Answer, GET_STATUS, Gateway, KYC_API, PATH, Setup, UPDATE_STATUS, Upstream, wait_for};

/// One fault, and what callers are told.
pub struct Row {
    pub name: String,
    pub upstream: Place,
    /// Codes that a read may be answered, with ` | ` between them; `success` where DCAMS's own answer is passed on.
    pub read: String,
    /// The same of a write; a code is followed by ` unknown` where the problem must say `outcome: unknown`.
    pub write: String,
    /// Whether the gateway is set up to give up after seconds: the fault is that nothing comes.
    pub hurried: bool,
}

/// Where the fault is.
pub enum Place {
    /// The double of DCAMS, HTTP/1.1.
    Double(Fault),
    /// The double, HTTP/2.
    Double2(Fault),
    /// What becomes of a SYN.
    Door(Door),
    Certificate(Shown),
    /// A peer with a good certificate.
    Peer(Vec<Step>),
    /// The same with HTTP/2.
    Peer2(Vec<Step>),
    /// What is said of the name; peers at 127.0.0.1 are well, at 127.0.0.2 a black hole, elsewhere there are none.
    Names(Named),
}

/// A gateway before what is at fault.
struct Scene {
    // Dropped first: its end must not look like a fault of the upstream.
    gateway: Gateway,
    beyond: Beyond,
}

enum Beyond {
    Double(Upstream),
    Peer(Peer),
    Names { names: Names, peer: Peer, _dead: Peer },
}

impl Row {
    /// Meets the fault with a read and a write, heals it, and looks for what is left of it.
    pub fn check(&self) {
        let mut scene = self.scene();
        let open = scene.gateway.connections();
        let read = scene.post(GET_STATUS);
        scene.is_as_told(&read, &self.read, "read");
        let write = scene.post(UPDATE_STATUS);
        scene.is_as_told(&write, &self.write, "write");
        scene.beyond.heal();
        // The caller has one slot. It is free at once, but for a write that is still seen through.
        let healed = wait_for("a free slot", || {
            let answer = scene.post(GET_STATUS);
            let waits = has_begun(&write) && answer.status == 429;
            (!waits).then_some(answer)
        });
        assert_eq!((healed.status, &healed.json()["result"]), (200, &"Success".into()), "{}", healed.text());
        assert!(scene.beyond.has_seen(), "the peer sees requests, where it is sent some");
        scene.has_nothing_left(open);
    }

    fn scene(&self) -> Scene {
        let manner = |shown, steps: &[Step]| Manner { shown, steps: Some(steps.into()) };
        let peer = |door, manner: &Manner, alpn| {
            let peer = Peer::start(door, manner, alpn);
            let url = format!("https://localhost:{}{PATH}", peer.address().port());
            (set_up(&url), Beyond::Peer(peer))
        };
        const HTTP1: &[u8] = b"http/1.1";
        let fault = match self.upstream {
            Place::Double(fault) | Place::Double2(fault) => fault,
            _ => Fault::None,
        };
        let (setup, beyond) = match &self.upstream {
            Place::Double(_) | Place::Double2(_) => {
                let upstream = Upstream::start();
                (Setup::before(&upstream), Beyond::Double(upstream))
            }
            Place::Door(door) => peer(*door, &manner(Shown::Good, &[]), HTTP1),
            Place::Certificate(shown) => peer(Door::Open, &manner(*shown, &[Step::ReadRequest]), HTTP1),
            Place::Peer(steps) => peer(Door::Open, &manner(Shown::Good, steps), HTTP1),
            Place::Peer2(steps) => peer(Door::Open, &manner(Shown::Good, steps), b"h2"),
            Place::Names(answer) => {
                let good = Manner { shown: Shown::Good, steps: None };
                let peer = Peer::start(Door::Open, &good, HTTP1);
                let port = peer.address().port();
                let second = SocketAddr::from(([127, 0, 0, 2], port));
                let dead = Peer::start_at(second, Door::BlackHole, &good, HTTP1);
                let names = Names::start(answer.clone());
                let setup = set_up(&format!("https://dcams.test:{port}{PATH}")).names_server(names.address());
                (setup, Beyond::Names { names, peer, _dead: dead })
            }
        };
        let http =
            if matches!(self.upstream, Place::Double2(_) | Place::Peer2(_)) { "\"2\"" } else { "\"1.1\"" };
        let (connect, deadline) = if self.hurried { ("2s", "3s") } else { ("10s", "20s") };
        let setup = setup
            .set("upstream.http", http)
            .set("upstream.connect_timeout", connect)
            .set("endpoints.storage.deadline", deadline)
            .set("upstream.answer_limit", "256KiB")
            .set("callers.kyc-api.max_requests", "1");
        let scene = Scene { gateway: setup.start(), beyond };
        if let Beyond::Double(upstream) = &scene.beyond {
            assert_eq!(scene.post(CUSTOMER).status, 200);
            upstream.inject(fault);
            upstream.forget_received();
        }
        scene
    }
}

/// Whom the double must know before it can tell of her.
const CUSTOMER: &str = r#"{"service":"createOrUpdateCustomer","target":{"email":"jane@example.com"}}"#;

fn set_up(url: &str) -> Setup {
    let settings = Settings::default();
    Setup::before_url(url)
        .file("upstream-ca.pem", roots())
        .file("user", settings.user)
        .file("pass", settings.pass)
}

/// What an answer is in the table.
fn told(answer: &Answer) -> String {
    let body = answer.json();
    match (body["code"].as_str(), body["outcome"].as_str()) {
        (Some(code), Some(outcome)) => format!("{code} {outcome}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => "success".to_owned(),
    }
}

fn has_begun(write: &Answer) -> bool {
    told(write) == "upstream_timeout unknown"
}

impl Scene {
    fn post(&self, body: &str) -> Answer {
        self.gateway.post(KYC_API, body)
    }

    /// The answer is one of `expected`, its one record says the same, and nothing was sent where it says so.
    fn is_as_told(&self, answer: &Answer, expected: &str, effect: &str) {
        let told = told(answer);
        assert!(expected.split(" | ").any(|code| code == told), "a {effect} is {told}: {}", answer.text());
        let record = self.gateway.record_of(answer);
        let records = self.gateway.outcomes();
        assert_eq!(records.iter().filter(|other| other["id"] == record["id"]).count(), 1, "{records:?}");
        if told == "success" {
            assert_eq!(record["outcome"], "forwarded", "{record}");
            assert_eq!(answer.json()["result"], "Success");
        } else {
            let code = answer.json()["code"].clone();
            assert_eq!((&record["outcome"], &record["code"]), (&Value::from("refused"), &code), "{record}");
            assert!(!answer.text().contains("jane@example.com") && answer.status >= 500);
        }
        let unknown = record["upstream"]["outcome_unknown"] == true;
        assert_eq!(unknown, told.ends_with(" unknown"), "{record}");
        let seen = self.beyond.take_seen();
        let is_sent = !matches!(&*told, "upstream_unreachable" | "upstream_tls");
        assert!(
            is_sent || seen.is_empty(),
            "{told}, and the peer has seen {}",
            String::from_utf8_lossy(&seen)
        );
        if effect == "write" && told != "success" && !unknown {
            let begun = memchr::memmem::find(&seen, b"updateStatus").is_some();
            assert!(!begun, "{told}, and it may have happened");
        }
    }

    /// No request, no byte of a budget and no descriptor is kept for what is over.
    fn has_nothing_left(&self, open: usize) {
        for gauge in [
            "dcams_gateway_requests_in_progress",
            "dcams_gateway_memory_bytes{kind=\"bodies\"}",
            "dcams_gateway_memory_bytes{kind=\"answers\"}",
        ] {
            wait_for(gauge, || (self.gateway.metric(gauge) == Some(0.0)).then_some(()));
        }
        // One connection is idle, for the next request: a socket, and a second handle on it.
        wait_for("connections to be closed", || (self.gateway.connections() <= open + 2).then_some(()));
        assert_eq!(self.gateway.operators("/livez").status, 200);
        let mut codes: BTreeMap<String, usize> = BTreeMap::new();
        for line in self.gateway.outcomes() {
            assert!(line["outcome"] != "abandoned", "{line}");
            *codes.entry(line["id"].to_string()).or_default() += 1;
        }
        assert!(codes.values().all(|count| *count == 1), "{codes:?}");
        let log = self.gateway.stderr();
        assert!(!log.contains("panicked") && !log.contains("jane@example.com"), "{log}");
    }
}

impl Beyond {
    fn heal(&mut self) {
        match self {
            Self::Double(upstream) => upstream.inject(Fault::None),
            Self::Peer(peer) => peer.heal(),
            Self::Names { names, .. } => names.answer(Named::Addresses(vec![Ipv4Addr::LOCALHOST])),
        }
    }

    /// What came out of TLS since the last call.
    fn take_seen(&self) -> Vec<u8> {
        match self {
            Self::Double(upstream) => {
                let seen = upstream.received();
                upstream.forget_received();
                seen.iter().flat_map(|request| [&request.head[..], &request.body[..]].concat()).collect()
            }
            Self::Peer(peer) | Self::Names { peer, .. } => peer.take_seen(),
        }
    }

    fn has_seen(&self) -> bool {
        memchr::memmem::find(&self.take_seen(), b"getStatus").is_some()
    }
}
