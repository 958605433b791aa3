//! How does a line read in a format that security tools know?

mod ecs;
mod ocsf;

use serde_json::{Map, Value, json};

use super::entry::Entry;

/// A format that lines are exported in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Open Cybersecurity Schema Framework, 1.5.
    Ocsf,
    /// Elastic Common Schema, 8.17.
    Ecs,
}

/// Makes events of the lines of one log, which come in their order.
pub struct Exporter {
    format: Format,
    writer: Writer,
}

/// Who wrote a line, as the lines before it say.
#[derive(Debug, Default)]
struct Writer {
    /// The chain that the lines belong to: it is of one gateway.
    chain: Option<String>,
    /// The version of the gateway.
    version: Option<String>,
}

impl Exporter {
    /// Into `format`.
    #[must_use]
    pub fn to(format: Format) -> Self {
        Self { format, writer: Writer::default() }
    }

    /// Takes from `line` what it says of those that follow it. For every line, whether it is exported or not.
    pub fn learn(&mut self, entry: &Entry<'_>, line: &[u8]) {
        if !["segment", "start", "checkpoint"].contains(&entry.kind) {
            return;
        }
        let Some(Value::Object(members)) =
            std::str::from_utf8(line).ok().and_then(|text| serde_json::from_str(text).ok())
        else {
            return;
        };
        let line = Line { members: &members, writer: &Writer::default() };
        for (known, member) in
            [(&mut self.writer.chain, line.text("chain")), (&mut self.writer.version, line.text("version"))]
        {
            if let Some(text) = member {
                *known = Some(text.to_owned());
            }
        }
    }

    /// The event that `line` is; `None` for a line that is none: intents, which their outcomes repeat, segments and
    /// checkpoints, which are about the log itself, and kinds that are not known.
    #[must_use]
    pub fn event(&self, line: &[u8]) -> Option<Value> {
        let line: Value = serde_json::from_str(std::str::from_utf8(line).ok()?).ok()?;
        let line = Line { members: line.as_object()?, writer: &self.writer };
        let action = Action::of(line.text("kind")?)?;
        match self.format {
            Format::Ocsf => ocsf::event(&line, action),
            Format::Ecs => ecs::event(&line, action),
        }
    }
}

/// What kind of event a line is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    /// A request, at its end.
    Request,
    /// The gateway started.
    Start,
    /// The gateway stopped.
    Stop,
    /// Something went wrong with the log: lines were lost, or could not be written.
    Trouble,
    /// Something was changed: credentials, the configuration, the log by retention.
    Change,
}

impl Action {
    fn of(kind: &str) -> Option<Self> {
        match kind {
            "outcome" => Some(Self::Request),
            "start" => Some(Self::Start),
            "stop" => Some(Self::Stop),
            "loss" | "fault" | "repair" | "breaker" => Some(Self::Trouble),
            "credentials" | "retention" | "reload" => Some(Self::Change),
            _ => None,
        }
    }
}

/// The members of a line.
struct Line<'a> {
    members: &'a Map<String, Value>,
    writer: &'a Writer,
}

impl<'a> Line<'a> {
    fn text(&self, member: &str) -> Option<&'a str> {
        self.members.get(member)?.as_str()
    }

    fn number(&self, pointer: [&str; 2]) -> Option<u64> {
        let [member, inner] = pointer;
        self.members.get(member)?.get(inner)?.as_u64()
    }

    fn seq(&self) -> u64 {
        self.members.get("seq").and_then(Value::as_u64).unwrap_or(0)
    }

    fn status(&self) -> Option<u64> {
        self.members.get("status")?.as_u64()
    }

    fn credential_reflected(&self) -> bool {
        self.members.get("upstream").and_then(|upstream| upstream.get("credential_reflected")).is_some()
    }

    /// Whether it is not known what became of a request that may have changed something.
    fn is_unknown(&self) -> bool {
        self.text("outcome") == Some("unknown")
            || self.members.get("upstream").and_then(|upstream| upstream.get("outcome_unknown")).is_some()
    }

    /// Whether the caller got what DCAMS did for it. DCAMS also says "Error" in answers of status 200.
    fn succeeded(&self) -> bool {
        let result = self.members.get("upstream").and_then(|upstream| upstream.get("result")?.as_str());
        self.text("outcome") == Some("forwarded")
            && self.status().is_some_and(|status| status < 400)
            && result != Some("Error")
    }

    /// The other members, as they stand in the line.
    fn others(&self, but: &[&str]) -> Value {
        let others = self.members.iter().filter(|(name, _)| !but.contains(&name.as_str()));
        others.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>().into()
    }
}

/// `object` without the members that are null, at any depth, and without the objects that are empty then.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().map(|(name, value)| (name, without_nulls(value)));
            kept.filter(|(_, value)| !value.is_null() && *value != json!({})).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_an_event_of_its_own_is_exported() {
        let exported = |kind: &str, format| {
            let line = format!(
                r#"{{"seq":1,"v":1,"kind":"{kind}","time":"2026-11-20T14:00:00.000000Z","outcome":"refused","mac":"00"}}"#
            );
            Exporter::to(format).event(line.as_bytes()).is_some()
        };
        for format in [Format::Ocsf, Format::Ecs] {
            let kinds: Vec<&str> =
                super::super::KINDS.into_iter().filter(|kind| !exported(kind, format)).collect();
            assert_eq!(kinds, ["intent", "segment", "checkpoint"]);
        }
        assert_eq!(Exporter::to(Format::Ecs).event(b"{}"), None);
        assert_eq!(Exporter::to(Format::Ecs).event(b"\xff"), None);
    }

    #[test]
    fn an_event_names_the_chain_and_the_version_that_the_lines_before_it_name() {
        let mut exporter = Exporter::to(Format::Ocsf);
        let written = |exporter: &Exporter| {
            let event = exporter.event(br#"{"seq":9,"v":1,"kind":"stop","instance":"gw-1"}"#).unwrap();
            (event["metadata"]["uid"].clone(), event["metadata"]["product"]["version"].clone())
        };
        assert_eq!(written(&exporter), (json!("gw-1-9"), Value::Null));
        for (line, version) in [
            (&br#"{"seq":1,"kind":"segment","chain":"019a","version":"0.1.0"}"#[..], "0.1.0"),
            (br#"{"seq":2,"kind":"start","version":"0.2.0"}"#, "0.2.0"),
            // Of credentials, a version is another thing.
            (br#"{"seq":3,"kind":"credentials","credential":"production","version":3}"#, "0.2.0"),
        ] {
            exporter.learn(&Entry::read(line).unwrap(), line);
            assert_eq!(written(&exporter), (json!("019a-9"), json!(version)));
        }
        exporter.format = Format::Ecs;
        let event = exporter.event(br#"{"seq":9,"v":1,"kind":"stop"}"#).unwrap();
        assert_eq!(event["service"]["version"], "0.2.0");
    }

    #[test]
    fn nulls_leave_no_trace() {
        let value = json!({ "a": null, "b": { "c": null, "d": { "e": null } }, "f": { "g": 1, "h": null } });
        assert_eq!(without_nulls(value), json!({ "f": { "g": 1 } }));
    }
}
