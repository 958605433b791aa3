//! Is what everybody saw as it must be?

mod obedience;

use std::collections::BTreeMap;

use dcams_gateway::audit::verify::{Evidence, Verdict, verify};

use crate::CALLERS;
use crate::log::{Story, stories};
use crate::machine::{Machine, signing_key};
use crate::witness::{ATTEMPTS, Attempt, End, Facts, Received, Sent, Stop};

/// One sentence for each invariant that does not hold, and whom it concerns.
pub fn broken(facts: &Facts, machine: &Machine) -> Vec<String> {
    let audits = machine.audits();
    let stories = stories(audits.iter().map(|path| &**path));
    let mut judge = Judge { facts, stories, broken: Vec::new() };
    judge.one_outcome();
    judge.no_duplicate_write();
    judge.no_mixed_credentials();
    judge.no_unrecorded_forward();
    judge.no_false_answer();
    judge.no_false_record();
    judge.every_request_is_answered();
    judge.one_configuration();
    judge.nothing_taken_back_is_sent();
    judge.no_false_refusal();
    judge.serves_afterwards();
    judge.log_is_sound(machine);
    judge.broken
}

/// What was seen on a link that is well is at most so old.
const LATENCY_MS: u64 = 31;

struct Judge<'f> {
    facts: &'f Facts,
    stories: BTreeMap<Attempt, Story>,
    broken: Vec<String>,
}

