//! What do the environment and the command line override in the file?
//!
//! `DCAMS_GATEWAY__UPSTREAM__DEADLINE=30s` sets `upstream.deadline`: two underscores part the keys. Names
//! match whatever their case and whether `-`, `_` or `.` stands in them, because a variable can hold
//! neither: `DCAMS_GATEWAY__CALLERS__KYC_API__MAX_REQUESTS=8` is the caller `kyc-api`.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use zeroize::Zeroize;

use super::findings::Findings;
use super::reader::join;
use super::tree::{Entry, Kind, Node, Place, parse, parse_value};

/// What the names of overriding variables begin with.
pub const PREFIX: &str = "DCAMS_GATEWAY__";

/// What belongs to the gateway begins with this, in any case.
const NAME: &str = "DCAMS_GATEWAY";

/// More levels than any key has.
const DEEPEST: usize = 8;

/// The variables of this process that override the configuration, and those that were probably meant to.
///
/// What is not UTF-8 in one becomes U+FFFD, so that it is judged like any other value and not passed over.
#[must_use]
pub fn process_overrides() -> BTreeMap<String, String> {
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_string_lossy().into_owned();
        if is_ours(&name) {
            return Some((name, value.to_string_lossy().into_owned()));
        }
        // What is given here is a copy, and it may be of the password.
        value.into_vec().zeroize();
        None
    });
    variables.collect()
}

/// Puts `environment`, and then `arguments`, over what the file says.
pub(super) fn overlay(
    root: &mut Node,
    environment: &BTreeMap<String, String>,
    arguments: &[(String, String)],
    findings: &mut Findings,
) {
    let mut seen = BTreeSet::new();
    for (name, value) in environment {
        let place = Place::Variable(name.as_str().into());
        let Some(path) = name.strip_prefix(PREFIX) else {
            judge_other(root, name, &place, findings);
            continue;
        };
        let path: Vec<_> = path.split("__").map(str::to_ascii_lowercase).collect();
        if path.iter().any(String::is_empty) || path.len() > DEEPEST {
            let remedy = "write it as DCAMS_GATEWAY__TABLE__KEY, such as DCAMS_GATEWAY__UPSTREAM__DEADLINE";
            findings.error("", &place, "an environment variable does not name a key", remedy);
            continue;
        }
        put(root, &path, value, &place, findings);
    }
    for (key, value) in arguments {
        match key_path(key) {
            Some(path) if !seen.insert(path.iter().map(|part| fold(part)).collect::<Vec<_>>()) => {
                let place = Place::Argument(key.as_str().into());
                let remedy = "keep one of the two: which one counts would be a guess";
                findings.error("", &place, "a key is set twice on the command line", remedy);
            }
            Some(path) => put(root, &path, value, &Place::Argument(key.as_str().into()), findings),
            None => {
                let place = Place::Argument(Arc::from("an override"));
                let remedy = "write it as TABLE.KEY=VALUE, such as upstream.deadline=30s";
                findings.error("", &place, "an override does not name a key", remedy);
            }
        }
    }
}

/// Whether a variable goes by the gateway's name.
fn is_ours(name: &str) -> bool {
    name.get(..NAME.len()).is_some_and(|start| start.eq_ignore_ascii_case(NAME))
}

/// A variable that was probably meant to override a key is not passed over in silence.
fn judge_other(root: &Node, name: &str, place: &Place, findings: &mut Findings) {
    let rest = name.get(NAME.len()..).unwrap_or_default();
    // Kubernetes sets these for a Service of the gateway's name.
    let of_service = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|start| rest.starts_with(start));
    if !is_ours(name) || of_service || mentions(root, name) {
        return;
    }
    let remedy = "write it in capitals, with two underscores between the parts, such as DCAMS_GATEWAY__UPSTREAM__DEADLINE";
    if rest.contains("__") {
        findings.error("", place, "an environment variable sets nothing as it is written", remedy);
    } else {
        findings.warn(place, "an environment variable goes by the gateway's name and sets nothing", remedy);
    }
}

