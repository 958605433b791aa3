//! Which request does a service's schema accept, with a canary in as many of its values as possible?
//!
//! A document is drafted from the schema, or taken from the operator. Each of its texts and numbers then has a list of
//! choices, canaries first; the schema itself, compiled, says which are refused, and those are replaced by the next
//! choice until nothing is refused.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::canary::{Allowed, Mint};
use super::choices::{Choice, choices};
use crate::json::{Caps, parse};
use crate::schema::Schema;

/// A request that a service accepts.
pub(super) struct Sample {
    pub(super) body: Value,
    /// Where canaries stand in it: JSON pointers.
    pub(super) canaries: Vec<String>,
}

/// The member that names the service, and the service's name.
pub(super) type Named<'a> = Option<(&'a str, &'a str)>;

/// Deeper values are left out: requests may not have them.
const DEEPEST: usize = 12;

/// A request for `schema`, from `given` where the operator has one; `None` where none was found.
pub(super) fn sample(
    schema: &Schema,
    named: Named<'_>,
    given: Option<&Value>,
    mint: &mut Mint,
) -> Option<Sample> {
    let root = schema.joined();
    let drafted = draft(root, &applying(root, root, 0), 0);
    let examples = root.get("examples").and_then(Value::as_array).into_iter().flatten().cloned();
    let drafts =
        given.map_or_else(|| std::iter::once(drafted).chain(examples).collect(), |given| vec![given.clone()]);
    drafts.into_iter().find_map(|draft| settle(schema, named, draft, mint))
}

/// The schemas that apply to one value: its own, those that it refers to, and the first of alternatives.
fn applying<'s>(root: &'s Value, schema: &'s Value, depth: usize) -> Vec<&'s Map<String, Value>> {
    let Some(map) = schema.as_object().filter(|_| depth < DEEPEST) else { return Vec::new() };
    let mut all = vec![map];
    let target = map.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
    let referred = target.and_then(|pointer| root.pointer(pointer));
    let list = |keyword: &str| map.get(keyword).and_then(Value::as_array).into_iter().flatten();
    let more =
        referred.into_iter().chain(list("allOf")).chain(list("anyOf").take(1)).chain(list("oneOf").take(1));
    for schema in more {
        all.extend(applying(root, schema, depth + 1));
    }
    all
}

