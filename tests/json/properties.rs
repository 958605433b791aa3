//! Rules that hold for every body: generated ones, mutated ones, and soups of JSON's own parts.
//!
//! `PROPTEST_CASES` raises the number of cases.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use dcams_gateway::json::{Caps, Malformed};

use super::oracle::{Fate, judge, judge_within};

/// Bodies as callers send them, and some that sit at the edges.
const GOOD: [&str; 8] = [
    r#"{"service":"getStatus","target":{"email":"a@example.com"}}"#,
    r#" { "service" : "updateStatus" , "target" : { "email" : "b@example.com", "status" : "PASS" } } "#,
    r#"{"service":"createOrUpdateCustomer","reference":"888888812","target":{"fn":"Ann","documents":{"front":"\/9j\/4AAQSkZJRgABAQAAAQABAAD\/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8QEBEQCgwSExIQEw8QEBD\/"}}}"#,
    r#"{"n":[0,-1,1.5e3,true,false,null,{},[]],"deep":{"a":{"b":{"c":[[1]]}}}}"#,
    r#"{"é":"\u00e9","esc":"\"\\\/\b\f\n\r\t\ud83d\ude00","u":"漢字😀"}"#,
    r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10,"k":11,"l":12}"#,
    r#"{"us":"er","pa":"ss","username":1,"passport":2,"x":{"user":1,"pass":2}}"#,
    "{}",
];

/// What mutations insert and soups consist of.
const PARTS: [&str; 47] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u",
    "\\/",
    "\\\"",
    "\"a\"",
    "\"b\"",
    "\"\\u0061\"",
    "\"a\":1,",
    ",\"a\":2",
    "\"user\":1,",
    "\"us\\u0065r\":1,",
    "\"PASS\":1,",
    "\"u\u{17f}er\":1,",
    "\"service\":\"x\",",
    "{\"a\":1}",
    "[1,2]",
    "0",
    "-",
    "1",
    "e",
    ".",
    "1e308",
    "1e307",
    "1e999",
    "-0.0",
    "99999999999999999999",
    "true",
    "false",
    "null",
    " ",
    "\n",
    "\u{FEFF}",
    "\0",
    "é",
    "\\ud800",
    "\\udc00",
    "\\u0000",
    "/*x*/",
    "NaN",
    "\u{7f}",
];

/// What mutations add as whole members.
const MEMBERS: [&str; 12] = [
    "\"a\":0,",
    "\"b\":{},",
    "\"email\":\"\\/\",",
    "\"\\u0073ervice\":[],",
    "\"deep\":{\"a\":[[[[[1]]]]]},",
    "\"user\":1,",
    "\"pa\\u0073s\":1,",
    "\"\\u0001\":\"\\ud83d\\ude00\",",
    "\"\\u0000x\":0,",
    "\"name of more than 24 bytes\":0,",
    "\"big\":1e308,",
    " \"é\" : -0.0 ,",
];

/// Names that meet again, in several spellings.
const NAMES: [&str; 14] = [
    "a",
    "\\u0061",
    "b",
    "é",
    "\\u00e9",
    "/",
    "\\/",
    "",
    "user",
    "pass",
    "us\\u0065r",
    "User",
    "service",
    "\\n",
];

const TEXTS: [&str; 9] =
    ["", "x", "\\/9j\\/4AAQ", "\\u0000", "é漢😀", "\\ud83d\\ude00", "\\\\", "\\\"", "user"];

const NUMBERS: [&str; 12] = [
    "0",
    "-0",
    "1",
    "1.50",
    "1E5",
    "-2e-3",
    "9007199254740991",
    "9007199254740993.5",
    "0.10000000000000000000000000000000000000000000000000000000000000000000000000",
    "-9007199254740992",
    "1e307",
    "1e308",
];

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => select(&[" ", "\n", "\t\r\n "][..])]
}

/// JSON text of one value, in many spellings, sometimes with duplicates.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(&TEXTS[..]).prop_map(|text| format!("\"{text}\"")),
        (select(&TEXTS[..]), 0..200usize, select(&TEXTS[..]))
            .prop_map(|(head, length, tail)| format!("\"{head}{}{tail}\"", "M".repeat(length))),
        select(&NUMBERS[..]).prop_map(str::to_owned),
        select(&["true", "false", "null"][..]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(8, 40, 5, |inner| {
        prop_oneof![
            object(inner.clone()),
            (vec((space(), inner), 0..5), space()).prop_map(|(elements, end)| {
                let elements: Vec<_> =
                    elements.iter().map(|(space, value)| format!("{space}{value}{space}")).collect();
                format!("[{}{end}]", elements.join(","))
            }),
        ]
    })
}

fn object(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (vec((space(), select(&NAMES[..]), 0..4usize, inner), 0..6), space()).prop_map(|(members, end)| {
        let members: Vec<_> = members
            .iter()
            .map(|(space, name, copies, value)| {
                let name = format!("{name}{}", "k".repeat(*copies));
                format!("{space}\"{name}\"{space}:{space}{value}{space}")
            })
            .collect();
        format!("{{{}{end}}}", members.join(","))
    })
}