/// Whether some value is `text`: the variable of a secret may have any name.
fn mentions(node: &Node, text: &str) -> bool {
    match &node.kind {
        Kind::List(items) => items.iter().any(|item| mentions(item, text)),
        Kind::Table(entries) => entries.iter().any(|entry| mentions(&entry.node, text)),
        _ => node.text() == Some(text),
    }
}

/// The parts of a dotted TOML key.
fn key_path(key: &str) -> Option<Vec<String>> {
    if key.contains(['\n', '\r', '=', '#']) {
        return None;
    }
    let (root, malformed) = parse(&format!("{key} = 0"));
    let mut node = &root;
    let mut path = Vec::new();
    while let Kind::Table(entries) = &node.kind {
        let [entry] = entries.as_slice() else { return None };
        path.push(entry.key.clone());
        node = &entry.node;
    }
    (malformed.is_empty() && path.len() <= DEEPEST).then_some(path)
}

fn put(root: &mut Node, path: &[String], value: &str, place: &Place, findings: &mut Findings) {
    let Some((last, tables)) = path.split_last() else { return };
    let mut node = root;
    let mut walked = String::new();
    for part in tables {
        walked = join(&walked, part);
        let Some(next) = descend(node, part, &walked, place, findings) else { return };
        node = next;
    }
    walked = join(&walked, last);
    if let Some(target) = descend(node, last, &walked, place, findings) {
        *target = given(value, place);
    }
}

/// The member of `node` that `part` means, made where it is missing.
fn descend<'n>(
    node: &'n mut Node,
    part: &str,
    walked: &str,
    place: &Place,
    findings: &mut Findings,
) -> Option<&'n mut Node> {
    match &mut node.kind {
        Kind::Table(entries) => {
            let names: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
            let index = match meant(&names, part) {
                Meant::One(index) => index,
                Meant::None => {
                    let table = Node { place: place.clone(), kind: Kind::Table(Vec::new()), given: None };
                    entries.push(Entry { key: part.to_owned(), key_place: place.clone(), node: table });
                    entries.len().saturating_sub(1)
                }
                Meant::Several => {
                    ambiguous(walked, place, findings);
                    return None;
                }
            };
            entries.get_mut(index).map(|entry| &mut entry.node)
        }
        Kind::List(items) => {
            let name =
                |item: &Node| item.member("name").and_then(|entry| entry.node.text().map(str::to_owned));
            let names: Vec<_> = items.iter().map(|item| name(item).unwrap_or_default()).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            match meant(&names, part) {
                Meant::One(index) => items.get_mut(index),
                Meant::None => {
                    let remedy = "name an entry of the file, or set the whole list in TOML notation";
                    findings.error(walked, place, "overrides an entry that the file does not have", remedy);
                    None
                }
                Meant::Several => {
                    ambiguous(walked, place, findings);
                    None
                }
            }
        }
        _ => {
            let remedy = "leave out the part after it";
            findings.error(walked, place, "overrides a part of something that has no parts", remedy);
            None
        }
    }
}

fn ambiguous(walked: &str, place: &Place, findings: &mut Findings) {
    findings.error(walked, place, "could mean several names of the file", "set it in the file instead");
}

enum Meant {
    None,
    One(usize),
    Several,
}

/// Which of `names` is `part`: exactly, or else whatever the case and punctuation.
fn meant(names: &[&str], part: &str) -> Meant {
    if let Some(index) = names.iter().position(|name| *name == part) {
        return Meant::One(index);
    }
    let mut alike = names.iter().enumerate().filter(|(_, name)| fold(name) == fold(part));
    match (alike.next(), alike.next()) {
        (None, _) => Meant::None,
        (Some((index, _)), None) => Meant::One(index),
        (Some(_), Some(_)) => Meant::Several,
    }
}

fn fold(name: &str) -> String {
    name.chars().map(|c| if matches!(c, '-' | '.') { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// A TOML value where it is one, else the text as it stands.
fn given(value: &str, place: &Place) -> Node {
    match parse_value(value, place) {
        Some(node) => Node { given: Some(value.into()), ..node },
        None => Node { place: place.clone(), kind: Kind::Text(value.to_owned()), given: Some(value.into()) },
    }
}
