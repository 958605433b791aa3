//! What stays in memory of those whose data went through, and of the account's password?
//!
//! `MEMORY_REQUESTS` requests are answered; then the gateway is idle for `MEMORY_IDLE_S` seconds, and root reads all
//! of its memory. `MEMORY_GCORE=1` takes a core with gdb's `gcore` as well; `MEMORY_SHOW=1` prints what stands around
//! each finding. With `--features clear-on-free` the same tests expect more.

mod cost;
mod people;
mod private;
mod process;
mod traffic;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use dcams_gateway::simulate::Settings;

use crate::harness::{Gateway, Setup, Upstream, wait_for};
use people::{Kind, Person};
use process::{Found, Wanted};

const USER: &str = "memory-account-5nQ8";
const PASS: &str = "memory-Pass-w7Xk2LhR9t";

/// Whether freed memory is cleared in this build.
const CLEARS: bool = cfg!(feature = "clear-on-free");

/// The two that the gateway needs: in front of every body that is sent, and to search every answer for it.
const LIVE_PASSWORDS: usize = 2;
/// Hexadecimal in two cases, base64 at three offsets; each of them once.
const LIVE_ENCODED: usize = 5;

fn count(variable: &str, default: usize) -> usize {
    std::env::var_os(variable).map_or(default, |text| text.to_str().unwrap().parse().unwrap())
}

/// All that can be told of what [`traffic`] sends, and the account's secrets.
fn wanted(requests: usize) -> Wanted {
    let mut texts: Vec<_> = (0..requests).flat_map(|number| Person(number).values()).collect();
    texts.extend(traffic::KEYS.map(|key| (Kind::Key, key.to_owned())));
    texts.extend([(Kind::User, USER.to_owned()), (Kind::Pass, PASS.to_owned())]);
    texts.extend(encoded(PASS).map(|text| (Kind::EncodedPass, text)));
    Wanted::new(texts)
}

/// In every form that is sure to stand in a text that holds it.
fn encoded(pass: &str) -> impl Iterator<Item = String> {
    let lower: String = pass.bytes().map(|byte| format!("{byte:02x}")).collect();
    let base64 = (0..3).map(move |offset| {
        let text = STANDARD_NO_PAD.encode([&b"..."[..offset], pass.as_bytes()].concat());
        // Of the first and the last characters some bits are the neighbours'.
        text[[0, 2, 3][offset]..(offset + pass.len()) * 8 / 6].to_owned()
    });
    [lower.to_uppercase(), lower].into_iter().chain(base64)
}

/// Callers and upstream are let go of soon.
fn brief(setup: Setup) -> Setup {
    setup.set("data.idle_timeout", "4s").set("upstream.idle_timeout", "1s")
}

/// Serves, waits until nobody is connected any more, idles, and searches.
fn left_in_memory(name: &str, setup: impl FnOnce(Setup) -> Setup) -> Found {
    let requests = count("MEMORY_REQUESTS", 50);
    let settings = Settings { user: USER.to_owned(), pass: PASS.to_owned(), ..Settings::default() };
    let upstream = Upstream::start_with(settings);
    let gateway = brief(setup(Setup::before(&upstream).file("user", USER).file("pass", PASS))).start();
    let kept = traffic::send(&gateway, requests);
    gateway.wait_for_outcomes(requests);
    searched(&gateway, &format!("{name}, connections open"), requests);
    wait_for("all connections to be closed", || (gateway.connections() == 0).then_some(()));
    drop(kept);
    // It is time itself that is measured: what an idle gateway lets go of.
    std::thread::sleep(Duration::from_secs(count("MEMORY_IDLE_S", 2) as u64));
    let found = searched(&gateway, &format!("{name}, idle"), requests);
    if count("MEMORY_GCORE", 0) > 0 {
        println!("{name}, a core of it: {}", wanted(requests).in_core(&core_of(&gateway)));
    }
    found
}

fn searched(gateway: &Gateway, name: &str, requests: usize) -> Found {
    let found = wanted(requests).in_process(gateway.pid());
    println!("{name}, after {requests} requests, {}: {found}", if CLEARS { "clearing" } else { "default" });
    found
}

/// As gdb takes it.
fn core_of(gateway: &Gateway) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let pid = gateway.pid().to_string();
    let mut gcore = Command::new("gcore");
    gcore.arg("-a").arg("-o").arg(folder.path().join("core")).arg(&pid);
    let taken = gcore.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("gcore, which is gdb's");
    assert!(taken.success(), "{taken}");
    fs::read(folder.path().join(format!("core.{pid}"))).unwrap()
}

fn assert_passwords_are_the_live_ones(found: &Found) {
    assert_eq!(found.copies(Kind::User), 1, "in front of bodies");
    assert_eq!(found.copies(Kind::Pass), LIVE_PASSWORDS, "in front of bodies, and to search answers");
    assert_eq!(found.copies(Kind::EncodedPass), LIVE_ENCODED, "to search answers");
}

fn assert_is_clean(found: &Found) {
    assert_passwords_are_the_live_ones(found);
    if CLEARS {
        assert_eq!(found.personal(), 0, "of anybody");
        assert_eq!(found.copies(Kind::Key), 0, "of callers' keys");
    }
}

#[test]
fn of_plain_connections_two_passwords_stay_and_where_freed_memory_is_cleared_nothing_else() {
    assert_is_clean(&left_in_memory("plain", |setup| setup));
}

#[test]
fn of_tls_connections_two_passwords_stay_and_where_freed_memory_is_cleared_nothing_else() {
    assert_is_clean(&left_in_memory("TLS", Setup::tls));
}

#[test]
fn a_password_from_the_environment_stays_there_once_more() {
    let found = left_in_memory("environment", |setup| {
        let of = |member: &str| format!("{member} = {{ file = \"{member}\" }}");
        let by = |member: &str| format!("{member} = {{ env = \"MEMORY_{}\" }}", member.to_uppercase());
        let edited = setup.edit(|text| {
            for member in ["user", "pass"] {
                *text = text.replace(&of(member), &by(member));
            }
        });
        edited.env("MEMORY_USER", USER).env("MEMORY_PASS", PASS)
    });
    assert_eq!(found.copies(Kind::User), 2, "in front of bodies, and where the kernel put it");
    assert_eq!(found.copies(Kind::Pass), LIVE_PASSWORDS + 1, "and where the kernel put it");
}
