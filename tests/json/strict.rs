//! Which texts are JSON here, and which are not? A table of nasty ones.

use bytes::Bytes;
use dcams_gateway::json::{Caps, Malformed, parse};

use super::oracle::{Fate, judge};

const ACCEPTED: &[&[u8]] = &[
    b"{}",
    b" \t\r\n{ \t\r\n} \t\r\n",
    br#"{"":0}"#,
    br#"{"a":0,"A":0,"\u0001":0,"a\u0001":0,"\ud834\udd1e":0}"#,
    br#"{"__proto__":{"a":0}}"#,
    br#"{"a":-0}"#,
    br#"{"a":-0.0e-0}"#,
    br#"{"a":0e+1}"#,
    br#"{"a":1E22}"#,
    br#"{"a":123456789012345678901234567890.123456789012345678901234567890}"#,
    br#"{"a":[9007199254740991,-9007199254740991]}"#,
    br#"{"a":"\u0000"}"#,
    br#"{"a":1e-400}"#,
    br#"{"a":0e400}"#,
    br#"{"a":9.99e307}"#,
    br#"{"a":[[],{},[[]],[{}]]}"#,
    br#"{"a":"\"\\\/\b\f\n\r\t"}"#,
    br#"{"a":"\u0061\u00E9\u20aC\uFFFF\uFDD0\uD83D\uDE00"}"#,
    br#"{"a":"\\u0061 \\ud800"}"#,
    br#"{"a":"\ud800\udc00\udbff\udfff\ud7ff\ue000"}"#,
    b"{\"a\":\"\x7f\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"}",
    b"{\"a\":\"\xEF\xBB\xBF\xE2\x80\xA8\xE2\x80\xA9\"}",
    br#"{"a":"/* */ // # ' NaN"}"#,
];

