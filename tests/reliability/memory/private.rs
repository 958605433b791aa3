//! Who may read the memory of a running gateway, and is a core ever written?

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use dcams_gateway::simulate::Settings;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Gateway, Setup, Upstream, wait_for};

/// `nobody`.
const STRANGER: u32 = 65_534;

/// Runs a program as another user, who is in no group but his own.
fn as_stranger(program: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={STRANGER}"), &format!("--regid={STRANGER}"), "--clear-groups"]);
    command.arg(program).args(arguments).output().expect("setpriv, which is util-linux's")
}

fn setup(upstream: &Upstream) -> Setup {
    let settings = Settings::default();
    Setup::before(upstream).file("user", settings.user).file("pass", settings.pass)
}

/// What the process says of itself.
fn status(process: u32, name: &str) -> String {
    fs::read_to_string(format!("/proc/{process}/{name}")).unwrap()
}

fn core_limit(process: u32) -> Vec<String> {
    let limits = status(process, "limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    line.split_whitespace().take(2).map(str::to_owned).collect()
}

fn abort(gateway: &Gateway) {
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::ABORT).unwrap();
}

#[test]
fn no_core_is_written_of_a_gateway_that_dies_of_a_signal() {
    let upstream = Upstream::start();
    let mut gateway = setup(&upstream).start();
    assert_eq!(core_limit(gateway.pid()), ["0", "0"]);
    abort(&gateway);
    let ended = gateway.wait();
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(Signal::ABORT.as_raw()), false));
}

#[test]
fn another_process_of_the_same_user_reads_neither_memory_nor_environment() {
    let upstream = Upstream::start();
    let gateway = setup(&upstream).unprivileged(STRANGER).start();
    assert_eq!(core_limit(gateway.pid()), ["0", "0"]);
    let folder = format!("/proc/{}", gateway.pid());
    let of_process = fs::read_to_string(format!("{folder}/status")).unwrap();
    assert!(of_process.contains(&format!("Uid:\t{STRANGER}\t{STRANGER}\t{STRANGER}\t{STRANGER}")));
    // What the kernel does of a process that is not dumpable (proc(5)).
    assert_eq!(fs::metadata(format!("{folder}/environ")).unwrap().uid(), 0);
    for file in ["environ", "maps", "mem"] {
        let read = as_stranger("/usr/bin/head".as_ref(), &["-c1", &format!("{folder}/{file}")]);
        let said = String::from_utf8_lossy(&read.stderr);
        assert!(!read.status.success() && said.contains("Permission denied"), "{file}: {said}");
    }
    // The same user's other processes do not hide theirs: it is the gateway's doing.
    let mut other = Command::new("setpriv");
    other.args([&format!("--reuid={STRANGER}"), &format!("--regid={STRANGER}"), "--clear-groups"]);
    let mut other = other.args(["cat"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let environment = format!("/proc/{}/environ", other.id());
    wait_for("another process of that user", || {
        (fs::metadata(&environment).unwrap().uid() == STRANGER).then_some(())
    });
    let read = as_stranger("/usr/bin/head".as_ref(), &["-c1", &environment]);
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
}
