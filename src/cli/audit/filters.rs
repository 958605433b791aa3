//! Which lines does the command line ask for?

use clap::Args;
use jiff::Timestamp;

use super::{Exit, tell, times};
use crate::audit::{Filter, Index, IndexFault, KINDS, NONE, OUTCOMES, Role, hex_to};
use crate::reject;

#[derive(Args)]
pub(super) struct Filters {
    /// From this time on: 2h, 7d, 2026-11-20 or RFC 3339
    #[arg(long, value_name = "TIME", help_heading = "Filters")]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME", help_heading = "Filters")]
    until: Option<String>,
    /// Of this caller; '(none)': of strangers. As each of these, several: separated by commas, or repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Filters")]
    caller: Vec<String>,
    /// To this service; '(none)': refused before one was known
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Filters")]
    service: Vec<String>,
    /// forwarded, refused, abandoned, truncated, not_sent, unknown, or open: no outcome yet
    #[arg(long, value_name = "OUTCOME", value_delimiter = ',', help_heading = "Filters")]
    outcome: Vec<String>,
    /// Refused with this code, for example schema_violation
    #[arg(long, value_name = "CODE", value_delimiter = ',', help_heading = "Filters")]
    code: Vec<String>,
    /// Answered with this HTTP status, or one of a class: 429, 5xx
    #[arg(long, value_name = "STATUS", value_delimiter = ',', help_heading = "Filters")]
    status: Vec<String>,
    /// Forwarded with these credentials, by their name in the configuration
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Filters")]
    credential: Vec<String>,
    /// Lines of this kind: outcome, intent, start, stop, loss, fault, …
    #[arg(long, value_name = "KIND", value_delimiter = ',', help_heading = "Filters")]
    kind: Vec<String>,
}

/// Whom a request was about, or which one it was.
#[derive(Args)]
pub(super) struct Identities {
    /// The request of this id (UUID), as a problem answer or X-Request-Id has it
    #[arg(long, value_name = "UUID", value_delimiter = ',', help_heading = "Filters")]
    id: Vec<String>,
    /// About the person of this fingerprint, 32 hexadecimal digits
    #[arg(long, value_name = "HEX", value_delimiter = ',', help_heading = "Filters")]
    fingerprint: Vec<String>,
}

impl Filters {
    /// The filter that was meant. What is wrong is told, without the words that were given: one of them may be a
    /// value that was pasted into the wrong place.
    pub(super) fn read(&self) -> Result<Filter, Exit> {
        let now = Timestamp::now();
        let time = |flag, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => times::read(text, now).map(Some).ok_or_else(|| wrong(flag, times::FORMS)),
        };
        let codes: Vec<&str> =
            reject::every().iter().map(reject::Reject::code).chain(std::iter::once(NONE)).collect();
        let filter = Filter {
            since_us: time("--since", &self.since)?,
            until_us: time("--until", &self.until)?,
            kinds: among("--kind", &self.kind, &KINDS)?,
            callers: names("--caller", &self.caller)?,
            services: names("--service", &self.service)?,
            outcomes: among("--outcome", &self.outcome, &OUTCOMES)?,
            codes: among("--code", &self.code, &codes)?,
            credentials: names("--credential", &self.credential)?,
            statuses: read_all(
                "--status",
                &self.status,
                status,
                "three digits (429) or a class of them (5xx)",
            )?,
            ids: Vec::new(),
            fingerprints: Vec::new(),
        };
        if filter.since_us.zip(filter.until_us).is_some_and(|(since, until)| since >= until) {
            return Err(wrong("--until", "it is not after --since: nothing lies between them"));
        }
        if let Some(kind) = other_kind(&filter).filter(|_| filter.is_about_requests()) {
            let problem = format!("lines of kind {kind} have no caller, service, outcome, code or status");
            return Err(wrong("--kind", &problem));
        }
        Ok(filter)
    }
}

