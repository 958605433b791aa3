//! Which schemas apply to which values of a document, by which path through `$ref`?

use serde_json::{Map, Value};

use super::SchemaFault;
use super::dialect::Holds;

/// How many places one schema may have: `$ref`s to `$ref`s could grow without bound.
const MAX_PLACES: usize = 2_000;

/// One step from a value of a document to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// A member of that name.
    Member(String),
    /// Any element of an array.
    Element,
    /// Any member that has no schema of its own.
    Other,
}

/// A schema where it applies to a value of a document.
#[derive(Clone)]
pub(super) struct Place<'s> {
    /// An object or a boolean.
    pub(super) schema: &'s Value,
    /// JSON pointer to `schema`, for faults.
    pub(super) at: String,
    /// The evaluation path (JSON Schema core, section 12.4.2): the way here, `$ref`s included.
    pub(super) path: String,
    /// The value it applies to.
    pub(super) instance: Vec<Step>,
    /// How it applies.
    pub(super) role: Role,
    /// Whether failures in here are reported one by one; those below `anyOf` and the like are not.
    pub(super) reported: bool,
    /// Whether this is the schema that decides what the value may be at all; others only narrow it.
    pub(super) declares: bool,
    /// Where conditional schemas may declare members (`unevaluatedProperties`): those declared already.
    declared: Option<Vec<&'s str>>,
}

/// How a schema applies to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It is the value's own schema.
    Own,
    /// It applies whenever the value's own schema does: by `$ref` or `allOf`.
    Joined,
    /// It applies sometimes, or to be negated.
    Conditional,
}

/// Visits every schema under `root` where it applies, parents before children.
///
/// # Errors
///
/// Faults for `$ref`s that lead nowhere or back to themselves, and for more than 2,000 places.
pub(super) fn walk<'s>(root: &'s Value, visit: &mut dyn FnMut(&Place<'s>)) -> Result<(), Vec<SchemaFault>> {
    let mut walk = Walk { root, visit, active: Vec::new(), places: 0, faults: Vec::new() };
    walk.enter(&Place {
        schema: root,
        at: String::new(),
        path: String::new(),
        instance: Vec::new(),
        role: Role::Own,
        reported: true,
        declares: true,
        declared: names_left_to_conditions(root, root),
    });
    if walk.faults.is_empty() { Ok(()) } else { Err(walk.faults) }
}

/// The schemas that apply to a value whenever `own` does: itself, what it `$ref`s and its `allOf`.
///
/// A `$ref` that leads back ends the list; [`walk`] reports it.
pub(super) fn joined<'s>(root: &'s Value, own: &'s Value) -> Vec<&'s Map<String, Value>> {
    let mut found: Vec<&Map<String, Value>> = Vec::new();
    let mut open = vec![own];
    while let Some(schema) = open.pop() {
        let Some(map) = schema.as_object() else { continue };
        if found.iter().any(|known| std::ptr::eq(*known, map)) {
            continue;
        }
        found.push(map);
        open.extend(map.get("$ref").and_then(Value::as_str).and_then(|target| resolve(root, target)));
        open.extend(map.get("allOf").and_then(Value::as_array).into_iter().flatten());
    }
    found
}

/// The schemas that may apply to the very value that `own` (at the pointer `at`) applies to: itself, what it
/// `$ref`s, and every schema that a keyword of these applies in place. Each with its pointer.
pub(super) fn in_place<'s>(
    root: &'s Value,
    own: &'s Value,
    at: &str,
) -> Vec<(String, &'s Map<String, Value>)> {
    let mut found: Vec<(String, &Map<String, Value>)> = Vec::new();
    let mut open = vec![(at.to_owned(), own)];
    while let Some((at, schema)) = open.pop() {
        let Some(map) = schema.as_object() else { continue };
        if found.iter().any(|(_, known)| std::ptr::eq(*known, map)) {
            continue;
        }
        for (keyword, value) in map {
            match (keyword.as_str(), value) {
                ("$ref", Value::String(target)) => {
                    let pointer = target.trim_start_matches('#').to_owned();
                    open.extend(resolve(root, target).map(|schema| (pointer, schema)));
                }
                ("if" | "then" | "else" | "not", schema) => open.push((format!("{at}/{keyword}"), schema)),
                ("dependentSchemas", Value::Object(schemas)) => open.extend(
                    schemas
                        .iter()
                        .map(|(name, schema)| (format!("{at}/{keyword}/{}", segment(name)), schema)),
                ),
                ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => open.extend(
                    schemas
                        .iter()
                        .enumerate()
                        .map(|(index, schema)| (format!("{at}/{keyword}/{index}"), schema)),
                ),
                _ => {}
            }
        }
        found.push((at, map));
    }
    found
}

/// The schema that `#/…` points to.
pub(super) fn resolve<'s>(root: &'s Value, target: &str) -> Option<&'s Value> {
    root.pointer(target.strip_prefix('#')?)
}

/// `text` as one segment of a JSON pointer (RFC 6901, section 3).
pub(super) fn segment(text: &str) -> String {
    text.replace('~', "~0").replace('/', "~1")
}

