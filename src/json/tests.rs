//! What is accepted, what is refused and where, and what the index says of it.

use bytes::Bytes;

use super::*;

fn read(body: impl AsRef<[u8]>) -> Result<Document, Malformed> {
    parse(Bytes::copy_from_slice(body.as_ref()), &Caps::REQUEST)
}

fn good(body: impl AsRef<[u8]>) -> Document {
    read(body).unwrap()
}

fn fault(body: impl AsRef<[u8]>) -> Malformed {
    read(body).err().unwrap()
}

#[test]
fn every_value_is_read_where_it_stands() {
    let document =
        good(r#" { "n":null, "t":true,"f":false,"x":-1.50e3 ,"s":"a\/b","l":[1,[],{"k":"v"}],"o":{}} "#);
    let root = document.root();
    let kinds: Vec<_> =
        root.members().map(|(name, node)| (name.unescape().into_owned(), node.kind())).collect();
    let expected = [
        ("n", Kind::Null),
        ("t", Kind::Bool),
        ("f", Kind::Bool),
        ("x", Kind::Number),
        ("s", Kind::String),
        ("l", Kind::Array),
        ("o", Kind::Object),
    ];
    assert_eq!(kinds, expected.map(|(name, kind)| (name.to_owned(), kind)));
    assert_eq!(root.len(), 7);
    assert_eq!(root.member("t").unwrap().boolean(), Some(true));
    assert_eq!(root.member("f").unwrap().boolean(), Some(false));
    assert_eq!(root.member("n").unwrap().boolean(), None);
    assert_eq!(root.member("x").unwrap().number_text(), Some("-1.50e3"));
    assert_eq!(root.member("s").unwrap().text().unwrap().unescape(), "a/b");
    let list: Vec<_> = root.member("l").unwrap().elements().collect();
    assert_eq!(list.len(), 3);
    assert_eq!(list[0].number_text(), Some("1"));
    assert!(list[1].is_empty());
    assert!(list[2].member("k").unwrap().text().unwrap().equals("v"));
    assert!(root.member("o").unwrap().is_empty());
    assert!(root.member("absent").is_none());
    assert!(root.member("l").unwrap().member("k").is_none());
    assert_eq!(root.elements().count(), 0);
    assert_eq!(list[0].members().count(), 0);
}

#[test]
fn every_value_has_an_index_of_its_own() {
    let document = good(r#"{"a":[1,2,{"b":3}],"c":4}"#);
    let list = document.root().member("a").unwrap();
    let mut seen: Vec<_> = list.elements().map(|node| node.index()).collect();
    seen.extend(document.root().members().map(|(_, node)| node.index()));
    seen.push(document.root().index());
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((seen.len(), count), (6, 6));
}

#[test]
fn equal_names_are_refused_at_any_depth_and_in_any_spelling() {
    let many: String = (0..100).map(|i| format!("\"k{i}\":0,")).collect();
    for (body, offset) in [
        (r#"{"a":1,"a":2}"#.to_owned(), 8),
        (r#"{"a":1,"\u0061":2}"#.to_owned(), 8),
        (r#"{"\/":1,"/":2}"#.to_owned(), 9),
        (r#"{"":1,"":2}"#.to_owned(), 7),
        (r#"{"o":[{"x":{"b":1,"c":2,"b":3}}]}"#.to_owned(), 25),
        (r#"{"\ud83d\ude00":1,"😀":2}"#.to_owned(), 19),
        (format!("{{{many}\"k5\\u0037\":1}}"), 2 + many.len()),
        (format!("{{{many}\"k57\":1}}"), 2 + many.len()),
    ] {
        assert_eq!(fault(&body), Malformed::Duplicate { offset: offset as u32 }, "{body}");
    }
    good(r#"{"a":1,"A":2,"b":{"a":3},"c":[{"a":4},{"a":5}]}"#);
    good(format!("{{{many}\"last\":1}}"));
}

#[test]
fn a_text_is_measured_as_unescaped() {
    for (written, escapes, text) in [
        ("", Escapes::None, ""),
        ("plain", Escapes::None, "plain"),
        ("dé€😀", Escapes::None, "dé€😀"),
        (r"\/9j\/4AAQ", Escapes::Solidus, "/9j/4AAQ"),
        (r"é\/", Escapes::Solidus, "é/"),
        (r#"\"\\\b\f\n\r\t\/"#, Escapes::Any, "\"\\\u{8}\u{c}\n\r\t/"),
        (r"\u0000\u00e9\u20AC\ud83D\uDE00\uFFFF", Escapes::Any, "\0é€😀\u{FFFF}"),
        (r"\\/", Escapes::Any, "\\/"),
    ] {
        let document = good(format!("{{\"t\":\"{written}\"}}"));
        let read = document.root().member("t").unwrap().text().unwrap();
        assert_eq!(read.raw(), written.as_bytes());
        assert_eq!(read.escapes(), escapes, "{written}");
        assert_eq!(read.unescape(), text);
        assert_eq!(read.chars().collect::<String>(), text);
        assert_eq!(read.unescaped_len(), text.len());
        assert_eq!(read.char_count(), text.chars().count());
        assert_eq!(read.is_ascii(), text.is_ascii());
        assert!(read.equals(text));
        assert!(!read.equals(&format!("{text}x")));
        assert_eq!(read.equals(written), written == text);
    }
}

#[test]
fn escapes_are_found_and_counted_wherever_they_stand_in_a_long_string() {
    for at in 0..700 {
        for (escape, kind) in [("\\/", Escapes::Solidus), ("\\n", Escapes::Any), ("\\\\", Escapes::Any)] {
            let written = format!("{}{escape}{}", "a".repeat(at), "b".repeat(700 - at));
            let document = good(format!("{{\"t\":\"{written}\"}}"));
            let text = document.root().member("t").unwrap().text().unwrap();
            assert_eq!((text.escapes(), text.escape_count()), (kind, 1), "{at}");
            assert_eq!((text.raw(), text.unescaped_len()), (written.as_bytes(), 701), "{at}");
        }
    }
}

#[test]
fn a_long_text_is_known_as_base64_if_it_is() {
    let known = |written: &str| {
        let document = good(format!("{{\"t\":\"{written}\"}}"));
        document.root().member("t").unwrap().text().unwrap().is_known_base64()
    };
    for at in 0..700 {
        for (piece, is_base64) in [
            ("+/09AZaz", true),
            ("\\/", true),
            ("\\/\\/", true),
            ("\\n", false),
            ("\\\\/", false),
            ("\\u0041", false),
            ("-", false),
            ("=", false),
            ("é", false),
        ] {
            let written = format!("{}{piece}{}", "a".repeat(at), "b".repeat(700 - at));
            assert_eq!(known(&written), is_base64, "{piece} at {at}");
        }
    }
    for length in 0..900 {
        for padding in 0..4 {
            let written = format!("{}{}", "a".repeat(length), "=".repeat(padding));
            assert_eq!(known(&written), written.len() >= 256 && padding < 3, "{length} and {padding}");
        }
    }
}

#[test]
fn a_long_text_of_dotnet_is_known_as_base64_if_it_is() {
    for at in 0..700 {
        for (piece, is_base64) in [
            (r"\u002B", true),
            (r"\u002b", true),
            (r"\u002F", true),
            (r"\u002f\u002B", true),
            (r"+/\u002B", true),
            (r"\/\u002B", false),
            (r"\u002B\/", false),
            (r"\u002B\u0041", false),
            (r"\u002D", false),
            (r"\u002Bé", false),
            (r"\\u002B", false),
            (r"\u012B", false),
            (r"\u102B", false),
            (r"\u003B", false),
            (r"\u003D", false),
        ] {
            for rest in ["b".repeat(700 - at), format!(r"\u002B{}", "b".repeat(700 - at))] {
                let written = format!("{}{piece}{rest}", "a".repeat(at));
                let document = good(format!("{{\"t\":\"{written}\"}}"));
                let text = document.root().member("t").unwrap().text().unwrap();
                assert_eq!(text.is_known_base64(), is_base64, "{piece} at {at}");
                let read: String = serde_json::from_str(&format!("\"{written}\"")).unwrap();
                assert_eq!((text.unescaped_len(), text.char_count()), (read.len(), read.chars().count()));
                assert_eq!((text.escapes(), text.is_ascii()), (Escapes::Any, read.is_ascii()));
                assert!(text.unescape() == read, "{piece} at {at}");
            }
        }
    }
}

#[test]
fn escapes_are_found_and_counted_wherever_they_stand_behind_others() {
    for start in 0..100 {
        for at in 0..100 {
            for escape in [r"\u00e9", r"\n", r"\\", r#"\""#, r"\/", r"\ud83d\ude00", r"\u002B"] {
                let written = format!("{}\\n{}{escape}b", "a".repeat(start), "~".repeat(at));
                let document = good(format!("{{\"t\":\"{written}\"}}"));
                let text = document.root().member("t").unwrap().text().unwrap();
                assert_eq!((text.escapes(), text.escape_count()), (Escapes::Any, 2), "{start} {at} {escape}");
                assert_eq!(text.raw(), written.as_bytes(), "{start} {at} {escape}");
            }
        }
    }
}

#[test]
fn a_byte_is_judged_behind_an_escape_as_in_front_of_it() {
    for at in 0..20 {
        for byte in 0..=255 {
            let run = [&[b'a'].repeat(at)[..], &[byte], b"\":1!"].concat();
            let fault_of = |before: &str| {
                let Malformed::Syntax { offset } = fault([before.as_bytes(), &run].concat()) else {
                    panic!()
                };
                offset as usize - before.len()
            };
            let first = fault_of("{\"");
            for before in 25..40 {
                let long = format!("{{\"{}\\n", "a".repeat(before));
                assert_eq!(fault_of(&long), first, "{byte} at {at} behind {before}");
            }
        }
    }
}

#[test]
fn a_bad_escape_is_found_wherever_it_stands_among_those_of_dotnet() {
    for at in 0..600 {
        for bad in [r"\u002", r"\u002G", r"\u00", r"\u", r"\x", r"\u02B", r"\ud800", r"\udc00"] {
            for unit in ["a", r"aaaaaaaaaaaaaaaa\u002B"] {
                let before = unit.repeat(at / unit.len()) + &"a".repeat(at % unit.len());
                let body = format!("{{\"t\":\"{before}{bad}~{}\"}}", unit.repeat(400 / unit.len()));
                let offset = 6 + before.len() as u32;
                assert_eq!(fault(&body), Malformed::Syntax { offset }, "{bad} at {at}");
            }
        }
    }
}

#[test]
fn a_bad_byte_is_found_wherever_it_stands_in_a_long_string() {
    for at in 0..700 {
        for bad in
            [&b"\n"[..], b"\0", b"\x1f", b"\x80", b"\xff", b"\\x", b"\\u12g4", b"\xed\xa0\x80", b"\\ud800"]
        {
            let body =
                [b"{\"t\":\"", "a".repeat(at).as_bytes(), bad, "b".repeat(700 - at).as_bytes(), b"\"}"]
                    .concat();
            assert_eq!(fault(&body), Malformed::Syntax { offset: 6 + at as u32 }, "{at} {bad:?}");
        }
    }
}

#[test]
fn caps_hold_while_parsing() {
    let caps = Caps {
        depth: 3,
        nodes: 6,
        members: 2,
        name_bytes: 4,
        string_bytes: 5,
        number_bytes: 8,
        ..Caps::REQUEST
    };
    let read = |body: &str| parse(Bytes::copy_from_slice(body.as_bytes()), &caps).err();
    for body in [
        r#"{"a":[[1]]}"#,
        r#"{"a":[1,2,3,4]}"#,
        r#"{"a":1,"b":2}"#,
        r#"{"name":1}"#,
        r#"{"a":"12345"}"#,
        r#"{"a":"\/\/x"}"#,
        r#"{"a":0.123456}"#,
    ] {
        assert_eq!(read(body), None, "{body}");
    }
    // What follows the excess is no JSON: it must not have been looked at.
    for (body, offset) in [
        (r#"{"a":[[[!"#, 7),
        (r#"{"a":[1,2,3,4,5!"#, 14),
        (r#"{"a":1,"b":2,"c"!"#, 13),
        (r#"{"names"!"#, 1),
        (r#"{"a":"123456"!"#, 5),
        (r#"{"a":0.1234567!"#, 5),
    ] {
        assert_eq!(read(body), Some(Malformed::TooComplex { offset }), "{body}");
    }
}

#[test]
fn deep_nesting_is_refused_without_recursion() {
    let body = format!("{{\"a\":{}", "[".repeat(1_000_000));
    assert_eq!(fault(body), Malformed::TooComplex { offset: 5 + 15 });
}

#[test]
fn what_parsers_read_differently_is_refused_in_requests_only() {
    for (body, offset) in [
        (r#"{"a":9007199254740992}"#, 5),
        (r#"{"a":[1,-9007199254740993]}"#, 8),
        (r#"{"\u0000a":1}"#, 1),
        (r#"{"o":{"service\u0000":1}}"#, 6),
    ] {
        assert_eq!(fault(body), Malformed::Syntax { offset }, "{body}");
        assert!(parse(Bytes::from_static(body.as_bytes()), &Caps::ANSWER).is_ok(), "{body}");
    }
    good(r#"{"a":[9007199254740991,-9007199254740991,9007199254740993.0,1e22],"b":"\u0000","\\u0000":1}"#);
}

#[test]
fn a_second_name_that_reads_as_the_first_is_found() {
    for (body, offset) in [
        (r#"{"service":"a","Service":"b"}"#, Some(16)),
        (r#"{"ſervice":"b","service":"a"}"#, Some(2)),
        (r#"{"service":"a","x":1,"service ":"b"}"#, Some(22)),
        ("{\"service\":1,\"ser\u{200B}vice\":2}", Some(14)),
        (r#"{"service":"a"}"#, None),
        (r#"{"\u0073ervice":"a","services":1,"target":{"Service":1},"é":1}"#, None),
    ] {
        assert_eq!(good(body).look_alike("service"), offset, "{body}");
    }
}

#[test]
fn any_spelling_of_a_credential_member_is_recognised() {
    for name in [
        "user",
        "pass",
        "USER",
        "Pass",
        "paſſ",
        "uſer",
        "paß",
        "ＵＳＥＲ",
        "ｐａｓｓ",
        " user",
        "pass\\t",
        "\\u0075ser",
        "us\\u0065r",
        "\u{FEFF}user",
        "pa\u{200B}ss",
        "user\u{7f}",
        "\u{3000}user\u{A0}",
        "𝐮𝐬𝐞𝐫",
        "ⓟⓐⓢⓢ",
        "\\u200d\\ud835\\udc29ass",
        "us\u{AD}er",
        "PAẞ",
    ] {
        let document = good(format!("{{\"service\":\"x\",\"{name}\":1}}"));
        assert!(document.names_credentials(), "{name:?}");
    }
    // Only where names may hold a NUL.
    for name in ["user\\u0000", "user\\u0000x", "\\u0000user", "us\\u0000er"] {
        let body = Bytes::from(format!("{{\"{name}\":1}}"));
        assert!(parse(body, &Caps::ANSWER).unwrap().names_credentials(), "{name:?}");
    }
    for name in [
        "username",
        "passport",
        "pas",
        "use",
        "",
        " ",
        "service",
        "us er",
        "usér",
        "passs",
        "uuser",
        "my user",
        "ｕｓｅｒｎａｍｅ",
        "usеr",
    ] {
        let document = good(format!("{{\"{name}\":1}}"));
        assert!(!document.names_credentials(), "{name:?}");
    }
    assert!(!good(r#"{"target":{"user":1,"pass":2},"x":"user"}"#).names_credentials());
}

#[test]
fn what_is_read_of_a_beginning_changes_nothing() {
    let letters = "QUJD".repeat(200);
    let bodies = [
        format!(
            r#" {{"a":"{letters}==","b":[1.5,true,{{"c":"{letters}\/{letters}","d":null}}],"é":-0.5e3}} "#
        ),
        format!(r#"{{"a":"{letters}\u002B{letters}\u002F","b":"{letters}\n{letters}","c":"é{letters}"}}"#),
        format!(r#"{{"a":{{"b":1,"c":"{letters}","b":2}},"d":"never looked at"}}"#),
        format!(r#"{{"a":"{letters}" "b":1}}"#),
        format!(r#"{{"a":"{letters}\ud800"}}"#),
        format!(r#"{{"a":"{letters}"}}}}"#),
        r#"{"a":10,"b":1e307,"c":[[],{}],"a\u0062":false}"#.to_owned(),
        r#"{"a":9007199254740993}"#.to_owned(),
        "[1]".to_owned(),
        String::new(),
    ];
    for body in &bodies {
        let whole = read(body).map(|document| outline(&document));
        for cut in 0..=body.len() {
            let mut ahead = Ahead::of_nothing();
            for beginning in [cut / 3, cut / 2, cut] {
                ahead.read(&body.as_bytes()[..beginning], &Caps::REQUEST);
            }
            let parsed = ahead.parse(body.clone().into(), &Caps::REQUEST);
            let same = parsed.map(|document| outline(&document)) == whole;
            assert!(same, "after {cut} of {}", body.replace(&letters, "…"));
        }
    }
}

fn outline(document: &Document) -> Vec<(String, Escapes, usize, bool)> {
    let mut known: Vec<_> = document
        .strings()
        .map(|text| {
            let raw = String::from_utf8(text.raw().to_vec()).unwrap();
            (raw, text.escapes(), text.escape_count(), text.is_known_base64())
        })
        .collect();
    known.push((format!("{}", document.index_bytes()), Escapes::None, document.root().len(), false));
    known
}

/// Else a body that is one long number, or has one long space, would be read anew for each piece that comes.
#[test]
fn what_cannot_be_read_yet_is_tried_again_when_there_is_half_as_much_more() {
    let tries = |body: &str| {
        let mut ahead = Ahead::of_nothing();
        let ends = (0..body.len()).step_by(1 << 10);
        ends.filter(|end| {
            let tried = *end >= ahead.0.worth_bytes();
            ahead.read(&body.as_bytes()[..*end], &Caps::ANSWER);
            tried
        })
        .count()
    };
    let (space, zeros, letters) = (" ".repeat(1 << 20), "0".repeat(1 << 20), "QUJD".repeat(1 << 18));
    for body in
        [format!(r#"{{"n": 1{zeros}"#), format!(r#"{{"n":{space}1"#), format!(r#"{{"n":{space}"{letters}"#)]
    {
        assert!((10..50).contains(&tries(&body)), "{} tries of {}", tries(&body), &body[..8]);
    }
    assert_eq!(tries(&format!(r#"{{"n":"{letters}"#)), 1025, "a string goes on where it was");
    assert!(tries(&format!(r#"{{"n":1,"n":2}}{letters}"#)) <= 2, "a fault that stays is met once");
}

/// Until a body is whole, its index is in no budget.
#[test]
fn of_a_body_that_is_not_whole_the_index_is_small() {
    let body = format!("{{\"a\":[{}", "0,".repeat(16_000));
    let mut ahead = Ahead::of_nothing();
    ahead.read(body.as_bytes(), &Caps::ANSWER);
    assert!((500..2_000).contains(&ahead.0.entries()), "{}", ahead.0.entries());
    let whole = format!("{body}0]}}");
    assert_eq!(ahead.parse(whole.into(), &Caps::ANSWER).unwrap().root().member("a").unwrap().len(), 16_001);
}

#[test]
fn of_many_names_that_are_equal_the_first_is_told() {
    let many: String = (0..40).map(|name| format!("\"k{name}\":0,")).collect();
    for _ in 0..20 {
        let body = format!("{{{many}\"k30\":1,\"k7\":1,\"k7\":1}}");
        assert_eq!(fault(&body), Malformed::Duplicate { offset: 2 + many.len() as u32 });
    }
}
