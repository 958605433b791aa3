//! What does the audit say of each attempt?

use std::collections::BTreeMap;
use std::path::Path;

use dcams_gateway::audit::Segments;
use serde_json::Value;

use crate::witness::{Attempt, attempt_of};

/// The lines about one attempt.
#[derive(Default)]
pub struct Story {
    pub intents: Vec<Intent>,
    pub outcomes: Vec<Outcome>,
}

pub struct Intent {
    /// The gateway's id.
    pub id: String,
    pub said: Said,
}

pub struct Outcome {
    pub id: String,
    pub name: String,
    pub said: Said,
    /// The name of the credentials.
    pub credential: Option<String>,
    /// How often it was sent to the upstream.
    pub attempts: u64,
}

/// What a line says of who asked for what; nothing where a gateway that starts closes what another one left open.
pub struct Said {
    pub config: Option<String>,
    pub caller: Option<String>,
    pub service: Option<String>,
}

impl Said {
    fn of(line: &Value) -> Self {
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        Self { config: text("config"), caller: text("caller"), service: text("service") }
    }
}

/// Reads all that is in `folders`.
pub fn stories<'p>(folders: impl IntoIterator<Item = &'p Path>) -> BTreeMap<Attempt, Story> {
    let mut stories: BTreeMap<Attempt, Story> = BTreeMap::new();
    for folder in folders {
        for segment in &*Segments::open(folder).unwrap() {
            let mut lines = segment.lines().unwrap();
            while let Some(line) = lines.read_line().unwrap() {
                // Of the last one a loss of power may leave a part.
                let Ok(line) = serde_json::from_slice::<Value>(line.bytes) else { continue };
                let Some(attempt) = line["caller_request_id"].as_str().and_then(attempt_of) else { continue };
                let story = stories.entry(attempt).or_default();
                let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
                match line["kind"].as_str() {
                    Some("intent") => story.intents.push(Intent { id: text("id"), said: Said::of(&line) }),
                    _ => story.outcomes.push(Outcome {
                        id: text("id"),
                        name: text("outcome"),
                        said: Said::of(&line),
                        credential: line["credential"]["name"].as_str().map(str::to_owned),
                        attempts: line["upstream"]["attempts"].as_u64().unwrap_or(0),
                    }),
                }
            }
        }
    }
    stories
}
