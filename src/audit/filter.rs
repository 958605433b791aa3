//! Which lines are asked for?

use super::entry::Entry;

/// Stands for "nobody": a request without caller, without service, without code. No name can be spelled so.
pub const NONE: &str = "(none)";

/// Conditions on a line: all of those that are given hold, of each list at least one value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// At this time or later, microseconds since 1970.
    pub since_us: Option<i64>,
    /// Before this time, microseconds since 1970.
    pub until_us: Option<i64>,
    /// Kinds of lines.
    pub kinds: Vec<String>,
    /// Callers; [`NONE`] for strangers.
    pub callers: Vec<String>,
    /// Services; [`NONE`] for requests that did not come to name one.
    pub services: Vec<String>,
    /// Outcomes.
    pub outcomes: Vec<String>,
    /// Codes of refusals; [`NONE`] for what was not refused.
    pub codes: Vec<String>,
    /// Names of credentials.
    pub credentials: Vec<String>,
    /// HTTP statuses, from the first to the last of each pair.
    pub statuses: Vec<(u16, u16)>,
    /// Ids of requests.
    pub ids: Vec<u128>,
    /// Fingerprints of an e-mail or a reference.
    pub fingerprints: Vec<[u8; 16]>,
}

impl Filter {
    /// Whether `entry` is asked for.
    #[must_use]
    pub fn accepts(&self, entry: &Entry<'_>) -> bool {
        self.accepts_time(entry)
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == entry.kind))
            && named(&self.callers, entry.caller)
            && named(&self.services, entry.service)
            && named(&self.outcomes, entry.outcome)
            && named(&self.codes, entry.code)
            && named(&self.credentials, entry.credential.map(|credential| credential.0))
            && self.accepts_status(entry.status)
            && self.accepts_identity(entry)
    }

    /// Whether the ids and fingerprints fit, which an index knows by parts of them only.
    #[must_use]
    pub fn accepts_identity(&self, entry: &Entry<'_>) -> bool {
        let id = entry.request_id();
        (self.ids.is_empty() || self.ids.iter().any(|wanted| id == Some(*wanted)))
            && (self.fingerprints.is_empty() || self.fingerprints.iter().any(|wanted| entry.is_of(wanted)))
    }

    /// Whether a request is asked for by its id or by whom it was about.
    #[must_use]
    pub fn has_identity(&self) -> bool {
        !self.ids.is_empty() || !self.fingerprints.is_empty()
    }

    /// Whether anything is asked for that only requests have.
    #[must_use]
    pub fn is_about_requests(&self) -> bool {
        let lists = [&self.callers, &self.services, &self.outcomes, &self.codes, &self.credentials];
        lists.iter().any(|list| !list.is_empty()) || !self.statuses.is_empty() || self.has_identity()
    }

    fn accepts_time(&self, entry: &Entry<'_>) -> bool {
        if self.since_us.is_none() && self.until_us.is_none() {
            return true;
        }
        entry.time_us().is_some_and(|time| {
            self.since_us.is_none_or(|since| time >= since) && self.until_us.is_none_or(|until| time < until)
        })
    }

    fn accepts_status(&self, status: Option<u16>) -> bool {
        let within = |status: u16| self.statuses.iter().any(|(from, to)| (*from..=*to).contains(&status));
        self.statuses.is_empty() || status.is_some_and(within)
    }
}

fn named(wanted: &[String], name: Option<&str>) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| wanted == name.unwrap_or(NONE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry<'static> {
        Entry {
            seq: 1,
            kind: "outcome",
            time: Some("1970-01-01T00:00:01.000000Z"),
            caller: Some("kyc-api"),
            status: Some(404),
            ..Entry::default()
        }
    }

    #[test]
    fn no_condition_accepts_every_line() {
        assert!(Filter::default().accepts(&entry()));
    }

    #[test]
    fn every_condition_that_is_given_must_hold() {
        let list = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let both =
            Filter { callers: list(&["batch", "kyc-api"]), statuses: vec![(400, 499)], ..Filter::default() };
        assert!(both.accepts(&entry()));
        assert!(!Filter { statuses: vec![(200, 299), (500, 599)], ..both.clone() }.accepts(&entry()));
        assert!(!Filter { callers: list(&["batch"]), ..both.clone() }.accepts(&entry()));
        assert!(!Filter { callers: list(&[NONE]), ..both.clone() }.accepts(&entry()));
        assert!(Filter { codes: list(&[NONE]), ..both.clone() }.accepts(&entry()));
        assert!(!Filter { ids: vec![1], ..both.clone() }.accepts(&entry()));
        assert!(!Filter { fingerprints: vec![[0; 16]], ..both }.accepts(&entry()));
    }

    #[test]
    fn a_time_begins_with_since_and_ends_before_until() {
        let between = |since, until| {
            Filter { since_us: Some(since), until_us: Some(until), ..Filter::default() }.accepts(&entry())
        };
        assert!(between(1_000_000, 1_000_001));
        assert!(!between(1_000_001, 2_000_000));
        assert!(!between(0, 1_000_000));
    }
}
