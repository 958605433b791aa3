//! What is wrong with the configuration, and how is that shown?

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin as Position, Renderer, Snippet};

/// One thing that is wrong (or, as a warning, unwise), where it stands, and what would be right.
///
/// It holds the one line of the file that it shows, with every secret in it already replaced by `…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    severity: Severity,
    problem: String,
    remedy: String,
    origin: Origin,
}

/// Whether the gateway refuses to start over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is accepted.
    Warning,
}

/// Where a fault stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In a line of a file, under a caret.
    Line {
        file: String,
        /// Whether that file is another than the configuration file.
        elsewhere: bool,
        line: usize,
        /// The line without its secrets.
        shown: String,
        /// Bytes of `shown`.
        caret: Range<usize>,
    },
    /// In a file as a whole.
    File(String),
    /// In an environment variable; its value is never shown.
    Variable(String),
    /// In a `KEY=VALUE` of the command line; its value is never shown.
    Argument(String),
}

/// All faults of one configuration, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    list: Vec<Fault>,
}

impl Fault {
    pub(super) fn new(severity: Severity, problem: String, remedy: String, origin: Origin) -> Self {
        Self { severity, problem, remedy, origin }
    }

    /// Whether this refuses the configuration.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong: the key, then one sentence without a full stop.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What would be right.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// The line of the file, counted from 1, where it stands in one.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match &self.origin {
            Origin::Line { line, .. } => Some(*line),
            _ => None,
        }
    }

    fn render(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = Group::with_title(level.primary_title(&self.problem));
        let group = located(title, &self.origin).element(Level::HELP.message(&self.remedy));
        renderer.render(&[group])
    }
}

fn located<'a>(group: Group<'a>, origin: &'a Origin) -> Group<'a> {
    match origin {
        Origin::Line { file, line, shown, caret, .. } => group.element(
            Snippet::source(shown.as_str())
                .line_start(*line)
                .path(file.as_str())
                .annotation(AnnotationKind::Primary.span(caret.clone())),
        ),
        Origin::File(file) => group.element(Position::path(file.as_str())),
        Origin::Variable(name) => {
            group.element(Level::NOTE.message(format!("set by the environment variable {name}")))
        }
        Origin::Argument(key) => {
            group.element(Level::NOTE.message(format!("set on the command line as {key}")))
        }
    }
}

impl Faults {
    /// In the order of the file; then what stands in other files, then overrides.
    pub(super) fn sorted(mut list: Vec<Fault>) -> Self {
        list.sort_by_key(|fault| match &fault.origin {
            Origin::Line { line, caret, elsewhere: false, .. } => (0, *line, caret.start),
            Origin::File(_) => (1, 0, 0),
            Origin::Line { .. } => (2, 0, 0),
            Origin::Variable(_) => (3, 0, 0),
            Origin::Argument(_) => (4, 0, 0),
        });
        Self { list }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The faults, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.list.iter()
    }

    /// All of them for people: each with file, line, caret, what is wrong and what would be right.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut report = String::new();
        for fault in &self.list {
            report.push_str(&fault.render(&renderer));
            report.push_str("\n\n");
        }
        let errors = self.list.iter().filter(|fault| fault.severity == Severity::Error).count();
        report.push_str(&match (errors, self.list.len().saturating_sub(errors)) {
            (0, warnings) => count(warnings, "warning"),
            (errors, 0) => count(errors, "error"),
            (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
        });
        report.push('\n');
        report
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The plain rendering.
impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl std::error::Error for Faults {}
