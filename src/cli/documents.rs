//! `schema`: what are the exact forms of everything that is read or written?

use clap::Args;

use super::{Exit, print, tell};
use crate::{audit, config, openapi, schema};

#[derive(Args)]
pub(super) struct Schema {
    /// config, openapi, audit, or the name of a service with a built-in schema
    #[arg(value_name = "WHAT")]
    what: String,
}

pub(super) fn schema(command: &Schema) -> Exit {
    let services = schema::builtin();
    match command.what.as_str() {
        "config" => pretty(&config::json_schema()),
        "openapi" => pretty(&openapi::document(&services)),
        "audit" => print(audit::SCHEMA),
        service => match services.get(&format!("{service}.schema.json")) {
            Some(text) => print(text),
            None => {
                let names = services.keys().filter_map(|name| name.strip_suffix(".schema.json"));
                let names: Vec<&str> = names.collect();
                tell(&format!("no schema of that name: try config, openapi, audit, {}", names.join(", ")));
                Exit::Usage
            }
        },
    }
}

fn pretty(value: &serde_json::Value) -> Exit {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&format!("{text}\n")),
        Err(_) => Exit::Io,
    }
}