/// A first guess: what the schema names, and nothing where it does not say enough.
fn draft(root: &Value, schemas: &[&Map<String, Value>], depth: usize) -> Value {
    let find = |keyword: &str| schemas.iter().find_map(|schema| schema.get(keyword));
    let first = |keyword: &str| find(keyword).and_then(Value::as_array).and_then(|values| values.first());
    if let Some(value) = find("const").or_else(|| first("enum")) {
        return value.clone();
    }
    let kind = match find("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None if find("properties").is_some() => Some("object"),
        None if find("items").is_some() => Some("array"),
        None => None,
    };
    let example = first("examples").or_else(|| find("default")).cloned();
    match kind {
        Some("object") => {
            let mut members = Map::new();
            for (name, schema) in
                schemas.iter().filter_map(|schema| schema.get("properties")?.as_object()).flatten()
            {
                if depth < DEEPEST && schema != &Value::Bool(false) {
                    let value = draft(root, &applying(root, schema, 0), depth + 1);
                    members.entry(name.clone()).or_insert(value);
                }
            }
            Value::Object(members)
        }
        Some("array") => {
            let least = find("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 16);
            let item = find("items").map(|schema| draft(root, &applying(root, schema, 0), depth + 1));
            let items = item
                .into_iter()
                .flat_map(|item| std::iter::repeat_n(item, usize::try_from(least).unwrap_or(1)));
            Value::Array(items.collect())
        }
        Some("integer" | "number") => {
            example.or_else(|| find("minimum").cloned()).unwrap_or_else(|| 1.into())
        }
        Some("boolean") => Value::Bool(true),
        Some("null") => Value::Null,
        _ => example.unwrap_or_else(|| Value::String(String::new())),
    }
}

/// A value that can be chosen.
struct Leaf {
    /// JSON pointer to it.
    pointer: String,
    /// The same as the schema's locations write it: `*` for the elements of arrays.
    location: String,
    choices: Vec<Choice>,
    chosen: usize,
}

impl Leaf {
    fn choice(&self) -> Option<&Choice> {
        self.choices.get(self.chosen)
    }
}

/// Chooses values until the schema accepts the document.
fn settle(schema: &Schema, named: Named<'_>, draft: Value, mint: &mut Mint) -> Option<Sample> {
    let mut body = draft;
    if let (Some((member, service)), Some(map)) = (named, body.as_object_mut()) {
        map.insert(member.to_owned(), service.into());
    }
    let pinned = named.map(|(member, _)| format!("/{}", segment(member)));
    let mut leaves = Vec::new();
    collect(&body, "", "", schema.joined(), schema.joined(), &mut |pointer, location, schemas, value| {
        if pinned.as_deref() != Some(pointer) {
            let choices = choices(location, schemas, value, mint);
            leaves.push(Leaf {
                pointer: pointer.to_owned(),
                location: location.to_owned(),
                choices,
                chosen: 0,
            });
        }
    });
    let rounds = leaves.iter().map(|leaf| leaf.choices.len() + 1).sum::<usize>() + 1;
    for _ in 0..rounds {
        let body = chosen(&body, &leaves);
        let refused = refused(schema, &body)?;
        if refused.is_empty() {
            return Some(planted(body, &leaves, mint));
        }
        let mut moved = false;
        for leaf in leaves.iter_mut().filter(|leaf| refused.contains(&leaf.location)) {
            if leaf.chosen < leaf.choices.len() {
                leaf.chosen += 1;
                moved = true;
            }
        }
        if !moved {
            return None;
        }
    }
    None
}

/// Is told of a value: its pointer, location and schemas.
type Visit<'v> = dyn FnMut(&str, &str, &[&Map<String, Value>], &Value) + 'v;

/// Calls `each` with every text and number: pointer, location, schemas and value.
fn collect<'s>(
    value: &Value,
    pointer: &str,
    location: &str,
    root: &'s Value,
    schema: &'s Value,
    each: &mut Visit<'_>,
) {
    let schemas = applying(root, schema, 0);
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let of = |map: &&'s Map<String, Value>| map.get("properties")?.get(name);
                let schema = schemas.iter().find_map(of).unwrap_or(&Value::Null);
                let name = segment(name);
                collect(
                    value,
                    &format!("{pointer}/{name}"),
                    &format!("{location}/{name}"),
                    root,
                    schema,
                    each,
                );
            }
        }
        Value::Array(items) => {
            let schema = schemas.iter().find_map(|map| map.get("items")).unwrap_or(&Value::Null);
            for (index, value) in items.iter().enumerate() {
                collect(value, &format!("{pointer}/{index}"), &format!("{location}/*"), root, schema, each);
            }
        }
        Value::String(_) | Value::Number(_) => each(pointer, location, &schemas, value),
        Value::Bool(_) | Value::Null => {}
    }
}

