//! What must not compile?
//!
//! Each case in `compile_fail/` has a twin in `compile_pass/` that differs from it in one line and compiles: the
//! case fails for the reason it names, and not for a typing error.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn what_must_not_compile_does_not_and_its_twin_does() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/*.rs");
    cases.pass("tests/compile_pass/*.rs");
}

#[test]
fn every_case_has_a_twin_that_differs_in_one_line() {
    let names = |folder: &str| -> BTreeSet<String> { sources(folder).map(|path| name(&path)).collect() };
    assert_eq!(names("compile_fail"), names("compile_pass"));
    assert!(!names("compile_fail").is_empty());
    for case in sources("compile_fail") {
        let twin = fs::read_to_string(folder("compile_pass").join(case.file_name().unwrap())).unwrap();
        let text = fs::read_to_string(&case).unwrap();
        let differing = text.lines().zip(twin.lines()).filter(|(line, other)| line != other).count();
        assert_eq!((text.lines().count(), differing), (twin.lines().count(), 1), "{}", name(&case));
    }
}

/// Deleting or moving a line is tried for the lines that the two cases list; here they are compared with those
/// of the stack.
#[test]
fn the_cases_of_the_stack_have_its_lines_in_its_order() {
    let stack = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/stack.rs")).unwrap();
    let layers: Vec<String> = stack.lines().filter_map(line_of_the_stack).collect();
    assert!(layers.len() > 10, "{layers:?}");
    for case in ["a_line_of_the_stack_is_left_out", "two_lines_of_the_stack_change_places"] {
        let text = fs::read_to_string(folder("compile_fail").join(format!("{case}.rs"))).unwrap();
        let tried: Vec<String> = text.lines().filter_map(line_of_a_case).collect();
        let left_out = case.starts_with("a_line");
        // Of neighbours, there is one pair fewer than lines.
        assert_eq!(tried.len(), if left_out { layers.len() } else { layers.len() - 1 }, "{case}");
        for (at, line) in tried.iter().enumerate() {
            assert_eq!(*line, if left_out { one(&layers, at) } else { two(&layers, at) }, "{case}");
        }
        let findings = fs::read_to_string(folder("compile_fail").join(format!("{case}.stderr"))).unwrap();
        for line in text.lines().filter(|line| line_of_a_case(line).is_some()) {
            assert!(findings.contains(line), "{case}: nothing is found in {line}");
        }
    }
}

/// `identify` for `.layer(StageLayer(stages.identify))`; tower's own pair is one line here, because only together
/// do they keep the type.
fn line_of_the_stack(line: &str) -> Option<String> {
    let layer = line.trim().strip_prefix(".layer(")?.strip_suffix(')')?;
    Some(match layer {
        "RespondLayer" => "respond".to_owned(),
        "LoadShedLayer::new()" => "shed".to_owned(),
        layer if layer.starts_with("GlobalConcurrencyLimitLayer") => return None,
        layer => {
            let (_, name) = layer.split_once("stages.")?;
            name.trim_end_matches(')').to_owned()
        }
    })
}

/// `[before] line [after]` of `    case!(name: [before] line [after]);`
fn line_of_a_case(line: &str) -> Option<String> {
    let (_, lines) = line.trim().strip_prefix("case!(")?.strip_suffix(");")?.split_once(": ")?;
    Some(lines.to_owned())
}

fn one(layers: &[String], at: usize) -> String {
    format!("[{}] {} [{}]", layers[..at].join(" "), layers[at], layers[at + 1..].join(" "))
}

fn two(layers: &[String], at: usize) -> String {
    format!("[{}] {} {} [{}]", layers[..at].join(" "), layers[at], layers[at + 1], layers[at + 2..].join(" "))
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn sources(name: &str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder(name)).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "rs"))
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}
