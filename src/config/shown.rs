//! Which part of a line of the configuration file may be shown beside a fault?

use std::ops::Range;

use super::faults::Origin;
use super::tree::{Kind, Node, Place};

/// What stands in the place of a secret.
const CONCEALED: &str = "…";

/// The configuration file's text, and which bytes of it must not be shown.
pub(super) struct FileText {
    name: String,
    text: String,
    /// Bytes that are secret, or may be.
    concealed: Vec<Range<usize>>,
    /// Keys and scalars: a `#` outside of them starts a comment.
    written: Vec<Range<usize>>,
    /// Nothing is known about what is what: the notation is broken.
    broken: bool,
}

impl FileText {
    /// `name` is what the reports call the file.
    pub(super) fn new(name: String, text: String) -> Self {
        Self { name, text, concealed: Vec::new(), written: Vec::new(), broken: true }
    }

    /// What the reports call the file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Notes what is what, which is known once the notation was found good.
    pub(super) fn understand(&mut self, root: &Node) {
        self.broken = false;
        note(root, &mut self.written);
    }

    /// Keeps these bytes out of everything shown.
    pub(super) fn conceal(&mut self, span: Range<usize>) {
        self.concealed.push(span);
    }

    /// The line of `span.start`, without secrets and comments.
    pub(super) fn origin(&self, span: &Range<usize>) -> Origin {
        let start = floor(&self.text, span.start);
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let rest = self.text.get(line_start..).unwrap_or_default();
        let line_end = line_start.saturating_add(rest.find('\n').unwrap_or(rest.len()));
        let line = self.text.get(line_start..line_end).unwrap_or_default().trim_end();
        let end = floor(&self.text, span.end).min(line_start.saturating_add(line.len())).max(start);
        let caret = start.saturating_sub(line_start)..end.saturating_sub(line_start);
        let (shown, caret) = if self.broken {
            self.guarded(line, line_start, caret)
        } else {
            self.redacted(line, line_start, caret)
        };
        Origin::Line {
            file: self.name.clone(),
            elsewhere: false,
            line: before.matches('\n').count().saturating_add(1),
            shown,
            caret,
        }
    }

    /// The line with every concealed byte replaced and its comment cut off.
    fn redacted(&self, line: &str, line_start: usize, caret: Range<usize>) -> (String, Range<usize>) {
        let mut shown = String::with_capacity(line.len());
        let mut moved = (None, None);
        let mut concealing = false;
        for (offset, character) in line.char_indices() {
            let at = line_start.saturating_add(offset);
            let concealed = covers(&self.concealed, at);
            if character == '#' && !concealed && !covers(&self.written, at) {
                break;
            }
            if concealed && !concealing {
                mark(&mut moved, offset, &caret, shown.len());
                shown.push_str(CONCEALED);
            } else if !concealed {
                mark(&mut moved, offset, &caret, shown.len());
                shown.push(if character.is_control() { ' ' } else { character });
            } else if offset >= caret.end {
                mark(&mut moved, offset, &caret, shown.len());
            }
            concealing = concealed;
        }
        let shown = shown.trim_end().to_owned();
        let start = moved.0.unwrap_or(shown.len()).min(shown.len());
        let end = moved.1.unwrap_or(shown.len()).min(shown.len()).max(start);
        (shown, start..end)
    }

    /// The line of a file whose notation is broken: the value is shown only where neither the key nor
    /// the section can hold a secret.
    fn guarded(&self, line: &str, line_start: usize, caret: Range<usize>) -> (String, Range<usize>) {
        let before = self.text.get(..line_start).unwrap_or_default();
        let section = before.lines().rev().find(|line| line.starts_with('[')).unwrap_or_default();
        let header = line.starts_with('[') && line.chars().all(is_header);
        let key = line.split_once('=').map(|(key, _)| key).filter(|key| key.chars().all(is_header));
        let harmless = |text: &str| !SECRET_WORDS.iter().any(|word| text.to_ascii_lowercase().contains(word));
        let quotes_before = before.matches("\"\"\"").count() + before.matches("'''").count();
        match key {
            _ if header => (line.to_owned(), caret),
            Some(_) if harmless(section) && harmless(line) && quotes_before == 0 => (line.to_owned(), caret),
            Some(key) if quotes_before == 0 => {
                let shown = format!("{key}= {CONCEALED}");
                let value = key.len().saturating_add(2);
                let caret = if caret.end <= key.len() { caret } else { value..shown.len() };
                (shown, caret)
            }
            _ => (CONCEALED.to_owned(), 0..CONCEALED.len()),
        }
    }
}

/// Words in keys and section names whose values are not shown while the notation is broken.
const SECRET_WORDS: [&str; 11] =
    ["cred", "user", "pass", "pwd", "secret", "token", "key", "sha", "auth", "caller", "://"];

fn is_header(character: char) -> bool {
    character.is_ascii_alphanumeric() || " \t_-.[]\"".contains(character)
}

fn note(node: &Node, written: &mut Vec<Range<usize>>) {
    match &node.kind {
        Kind::List(items) => items.iter().for_each(|item| note(item, written)),
        Kind::Table(entries) => {
            for entry in entries {
                written.extend(span(&entry.key_place));
                note(&entry.node, written);
            }
        }
        _ => written.extend(span(&node.place)),
    }
}

fn span(place: &Place) -> Option<Range<usize>> {
    match place {
        Place::File(span) => Some(span.clone()),
        _ => None,
    }
}

fn covers(spans: &[Range<usize>], at: usize) -> bool {
    spans.iter().any(|span| span.contains(&at))
}

/// Notes where the caret's borders went.
fn mark(moved: &mut (Option<usize>, Option<usize>), offset: usize, caret: &Range<usize>, shown: usize) {
    if offset >= caret.start && moved.0.is_none() {
        moved.0 = Some(shown);
    }
    if offset >= caret.end && moved.1.is_none() {
        moved.1 = Some(shown);
    }
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at = at.saturating_sub(1);
    }
    at
}
