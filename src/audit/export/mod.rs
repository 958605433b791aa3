//! How does a line read in a format that security tools know?

mod ecs;
mod ocsf;

use serde_json::{Map, Value, json};

/// A format that lines are exported in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Open Cybersecurity Schema Framework, 1.5.
    Ocsf,
    /// Elastic Common Schema, 8.17.
    Ecs,
}

/// The event that `line` is in `format`; `None` for a line that is none: intents, which their outcomes repeat, segments
/// and checkpoints, which are about the log itself, and kinds that are not known.
#[must_use]
pub fn export(line: &[u8], format: Format) -> Option<Value> {
    let line: Value = serde_json::from_str(std::str::from_utf8(line).ok()?).ok()?;
    let line = Line { members: line.as_object()? };
    let action = Action::of(line.text("kind")?)?;
    match format {
        Format::Ocsf => ocsf::event(&line, action),
        Format::Ecs => ecs::event(&line, action),
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

    /// Whether the caller got what DCAMS did for it.
    fn succeeded(&self) -> bool {
        self.text("outcome") == Some("forwarded") && self.status().is_some_and(|status| status < 400)
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
            export(line.as_bytes(), format).is_some()
        };
        for format in [Format::Ocsf, Format::Ecs] {
            let kinds: Vec<&str> =
                super::super::KINDS.into_iter().filter(|kind| !exported(kind, format)).collect();
            assert_eq!(kinds, ["intent", "segment", "checkpoint"]);
        }
        assert_eq!(export(b"{}", Format::Ecs), None);
        assert_eq!(export(b"\xff", Format::Ecs), None);
    }

    #[test]
    fn nulls_leave_no_trace() {
        let value = json!({ "a": null, "b": { "c": null, "d": { "e": null } }, "f": { "g": 1, "h": null } });
        assert_eq!(without_nulls(value), json!({ "f": { "g": 1 } }));
    }
}