impl Identities {
    pub(super) fn add_to(&self, filter: &mut Filter) -> Result<(), Exit> {
        let id = |text: &str| uuid::Uuid::try_parse(text).ok().map(|id| id.as_u128());
        filter.ids = read_all("--id", &self.id, id, "a UUID: 019a5c1e-7d7e-7c3a-9d3f-2b1f0c9e8a71")?;
        let fingerprint = |text: &str| {
            let mut bytes = [0; 16];
            hex_to(text, &mut bytes).then_some(bytes)
        };
        let form = "32 hexadecimal digits; `audit find` makes it of an e-mail or a reference";
        filter.fingerprints = read_all("--fingerprint", &self.fingerprint, fingerprint, form)?;
        match other_kind(filter).filter(|_| filter.has_identity()) {
            Some(kind) => Err(wrong("--kind", &format!("lines of kind {kind} are not about one request"))),
            None => Ok(()),
        }
    }
}

/// Whether every name that is asked for is one of the log's. What is not is told with what would be right.
pub(super) fn known_names(filter: &Filter, index: &Index) -> Result<Result<(), Exit>, IndexFault> {
    for (flag, role, asked) in [
        ("--caller", Role::Caller, &filter.callers),
        ("--service", Role::Service, &filter.services),
        ("--credential", Role::Credential, &filter.credentials),
    ] {
        if asked.is_empty() {
            continue;
        }
        let mut known = index.names(role)?;
        known.push(NONE.to_owned());
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        if let Err(exit) = among(flag, asked, &known) {
            return Ok(Err(exit));
        }
    }
    Ok(Ok(()))
}

/// A kind that is asked for and is not of a request.
fn other_kind(filter: &Filter) -> Option<&str> {
    filter.kinds.iter().map(String::as_str).find(|kind| !["outcome", "intent"].contains(kind))
}

fn among(flag: &str, values: &[String], known: &[&str]) -> Result<Vec<String>, Exit> {
    let Some(stray) = values.iter().find(|value| !known.contains(&value.as_str())) else {
        return Ok(values.to_vec());
    };
    let near = known.iter().map(|name| (strsim::jaro_winkler(name, stray), *name));
    let near = near.filter(|(likeness, _)| *likeness > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    let meant = near.map(|(_, name)| format!("did you mean {name}? ")).unwrap_or_default();
    Err(wrong(flag, &format!("{meant}one of: {}", known.join(", "))))
}

/// Names by their form: which of them a log has is known by its index only.
fn names(flag: &str, values: &[String]) -> Result<Vec<String>, Exit> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let name = |text: &str| {
        let named = (1..=64).contains(&text.len()) && text.bytes().all(plain);
        (named || text == NONE).then(|| text.to_owned())
    };
    read_all(flag, values, name, "a name of the configuration (A-Z a-z 0-9 . _ -), or '(none)'")
}

fn read_all<T>(
    flag: &str,
    values: &[String],
    read: impl Fn(&str) -> Option<T>,
    form: &str,
) -> Result<Vec<T>, Exit> {
    values.iter().map(|text| read(text).ok_or_else(|| wrong(flag, form))).collect()
}

fn status(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (1..=9).contains(class) && text.len() == 3)?;
        return Some((class * 100, class * 100 + 99));
    }
    let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let status: u16 = text.parse().ok().filter(|_| digits)?;
    (status >= 100).then_some((status, status))
}

fn wrong(flag: &str, right: &str) -> Exit {
    tell(&format!("error: {flag}: {right}"));
    Exit::Usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_three_digits_or_a_class() {
        assert_eq!(status("429"), Some((429, 429)));
        assert_eq!(status("5xx"), Some((500, 599)));
        for text in ["", "42", "4290", "0xx", "xx", "+42", "5x", "x00", "099"] {
            assert_eq!(status(text), None, "{text}");
        }
    }

    #[test]
    fn every_outcome_of_a_record_can_be_asked_for() {
        use crate::audit::Outcome;
        for outcome in [Outcome::Forwarded, Outcome::Refused, Outcome::Abandoned, Outcome::Truncated] {
            assert!(OUTCOMES.contains(&outcome.name()));
        }
    }
}
