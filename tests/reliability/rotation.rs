//! Are user and password always of one version while they are exchanged under load, and does no request fail?

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{GET_STATUS, Gateway, KYC_API, Setup, Upstream, message, wait_for};
use crate::number_of;

/// Requests a second, all connections together.
const RATE: u32 = 200;
const CONNECTIONS: u32 = 4;

fn user(version: u64) -> String {
    format!("user-of-version-{version}")
}

fn pass(version: u64) -> String {
    format!("password-of-version-{version}")
}

fn private(path: &Path, text: &str) {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    std::io::Write::write_all(&mut file.unwrap(), text.as_bytes()).unwrap();
}

/// As the kubelet writes a mounted secret: a folder of its own for each version, and one link that is exchanged.
fn swap(mount: &Path, version: u64) {
    let folder = mount.join(format!("..{version}"));
    fs::create_dir(&folder).unwrap();
    private(&folder.join("user"), &user(version));
    private(&folder.join("pass"), &pass(version));
    symlink(format!("..{version}"), mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    if let Some(before) = version.checked_sub(1) {
        fs::remove_dir_all(mount.join(format!("..{before}"))).unwrap();
    }
}

/// As a careful operator writes two files: each takes the place of the old one in one step.
fn rename(mount: &Path, version: u64) {
    put(mount, "user", &user(version));
    put(mount, "pass", &pass(version));
}

fn put(folder: &Path, name: &str, text: &str) {
    private(&folder.join("new"), text);
    fs::rename(folder.join("new"), folder.join(name)).unwrap();
}

/// Sends at [`RATE`] until told to stop; how many were answered 200 and how many otherwise.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn on(gateway: &Gateway) -> Self {
        let (stop, answered, failed) = <(Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let of_each = |_| {
            let (stop, answered, failed) = (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&failed));
            let mut connection = gateway.connect();
            std::thread::spawn(move || {
                let (begun, mut sent) = (Instant::now(), 0);
                while !stop.load(Ordering::Relaxed) {
                    let status = connection.post(KYC_API, GET_STATUS.as_bytes()).status;
                    (if status == 200 { &answered } else { &failed }).fetch_add(1, Ordering::Relaxed);
                    sent += 1;
                    let due = begun + Duration::from_secs(1) * CONNECTIONS * sent / RATE;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
            })
        };
        let threads = (0..CONNECTIONS).map(of_each).collect();
        Self { stop, answered, failed, threads }
    }

    fn end(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        (self.answered.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

fn rotate(how: &str, write: fn(&Path, u64)) {
    let rotations = number_of("ROTATIONS").unwrap_or(20);
    let upstream = Upstream::start();
    upstream.keep(false);
    upstream.accept(&user(0), &pass(0));
    let setup = Setup::before(&upstream).edit(|text| {
        *text = text
            .replace("{ file = \"user\" }", "{ file = \"mount/user\" }")
            .replace("{ file = \"pass\" }", "{ file = \"mount/pass\" }");
    });
    let mount = setup.folder().join("mount");
    fs::create_dir(&mount).unwrap();
    write(&mount, 0);
    if mount.join("..data").exists() {
        for name in ["user", "pass"] {
            symlink(format!("..data/{name}"), mount.join(name)).unwrap();
        }
    }
    let mut gateway = setup.start();
    let (load, begun) = (Load::on(&gateway), Instant::now());
    let mut slowest = Duration::ZERO;
    for version in 1..=rotations {
        // Both are accepted while the files are exchanged, and then the new one alone.
        upstream.accept_also(&user(version), &pass(version));
        let written = Instant::now();
        write(&mount, version);
        let pair = (user(version), pass(version));
        wait_for("the new version", || upstream.pairs_seen().contains(&pair).then_some(()));
        slowest = slowest.max(written.elapsed());
        upstream.accept(&pair.0, &pair.1);
    }
    let took = begun.elapsed();
    let (answered, failed) = load.end();
    let expected: BTreeSet<_> = (0..=rotations).map(|version| (user(version), pass(version))).collect();
    let seen = upstream.pairs_seen();
    println!(
        "{how}: {rotations} rotations in {took:.1?}, {answered} requests answered and {failed} failed, {} pairs seen \
         of which {} mixed, the slowest new version in use after {slowest:.0?}",
        seen.len(),
        seen.difference(&expected).count(),
    );
    assert_eq!(failed, 0);
    assert_eq!(seen, expected, "every version, and no mixed pair");
    assert!(gateway.stop().success());
    let versions = gateway
        .audit()
        .into_iter()
        .filter(|line| line["kind"] == "credentials" && line["state"] == "current");
    assert_eq!(versions.count() as u64, rotations + 1);
}

#[test]
fn every_version_of_a_mounted_secret_is_used_whole() {
    rotate("Kubernetes' ..data", swap);
}

#[test]
fn every_version_of_two_files_that_are_exchanged_one_after_the_other_is_used_whole() {
    rotate("rename of each file", rename);
}

/// So long the gateway goes on with the pair that it has where one half of it changed.
const OTHER_FOLLOWS: Duration = Duration::from_secs(1);

/// Writes half of a pair, has the gateway read it for `why`, and writes the other half; again from the start where a slow
/// machine needs longer for that than the gateway waits. Then asserts that both versions were used whole.
fn write_halves(
    file: [&str; 2],
    setup: impl Fn(Setup) -> Setup,
    why: impl Fn(&Gateway, &Upstream),
) -> (Gateway, Upstream) {
    for _ in 0..5 {
        let upstream = Upstream::start();
        upstream.accept(&user(0), &pass(0));
        let before = Setup::before(&upstream).file("user", user(0)).file("pass", pass(0));
        let gateway = setup(before).start();
        let begun = Instant::now();
        put(gateway.folder(), file[0], &user(1));
        why(&gateway, &upstream);
        put(gateway.folder(), file[1], &pass(1));
        if begun.elapsed() > OTHER_FOLLOWS * 3 / 4 {
            continue;
        }
        let pair = (user(1), pass(1));
        wait_for("the new version", || {
            gateway.post(KYC_API, GET_STATUS);
            upstream.pairs_seen().contains(&pair).then_some(())
        });
        let mixed = |(user, pass): &(String, String)| {
            user.trim_start_matches("user") != pass.trim_start_matches("password")
        };
        assert!(!upstream.pairs_seen().iter().any(mixed), "{:?}", upstream.pairs_seen());
        return (gateway, upstream);
    }
    panic!("this machine is too slow");
}

#[test]
fn half_of_a_pair_is_not_used_by_a_configuration_that_comes_into_force_meanwhile() {
    let applied = "dcams_gateway_config_reloads_total{result=\"applied\"}";
    let (gateway, _upstream) = write_halves(
        ["user", "pass"],
        |setup| setup,
        |gateway, upstream| {
            upstream.accept_also(&user(1), &pass(1));
            let text = fs::read_to_string(gateway.folder().join("gateway.toml")).unwrap();
            put(gateway.folder(), "gateway.toml", &text.replace("name = \"batch\"", "name = \"night\""));
            wait_for("the reload", || (gateway.metric(applied) == Some(1.0)).then_some(()));
            assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200);
        },
    );
    assert!(gateway.outcomes().iter().all(|line| line["status"] == 200));
}

#[test]
fn half_of_a_pair_is_not_used_at_a_signal() {
    let unchanged = "dcams_gateway_config_reloads_total{result=\"unchanged\"}";
    let (gateway, _upstream) = write_halves(
        ["user", "pass"],
        |setup| setup,
        |gateway, upstream| {
            upstream.accept_also(&user(1), &pass(1));
            gateway.signal(Signal::HUP);
            wait_for("the reload", || (gateway.metric(unchanged) == Some(1.0)).then_some(()));
            assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200);
        },
    );
    assert!(gateway.outcomes().iter().all(|line| line["status"] == 200));
}

#[test]
fn a_rejected_request_waits_for_the_other_half_of_a_pair() {
    let asked = std::cell::RefCell::new(None);
    let _serving = write_halves(
        ["user", "pass"],
        |setup| setup,
        |gateway, upstream| {
            upstream.accept(&user(1), &pass(1));
            let mut connection = gateway.connect();
            connection.send(&message(KYC_API, GET_STATUS.as_bytes()));
            wait_for("the rejected request", || (upstream.counts().requests == 1).then_some(()));
            *asked.borrow_mut() = Some(connection);
        },
    );
    let answer = asked.into_inner().unwrap().read_answer();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The password alone is another, and DCAMS takes the old one no more.
#[test]
fn a_password_alone_that_is_exchanged_at_once_costs_a_second_and_callers_are_told_so() {
    let upstream = Upstream::start();
    upstream.accept(&user(0), &pass(0));
    let gateway = Setup::before(&upstream).file("user", user(0)).file("pass", pass(0)).start();
    assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200);
    upstream.accept(&user(0), &pass(1));
    put(gateway.folder(), "pass", &pass(1));
    let begun = Instant::now();
    let mut rejected = gateway.connect();
    rejected.send(&message(KYC_API, GET_STATUS.as_bytes()));
    wait_for("the rejected request", || (upstream.counts().requests == 2).then_some(()));
    let mut told = Vec::new();
    wait_for("the new version", || {
        let answer = gateway.post(KYC_API, GET_STATUS);
        told.extend(answer.header("retry-after").map(str::to_owned));
        (answer.status == 200).then_some(())
    });
    println!("a password alone: {} refused in {:.1?}", told.len(), begun.elapsed());
    let answer = rejected.read_answer();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(told.last().map(String::as_str), Some("1"), "{told:?}");
    let passes: Vec<_> = upstream.pairs_seen().into_iter().map(|(_, pass)| pass).collect();
    assert_eq!(passes, [pass(0), pass(1)]);
    assert_eq!(upstream.counts().requests, 4, "one attempt with the rejected password, and no more");
}

#[test]
fn half_of_a_second_pair_is_not_used_either() {
    let next =
        "\n[credentials.production.next]\nuser = { file = \"user-1\" }\npass = { file = \"pass-1\" }\n";
    let with_next = |setup: Setup| setup.file("user-1", user(2)).file("pass-1", pass(2)).append(next);
    write_halves(["user-1", "pass-1"], with_next, |gateway, upstream| {
        upstream.accept(&user(1), &pass(1));
        // The first pair is rejected, its source is read again, and the second is sent.
        gateway.post(KYC_API, GET_STATUS);
        assert_eq!(upstream.counts().requests, 2);
    });
}
