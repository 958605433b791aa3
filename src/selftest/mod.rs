//! Does anything that callers, DCAMS or the operator entrust to the gateway come out of it where it must not?
//!
//! [`redaction`] runs the operator's own configuration in a throw-away folder, against the double of DCAMS and with
//! credentials and keys of this run, fills every input with canaries, makes every refusal and fault happen that can be
//! made to happen from outside, and searches everything that the gateway says to anybody for every canary in every
//! encoding of [`ENCODINGS`]. The operator's secrets are never read, and nothing of theirs is written.
//!
//! | file | question |
//! |---|---|
//! | `canary` | which texts are put in? |
//! | `sample`, `choices`, `route` | which requests do the operator's services accept, with canaries in them? |
//! | `heads`, `bodies` | what else can a caller send? |
//! | `stand`, `audit_table`, `folder` | with which configuration does the gateway run? |
//! | `upstream`, `answers` | which upstreams does it meet? |
//! | `child`, `answer`, `readers` | how is what it says caught? |
//! | `acts` | what is it made to do? |
//! | `encoding`, `decode`, `scanner` | does a text stand in these bytes, however it is written? |
//! | `judge` | which of all that was said must not have been? |
//! | `report`, `text`, `markdown` | what does a reviewer read? |

mod acts;
mod answer;
mod answers;
mod audit_table;
mod bodies;
mod canary;
mod child;
mod choices;
mod decode;
mod encoding;
mod folder;
mod heads;
mod judge;
mod markdown;
mod problem;
mod readers;
mod report;
mod route;
mod sample;
mod scanner;
mod stand;
mod text;
mod upstream;
mod verdict;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

pub(crate) use folder::{Folder, private_file};

pub use answers::{Scripted, hostile_answers};
pub use canary::{Allowed, Canary};
pub use encoding::{ENCODINGS, Encoding};
pub use problem::Problem;
pub use report::{
    Act, CanaryKind, Channel, ChannelState, Configuration, EncodingProven, FaultDriven, Finding, NotCovered,
    Refusal, Replacement, Report, SchemaDigest, ServiceDriven, Verdict,
};
pub use scanner::{Hit, SHORTEST, Scanner, Unfit, WINDOW};

use crate::config::{Config, Source, effective, load};
use acts::{Played, Stage};
use canary::Mint;
use route::{Route, read_samples, routes};
use stand::{Added, Secrets};
use verdict::Evidence;

/// What is tested, and how.
pub struct Plan<'a> {
    /// The operator's configuration.
    pub source: Source,
    /// Documents of the operator's own for services whose schemas do not say enough: service and file.
    pub samples: Vec<(String, PathBuf)>,
    /// The gateway's binary, which is called as `BINARY run --config FILE` and `BINARY audit query FOLDER` and the like.
    pub binary: PathBuf,
    /// Is told what is being done.
    pub progress: &'a (dyn Fn(&str) + Sync),
    /// Once it is true, everything is ended and cleared away.
    pub interrupted: &'a AtomicBool,
}

/// Runs the self test; it takes about half a minute.
///
/// # Errors
///
/// [`Problem`]: there is no verdict. Everything that was started is ended, whatever happened.
pub fn redaction(plan: &Plan<'_>) -> Result<Report, Problem> {
    let (begun, time) = (Instant::now(), jiff::Timestamp::now());
    let loaded = load(&plan.source).map_err(Problem::Configuration)?;
    let config = loaded.config;
    let effective = effective(&plan.source).ok_or_else(unreadable)?;
    let given = read_samples(&config, &plan.samples)?;
    let mut mint = Mint::new().ok_or(Problem::Random)?;
    let added = added(&config);
    let secrets = Secrets::new(&config, &added, &mut mint);
    let (routes, not_covered) = routes(&config, &given, &secrets, &mut mint);
    let stage = Stage {
        config: &config,
        source: &plan.source,
        effective: &effective,
        secrets: &secrets,
        added: &added,
        routes: &routes,
        binary: &plan.binary,
        progress: plan.progress,
        interrupted: plan.interrupted,
        begun,
    };
    let (requests, forwarded) = stage.requests(&mut mint)?;
    let (faults, faults_driven) = stage.faults()?;
    let answers = stage.answers(&mut mint)?;
    let no_upstream = stage.no_upstream(&mut mint)?;
    let played = vec![requests, faults, answers, no_upstream, stage.scarcity()?, stage.lost_records()?];
    (plan.progress)("search");
    let evidence = Evidence {
        config: &config,
        file: plan.source.path.display().to_string(),
        time: time.round(jiff::Unit::Second).unwrap_or(time).to_string(),
        routes: &routes,
        forwarded,
        faults: faults_driven,
        not_covered,
        played: &played,
    };
    let mut report = evidence.report(mint)?;
    report.duration_ms = milliseconds(begun.elapsed());
    Ok(report)
}

/// It was read a moment ago.
fn unreadable() -> Problem {
    Problem::Io(std::io::Error::other("the configuration file changed while it was read"))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Callers whose names the operator has not given.
fn added(config: &Config) -> Added {
    let unused = |name: &str| {
        let taken = |name: &str| config.callers.iter().any(|caller| &*caller.name == name);
        let names = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}-{number}")));
        names.into_iter().find(|name| !taken(name)).unwrap_or_default()
    };
    Added { limited: unused("selftest-limited"), narrow: unused("selftest-narrow") }
}
