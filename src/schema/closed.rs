//! Does a schema refuse what it does not describe?
//!
//! JSON Schema lets pass whatever a schema is silent about. Here silence is a fault, found when the schema is
//! loaded: every value has a type, every object names its members, every string has a longest length, every array a
//! longest length and one schema for its elements.

use serde_json::{Map, Value};

use super::dialect::{AUDIT, DECODED_MAX_BYTES, OPEN};
use super::walk::{Place, Role, Step, in_place, joined};
use super::{Schema, SchemaFault};

/// Judges the values of a schema, one place after the other.
pub(super) struct Closed<'s> {
    root: &'s Value,
    recorded: usize,
    pub(super) faults: Vec<SchemaFault>,
}

impl<'s> Closed<'s> {
    pub(super) fn new(root: &'s Value) -> Self {
        Self { root, recorded: 0, faults: Vec::new() }
    }

    /// Judges one place.
    pub(super) fn visit(&mut self, place: &Place<'s>) {
        if let [.., Step::Member(name)] = place.instance.as_slice() {
            self.check_name(place, name);
        }
        let has_audit = place.schema.get(AUDIT).is_some();
        if has_audit && (place.role == Role::Conditional || !place.declares || !is_member(place)) {
            self.fault(
                place,
                "\"x-audit\" stands where it applies only sometimes",
                "move it to the member's own schema under \"properties\"",
            );
        }
        if place.role != Role::Own || !place.declares || place.schema == &Value::Bool(false) {
            return;
        }
        let joined = joined(self.root, place.schema);
        let Some(types) = types(&joined) else {
            self.fault(place, "no \"type\": any value would pass", "say \"type\"");
            return;
        };
        if types.contains(&"object") {
            self.check_object(place, &joined);
        } else if place.instance.is_empty() {
            self.fault(place, "a request is an object: none would pass", "say \"type\": \"object\"");
        }
        if types.contains(&"array") {
            self.check_array(place, &joined);
        }
        if types.contains(&"string") && !is_bounded(&joined) {
            self.fault(
                place,
                "unbounded string: text of any length would pass",
                "say \"maxLength\", \"enum\" or \"const\", or \"x-decodedMaxBytes\" for base64",
            );
        }
        self.check_audit(place, &joined, &types);
    }

    /// Names are compared byte by byte, and two are the gateway's own.
    fn check_name(&mut self, place: &Place<'s>, name: &str) {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.fault(
                place,
                "a member name that is not printable ASCII",
                "parsers differ on other names: use letters, digits, \"_\" and \"-\"",
            );
        }
        let is_credential = ["user", "pass"].iter().any(|own| name.eq_ignore_ascii_case(own));
        if place.instance.len() == 1 && is_credential {
            self.fault(
                place,
                "\"user\" and \"pass\" are the gateway's: a caller may not send them",
                "remove this member",
            );
        }
    }

    fn check_object(&mut self, place: &Place<'s>, joined: &[&'s Map<String, Value>]) {
        let says = |keyword: &str, value: bool| {
            joined.iter().any(|map| map.get(keyword) == Some(&Value::Bool(value)))
        };
        if says(OPEN, true) {
            return;
        }
        if says("additionalProperties", false) {
            self.check_required(place, joined);
        } else if says("unevaluatedProperties", false) {
            self.check_unevaluated(place);
        } else {
            self.fault(
                place,
                "an open object: members that the schema does not name would pass",
                "say \"additionalProperties\": false, or \"x-open\": true where that is meant",
            );
        }
    }

    /// `unevaluatedProperties` closes an object only where nothing evaluates the members that have no name.
    fn check_unevaluated(&mut self, place: &Place<'s>) {
        for (at, map) in in_place(self.root, place.schema, &place.at) {
            if map.get("additionalProperties").is_some_and(|value| value != &Value::Bool(false)) {
                self.faults.push(SchemaFault::new(
                    &format!("{at}/additionalProperties"),
                    "an open object: \"unevaluatedProperties\" passes what \"additionalProperties\" has evaluated",
                    "remove it, or say \"x-open\": true where that is meant",
                ));
            }
        }
    }

    fn check_required(&mut self, place: &Place<'s>, joined: &[&'s Map<String, Value>]) {
        let is_described = |name: &str| {
            joined.iter().filter_map(|map| map.get("properties")).any(|members| members.get(name).is_some())
        };
        let required = joined.iter().filter_map(|map| map.get("required")?.as_array()).flatten();
        for name in required.filter_map(Value::as_str).filter(|name| !is_described(name)) {
            self.fault(
                place,
                &format!("\"required\": \"{name}\" is not described: no request could pass"),
                "describe it under \"properties\", or remove it from \"required\"",
            );
        }
    }

    fn check_array(&mut self, place: &Place<'s>, joined: &[&'s Map<String, Value>]) {
        for (keyword, problem, remedy) in [
            ("items", "elements of any kind would pass", "say \"items\""),
            ("maxItems", "unbounded array: any number of elements would pass", "say \"maxItems\""),
        ] {
            if !joined.iter().any(|map| map.contains_key(keyword)) {
                self.fault(place, problem, remedy);
            }
        }
    }

    fn check_audit(&mut self, place: &Place<'s>, joined: &[&'s Map<String, Value>], types: &[&str]) {
        let audit = joined.iter().find_map(|map| map.get(AUDIT)).and_then(Value::as_str);
        let is_text = types == ["string"];
        match audit {
            Some("value") => {
                self.recorded += 1;
                let values = joined.iter().find_map(|map| map.get("enum")).and_then(Value::as_array);
                let texts = values.is_some_and(|values| {
                    values.len() <= Schema::RECORDED_VALUES && values.iter().all(Value::is_string)
                });
                if !texts || !is_text {
                    self.fault(
                        place,
                        "\"x-audit\": \"value\" without a closed list of texts: free text would reach the audit",
                        "say \"type\": \"string\" and \"enum\" with at most 255 texts",
                    );
                }
                if self.recorded == 2 {
                    self.fault(
                        place,
                        "a second member with \"x-audit\": \"value\"",
                        "the audit record holds one value: remove the other",
                    );
                }
            }
            Some("fingerprint:email" | "fingerprint:reference") if !is_text => {
                self.fault(place, "only a string can be fingerprinted", "say \"type\": \"string\"");
            }
            _ => {}
        }
    }

    fn fault(&mut self, place: &Place<'s>, problem: &str, remedy: &str) {
        self.faults.push(SchemaFault::new(&place.at, problem, remedy));
    }
}

fn is_member(place: &Place<'_>) -> bool {
    matches!(place.instance.as_slice(), [.., Step::Member(_)])
}

/// The types that all of the schemas allow; `None` where none of them says.
fn types<'s>(joined: &[&'s Map<String, Value>]) -> Option<Vec<&'s str>> {
    joined
        .iter()
        .filter_map(|map| match map.get("type")? {
            Value::String(one) => Some(vec![one.as_str()]),
            Value::Array(several) => Some(several.iter().filter_map(Value::as_str).collect()),
            _ => None,
        })
        .reduce(|left, right| left.into_iter().filter(|one| right.contains(one)).collect())
}

fn is_bounded(joined: &[&Map<String, Value>]) -> bool {
    ["maxLength", "enum", "const", DECODED_MAX_BYTES]
        .iter()
        .any(|keyword| joined.iter().any(|map| map.contains_key(*keyword)))
}
