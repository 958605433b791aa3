//! What does all that was driven and found amount to?

use std::collections::BTreeMap;

use super::audit_table::Records;
use super::canary::{Canary, Mint};
use super::choices::MEMBER;
use super::judge::{Judge, prove};
use super::problem::Problem;
use super::report::{
    Act, CanaryKind, Channel, ChannelState, Configuration, EncodingProven, FaultDriven, Finding, NotCovered,
    Refusal, Replacement, Report, SchemaDigest, ServiceDriven, Verdict,
};
use super::scanner::Scanner;
use super::stand::replaced;
use super::{Played, Route};
use crate::audit::hex;
use crate::config::{Config, Recording, Validate};
use crate::reject::{self, Reject};

/// The version of the JSON form.
const FORMAT: u32 = 2;

/// Records were lost, as they were meant to be.
const RECORDS_LOST: i32 = 74;

/// What a run has left.
pub(super) struct Evidence<'a> {
    pub(super) config: &'a Config,
    pub(super) file: String,
    pub(super) time: String,
    pub(super) routes: &'a [Route],
    /// For each route, whether its sample was answered by the double, or what else the answer was.
    pub(super) forwarded: Vec<Result<(), String>>,
    pub(super) faults: Vec<FaultDriven>,
    /// Services without a route.
    pub(super) not_covered: Vec<NotCovered>,
    pub(super) played: &'a [Played],
}