impl Judge<'_> {
    /// A request that has an intent has one outcome, which after a crash may be `unknown`. A request that was refused
    /// before has one too, unless the gateway crashed before it was written.
    fn one_outcome(&mut self) {
        let mut broken = Vec::new();
        for (attempt, story) in &self.stories {
            let ids_agree = story
                .intents
                .iter()
                .all(|intent| story.outcomes.iter().all(|outcome| outcome.id == intent.id));
            if story.intents.len() > 1 || story.outcomes.len() > 1 || !ids_agree {
                let (intents, outcomes) = (story.intents.len(), story.outcomes.len());
                broken.push(format!(
                    "one outcome: attempt {attempt} has {intents} intents, {outcomes} outcomes"
                ));
            } else if story.outcomes.is_empty() {
                broken.push(format!("one outcome: attempt {attempt} has an intent and no outcome"));
            }
        }
        for (attempt, sent) in &self.facts.sent {
            let crashed = self.facts.crashes_ms.iter().any(|crash| *crash >= sent.at_ms);
            if matches!(sent.end, End::Answered(_)) && !crashed && !self.stories.contains_key(attempt) {
                broken.push(format!("one outcome: attempt {attempt} was answered and is not in the audit"));
            }
        }
        self.broken.append(&mut broken);
    }

    /// Each write comes to the upstream once, but for those that were told that their credentials are wrong.
    fn no_duplicate_write(&mut self) {
        let mut seen: BTreeMap<Attempt, (u64, u64)> = BTreeMap::new();
        for (attempt, received) in self.writes() {
            let (sent, executed) = seen.entry(attempt).or_default();
            *sent += u64::from(!received.rejected);
            *executed += u64::from(received.executed);
        }
        let twice = seen.iter().filter(|(_, (sent, executed))| *sent > 1 || *executed > 1);
        let said = twice.map(|(attempt, (sent, executed))| {
            format!(
                "no duplicate write: attempt {attempt} was sent {sent} times, carried out {executed} times"
            )
        });
        self.broken.extend(said.collect::<Vec<_>>());
    }

    fn no_mixed_credentials(&mut self) {
        for received in &self.facts.received {
            let incomplete = received.whole && (received.user.is_none() || received.pass.is_none());
            let mixed = received.user.zip(received.pass).is_some_and(|(user, pass)| user != pass);
            if mixed || incomplete {
                let Received { attempt, user, pass, .. } = received;
                self.broken.push(format!(
                    "no mixed credentials: {attempt:?} came with user {user:?}, pass {pass:?}"
                ));
            }
        }
    }

    /// What comes to the upstream has an intent that is durable before, and still there at the end.
    fn no_unrecorded_forward(&mut self) {
        for received in &self.facts.received {
            let Some(attempt) = received.attempt else { continue };
            let durable_ms = self.facts.durable_ms.get(&attempt);
            if durable_ms.is_none_or(|durable| *durable > received.at_ms) {
                let at = received.at_ms;
                self.broken.push(format!(
                    "no unrecorded forward: attempt {attempt} came at {at} ms, its intent was durable at {durable_ms:?}"
                ));
            }
            if self.stories.get(&attempt).is_none_or(|story| story.intents.is_empty()) {
                self.broken.push(format!(
                    "no unrecorded forward: the intent of attempt {attempt} is not in the audit"
                ));
            }
        }
    }

    /// What a caller is told of a write is true; no answer is another caller's.
    fn no_false_answer(&mut self) {
        let mut broken = Vec::new();
        for (attempt, sent) in &self.facts.sent {
            let End::Answered(answered) = &sent.end else { continue };
            // An answer that comes late cannot be told from the next one of the same caller.
            let executed = self.executed(*attempt) && !self.is_behind_extra(*attempt);
            let failed = answered.code.is_some();
            if failed && sent.is_write() && executed && !answered.unknown {
                let code = &answered.code;
                broken.push(format!(
                    "no false answer: attempt {attempt} was carried out, and answered {code:?}"
                ));
            }
            let of = answered.of.map(|of| of / ATTEMPTS);
            if of.is_some_and(|of| of != attempt / ATTEMPTS) {
                broken.push(format!("no answer crosses callers: attempt {attempt} got the answer of {of:?}"));
            }
        }
        self.broken.append(&mut broken);
    }

    /// Of what was sent the record says so, and how often.
    fn no_false_record(&mut self) {
        let mut broken = Vec::new();
        for (attempt, story) in &self.stories {
            let unsent = |name: &str| name == "not_sent";
            let claims = story.outcomes.iter().any(|outcome| unsent(&outcome.name));
            if claims && self.facts.received.iter().any(|received| received.attempt == Some(*attempt)) {
                broken.push(format!("no false record: attempt {attempt} is recorded as not sent, and was"));
            }
            let attempts: u64 = story.outcomes.iter().map(|outcome| outcome.attempts).sum();
            let whole = |received: &&Received| received.attempt == Some(*attempt);
            let came = self.facts.received.iter().filter(whole).count() as u64;
            let known = story.outcomes.iter().all(|outcome| outcome.name != "unknown");
            if known && came > attempts {
                broken.push(format!(
                    "no false record: attempt {attempt} came {came} times, recorded are {attempts}"
                ));
            }
        }
        self.broken.append(&mut broken);
    }

    /// Where nothing happens to a caller's link, its request that does not drip is answered, also by a gateway that is told to stop
    /// meanwhile, unless the gateway is killed or the time for its stop is up.
    fn every_request_is_answered(&mut self) {
        let well = |attempt: Attempt| !self.facts.rough.contains(&(attempt / ATTEMPTS));
        let broke = |sent: &Sent| matches!(sent.end, End::Broken) && !sent.dawdles;
        let all = self.facts.sent.iter().filter(|(attempt, sent)| well(**attempt) && broke(sent));
        let unexcused = all.filter(|(_, sent)| {
            let open_ms = sent.open_ms.saturating_sub(LATENCY_MS);
            let crashed = self.facts.crashes_ms.iter().any(|crash| (open_ms..=sent.ended_ms).contains(crash));
            // What is sent after its beginning may meet a connection that closes.
            let excuses = |stop: &Stop| {
                let meanwhile = stop.begun_ms <= sent.ended_ms && stop.ended_ms >= open_ms;
                meanwhile && (stop.cut || sent.at_ms > stop.begun_ms)
            };
            !crashed && !self.facts.stops.iter().any(excuses)
        });
        let said = unexcused.map(|(attempt, sent)| {
            format!(
                "every request is answered: the connection of attempt {attempt} broke at {}",
                sent.ended_ms
            )
        });
        self.broken.extend(said.collect::<Vec<_>>());
    }

    /// When all is well again, a gateway that starts serves.
    fn serves_afterwards(&mut self) {
        for attempt in [CALLERS * ATTEMPTS, CALLERS * ATTEMPTS + 1] {
            let Some(Sent { end: End::Answered(answered), .. }) = self.facts.sent.get(&attempt) else {
                self.broken.push(format!("it serves afterwards: {attempt} has no answer"));
                continue;
            };
            if answered.status != 200 || answered.of != Some(attempt) {
                self.broken.push(format!("it serves afterwards: {answered:?}"));
            }
        }
        let stuck = self.facts.events.get("stuck");
        if stuck.is_some() {
            self.broken.push("it serves afterwards: what was in progress did not come to its end".to_owned());
        }
    }

    fn log_is_sound(&mut self, machine: &Machine) {
        let keys = vec![signing_key().public()];
        let evidence = Evidence { keys, chain_key: None, checkpoints: Vec::new() };
        let report = verify(&machine.audit(), &evidence, &mut |_, _| {}).unwrap();
        if report.verdict != Verdict::Clean {
            self.broken.push(format!("the log is sound: {:?} {:?}", report.verdict, report.findings));
        }
    }

    fn writes(&self) -> impl Iterator<Item = (Attempt, &Received)> {
        self.facts.received.iter().filter_map(|received| {
            let attempt = received.attempt?;
            self.facts.sent.get(&attempt)?.is_write().then_some((attempt, received))
        })
    }

    fn is_behind_extra(&self, attempt: Attempt) -> bool {
        let mut received = self.facts.received.iter();
        received.any(|received| received.attempt == Some(attempt) && received.behind_extra)
    }

    fn executed(&self, attempt: Attempt) -> bool {
        self.facts.received.iter().any(|received| received.attempt == Some(attempt) && received.executed)
    }
}
