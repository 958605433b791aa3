//! What may the audit know of a document, as numbers and without its text?

use serde_json::{Map, Value};

use super::dialect::AUDIT;
use super::walk::{Place, Role, Step, joined, pointer};
use super::{DocumentFacts, Facts, MediaType, Normalise, SchemaFault, base64};
use crate::json::{Document, Node, Text};

/// How many members a schema may know: the audit record has a bit for each.
const MAX_MEMBERS: usize = 64;

/// What is looked for in a document: the members of a schema, as a tree.
pub(super) struct Members {
    pointers: Vec<Box<str>>,
    recorded: Vec<Box<str>>,
    root: Branch,
}

/// One value of the schema and what is inside it.
#[derive(Default)]
struct Branch {
    member: Option<u8>,
    is_document: bool,
    audit: Option<Audit>,
    members: Vec<(String, Branch)>,
    element: Option<Box<Branch>>,
}

#[derive(Clone, Copy)]
enum Audit {
    Value,
    Fingerprint(Normalise),
}

impl Members {
    pub(super) fn new() -> Self {
        Self { pointers: Vec::new(), recorded: Vec::new(), root: Branch::default() }
    }

    /// Adds the member that `place` describes; members inside members that have no name are not known.
    pub(super) fn visit<'s>(&mut self, root: &'s Value, place: &Place<'s>) {
        if place.role != Role::Own || !place.declares || place.instance.contains(&Step::Other) {
            return;
        }
        let Some(branch) = self.root.at(&place.instance) else { return };
        if matches!(place.instance.last(), Some(Step::Member(_))) && branch.member.is_none() {
            branch.member = u8::try_from(self.pointers.len()).ok();
            self.pointers.push(pointer(&place.instance).into());
        }
        let joined = joined(root, place.schema);
        let text_of = |keyword: &str| joined.iter().find_map(|map| map.get(keyword)).and_then(Value::as_str);
        branch.is_document |= text_of("contentEncoding").is_some();
        branch.audit = branch.audit.or(match text_of(AUDIT) {
            Some("value") => {
                self.recorded = texts(&joined);
                Some(Audit::Value)
            }
            Some("fingerprint:email") => Some(Audit::Fingerprint(Normalise::Email)),
            Some("fingerprint:reference") => Some(Audit::Fingerprint(Normalise::Reference)),
            _ => None,
        });
    }

    /// The fault of a schema with too many members.
    pub(super) fn faults(&self) -> Vec<SchemaFault> {
        if self.pointers.len() <= MAX_MEMBERS {
            return Vec::new();
        }
        let problem = format!("{} members: the audit record has room for {MAX_MEMBERS}", self.pointers.len());
        vec![SchemaFault::new("", &problem, "describe fewer members")]
    }

    pub(super) fn pointers(&self) -> &[Box<str>] {
        &self.pointers
    }

    pub(super) fn recorded(&self) -> &[Box<str>] {
        &self.recorded
    }

    /// Reads the facts of `document`.
    pub(super) fn facts(&self, document: &Document) -> Facts {
        let mut facts = Facts::default();
        self.root.each(document.root(), &mut |branch, node| {
            if let Some(member) = branch.member {
                facts.members |= 1_u64.checked_shl(u32::from(member)).unwrap_or(0);
            }
            let Some(text) = node.text() else { return };
            if branch.is_document {
                let seen = document_facts(branch.member.unwrap_or_default(), text);
                if let Some(slot) = facts.documents.get_mut(usize::from(facts.document_count)) {
                    *slot = Some(seen);
                }
                facts.document_count = facts.document_count.saturating_add(1);
            }
            if matches!(branch.audit, Some(Audit::Value)) {
                let value = self.recorded.iter().position(|value| text.equals(value));
                facts.value = value.and_then(|value| u8::try_from(value).ok());
            }
        });
        facts.member_count = u16::try_from(facts.members.count_ones()).unwrap_or(u16::MAX);
        facts
    }

    /// Calls `each` with every text that is to be fingerprinted.
    pub(super) fn fingerprinted<'a>(
        &self,
        document: &'a Document,
        mut each: impl FnMut(Normalise, Text<'a>),
    ) {
        self.root.each(document.root(), &mut |branch, node| {
            if let (Some(Audit::Fingerprint(normalise)), Some(text)) = (branch.audit, node.text()) {
                each(normalise, text);
            }
        });
    }
}

impl Branch {
    /// The branch for `steps`, made where it is missing; `None` below members without a name.
    fn at(&mut self, steps: &[Step]) -> Option<&mut Branch> {
        let Some((step, rest)) = steps.split_first() else { return Some(self) };
        match step {
            Step::Other => None,
            Step::Element => self.element.get_or_insert_default().at(rest),
            Step::Member(name) => {
                let known = self.members.iter().position(|(known, _)| known == name);
                let at = known.unwrap_or(self.members.len());
                if known.is_none() {
                    self.members.push((name.clone(), Branch::default()));
                }
                self.members.get_mut(at).and_then(|(_, branch)| branch.at(rest))
            }
        }
    }

    /// Calls `each` for this branch and every branch inside it that is present in `node`.
    fn each<'a>(&self, node: Node<'a>, each: &mut impl FnMut(&Branch, Node<'a>)) {
        each(self, node);
        for (name, branch) in &self.members {
            if let Some(value) = node.member(name) {
                branch.each(value, each);
            }
        }
        if let Some(branch) = &self.element {
            for element in node.elements() {
                branch.each(element, each);
            }
        }
    }
}

fn document_facts(member: u8, text: Text<'_>) -> DocumentFacts {
    let head = base64::head(text);
    DocumentFacts { member, decoded_bytes: base64::decoded_bytes(text), media: MediaType::of(head.bytes()) }
}

fn texts(joined: &[&Map<String, Value>]) -> Vec<Box<str>> {
    let values = joined.iter().find_map(|map| map.get("enum")).and_then(Value::as_array);
    values.into_iter().flatten().filter_map(Value::as_str).map(Box::from).collect()
}
