//! Does memory stay within 1.5 times the body, whatever its shape?
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use dcams_gateway::json::{Caps, parse};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

/// Shapes that make other parsers' trees many times as large as the text.
fn shapes(length: usize) -> Vec<(&'static str, String)> {
    let filled = |unit: &str| format!("{{\"a\":[{}0]}}", unit.repeat(length / unit.len()));
    let string = |unit: &str| format!("{{\"a\":\"{}\"}}", unit.repeat(length / unit.len()));
    let names: String = (0..length / 12).map(|i| format!("\"{i:07x}\":0,")).collect();
    let members = format!("{{{}\"z\":0}},", names.get(..960).unwrap_or(&names)).repeat(length / 1000);
    vec![
        ("numbers", filled("0,")),
        ("empty arrays", filled("[],")),
        ("objects of one member", filled("{\"\":0},")),
        ("empty strings", filled("\"\",")),
        ("strings of one escape", filled("\"\\n\",")),
        ("objects of many members", format!("{{\"a\":[{members}0]}}")),
        ("one object", format!("{{{names}\"z\":0}}")),
        ("nesting", "{\"a\":".repeat(length / 5)),
        ("brackets", format!("{{\"a\":{}", "[".repeat(length))),
        ("white space", format!("{{{}}}", " ".repeat(length))),
        ("one plain string", string("AAAA")),
        ("one string of \\/", string("\\/")),
        ("one string of \\n", string("\\n")),
        ("one string of \\u", string("\\u00e9")),
        ("one string of UTF-8", string("漢")),
        ("one long name", format!("{{\"{}\":0}}", "n".repeat(length))),
        ("one long escaped name", format!("{{\"{}\":0}}", "\\u006e".repeat(length / 6))),
        ("one long number", format!("{{\"a\":{}}}", "1".repeat(length))),
        ("one long fraction", format!("{{\"a\":0.{}e-1}}", "1".repeat(length))),
    ]
}

/// Bytes allocated at the peak of parsing `body`, itself not counted, and whether it was accepted.
fn cost(body: String, caps: &Caps) -> (usize, bool) {
    let body = Bytes::from(body);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let parsed = parse(body, caps).is_ok();
    (MEMORY.peak_usage().saturating_sub(before), parsed)
}

#[test]
fn parsing_allocates_at_most_a_small_constant_beside_the_body() {
    for (caps, constant) in [(Caps::REQUEST, MIB / 12), (Caps::ANSWER, 5 * MIB / 2)] {
        let mut accepted = 0;
        // Below, at and far above what the caps allow.
        for length in [1000, 4000, 100 * 1000, 10 * MIB] {
            for (shape, body) in shapes(length) {
                let bytes = body.len();
                let (peak, parsed) = cost(body, &caps);
                assert!(peak <= constant, "{shape} of {bytes} bytes: {peak}");
                accepted += usize::from(parsed);
            }
        }
        assert!(accepted > 20, "{accepted}");
    }
}
