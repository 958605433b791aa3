//! How is a value read that is written as one string?

use schemars::{Schema, SchemaGenerator, json_schema};

use super::canonical::Canonical;
use super::findings::Findings;
use super::reader::{Limits, Written};
use super::tree::{Kind, Node};

/// A value that is written as one string.
pub(super) trait Text: Sized {
    /// What to write, for example `a time such as "500ms", "30s" or "5m"`.
    const FORM: &str;

    /// A regular expression (of JSON Schema) that every accepted string matches.
    const PATTERN: &str;

    /// Whether it is kept out of every report, right or wrong.
    const CONCEALED: bool = false;

    /// Reads `text`.
    fn parse(text: &str, limits: Limits) -> Result<Self, Wrong>;

    /// The same for every spelling of the same value.
    fn canonical(&self) -> String;
}

/// Why a text was not accepted.
pub(super) struct Wrong {
    problem: String,
    remedy: Option<String>,
    conceal: bool,
}

impl Wrong {
    /// What is wrong; what would be right is then the type's form.
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: None, conceal: false }
    }

    /// What would be right, said better than by the type's form.
    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// The text may be a secret in the wrong place: it is not shown.
    pub(super) fn concealed(self) -> Self {
        self.concealed_if(true)
    }

    /// As [`Self::concealed`], where `suspected`.
    pub(super) fn concealed_if(self, suspected: bool) -> Self {
        Self { conceal: self.conceal || suspected, ..self }
    }
}

impl<T: Text> Written for T {
    fn read(node: &Node, key: &str, limits: Limits, findings: &mut Findings) -> Option<Self> {
        if Self::CONCEALED {
            findings.conceal(node);
        }
        let wrong = match node.text() {
            Some(text) => match Self::parse(text, limits) {
                Ok(value) => return Some(value),
                Err(wrong) => wrong,
            },
            None => match node.kind {
                Kind::Integer(_) => Wrong::new("expected a string, found a bare number"),
                _ => Wrong::new(format!("expected a string, found {}", node.kind_name())),
            },
        };
        if wrong.conceal || matches!(node.kind, Kind::Table(_) | Kind::List(_)) {
            findings.conceal(node);
        }
        let remedy = wrong.remedy.unwrap_or_else(|| format!("write {}", Self::FORM));
        findings.error(key, &node.place, &wrong.problem, &remedy);
        None
    }

    fn schema(_generator: &mut SchemaGenerator, _limits: Limits) -> Schema {
        json_schema!({ "type": "string", "pattern": Self::PATTERN })
    }

    fn feed(&self, key: &str, canonical: &mut Canonical) {
        canonical.line(key, &self.canonical());
    }
}
