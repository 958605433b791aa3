//! What does a reviewer read of a run?
//!
//! Names and numbers only: of the configuration, of its schemas, and our own. No canary's text stands in a report.

use serde::Serialize;

use super::canary::Allowed;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything was driven, and nothing came out.
    Pass,
    /// Nothing came out, but not everything was driven.
    Incomplete,
    /// Something came out.
    Fail,
}

impl Verdict {
    /// The word in every form of the report.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Incomplete => "incomplete",
            Self::Fail => "fail",
        }
    }
}

/// One run. Its JSON form is closed and stable; `format` counts its versions.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which report this is: `selftest redaction`.
    pub report: &'static str,
    /// The version of this form.
    pub format: u32,
    /// How it ended.
    pub verdict: Verdict,
    /// The gateway's version.
    pub version: &'static str,
    /// When it began (RFC 3339, UTC).
    pub time: String,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
    /// Which configuration was tested.
    pub configuration: Configuration,
    /// The schema of each service.
    pub schemas: Vec<SchemaDigest>,
    /// What was replaced in the configuration.
    pub replaced: Vec<Replacement>,
    /// What came out that must not.
    pub findings: Vec<Finding>,
    /// What was not driven, and how it can be.
    pub not_covered: Vec<NotCovered>,
    /// The parts of the run, each with a gateway of its own.
    pub acts: Vec<Act>,
    /// Each service.
    pub services: Vec<ServiceDriven>,
    /// Each code of refusal.
    pub refusals: Vec<Refusal>,
    /// Each fault of the double.
    pub faults: Vec<FaultDriven>,
    /// What was searched, and what had no bytes to search.
    pub channels: Vec<Channel>,
    /// What was looked for.
    pub canaries: Vec<CanaryKind>,
    /// In which encodings.
    pub encodings: Vec<EncodingProven>,
}

/// A configuration.
#[derive(Clone, Debug, Serialize)]
pub struct Configuration {
    /// Its file.
    pub file: String,
    /// SHA-256 of it with its overrides and schemas, as in the audit records.
    pub digest: String,
}

/// The schema of a service.
#[derive(Clone, Debug, Serialize)]
pub struct SchemaDigest {
    /// The service.
    pub service: String,
    /// SHA-256 over the schema file and those it refers to.
    pub digest: String,
}

/// Keys that had another value.
#[derive(Clone, Debug, Serialize)]
pub struct Replacement {
    /// The keys.
    pub keys: &'static str,
    /// What stood in their place.
    pub by: &'static str,
}

/// A canary where it must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// In which part of the run.
    pub act: &'static str,
    /// Where.
    pub channel: String,
    /// What came out.
    pub canary: String,
    /// How it was written.
    pub encoding: String,
    /// At which byte of the channel it begins.
    pub offset: usize,
}

/// Something that was not driven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotCovered {
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
    /// How it can be.
    pub remedy: String,
}

/// One gateway that was run.
#[derive(Clone, Debug, Serialize)]
pub struct Act {
    /// Its name.
    pub name: &'static str,
    /// Answers that callers got.
    pub answers: usize,
    /// Of these, the double's own.
    pub forwarded: usize,
    /// Requests that reached the double.
    pub reached: u64,
    /// Answers whose records were lost on purpose: there is no record of them to search.
    pub unrecorded: usize,
    /// The gateway's exit code; `None` where a signal ended it.
    pub exit: Option<i32>,
}

/// A service.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceDriven {
    /// Its name.
    pub service: String,
    /// Whether its sample was answered by the double.
    pub forwarded: bool,
    /// Where canaries stood in the sample.
    pub members: Vec<String>,
}

/// A code of refusal.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    /// The code.
    pub code: &'static str,
    /// How often it was met.
    pub met: usize,
    /// Why it cannot be met from outside with this configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<&'static str>,
}

/// A fault of the double.
#[derive(Clone, Debug, Serialize)]
pub struct FaultDriven {
    /// The fault, as `simulate --fault` writes it.
    pub fault: String,
    /// Requests that were sent under it.
    pub requests: usize,
}

/// What became of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelState {
    /// Its bytes were searched.
    Searched,
    /// Nothing was said on it, as may be.
    Empty,
    /// Nothing is there to be searched, although something was said: not covered.
    Missing,
}

/// A place where the gateway says something.
#[derive(Clone, Debug, Serialize)]
pub struct Channel {
    /// In which part of the run.
    pub act: &'static str,
    /// Its name.
    pub channel: String,
    /// How many bytes were searched.
    pub bytes: usize,
    /// Whether any were.
    pub state: ChannelState,
}

/// A canary, without its text.
#[derive(Clone, Debug, Serialize)]
pub struct CanaryKind {
    /// What it stands for.
    pub kind: String,
    /// How long it is.
    pub bytes: usize,
    /// Where it may come out.
    pub allowed: Allowed,
}

/// An encoding, and whether the control text was found in it.
#[derive(Clone, Debug, Serialize)]
pub struct EncodingProven {
    /// The encoding.
    pub encoding: &'static str,
    /// Whether the search found a control text that was planted in this encoding, in this run.
    pub proven: bool,
}

impl Report {
    /// The JSON form, with a line end.
    ///
    /// # Errors
    ///
    /// None that is known: every part has a JSON form.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }
}
