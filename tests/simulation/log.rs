//! What does the audit say of each attempt?

use std::collections::BTreeMap;
use std::path::Path;

use dcams_gateway::audit::Segments;
use serde_json::Value;

use crate::witness::{Attempt, attempt_of};

/// The lines about one attempt.
#[derive(Default)]
pub struct Story {
    /// The gateway's id in each intent.
    pub intents: Vec<String>,
    pub outcomes: Vec<Outcome>,
}

pub struct Outcome {
    pub id: String,
    pub name: String,
    /// How often it was sent to the upstream.
    pub attempts: u64,
}

/// Reads all that is in `folders`.
pub fn stories<'p>(folders: impl IntoIterator<Item = &'p Path>) -> BTreeMap<Attempt, Story> {
    let mut stories: BTreeMap<Attempt, Story> = BTreeMap::new();
    for folder in folders {
        for segment in &*Segments::open(folder).unwrap() {
            let mut lines = segment.lines().unwrap();
            while let Some(line) = lines.read_line().unwrap() {
                let line: Value = serde_json::from_slice(line.bytes).unwrap();
                let Some(attempt) = line["caller_request_id"].as_str().and_then(attempt_of) else { continue };
                let story = stories.entry(attempt).or_default();
                let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
                match line["kind"].as_str() {
                    Some("intent") => story.intents.push(text("id")),
                    _ => story.outcomes.push(Outcome {
                        id: text("id"),
                        name: text("outcome"),
                        attempts: line["upstream"]["attempts"].as_u64().unwrap_or(0),
                    }),
                }
            }
        }
    }
    stories
}
