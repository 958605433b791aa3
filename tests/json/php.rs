//! Does PHP itself read from what is sent what we say it reads?
//!
//! The upstream is most likely PHP. Needs `php` on the machine and fails without it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::oracle::{PASS, USER, sent};

/// Reads a body of base64 a line, writes what `json_decode` makes of it.
const SCRIPT: &str = r#"
ini_set("serialize_precision", "-1");
while (($line = fgets(STDIN)) !== false) {
    $value = json_decode(base64_decode(trim($line)), true, 512, JSON_THROW_ON_ERROR);
    echo json_encode($value, JSON_THROW_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION), "\n";
}
"#;

const BODIES: [&str; 6] = [
    r#"{"service":"getStatus","target":{"email":"a@example.com"}}"#,
    r#" { "front" : "\/9j\/4AAQ", "n" : [0, -1, 1.5, true, false, null] } "#,
    r#"{"é":"\u00e9","esc":"\"\\\/\b\f\n\r\t\ud83d\ude00","u":"漢字😀","nul":"\u0000","key\u0001":1}"#,
    r#"{"username":1,"passport":2,"deep":{"user":"x","pass":"y"}}"#,
    r#"{"a":{"b":[[[["c"]]]]},"0":"zero","":"empty"}"#,
    r#"{}"#,
];

#[test]
fn php_reads_the_callers_members_and_ours() {
    use base64::Engine as _;
    let lines: String = BODIES
        .iter()
        .map(|body| base64::engine::general_purpose::STANDARD.encode(sent(body.as_bytes()).unwrap()) + "\n")
        .collect();
    let mut php = Command::new("php")
        .args(["-n", "-r", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("php runs");
    php.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = php.wait_with_output().unwrap();
    assert!(output.status.success());
    let read: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let expected: Vec<serde_json::Value> = BODIES
        .iter()
        .map(|body| {
            let mut expected: serde_json::Value = serde_json::from_str(body).unwrap();
            expected["user"] = USER.into();
            expected["pass"] = PASS.into();
            expected
        })
        .collect();
    assert_eq!(read, expected);
}