/// A name as a JSON pointer writes it (RFC 6901, section 3).
fn segment(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The document with the choices made; a leaf without any choice left is left out.
fn chosen(draft: &Value, leaves: &[Leaf]) -> Value {
    let mut body = draft.clone();
    for leaf in leaves {
        match leaf.choice() {
            Some(choice) => {
                if let Some(place) = body.pointer_mut(&leaf.pointer) {
                    *place = choice.value.clone();
                }
            }
            None => {
                let parent = leaf.pointer.rsplit_once('/');
                let place = parent.and_then(|(parent, name)| Some((body.pointer_mut(parent)?, name)));
                if let Some((Value::Object(members), name)) = place {
                    members.remove(&name.replace("~1", "/").replace("~0", "~"));
                }
            }
        }
    }
    body
}

/// Whether `schema` takes `body`.
pub(super) fn accepts(schema: &Schema, body: &Value) -> bool {
    refused(schema, body).is_some_and(|locations| locations.is_empty())
}

/// The locations where `schema` refuses `body`; `None` where it is no request at all.
fn refused(schema: &Schema, body: &Value) -> Option<Vec<String>> {
    let document = parse(Bytes::from(body.to_string()), &Caps::REQUEST).ok()?;
    let Some(violations) = schema.violations(&document) else { return Some(Vec::new()) };
    let location = |id: &crate::schema::LocationId| schema.locations().get(usize::from(id.0));
    Some(violations.shown().iter().filter_map(location).map(|place| place.pointer.to_string()).collect())
}

/// Notes which canaries were put in.
fn planted(body: Value, leaves: &[Leaf], mint: &mut Mint) -> Sample {
    let mut canaries = Vec::new();
    for leaf in leaves {
        let Some(choice) = leaf.choice().filter(|choice| !choice.canaries.is_empty()) else { continue };
        canaries.push(leaf.pointer.clone());
        for (name, text) in &choice.canaries {
            mint.plant(name, text, Allowed::ForwardedBodies);
        }
    }
    Sample { body, canaries }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{SchemaFiles, builtin};

    fn compiled(text: &Value) -> Schema {
        let mut text = text.clone();
        text["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        let files = SchemaFiles::from([("it.schema.json".to_owned(), text.to_string())]);
        Schema::compile("it.schema.json", &files).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    fn strings(value: &Value) -> usize {
        match value {
            Value::Object(members) => members.values().map(strings).sum(),
            Value::String(_) => 1,
            _ => 0,
        }
    }

    #[test]
    fn every_member_of_the_services_that_are_built_in_gets_a_canary_but_for_those_with_listed_values() {
        let mut mint = Mint::seeded(7);
        let files = builtin();
        for (file, listed) in
            [("createOrUpdateCustomer", 0), ("getStatus", 0), ("getDocumentImages", 0), ("updateStatus", 1)]
        {
            let schema = Schema::compile(&format!("{file}.schema.json"), &files).ok().unwrap();
            let sample = sample(&schema, Some(("service", file)), None, &mut mint).unwrap();
            assert_eq!(refused(&schema, &sample.body), Some(Vec::new()));
            // The service's own name is no canary.
            assert_eq!(sample.canaries.len() + 1 + listed, strings(&sample.body), "{:#}", sample.body);
            let known = schema.members().iter().filter(|member| {
                schema.members().iter().all(|other| !other.starts_with(&format!("{member}/")))
            });
            assert_eq!(strings(&sample.body), known.count(), "{:#}", sample.body);
        }
        assert!(mint.planted().all(|planted| planted.allowed == Allowed::ForwardedBodies));
        assert!(mint.planted().count() >= 12);
    }

    #[test]
    fn a_document_of_another_service_is_made_from_what_its_schema_says() {
        let schema = compiled(&serde_json::json!({
            "type": "object", "additionalProperties": false, "required": ["op", "id", "when", "kind", "list"],
            "properties": {
                "op": {"type": "string", "const": "look"},
                "id": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$", "maxLength": 8, "examples": ["ABC-1234"]},
                "when": {"$ref": "#/$defs/when"},
                "kind": {"type": "string", "enum": ["a", "b"]},
                "count": {"type": "integer", "minimum": 3, "maximum": 9},
                "flag": {"type": "boolean"},
                "list": {"type": "array", "minItems": 2, "maxItems": 3,
                    "items": {"type": "object", "additionalProperties": false, "required": ["text"],
                        "properties": {"text": {"type": "string", "maxLength": 60}}}},
                "odd": {"type": "string", "maxLength": 5, "pattern": "^z{5}$"}
            },
            "$defs": {"when": {"type": "string", "maxLength": 10, "format": "date"}}
        }));
        let sample = sample(&schema, Some(("op", "look")), None, &mut Mint::seeded(3)).unwrap();
        assert_eq!(refused(&schema, &sample.body), Some(Vec::new()));
        assert_eq!(sample.canaries, ["/list/0/text", "/list/1/text", "/when"]);
        assert_eq!(sample.body["id"], "ABC-1234");
        assert_eq!(sample.body.get("odd"), None, "what cannot be made and need not be is left out");
    }

    #[test]
    fn a_document_that_cannot_be_guessed_is_taken_from_the_operator_and_gets_canaries_too() {
        let schema = compiled(&serde_json::json!({
            "type": "object", "additionalProperties": false, "required": ["code", "note"],
            "properties": {
                "code": {"type": "string", "maxLength": 9, "pattern": "^q[0-9]q[0-9]q$"},
                "note": {"type": "string", "maxLength": 200}
            }
        }));
        let mut mint = Mint::seeded(5);
        assert!(sample(&schema, None, None, &mut mint).is_none());
        let given = serde_json::json!({"code": "q1q2q", "note": "anything"});
        let sample = sample(&schema, None, Some(&given), &mut mint).unwrap();
        assert_eq!(sample.body["code"], "q1q2q");
        assert_eq!(sample.canaries, ["/note"]);
        assert_ne!(sample.body["note"], "anything");
    }
}
