//! Which faults were found so far, and which parts of the file must not be shown with them?

use super::faults::{Fault, Faults, Origin, Severity};
use super::shown::FileText;
use super::tree::{Kind, Node, Place};

/// Collects faults while the configuration is read. They are rendered at the end, because a secret
/// that is found late may stand in the line of a fault that was found early.
pub(super) struct Findings {
    file: FileText,
    found: Vec<Found>,
    /// Of places that hold no secret of the file, or whose line was made without them.
    ready: Vec<Fault>,
}

struct Found {
    severity: Severity,
    problem: String,
    remedy: String,
    place: Place,
}

/// A key and the place of its value, for faults that are found after reading.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    /// For example `data.max_requests`.
    pub(super) key: Box<str>,
    pub(super) place: Place,
}

impl Findings {
    pub(super) fn new(file: FileText) -> Self {
        Self { file, found: Vec::new(), ready: Vec::new() }
    }

    /// The configuration is refused because of `key`.
    pub(super) fn error(&mut self, key: &str, place: &Place, problem: &str, remedy: &str) {
        self.add(Severity::Error, key, place, problem, remedy);
    }

    /// The configuration is accepted, but the operator should know of `place`.
    pub(super) fn warn(&mut self, place: &Place, problem: &str, remedy: &str) {
        self.add(Severity::Warning, "", place, problem, remedy);
    }

    /// As [`Self::error`], for a value that was read.
    pub(super) fn error_at(&mut self, spot: &Spot, problem: &str, remedy: &str) {
        self.add(Severity::Error, &spot.key, &spot.place, problem, remedy);
    }

    /// The configuration is accepted, but the operator should know.
    pub(super) fn warn_at(&mut self, spot: &Spot, problem: &str, remedy: &str) {
        self.add(Severity::Warning, &spot.key, &spot.place, problem, remedy);
    }

    /// Keeps every scalar of `node` out of what is shown: it is a secret, or may be one in the wrong place.
    pub(super) fn conceal(&mut self, node: &Node) {
        match (&node.kind, &node.place) {
            (Kind::List(items), _) => items.iter().for_each(|item| self.conceal(item)),
            (Kind::Table(entries), _) => entries.iter().for_each(|entry| self.conceal(&entry.node)),
            (_, Place::File(span)) => self.file.conceal(span.clone()),
            _ => {}
        }
    }

    /// Keeps what stands at `place` out of what is shown.
    pub(super) fn conceal_at(&mut self, place: &Place) {
        if let Place::File(span) = place {
            self.file.conceal(span.clone());
        }
    }

    /// Whether anything refuses the configuration so far.
    pub(super) fn refused(&self) -> bool {
        let found = self.found.iter().map(|found| found.severity);
        found.chain(self.ready.iter().map(Fault::severity)).any(|severity| severity == Severity::Error)
    }

    /// Where `place` stands, without secrets, for a fault that is made later.
    pub(super) fn origin(&self, place: &Place) -> Origin {
        match place {
            Place::File(span) => self.file.origin(span),
            Place::Variable(name) => Origin::Variable(name.to_string()),
            Place::Argument(key) => Origin::Argument(key.to_string()),
            Place::Default => Origin::File(self.file.name().to_owned()),
        }
    }

    /// Adds faults that were made elsewhere.
    pub(super) fn extend(&mut self, faults: Vec<Fault>) {
        self.ready.extend(faults);
    }

    /// All faults, in the order of the file.
    pub(super) fn finish(mut self) -> Faults {
        let mut faults: Vec<_> = self.found.iter().map(|found| self.fault(found)).collect();
        faults.append(&mut self.ready);
        Faults::sorted(faults)
    }

    fn add(&mut self, severity: Severity, key: &str, place: &Place, problem: &str, remedy: &str) {
        let problem = if key.is_empty() { problem.to_owned() } else { format!("{key}: {problem}") };
        self.found.push(Found { severity, problem, remedy: remedy.to_owned(), place: place.clone() });
    }

    fn fault(&self, found: &Found) -> Fault {
        Fault::new(found.severity, found.problem.clone(), found.remedy.clone(), self.origin(&found.place))
    }
}