#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, &'static str),
    Delete(Index, usize),
    Repeat(Index, Index, usize),
    Cut(Index),
    /// At the beginning of some object.
    Add(Index, &'static str),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        1 => (at(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        4 => (at(), select(&PARTS[..])).prop_map(|(at, part)| Mutation::Insert(at, part)),
        1 => (at(), 1..6usize).prop_map(|(at, length)| Mutation::Delete(at, length)),
        2 => (at(), at(), 1..30usize).prop_map(|(from, to, length)| Mutation::Repeat(from, to, length)),
        1 => at().prop_map(Mutation::Cut),
        8 => (at(), select(&MEMBERS[..])).prop_map(|(at, member)| Mutation::Add(at, member)),
    ]
}

fn mutate(body: &mut Vec<u8>, mutation: &Mutation) {
    let place = |at: &Index| at.index(body.len() + 1);
    match mutation {
        Mutation::Set(at, byte) => {
            let at = place(at);
            body.splice(at..(at + 1).min(body.len()), [*byte]);
        }
        Mutation::Flip(at, bit) => {
            let at = place(at);
            if let Some(byte) = body.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        Mutation::Insert(at, part) => {
            let at = place(at);
            body.splice(at..at, part.bytes());
        }
        Mutation::Delete(at, length) => {
            let at = place(at);
            body.drain(at..(at + length).min(body.len()));
        }
        Mutation::Repeat(from, to, length) => {
            let (from, to) = (place(from), place(to));
            let slice = body[from..(from + length).min(body.len())].to_vec();
            body.splice(to..to, slice);
        }
        Mutation::Add(at, member) => {
            let openings: Vec<_> = body.iter().enumerate().filter(|(_, byte)| **byte == b'{').collect();
            if let Some((brace, _)) = openings.get(at.index(openings.len().max(1))) {
                let at = brace + 1;
                body.splice(at..at, member.bytes());
            }
        }
        Mutation::Cut(at) => {
            let at = place(at);
            body.truncate(at);
        }
    }
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    (select(&GOOD[..]), vec(mutation(), 1..4)).prop_map(|(body, mutations)| {
        let mut body = body.as_bytes().to_vec();
        for mutation in &mutations {
            mutate(&mut body, mutation);
        }
        body
    })
}

#[test]
fn good_bodies_are_sent() {
    for body in GOOD {
        assert_eq!(judge(body.as_bytes()), Fate::Sent, "{body}");
    }
}

/// Guards the properties against holding because nothing interesting was tried.
#[test]
fn the_generators_reach_every_fate() {
    let mut runner = TestRunner::deterministic();
    let mut count = |bodies: &dyn Fn(&mut TestRunner) -> Vec<u8>| {
        let fates: Vec<_> = (0..1000).map(|_| judge(&bodies(&mut runner))).collect();
        let of = |wanted: fn(&Fate) -> bool| fates.iter().filter(|&fate| wanted(fate)).count();
        [
            of(|fate| *fate == Fate::Sent),
            of(|fate| *fate == Fate::NamesCredentials),
            of(|fate| matches!(fate, Fate::Refused(Malformed::Syntax { .. }))),
            of(|fate| matches!(fate, Fate::Refused(Malformed::Duplicate { .. }))),
            of(|fate| matches!(fate, Fate::Refused(Malformed::TooComplex { .. }))),
        ]
    };
    let generated = count(&|runner| object(value()).new_tree(runner).unwrap().current().into_bytes());
    let mutated = count(&|runner| mutated().new_tree(runner).unwrap().current());
    assert!(generated.iter().chain(&mutated).all(|&count| count >= 10), "{generated:?} {mutated:?}");
    assert!(generated[0] >= 300 && mutated[0] >= 100, "{generated:?} {mutated:?}");
}

/// A request around a text of a few KB, whose parts may stand anywhere in it.
fn long_request() -> impl Strategy<Value = String> {
    let filler = (0..5000usize, select(&["A", "\\/", "é", "\\u00e9", "\\ud83d\\ude00", "漢A"][..]));
    let text = vec((filler, select(&TEXTS[..])), 1..4).prop_map(|pieces| {
        pieces
            .iter()
            .map(|((times, unit), text)| format!("{}{text}", unit.repeat(*times)))
            .collect::<String>()
    });
    (vec((select(&NAMES[..]), text), 1..4), object(value())).prop_map(|(members, last)| {
        let members: String = members.iter().map(|(name, text)| format!("\"{name}\":\"{text}\",")).collect();
        format!("{{{members}\"last\":{last}}}")
    })
}

proptest! {
    #[test]
    fn a_generated_object_is_refused_by_rule_or_sent_as_read(body in object(value())) {
        judge(body.as_bytes());
    }

    #[test]
    fn a_long_request_is_refused_by_rule_or_sent_as_read(
        body in long_request(), mutations in vec(mutation(), 0..3)
    ) {
        let mut body = body.into_bytes();
        for mutation in &mutations {
            mutate(&mut body, mutation);
        }
        judge_within(&body, &Caps::REQUEST);
    }

    #[test]
    fn a_mutated_body_is_refused_or_sent_as_read(body in mutated()) {
        judge(&body);
    }

    #[test]
    fn a_soup_of_parts_is_refused_or_sent_as_read(parts in vec(select(&PARTS[..]), 0..12)) {
        judge(format!("{{{}}}", parts.concat()).as_bytes());
    }

    #[test]
    fn any_bytes_are_refused_or_sent_as_read(bytes in vec(any::<u8>(), 0..64)) {
        judge(&bytes);
    }
}
