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
    /// The notation is broken, so what stands where is a guess.
    broken: bool,
    /// What the keys are is clear nonetheless.
    understood: bool,
}

impl FileText {
    /// `name` is what the reports call the file.
    pub(super) fn new(name: String, text: String) -> Self {
        Self { name, text, concealed: Vec::new(), written: Vec::new(), broken: true, understood: false }
    }

    /// What the reports call the file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Notes what stands where; `sound` when the notation has no fault.
    pub(super) fn understand(&mut self, root: &Node, sound: bool) {
        self.broken = !sound;
        self.understood = true;
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
        let guarded = if self.broken { self.guarded(line, line_start, &caret) } else { None };
        let (shown, caret) = guarded.unwrap_or_else(|| self.redacted(line, line_start, &caret));
        Origin::Line {
            file: self.name.clone(),
            elsewhere: false,
            line: before.matches('\n').count().saturating_add(1),
            shown,
            caret,
        }
    }

    /// The line with every concealed byte replaced and its comment cut off.
    fn redacted(&self, line: &str, line_start: usize, caret: &Range<usize>) -> (String, Range<usize>) {
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
                mark(&mut moved, offset, caret, shown.len());
                shown.push_str(CONCEALED);
            } else if !concealed {
                mark(&mut moved, offset, caret, shown.len());
                shown.push(if character.is_control() { ' ' } else { character });
            } else if offset >= caret.end {
                mark(&mut moved, offset, caret, shown.len());
            }
            concealing = concealed;
        }
        let shown = shown.trim_end().to_owned();
        let start = moved.0.unwrap_or(shown.len()).min(shown.len());
        let end = moved.1.unwrap_or(shown.len()).min(shown.len()).max(start);
        (shown, start..end)
    }

    /// What may be shown of a line while the notation is broken, where that is not the line as usual: a value
    /// is shown only when it is made of amounts, and neither its key nor its section can hold a secret. The
    /// section alone is no proof: its header may be what is broken.
    fn guarded(&self, line: &str, line_start: usize, caret: &Range<usize>) -> Option<(String, Range<usize>)> {
        let before = self.text.get(..line_start).unwrap_or_default();
        let section = before.lines().rev().find(|line| line.starts_with('[')).unwrap_or_default();
        let harmless = |text: &str| !SECRET_WORDS.iter().any(|word| text.to_ascii_lowercase().contains(word));
        let in_string = before.contains("\"\"\"") || before.contains("'''");
        let (key, value) = line.split_once('=').unwrap_or(("", ""));
        let key = Some(key.trim_end()).filter(|key| !in_string && !key.is_empty() && key.chars().all(is_key));
        match key {
            Some(_) if harmless(section) && harmless(line) && value.split_whitespace().all(is_amount) => None,
            Some(key) => {
                let shown = format!("{key} = {CONCEALED}");
                let value = shown.len().saturating_sub(CONCEALED.len());
                let caret = if caret.end <= key.len() { caret.clone() } else { value..shown.len() };
                Some((shown, caret))
            }
            None if !in_string && line.starts_with('[') && line.chars().all(is_header) => {
                if self.understood {
                    None
                } else {
                    header(line)
                }
            }
            None => Some((CONCEALED.to_owned(), 0..CONCEALED.len())),
        }
    }
}

/// What may be shown of a section's header where that is not all of it: a part that is no key of ours may be
/// anything.
fn header(line: &str) -> Option<(String, Range<usize>)> {
    let name = line.trim_start_matches('[');
    let mut shown = line.len().saturating_sub(name.len());
    for (part, known) in
        name.trim_end_matches(']').split('.').zip([&TABLES[..], &["tls", "retry", "breaker"], &[]])
    {
        if !known.contains(&part) {
            let start = line.get(..shown).unwrap_or_default();
            return Some((
                format!("{start}{CONCEALED}"),
                start.len()..start.len().saturating_add(CONCEALED.len()),
            ));
        }
        shown = shown.saturating_add(part.len()).saturating_add(1);
    }
    None
}

/// The tables that a file has at its top.
const TABLES: [&str; 9] =
    ["data", "ops", "audit", "log", "upstream", "endpoints", "credentials", "services", "callers"];

/// Words in keys and section names whose values are not shown while the notation is broken.
const SECRET_WORDS: [&str; 11] =
    ["cred", "user", "pass", "pwd", "secret", "token", "key", "sha", "auth", "caller", "://"];

/// Whether `word` is a number, an amount as it is often written without its quotes, or true or false.
pub(super) fn is_amount(word: &str) -> bool {
    let number = word.trim_start_matches('=').trim_end_matches(',');
    let unit = number.trim_start_matches(|c: char| c.is_ascii_digit() || "._+-".contains(c));
    let short = number.len() <= 20;
    matches!(number, "true" | "false") || short && UNITS.iter().any(|known| known.eq_ignore_ascii_case(unit))
}

