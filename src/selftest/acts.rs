//! What is the gateway made to do?
//!
//! Each act has a gateway of its own, so that what one act breaks is whole in the next.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use toml::Table;

use super::answer::Answer;
use super::answers::{Scripted, hostile_answers};
use super::audit_table::Records;
use super::bodies::{malformed, violating};
use super::canary::{Allowed, LENGTH, Mint};
use super::child::{Caught, Gateway, read_all, wait_for};
use super::folder::Folder;
use super::heads::heads;
use super::problem::Problem;
use super::report::FaultDriven;
use super::route::{Route, post};
use super::stand::{Added, Secrets, Stand};
use super::upstream::{Stranger, Upstream};
use crate::config::{Config, Recording, Source};
use crate::reject::{Fate, Reject};
use crate::simulate::Fault;

/// So many requests at once: some must time out, and waiting for them side by side is shorter.
const SIDE_BY_SIDE: usize = 8;

/// A run that takes longer, many times as long as it should, is given up.
const LONGEST: Duration = Duration::from_secs(600);

/// What all acts need.
pub(super) struct Stage<'a> {
    pub(super) config: &'a Config,
    pub(super) source: &'a Source,
    pub(super) effective: &'a Table,
    pub(super) secrets: &'a Secrets,
    pub(super) added: &'a Added,
    pub(super) routes: &'a [Route],
    pub(super) binary: &'a Path,
    pub(super) progress: &'a (dyn Fn(&str) + Sync),
    pub(super) interrupted: &'a AtomicBool,
    pub(super) begun: Instant,
}

/// An act that is over.
pub(super) struct Played {
    pub(super) name: &'static str,
    pub(super) caught: Caught,
    /// Requests that reached the double.
    pub(super) reached: u64,
    /// The bodies of those that were kept.
    pub(super) received: Vec<u8>,
}

/// Whether `answer` is DCAMS's own, or what else it is.
fn answered_by_dcams(answer: &Answer) -> Result<(), String> {
    if answer.status != 0 && !answer.is_own() {
        return Ok(());
    }
    Err(answer.code().unwrap_or_else(|| format!("status {}", answer.status)))
}

