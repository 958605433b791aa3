//! How fast is a body parsed, and does PHP's way of writing base64 cost anything?
//!
//! `cargo bench --bench parse` times every case in turn, round by round, and prints medians, so that the
//! ratios of one run compare like with like.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints its figures and may fail")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use dcams_gateway::json::{Caps, Text, parse};

const ROUNDS: usize = 60;
const IMAGE_BYTES: usize = 5_000_000 / 4 * 3;

/// A case's name, its body and what is timed.
struct Case {
    name: &'static str,
    body: Bytes,
    run: fn(&Bytes),
    times: Vec<Duration>,
}

fn main() {
    let image = STANDARD.encode(noise(IMAGE_BYTES));
    let plain = storage_request(&image.replace('/', "+"));
    let escaped = storage_request(&image.replace('/', "\\/"));
    let dense = storage_request(&"\\/".repeat(plain.len() / 2));
    let text = storage_request(&"Ünïcødé 漢字 ".repeat(plain.len() / 27));
    let quotes = storage_request(&"\\\"".repeat(plain.len() / 2));
    let small = storage_request("aGVsbG8");
    let answer =
        Bytes::from(format!("{{\"rows\":[{}1]}}", r#"{"email":"a@example.com","n":12},"#.repeat(20_000)));
    let mut cases = [
        case("plain base64", &plain, tokenise),
        case("base64 with \\/", &escaped, tokenise),
        case("nothing but \\/", &dense, tokenise),
        case("other escapes", &quotes, tokenise),
        case("UTF-8 text", &text, tokenise),
        case("80,000 small values", &answer, tokenise),
        case("a small request", &small, tokenise),
        case("other escapes: and length", &quotes, length),
        case("base64 with \\/: and unescape", &escaped, unescape),
        case("plain: one pass of memchr", &plain, one_pass),
        case("plain: UTF-8 check alone", &plain, utf8),
        case("plain: serde_json Value", &plain, value),
        case("with \\/: serde_json Value", &escaped, value),
        case("a small request: serde_json Value", &small, value),
    ];
    for _ in 0..ROUNDS {
        for case in &mut cases {
            let started = Instant::now();
            (case.run)(black_box(&case.body));
            case.times.push(started.elapsed());
        }
    }
    let base = median(&mut cases[0].times).as_secs_f64() / cases[0].body.len() as f64;
    println!("{:36}{:>10}{:>12}{:>10}{:>22}", "", "bytes", "us", "MB/s", "time/byte vs. plain");
    for case in &mut cases {
        let seconds = median(&mut case.times).as_secs_f64();
        let bytes = case.body.len() as f64;
        println!(
            "{:36}{:>10}{:>12.1}{:>10.0}{:>22.2}",
            case.name,
            case.body.len(),
            seconds * 1e6,
            bytes / seconds / 1e6,
            seconds / bytes / base
        );
    }
}

fn case(name: &'static str, body: &Bytes, run: fn(&Bytes)) -> Case {
    Case { name, body: body.clone(), run, times: Vec::with_capacity(ROUNDS) }
}

fn tokenise(body: &Bytes) {
    let caps = Caps { nodes: 1_000_000, ..Caps::REQUEST };
    black_box(parse(body.clone(), &caps).ok().unwrap());
}

fn length(body: &Bytes) {
    with_image(body, |image| black_box((image.unescaped_len(), image.char_count())));
}

fn unescape(body: &Bytes) {
    with_image(body, |image| black_box(image.unescape()).len());
}

fn with_image<T>(body: &Bytes, read: impl FnOnce(Text<'_>) -> T) {
    let document = parse(body.clone(), &Caps::REQUEST).ok().unwrap();
    let image = document.root().member("target").and_then(|target| target.member("documents"));
    black_box(read(image.and_then(|documents| documents.member("front")?.text()).unwrap()));
}

fn one_pass(body: &Bytes) {
    black_box(memchr::memchr(0, body));
}

fn utf8(body: &Bytes) {
    black_box(std::str::from_utf8(body).unwrap());
}

fn value(body: &Bytes) {
    black_box(serde_json::from_str::<serde_json::Value>(std::str::from_utf8(body).unwrap()).unwrap());
}

fn storage_request(image: &str) -> Bytes {
    Bytes::from(format!(
        r#"{{"service":"createOrUpdateCustomer","reference":"888888812","target":{{"email":"a@example.com",
        "fn":"Ann","ln":"Example","addr":"123 Main St","city":"Stratford","state":"CT","zip":"06614",
        "dob":"19700101","phone":"2015106000","documents":{{"front":"{image}"}}}}}}"#
    ))
}

/// Bytes without pattern, the same in every run: base64 of them has one `/` in 64 characters.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