impl Evidence<'_> {
    /// Searches everything for every canary.
    pub(super) fn report(mut self, mut mint: Mint) -> Result<Report, Problem> {
        let judge = Judge::new(&mint)?;
        let (mut findings, mut channels) = (Vec::new(), Vec::new());
        let judged = std::thread::scope(|threads| {
            let judge = &judge;
            let each = |played: &Played| judge.judge(played.name, &played.caught);
            let searches: Vec<_> =
                self.played.iter().map(|played| threads.spawn(move || each(played))).collect();
            searches.into_iter().map(|search| search.join().ok()).collect::<Option<Vec<_>>>()
        });
        for (found, searched) in
            judged.ok_or_else(|| Problem::Io(std::io::Error::other("the search failed")))?
        {
            findings.extend(found);
            channels.extend(searched);
        }
        let canaries = mint.planted().map(|planted| CanaryKind {
            kind: planted.canary.name.clone(),
            bytes: planted.canary.text.len(),
            allowed: planted.allowed,
        });
        let canaries = canaries.collect();
        let absent = self.absent(&mint)?;
        let encodings = prove(&mut mint, self.amid())?;
        let refusals = self.refusals();
        self.not_covered.extend(self.missing(&refusals, &encodings));
        self.not_covered.extend(absent);
        self.not_covered.extend(unsearched(&channels));
        Ok(Report {
            report: "selftest redaction",
            format: FORMAT,
            verdict: verdict(&findings, &self.not_covered),
            version: env!("CARGO_PKG_VERSION"),
            time: self.time.clone(),
            duration_ms: 0,
            configuration: Configuration { file: self.file.clone(), digest: hex(&self.config.digest) },
            schemas: self.schemas(),
            replaced: replaced(self.config).map(|(keys, by)| Replacement { keys, by }).collect(),
            findings,
            acts: self.played.iter().map(act).collect(),
            services: self.services(),
            refusals,
            faults: self.faults,
            not_covered: self.not_covered,
            channels,
            canaries,
            encodings,
        })
    }

    /// Canaries that were meant to reach DCAMS, where every service was forwarded, and did not: what was never put in
    /// cannot come out.
    fn absent(&self, mint: &Mint) -> Result<Vec<NotCovered>, Problem> {
        if !self.forwarded.iter().all(Result::is_ok) {
            return Ok(Vec::new());
        }
        let meant = mint.planted().map(|planted| &planted.canary);
        let meant = meant
            .filter(|canary| ["user", "pass"].contains(&&*canary.name) || canary.name.starts_with(MEMBER));
        let meant: Vec<&Canary> = meant.collect();
        let scanner = Scanner::new(meant.iter().copied())?;
        let hits: Vec<_> = self.played.iter().flat_map(|played| scanner.hits(&played.received)).collect();
        let absent = meant.iter().filter(|canary| hits.iter().all(|hit| hit.canary != canary.name));
        let of = |canary: &&Canary| NotCovered {
            what: format!("canary {}", canary.name),
            reason: "no request that reached the double held it".to_owned(),
            remedy: "report this as a bug of dcams-gateway".to_owned(),
        };
        Ok(if self.routes.is_empty() { Vec::new() } else { absent.map(of).collect() })
    }

    /// Real output, for the control text to stand amid.
    fn amid(&self) -> &[u8] {
        let mut channels = self.played.iter().flat_map(|played| &played.caught.channels);
        let records = ["stdout", "audit: segment 1"];
        let said = channels.find(|said| records.contains(&&*said.channel) && !said.bytes.is_empty());
        said.map_or(b"", |said| &said.bytes)
    }

    fn schemas(&self) -> Vec<SchemaDigest> {
        let of = |service: &crate::config::Service| SchemaDigest {
            service: service.name.to_string(),
            digest: hex(&service.schema.digest()),
        };
        self.config.services.iter().map(of).collect()
    }

    fn services(&self) -> Vec<ServiceDriven> {
        let of = |service: &crate::config::Service| {
            let at = self.routes.iter().position(|route| *route.service == *service.name);
            let route = at.and_then(|at| self.routes.get(at));
            ServiceDriven {
                service: service.name.to_string(),
                forwarded: at.and_then(|at| self.forwarded.get(at)).is_some_and(Result::is_ok),
                members: route.map(|route| route.sample.canaries.clone()).unwrap_or_default(),
            }
        };
        self.config.services.iter().map(of).collect()
    }

    fn refusals(&self) -> Vec<Refusal> {
        let mut met: BTreeMap<String, usize> = BTreeMap::new();
        for answer in self.played.iter().flat_map(|played| &played.caught.answers) {
            if let Some(code) = answer.code() {
                *met.entry(code).or_default() += 1;
            }
        }
        let of = |reject: &Reject| Refusal {
            code: reject.code(),
            met: met.get(reject.code()).copied().unwrap_or_default(),
            unreachable: self.unreachable(reject),
        };
        reject::every().iter().map(of).collect()
    }

    /// Why no request can meet `reject` with this configuration.
    fn unreachable(&self, reject: &Reject) -> Option<&'static str> {
        let config = self.config;
        match reject {
            Reject::Internal => Some("a fault of the gateway itself: no request is known to cause one"),
            Reject::AuditUnavailable
                if config.services.iter().all(|service| service.audit == Recording::BestEffort) =>
            {
                Some("no service waits for its records")
            }
            Reject::ServiceNotPermitted if config.services.len() < 2 => Some("there is one service only"),
            Reject::UnknownService
                if config.endpoints.iter().all(|endpoint| endpoint.service_member.is_none()) =>
            {
                Some("no endpoint has a member that names the service")
            }
            Reject::SchemaViolation(_)
                if config.services.iter().all(|service| service.validate == Validate::Report) =>
            {
                Some("every service reports violations and refuses none")
            }
            _ => None,
        }
    }

    /// What was not driven although it could have been.
    fn missing(&self, refusals: &[Refusal], encodings: &[EncodingProven]) -> Vec<NotCovered> {
        let mut missing = Vec::new();
        let mut add = |what: String, reason: String, remedy: &str| {
            missing.push(NotCovered { what, reason, remedy: remedy.to_owned() });
        };
        for (route, forwarded) in self.routes.iter().zip(&self.forwarded) {
            if let Err(code) = forwarded {
                let remedy = "give a document that the gateway forwards: --sample SERVICE=FILE";
                let reason = format!("its sample was not forwarded: {code}");
                add(format!("service {}", route.service), reason, &remedy.replace("SERVICE", &route.service));
            }
        }
        for refusal in refusals.iter().filter(|refusal| refusal.met == 0 && refusal.unreachable.is_none()) {
            let remedy = "cover every service first; else report this as a bug of dcams-gateway";
            add(format!("refusal {}", refusal.code), "it was not met".to_owned(), remedy);
        }
        for refusal in refusals.iter().filter(|refusal| refusal.code == "internal" && refusal.met > 0) {
            let reason = format!("it was met {} times, and no request may cause it", refusal.met);
            add(format!("refusal {}", refusal.code), reason, "report this as a bug of dcams-gateway");
        }
        for played in self.played {
            let exit = played.caught.exit.code();
            let lost = exit == Some(RECORDS_LOST) && played.caught.records == Records::Lost;
            if exit != Some(0) && !lost {
                let reason = match exit {
                    Some(code) => format!("its gateway ended with exit code {code}"),
                    None => "its gateway was ended by a signal".to_owned(),
                };
                add(format!("act {}", played.name), reason, "report this as a bug of dcams-gateway");
            }
        }
        let failed =
            self.played.iter().flat_map(|played| played.caught.failed.iter().map(move |it| (played, it)));
        for (played, (command, exit)) in failed {
            let reason = match exit.code() {
                Some(code) => format!("it ended with exit code {code}"),
                None => "it was ended by a signal".to_owned(),
            };
            add(format!("{command} after {}", played.name), reason, "report this as a bug of dcams-gateway");
        }
        for encoding in encodings.iter().filter(|encoding| !encoding.proven) {
            let reason =
                "the control text was not found in it, or was found where it was not planted".to_owned();
            add(format!("encoding {}", encoding.encoding), reason, "report this as a bug of dcams-gateway");
        }
        missing
    }
}

/// Channels that had nothing to search, although something was said.
fn unsearched(channels: &[Channel]) -> impl Iterator<Item = NotCovered> {
    let missing = channels.iter().filter(|channel| channel.state == ChannelState::Missing);
    missing.map(|channel| NotCovered {
        what: format!("channel {} in {}", channel.channel, channel.act),
        reason: "it has no bytes to search, and should have".to_owned(),
        remedy: if channel.channel.starts_with("process: ") {
            "run the self test where /proc shows the command lines of your own processes".to_owned()
        } else {
            "report this as a bug of dcams-gateway".to_owned()
        },
    })
}

fn verdict(findings: &[Finding], not_covered: &[NotCovered]) -> Verdict {
    match (findings, not_covered) {
        ([], []) => Verdict::Pass,
        ([], _) => Verdict::Incomplete,
        _ => Verdict::Fail,
    }
}

fn act(played: &Played) -> Act {
    let answers = played.caught.answers.iter().filter(|answer| answer.status != 0);
    let count = answers.clone().count();
    Act {
        name: played.name,
        answers: count,
        forwarded: answers.filter(|answer| !answer.is_own()).count(),
        reached: played.reached,
        unrecorded: if played.caught.records == Records::Lost { count } else { 0 },
        exit: played.caught.exit.code(),
    }
}
