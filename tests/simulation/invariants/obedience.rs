//! Was each request judged by one configuration, and by one that was in force?

use super::Judge;
use crate::dcams::SECOND;
use crate::log::{Said, Story};
use crate::witness::{ATTEMPTS, Attempt, End, Sent};
use crate::{CALLERS, name_of};

/// What was permitted a moment ago may still be sent when a connection was opened for it, which takes so long at most.
const CONNECTING_MS: u64 = 150;

impl Judge<'_> {
    /// A request has one configuration in all of its lines, which was in force while it was there; and who asked, what
    /// for, and the account that it is sent with, are as that configuration says.
    pub(super) fn one_configuration(&mut self) {
        let mut broken = Vec::new();
        for (attempt, story) in &self.stories {
            let Some(sent) = self.facts.sent.get(attempt) else { continue };
            let mut say = |what: &str| broken.push(format!("one configuration: attempt {attempt} {what}"));
            let outcomes = story.outcomes.iter().filter(|outcome| outcome.name != "unknown");
            let said = story.intents.iter().map(|intent| &intent.said);
            let said: Vec<&Said> = said.chain(outcomes.map(|outcome| &outcome.said)).collect();
            if said.windows(2).any(|two| two[0].config != two[1].config) {
                say("is recorded with two");
            }
            let name = name_of(attempt / ATTEMPTS % CALLERS);
            if said.iter().any(|said| said.caller.as_ref().is_some_and(|caller| *caller != name)) {
                say("is recorded as another caller's");
            }
            if said.iter().any(|said| said.service.as_ref().is_some_and(|service| *service != sent.service)) {
                say("is recorded as for another service");
            }
            if let Some(fault) = said.first().and_then(|said| self.disobeys(*attempt, sent, story, said)) {
                say(fault);
            }
        }
        if self.facts.events.contains_key("wrong reload") {
            broken.push("one configuration: a sound one was refused, or a faulty one was not".to_owned());
        }
        self.broken.append(&mut broken);
    }

    fn disobeys(&self, attempt: Attempt, sent: &Sent, story: &Story, said: &Said) -> Option<&'static str> {
        let config = said.config.as_ref()?;
        // What its caller left behind may arrive later.
        let until_ms = if matches!(sent.end, End::Answered(_)) { sent.ended_ms } else { u64::MAX };
        let mut in_force = self.facts.in_force(sent.at_ms, until_ms);
        let Some(known) = in_force.find(|known| known.digest == *config) else {
            return Some("is recorded with a configuration that was not in force");
        };
        let (caller, rules) = (attempt / ATTEMPTS, &known.rules);
        if !story.intents.is_empty() && !rules.permits(caller, sent.service) {
            return Some("has an intent, and its configuration does not permit it");
        }
        let account = if rules.uses_second(caller) { "second" } else { "production" };
        let mut recorded = story.outcomes.iter().filter_map(|outcome| outcome.credential.as_ref());
        if recorded.any(|credential| credential != account) {
            return Some("is recorded with the credentials of another account");
        }
        let mut came = self.facts.received.iter().filter(|received| received.attempt == Some(attempt));
        came.any(|received| received.pass.is_some_and(|pass| (pass == SECOND) != rules.uses_second(caller)))
            .then_some("came with the credentials of another account")
    }

    /// A caller, and a service of it, that a newer configuration took back is not sent any more.
    pub(super) fn nothing_taken_back_is_sent(&mut self) {
        for (at_ms, attempt) in &self.facts.written {
            let Some(sent) = self.facts.sent.get(attempt) else { continue };
            let mut in_force = self.facts.in_force(at_ms.saturating_sub(CONNECTING_MS), *at_ms);
            if !in_force.any(|known| known.rules.permits(attempt / ATTEMPTS, sent.service)) {
                self.broken.push(format!("nothing taken back is sent: attempt {attempt} was, at {at_ms} ms"));
            }
        }
    }

    /// Who is told that it is unknown, or may not ask for that, was so at that time; nobody is told of a fault of the
    /// gateway.
    pub(super) fn no_false_refusal(&mut self) {
        for (attempt, sent) in &self.facts.sent {
            let End::Answered(answered) = &sent.end else { continue };
            let caller = attempt / ATTEMPTS;
            let mut in_force = self.facts.in_force(sent.at_ms, sent.ended_ms);
            let justified = match answered.code.as_deref() {
                Some("unauthenticated") => sent.stranger || in_force.any(|known| !known.rules.knows(caller)),
                Some("service_not_permitted") => {
                    in_force.any(|known| !known.rules.permits(caller, sent.service))
                }
                Some("internal") => false,
                _ => true,
            };
            if !justified {
                let code = &answered.code;
                self.broken.push(format!("no false refusal: attempt {attempt} was answered {code:?}"));
            }
        }
    }
}