impl Stage<'_> {
    fn host(&self) -> &str {
        self.config.data.hosts.first().map_or("localhost", |host| host)
    }

    fn start(
        &self,
        act: &'static str,
        url: &str,
        authority: &str,
        records: Records,
        scarce: bool,
    ) -> Result<Gateway, Problem> {
        self.go_on()?;
        (self.progress)(act);
        let folder = Folder::new("selftest")?;
        let Self { config, source, effective, secrets, added, .. } = *self;
        let stand = Stand { config, source, effective, secrets, added, url, authority, records, scarce };
        stand.set_up(folder.path())?;
        Gateway::start(act, self.binary, folder, self.host(), records)
    }

    fn go_on(&self) -> Result<(), Problem> {
        if self.interrupted.load(Ordering::Relaxed) {
            Err(Problem::Interrupted)
        } else if self.begun.elapsed() > LONGEST {
            Err(Problem::Patience("the end of all acts"))
        } else {
            Ok(())
        }
    }

    /// Sends every one of `requests`, several at once.
    fn send_all(&self, gateway: &Gateway, requests: &[Vec<u8>]) -> Result<(), Problem> {
        let next = AtomicUsize::new(0);
        thread::scope(|threads| {
            for _ in 0..SIDE_BY_SIDE.min(requests.len()) {
                threads.spawn(|| {
                    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed))
                        && self.go_on().is_ok()
                    {
                        gateway.send(request);
                    }
                });
            }
        });
        self.go_on()
    }

    /// Good requests and every kind of wrong one. Says which services were answered by the double, or what else
    /// the answer was.
    pub(super) fn requests(&self, mint: &mut Mint) -> Result<(Played, Vec<Result<(), String>>), Problem> {
        let act = "requests";
        let upstream = Upstream::start(self.secrets)?;
        let double = upstream.double();
        let gateway = self.start(act, &upstream.url(), double.ca_pem(), Records::of(self.config), false)?;
        let host = gateway.host().to_owned();
        let mut forwarded = Vec::new();
        for route in self.routes {
            // Once more where a busy machine was slower than the deadline of this test.
            let mut outcome = Err(String::new());
            for _ in 0..3 {
                let answer = gateway.send(&route.request(&host));
                outcome = answered_by_dcams(&answer);
                if !matches!(&outcome, Err(code) if code == Reject::UpstreamTimeout(Fate::Unknown).code()) {
                    break;
                }
            }
            forwarded.push(outcome);
        }
        if let Some(lead) = self.routes.first() {
            let mut requests = heads(lead, &host, mint);
            requests.extend(malformed(lead, &host, mint));
            for route in self.routes {
                requests.extend(violating(route, &host, mint));
                let narrow = self.secrets.key(&self.added.narrow);
                requests.push(post(&host, &route.path, narrow, "", route.sample.body.to_string().as_bytes()));
            }
            let limited = self.secrets.key(&self.added.limited);
            let body = lead.sample.body.to_string();
            requests.extend((0..4).map(|_| post(&host, &lead.path, limited, "", body.as_bytes())));
            self.send_all(&gateway, &requests)?;
            for _ in 0..4 {
                gateway.send(&post(&host, &lead.path, limited, "", body.as_bytes()));
            }
        }
        let reached = double.counts().requests;
        let received = double.received().into_iter().flat_map(|request| request.body).collect();
        Ok((Played { name: act, caught: gateway.end()?, reached, received }, forwarded))
    }

    /// Every fault of the double, for every service.
    pub(super) fn faults(&self) -> Result<(Played, Vec<FaultDriven>), Problem> {
        let act = "faults";
        let upstream = Upstream::start(self.secrets)?;
        let double = upstream.double();
        let gateway = self.start(act, &upstream.url(), double.ca_pem(), Records::of(self.config), false)?;
        let host = gateway.host().to_owned();
        let requests: Vec<Vec<u8>> = self.routes.iter().map(|route| route.request(&host)).collect();
        let mut faults: Vec<Fault> = Fault::examples().collect();
        // After it the credentials are suspended, and after those that strike a connection none is left to strike.
        faults.sort_by_key(|fault| (*fault == Fault::RejectCredential, !fault.strikes_on_accept()));
        let mut driven = Vec::new();
        for (index, fault) in faults.iter().enumerate().filter(|_| !requests.is_empty()) {
            (self.progress)(&format!("{act}: {} of {}, {fault}", index + 1, faults.len()));
            double.inject(*fault);
            let before = double.counts();
            let mut sent = 0;
            // Once more where the double was still busy with the answer before, which may go out byte by byte.
            wait_for("a fault to strike", || {
                sent += requests.len();
                let stopped = self.send_all(&gateway, &requests).is_err();
                let now = double.counts();
                let connected = fault.strikes_on_accept() && now.connections > before.connections;
                (stopped || connected || now.requests > before.requests).then_some(())
            })?;
            self.go_on()?;
            driven.push(FaultDriven { fault: fault.to_string(), requests: sent });
        }
        double.inject(Fault::None);
        self.send_all(&gateway, &requests)?;
        let reached = double.counts().requests;
        Ok((Played { name: act, caught: gateway.end()?, reached, received: Vec::new() }, driven))
    }

    /// An upstream that says anything, canaries in every part of it.
    pub(super) fn answers(&self, mint: &mut Mint) -> Result<Played, Problem> {
        let act = "hostile answers";
        let scripted = Scripted::start()?;
        let answers = hostile_answers(&mut |name| {
            let name = format!("answer: {name}");
            let text = mint.reserve(&name, |mint| mint.letters(LENGTH));
            // What passes as DCAMS's own answer goes to who asked.
            mint.plant(&name, &text, Allowed::ForwardedBodies);
            text
        });
        let url = format!("http://{}/", scripted.address());
        let gateway = self.start(act, &url, "", Records::of(self.config), false)?;
        for answer in answers.iter().filter(|_| !self.routes.is_empty()) {
            self.go_on()?;
            for route in self.routes {
                scripted.next(answer);
                gateway.send(&route.request(gateway.host()));
            }
        }
        Ok(Played { name: act, caught: gateway.end()?, reached: 0, received: Vec::new() })
    }

    /// An upstream that is not DCAMS, and none at all.
    pub(super) fn no_upstream(&self, mint: &mut Mint) -> Result<Played, Problem> {
        let act = "no upstream";
        let stranger = Stranger::start(mint.fresh("answer to a handshake"))?;
        // Any authority will do: no certificate will be shown.
        let authority = Upstream::start(self.secrets)?.double().ca_pem().to_owned();
        let gateway = self.start(act, &stranger.url(), &authority, Records::of(self.config), false)?;
        let requests: Vec<Vec<u8>> = self.routes.iter().map(|route| route.request(gateway.host())).collect();
        self.send_all(&gateway, &requests)?;
        drop(stranger);
        self.send_all(&gateway, &requests)?;
        Ok(Played { name: act, caught: gateway.end()?, reached: 0, received: Vec::new() })
    }

    /// One place for all requests, an upstream that may fail once, and then the end.
    pub(super) fn scarcity(&self) -> Result<Played, Problem> {
        let act = "scarcity";
        let upstream = Upstream::start(self.secrets)?;
        let double = upstream.double();
        let gateway = self.start(act, &upstream.url(), double.ca_pem(), Records::of(self.config), true)?;
        if let Some(lead) = self.routes.first() {
            let request = lead.request(gateway.host());
            self.crowded(&gateway, &request)?;
            double.inject(Fault::Html { status: 503 });
            wait_for("a refusal after failures", || {
                gateway.send(&request);
                gateway.has_answered("upstream_suspended").then_some(())
            })?;
            double.inject(Fault::None);
            self.stopping(&gateway, &request)?;
        }
        let reached = double.counts().requests;
        Ok(Played { name: act, caught: gateway.end()?, reached, received: Vec::new() })
    }

    /// Records that cannot be written: no more requests than show it, because none of them leaves a record to search.
    pub(super) fn lost_records(&self) -> Result<Played, Problem> {
        let act = "lost records";
        let upstream = Upstream::start(self.secrets)?;
        let double = upstream.double();
        let gateway = self.start(act, &upstream.url(), double.ca_pem(), Records::Lost, false)?;
        if let Some(route) = self.routes.iter().find(|route| self.waits_for_records(route)) {
            let request = route.request(gateway.host());
            wait_for("a refusal over the audit", || {
                gateway.send(&request);
                gateway.has_answered("audit_unavailable").then_some(())
            })?;
        }
        let reached = double.counts().requests;
        Ok(Played { name: act, caught: gateway.end()?, reached, received: Vec::new() })
    }

    /// Whether nothing is forwarded to the service before the record of the intent is durable.
    fn waits_for_records(&self, route: &Route) -> bool {
        let mut services = self.config.services.iter();
        services.any(|service| *service.name == *route.service && service.audit == Recording::Required)
    }

    /// A body that does not come keeps the only place, again and again until somebody else was refused for it.
    fn crowded(&self, gateway: &Gateway, request: &[u8]) -> Result<(), Problem> {
        let half = request.get(..request.len().saturating_sub(10)).unwrap_or_default();
        let met = AtomicBool::new(false);
        thread::scope(|threads| {
            threads.spawn(|| {
                while !met.load(Ordering::Relaxed) {
                    gateway.send(half);
                }
            });
            let waited = wait_for("a refusal for want of room", || {
                gateway.send(request);
                gateway.has_answered("overloaded").then_some(())
            });
            met.store(true, Ordering::Relaxed);
            waited
        })
    }

    /// A request whose head was begun before the end, and is finished after it.
    fn stopping(&self, gateway: &Gateway, request: &[u8]) -> Result<(), Problem> {
        let mut late = gateway.connect()?;
        let (begin, rest) = request.split_at(request.len().min(40));
        late.write_all(begin)?;
        // The one worker takes connections in turn: when this is answered, it has read the beginning.
        gateway.send(request);
        gateway.look_as_operator();
        gateway.ask_to_stop();
        let draining = wait_for("the drain", || {
            Some(gateway.operators("/readyz")).filter(|bytes| bytes.ends_with(b"draining\n"))
        })?;
        gateway.see("/readyz at the end", draining);
        late.write_all(rest)?;
        gateway.take(&read_all(&mut late));
        Ok(())
    }
}