/// What may follow a number, right or wrong.
const UNITS: [&str; 22] = [
    "", "%", "ms", "s", "sec", "seconds", "minutes", "hours", "m", "min", "h", "d", "B", "KB", "MB", "GB",
    "KiB", "MiB", "GiB", "KiB/s", "MiB/s", "B/s",
];

fn is_key(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_-.".contains(character)
}

fn is_header(character: char) -> bool {
    is_key(character) || "[]".contains(character)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::parse;

    /// What is shown of the line of `at`, and which part of it is under the caret.
    fn shown(text: &str, secrets: &[&str], at: &str) -> (String, String) {
        let (root, malformed) = parse(text);
        let mut file = FileText::new("file".to_owned(), text.to_owned());
        if malformed.is_empty() {
            file.understand(&root, true);
        }
        let span =
            |part: &str| text.find(part).map(|start| start..start + part.len()).expect("a part of the text");
        for secret in secrets {
            file.conceal(span(secret));
        }
        match file.origin(&span(at)) {
            Origin::Line { shown, caret, .. } => {
                let under = shown.get(caret).expect("bytes of the line").to_owned();
                (shown, under)
            }
            other => panic!("{other:?}"),
        }
    }

    fn pair(line: &str, under: &str) -> (String, String) {
        (line.to_owned(), under.to_owned())
    }

    #[test]
    fn a_concealed_part_becomes_one_ellipsis_wherever_the_caret_is() {
        let text = "a = { b = \"secret\", c = \"öffentlich\" }\n";
        let line = "a = { b = …, c = \"öffentlich\" }";
        assert_eq!(shown(text, &["\"secret\""], "\"secret\""), pair(line, "…"));
        assert_eq!(shown(text, &["\"secret\""], "\"öffentlich\""), pair(line, "\"öffentlich\""));
        assert_eq!(shown(text, &["\"secret\""], "b"), pair(line, "b"));
        assert_eq!(
            shown(text, &["\"secret\"", "\"öffentlich\""], "c ="),
            pair("a = { b = …, c = … }", "c =")
        );
    }

    #[test]
    fn a_comment_is_not_shown_and_a_hash_sign_in_a_string_is_no_comment() {
        assert_eq!(shown("a = \"#1\" # was: secret\n", &[], "a"), pair("a = \"#1\"", "a"));
        assert_eq!(shown("[t] # secret\na = 1\n", &[], "[t]"), pair("[t]", "[t]"));
    }

    #[test]
    fn a_secret_of_several_lines_is_shown_in_none_of_them() {
        let text = "a = { b = \"\"\"one\nsecret\"\"\", c = 1 }\n";
        assert_eq!(
            shown(text, &["\"\"\"one\nsecret\"\"\""], "\"\"\"one\nsecret\"\"\""),
            pair("a = { b = …", "…")
        );
        assert_eq!(shown(text, &["\"\"\"one\nsecret\"\"\""], "c ="), pair("…, c = 1 }", "c ="));
    }

    #[test]
    fn while_the_notation_is_broken_a_value_is_shown_only_where_no_secret_can_stand() {
        for (text, at, line) in [
            ("[data]\nworkers = 4 4\n", "4 4", "workers = 4 4"),
            ("[data]\nbody_timeout = 30s\n", "30s", "body_timeout = 30s"),
            ("[data]\nmax_requests == 5\n", "5", "max_requests == 5"),
            ("[data]\nx = secret\n", "secret", "x = …"),
            ("[data]\nx = \"secret\n", "secret", "x = …"),
            ("[data]\nx = 5 secret\n", "secret", "x = …"),
            ("[data]\npassphrase = secret\n", "secret", "passphrase = …"),
            ("[credentials.production]\nx = secret\n", "secret", "x = …"),
            ("[credentials.production]\nx = secret\n", "x", "x = …"),
            ("secret\n", "secret", "…"),
            ("\"secret\" = \n", "secret", "…"),
            ("[data]\nx = \"\"\"\nmore = secret\n", "secret", "…"),
            ("[secret\n", "[secret", "[…"),
            ("[credentials.secret\n", "[credentials", "[credentials.…"),
            ("[[callers\n", "[[callers", "[[callers"),
            ("[data.tls\n", "[data", "[data.tls"),
            ("[data.tls.secret\n", "[data", "[data.tls.…"),
            ("[\"se cret\n", "cret", "…"),
            ("url = https://user:secret@host\n", "secret", "url = …"),
        ] {
            assert_eq!(shown(text, &[], at).0, line, "{text}");
        }
    }
}