const REFUSED: &[&[u8]] = &[
    // Roots and surroundings.
    b"",
    b" ",
    b"null",
    b"1",
    br#""a""#,
    b"[]",
    br#"[{"a":1}]"#,
    b"{}{}",
    b"{},",
    b"{}]",
    b"{}}",
    b"{} x",
    b"{}\0",
    b"\0{}",
    b"{}#",
    b"{}//",
    b"\xEF\xBB\xBF{}",
    b"\xFE\xFF\0{\0}",
    b"{\0}\0",
    b"\x0B{}",
    b"\x0C{}",
    b"{}\xC2\xA0",
    b"{}\xE2\x80\xA8",
    // Structure.
    b"{",
    b"}",
    b"{[",
    b"{{}}",
    b"{]",
    br#"{"a":[}"#,
    br#"{"a":{]}"#,
    br#"{"a":[1}"#,
    br#"{"a":1]"#,
    br#"{"a""#,
    br#"{"a":"#,
    br#"{"a":}"#,
    br#"{"a"}"#,
    br#"{"a" 1}"#,
    br#"{"a"::1}"#,
    br#"{"a":1,}"#,
    br#"{,"a":1}"#,
    br#"{"a":1,,"b":2}"#,
    br#"{"a":1;"b":2}"#,
    br#"{"a":1 "b":2}"#,
    br#"{"a":[1,]}"#,
    br#"{"a":[,1]}"#,
    br#"{"a":[1,,2]}"#,
    br#"{"a":[1 2]}"#,
    br#"{"a":[1:2]}"#,
    br#"{"a":["b":1]}"#,
    br#"{a:1}"#,
    br#"{'a':1}"#,
    br#"{"a":'b'}"#,
    br#"{1:1}"#,
    br#"{null:1}"#,
    br#"{"a":1/*x*/}"#,
    b"{\"a\":1//x\n}",
    // Words.
    br#"{"a":True}"#,
    br#"{"a":tru}"#,
    br#"{"a":truex}"#,
    br#"{"a":nul}"#,
    br#"{"a":NULL}"#,
    br#"{"a":undefined}"#,
    br#"{"a":NaN}"#,
    br#"{"a":-NaN}"#,
    br#"{"a":Infinity}"#,
    br#"{"a":-Infinity}"#,
    // Numbers.
    br#"{"a":-}"#,
    br#"{"a":+1}"#,
    br#"{"a":01}"#,
    br#"{"a":-01}"#,
    br#"{"a":00}"#,
    br#"{"a":.5}"#,
    br#"{"a":-.5}"#,
    br#"{"a":1.}"#,
    br#"{"a":1.e1}"#,
    br#"{"a":1e}"#,
    br#"{"a":1e+}"#,
    br#"{"a":1e1.5}"#,
    br#"{"a":0x1F}"#,
    br#"{"a":1_000}"#,
    br#"{"a":1 000}"#,
    br#"{"a":1e308}"#,
    br#"{"a":-1e308}"#,
    br#"{"a":1e999}"#,
    b"{\"a\":\xEF\xBC\x91}",
    br#"{"a":9007199254740992}"#,
    br#"{"a":-9007199254740993}"#,
    br#"{"a":123456789012345678901234567890}"#,
    // Strings.
    br#"{"a":"b}"#,
    br#"{"a":"\"}"#,
    br#"{"a":"\\\"}"#,
    br#"{"a":"\a"}"#,
    br#"{"a":"\'"}"#,
    br#"{"a":"\0"}"#,
    br#"{"a":"\x41"}"#,
    br#"{"a":"\U0041"}"#,
    br#"{"a":"\u"}"#,
    br#"{"a":"\u004"}"#,
    br#"{"a":"\u+041"}"#,
    br#"{"a":"\u 041"}"#,
    br#"{"a":"\u004g"}"#,
    b"{\"a\":\"\n\"}",
    b"{\"a\":\"\t\"}",
    b"{\"a\":\"\0\"}",
    b"{\"a\":\"\x1f\"}",
    b"{\"a\":\"\\\n\"}",
    b"{\"a\":\"\\\0\"}",
    b"{\"\n\":1}",
    // Names with a NUL.
    br#"{"\u0000":1}"#,
    br#"{"\u0000a":1}"#,
    br#"{"a":{"b\u0000":1}}"#,
    // Surrogates.
    br#"{"a":"\ud800"}"#,
    br#"{"a":"\udc00"}"#,
    br#"{"a":"\udbff"}"#,
    br#"{"a":"\udfff"}"#,
    br#"{"a":"\ud800\ue000"}"#,
    br#"{"a":"\ud800\udbff"}"#,
    br#"{"a":"\ud800x"}"#,
    br#"{"a":"\ud800\n"}"#,
    br#"{"a":"\ud800\ud800"}"#,
    br#"{"a":"\udc00\ud800"}"#,
    br#"{"a":"\ud800\u0041"}"#,
    br#"{"a":"\ud83d\\ude00"}"#,
    br#"{"a":"\ud83d\ude0"}"#,
    br#"{"\ud800":1}"#,
    // UTF-8.
    b"{\"a\":\"\x80\"}",
    b"{\"a\":\"\xC0\x80\"}",
    b"{\"a\":\"\xC1\xBF\"}",
    b"{\"a\":\"\xC2\"}",
    b"{\"a\":\"\xC2\x22\"}",
    b"{\"a\":\"\xE0\x9F\xBF\"}",
    b"{\"a\":\"\xE2\x82\"}",
    b"{\"a\":\"\xED\xA0\x80\"}",
    b"{\"a\":\"\xED\xBF\xBF\"}",
    b"{\"a\":\"\xF0\x8F\xBF\xBF\"}",
    b"{\"a\":\"\xF0\x9F\x98\"}",
    b"{\"a\":\"\xF4\x90\x80\x80\"}",
    b"{\"a\":\"\xF5\x80\x80\x80\"}",
    b"{\"a\":\"\xF8\x88\x80\x80\x80\"}",
    b"{\"a\":\"\xFE\xFF\"}",
    b"{\"\xFF\":1}",
    b"{\"a\":1\xFF}",
];

fn fault(body: &[u8]) -> Option<Malformed> {
    parse(Bytes::copy_from_slice(body), &Caps::REQUEST).err()
}

#[test]
fn what_rfc_8259_allows_is_accepted() {
    for body in ACCEPTED {
        assert_eq!(fault(body), None, "{}", body.escape_ascii());
        assert_eq!(judge(body), Fate::Sent, "{}", body.escape_ascii());
    }
}

#[test]
fn what_rfc_8259_forbids_is_refused() {
    for body in REFUSED {
        assert!(matches!(fault(body), Some(Malformed::Syntax { .. })), "{}", body.escape_ascii());
        judge(body);
    }
}

#[test]
fn a_body_cut_anywhere_is_refused() {
    for body in ACCEPTED {
        let end = body.iter().rposition(|&byte| byte == b'}').unwrap();
        for length in 0..=end {
            assert!(fault(&body[..length]).is_some(), "{}", body[..length].escape_ascii());
        }
    }
}

#[test]
fn a_fault_is_found_behind_and_within_strings_of_any_length() {
    for length in 0..200 {
        let filler = "A".repeat(length);
        for (tail, valid) in
            [("\"}", true), ("\n\"}", false), ("\\\"}", false), ("\\/\"}", true), ("\"", false)]
        {
            let body = format!("{{\"a\":\"{filler}{tail}");
            assert_eq!(fault(body.as_bytes()).is_none(), valid, "{body:?}");
        }
    }
}