/// The members that an object declares itself, where it is closed by `unevaluatedProperties`: then conditional
/// schemas may declare more.
fn names_left_to_conditions<'s>(root: &'s Value, own: &'s Value) -> Option<Vec<&'s str>> {
    let joined = joined(root, own);
    let has_false = |keyword: &str| joined.iter().any(|map| map.get(keyword) == Some(&Value::Bool(false)));
    if !has_false("unevaluatedProperties") || has_false("additionalProperties") {
        return None;
    }
    let properties = joined.iter().filter_map(|map| map.get("properties")?.as_object());
    Some(properties.flat_map(|members| members.keys()).map(String::as_str).collect())
}

struct Walk<'s, 'v> {
    root: &'s Value,
    visit: &'v mut dyn FnMut(&Place<'s>),
    active: Vec<String>,
    places: usize,
    faults: Vec<SchemaFault>,
}

impl<'s> Walk<'s, '_> {
    fn enter(&mut self, place: &Place<'s>) {
        self.places += 1;
        if self.places == MAX_PLACES {
            self.fault(
                place,
                "the schema applies in more than 2,000 places",
                "use fewer \"$ref\"s of \"$ref\"s",
            );
        }
        if self.places >= MAX_PLACES {
            return;
        }
        (self.visit)(place);
        let Some(map) = place.schema.as_object() else { return };
        for (keyword, value) in map {
            match (super::dialect::holds(keyword), value) {
                (Some(Holds::Reference), Value::String(target)) => self.follow(place, target),
                (Some(Holds::Schema), schema) => {
                    self.enter_one(place, keyword, None, schema);
                }
                (Some(Holds::Schemas), Value::Object(schemas)) if keyword != "$defs" => {
                    for (name, schema) in schemas {
                        self.enter_one(place, keyword, Some(name), schema);
                    }
                }
                (Some(Holds::List), Value::Array(schemas)) => {
                    for (index, schema) in schemas.iter().enumerate() {
                        self.enter_one(place, keyword, Some(&index.to_string()), schema);
                    }
                }
                _ => {}
            }
        }
    }

    fn follow(&mut self, place: &Place<'s>, target: &str) {
        let Some(schema) = resolve(self.root, target) else {
            self.fault(
                place,
                &format!("\"$ref\": \"{target}\" leads nowhere"),
                "point to a schema of this file",
            );
            return;
        };
        if self.active.iter().any(|active| active == target) {
            self.fault(
                place,
                &format!("\"$ref\": \"{target}\" leads back to itself"),
                "write the levels out: a request has a fixed depth",
            );
            return;
        }
        self.active.push(target.to_owned());
        let mut next = place.clone();
        next.schema = schema;
        next.at = target.trim_start_matches('#').to_owned();
        next.path.push_str("/$ref");
        next.role = if place.role == Role::Conditional { Role::Conditional } else { Role::Joined };
        self.enter(&next);
        self.active.pop();
    }

    fn enter_one(&mut self, place: &Place<'s>, keyword: &str, name: Option<&str>, schema: &'s Value) {
        let mut next = place.clone();
        next.schema = schema;
        for pointer in [&mut next.at, &mut next.path] {
            pointer.push('/');
            pointer.push_str(keyword);
            if let Some(name) = name {
                pointer.push('/');
                pointer.push_str(&segment(name));
            }
        }
        match keyword {
            "properties" => next.step(Step::Member(name.unwrap_or_default().to_owned()), self.root),
            "items" => next.step(Step::Element, self.root),
            "additionalProperties" | "unevaluatedProperties" => {
                if schema.is_boolean() {
                    return;
                }
                next.step(Step::Other, self.root);
            }
            "contains" | "propertyNames" => {
                next.step(if keyword == "contains" { Step::Element } else { Step::Other }, self.root);
                next.narrow(false);
                (next.declares, next.declared) = (false, None);
            }
            "allOf" => next.role = if place.role == Role::Conditional { place.role } else { Role::Joined },
            "then" | "else" | "dependentSchemas" => next.narrow(next.reported),
            _ => next.narrow(false),
        }
        self.enter(&next);
    }

    fn fault(&mut self, place: &Place<'_>, problem: &str, remedy: &str) {
        self.faults.push(SchemaFault::new(&place.at, problem, remedy));
    }
}

impl<'s> Place<'s> {
    /// Goes to a value inside this one.
    fn step(&mut self, step: Step, root: &'s Value) {
        self.declares = match (self.role, &self.declared, &step) {
            (Role::Own | Role::Joined, _, _) => self.declares,
            (Role::Conditional, Some(declared), Step::Member(name)) => !declared.contains(&name.as_str()),
            (Role::Conditional, _, _) => false,
        };
        self.instance.push(step);
        self.role = Role::Own;
        self.declared = names_left_to_conditions(root, self.schema).filter(|_| self.declares);
    }

    /// Applies to the same value, but not always.
    fn narrow(&mut self, reported: bool) {
        self.role = Role::Conditional;
        self.reported = reported;
    }

    /// The value's JSON pointer: `*` for the elements of an array and for members without a name in the schema.
    pub(super) fn pointer(&self) -> String {
        pointer(&self.instance)
    }
}

/// The JSON pointer of `steps`.
pub(super) fn pointer(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |mut pointer, step| {
        pointer.push('/');
        match step {
            Step::Member(name) => pointer.push_str(&segment(name)),
            Step::Element | Step::Other => pointer.push('*'),
        }
        pointer
    })
}
