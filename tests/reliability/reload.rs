//! Does a changed configuration come into force as a whole, or not at all?

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{
    BATCH, GET_STATUS, Gateway, KYC_API, OPS_PORTAL, PATIENCE, Setup, UPDATE_STATUS, Upstream, message,
    wait_for,
};
use crate::trail::{plain_upstream, telling};

fn rewrite(gateway: &Gateway, change: impl FnOnce(&str) -> String) {
    let path = gateway.folder().join("gateway.toml");
    let text = fs::read_to_string(&path).unwrap();
    replace(&path, &change(&text));
}

/// As careful tools write: a new file takes the place of the old one in one step.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::copy(path, &new).unwrap();
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

fn hang_up(gateway: &Gateway) {
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
}

fn verbose(gateway: &Gateway) -> String {
    gateway.operators("/readyz?verbose").text()
}

fn metric(gateway: &Gateway, line: &str) -> bool {
    gateway.operators("/metrics").text().lines().any(|known| known == line)
}

/// What the audit tells of reloads: cause, result and the configuration in force.
fn reloads(gateway: &Gateway) -> Vec<(String, String, String)> {
    let text = |line: &serde_json::Value, member: &str| line[member].as_str().unwrap().to_owned();
    let lines = gateway.audit().into_iter().filter(|line| line["kind"] == "reload");
    lines.map(|line| (text(&line, "cause"), text(&line, "result"), text(&line, "config"))).collect()
}

#[test]
fn a_caller_is_taken_in_and_another_put_out_by_a_change_of_the_file() {
    let upstream = Upstream::start();
    let mut gateway = Setup::before(&upstream).start();
    let mut connection = gateway.connect();
    assert_eq!(connection.post(BATCH, GET_STATUS.as_bytes()).status, 200);
    rewrite(&gateway, |text| {
        text.replace("name = \"batch\"", "name = \"night\"").replace("[\"getStatus\"]", "[\"updateStatus\"]")
    });
    // On a connection that was open before: a request belongs to the configuration that it meets.
    wait_for("the new rule", || (connection.post(BATCH, GET_STATUS.as_bytes()).status == 403).then_some(()));
    assert_eq!(connection.post(KYC_API, UPDATE_STATUS.as_bytes()).status, 200, "others go on");
    assert!(verbose(&gateway).contains(", as written\n"));
    assert!(metric(&gateway, "dcams_gateway_config_reloads_total{result=\"applied\"} 1"));
    assert!(gateway.stop().success());
    let callers: Vec<_> =
        gateway.outcomes().iter().map(|line| line["caller"].as_str().unwrap().to_owned()).collect();
    assert_eq!((callers[0].as_str(), callers[callers.len() - 2].as_str()), ("batch", "night"));
    let told = reloads(&gateway);
    assert_eq!((told.len(), told[0].0.as_str(), told[0].1.as_str()), (1, "change", "applied"));
    let last = gateway.outcomes().pop().unwrap();
    assert!(told[0].2.starts_with(last["config"].as_str().unwrap()));
}

#[test]
fn a_bad_configuration_leaves_the_last_good_one_in_force_and_is_told_everywhere() {
    let upstream = Upstream::start();
    let mut gateway = Setup::before(&upstream).start();
    let good = verbose(&gateway);
    rewrite(&gateway, |text| {
        text.replace("effect = \"write\"", "effect = \"wrong\"").replace("rate = {", "rat = {")
    });
    wait_for("the refusal", || verbose(&gateway).contains("the last good one").then_some(()));
    assert_eq!(gateway.post(KYC_API, UPDATE_STATUS).status, 200);
    let in_force = |text: &str| {
        text.lines().find_map(|line| line.strip_prefix("configuration ")).unwrap()[..16].to_owned()
    };
    assert_eq!(in_force(&verbose(&gateway)), in_force(&good));
    assert!(metric(&gateway, "dcams_gateway_config_last_reload_successful 0"));
    assert!(metric(&gateway, "dcams_gateway_config_reloads_total{result=\"refused\"} 1"));
    let faults: Vec<_> = gateway.log_lines().into_iter().filter(|line| line["remedy"].is_string()).collect();
    assert!(faults.iter().any(|fault| fault["line"].as_u64().is_some_and(|line| line > 1)), "{faults:?}");

    // Put right, it is as if nothing had been.
    rewrite(&gateway, |text| {
        text.replace("effect = \"wrong\"", "effect = \"write\"").replace("rat = {", "rate = {")
    });
    wait_for("the good one", || verbose(&gateway).contains(", as written\n").then_some(()));
    assert!(metric(&gateway, "dcams_gateway_config_last_reload_successful 1"));
    assert!(gateway.stop().success());
    let results: Vec<_> = reloads(&gateway).into_iter().map(|(_, result, _)| result).collect();
    assert_eq!(results, ["refused", "unchanged"]);
}

#[test]
fn a_key_that_takes_effect_at_a_start_only_is_refused_by_its_name() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    rewrite(&gateway, |text| format!("instance = \"another\"\n{text}"));
    wait_for("the refusal", || {
        let mut lines = gateway.log_lines().into_iter();
        lines.find(|line| line["problem"].as_str().is_some_and(|problem| problem.starts_with("instance: ")))
    });
    wait_for("the count", || verbose(&gateway).contains("has 1 faults").then_some(()));
}

#[test]
fn a_signal_reads_everything_again_and_says_so() {
    let upstream = Upstream::start();
    let mut gateway = Setup::before(&upstream).start();
    for count in 1..=3 {
        hang_up(&gateway);
        let line = format!("dcams_gateway_config_reloads_total{{result=\"unchanged\"}} {count}");
        wait_for("the reload", || metric(&gateway, &line).then_some(()));
    }
    assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200);
    assert!(gateway.stop().success());
    assert!(
        reloads(&gateway)
            .iter()
            .all(|(cause, result, _)| (cause.as_str(), result.as_str()) == ("signal", "unchanged"))
    );
}

#[test]
fn what_was_counted_of_a_caller_that_did_not_change_survives() {
    let upstream = Upstream::start();
    let slow = |text: &mut String| {
        let of_callers = "credentials = \"production\"\nrate = { per_second = 1000, burst = 1000 }";
        *text = text.replacen(
            of_callers,
            "credentials = \"production\"\nrate = { per_second = 1, burst = 600 }",
            1,
        );
    };
    let gateway = Setup::before(&upstream).edit(slow).start();
    let mut connection = gateway.connect();
    let passed = (0..).take_while(|_| connection.post(KYC_API, b"{}").status != 429).count();
    assert!(passed >= 600, "{passed}");
    rewrite(&gateway, |text| text.replace("name = \"batch\"", "name = \"night\""));
    wait_for("the reload", || {
        metric(&gateway, "dcams_gateway_config_reloads_total{result=\"applied\"} 1").then_some(())
    });
    // A new limiter would let 600 pass.
    let passed = (0..).take_while(|_| connection.post(KYC_API, b"{}").status != 429).count();
    assert!(passed < 300, "{passed}");
}

#[test]
fn a_caller_that_is_put_out_while_its_body_arrives_is_not_forwarded() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let message = crate::harness::message(BATCH, GET_STATUS.as_bytes());
    let mut connection = gateway.connect();
    connection.send(&message[..message.len() - 1]);
    wait_for("the request", || verbose(&gateway).contains("requests 1 in progress").then_some(()));
    rewrite(&gateway, |text| text.replace("name = \"batch\"", "name = \"night\""));
    wait_for("the reload", || {
        metric(&gateway, "dcams_gateway_config_reloads_total{result=\"applied\"} 1").then_some(())
    });
    connection.send(&message[message.len() - 1..]);
    let answer = connection.read_answer();
    assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("unauthenticated")));
    assert!(upstream.received().is_empty());
}

#[test]
fn a_schema_that_changed_judges_the_next_request() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let schemas = setup.folder().join("schemas");
    fs::create_dir(&schemas).unwrap();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, schemas.join(path.file_name().unwrap())).unwrap();
    }
    let gateway = setup.set("schemas_dir", "\"schemas\"").start();
    let mut connection = gateway.connect();
    assert_eq!(connection.post(KYC_API, GET_STATUS.as_bytes()).status, 200);
    let schema = schemas.join("getStatus.schema.json");
    replace(&schema, &fs::read_to_string(&schema).unwrap().replace("254", "5"));
    wait_for("the new schema", || {
        (connection.post(KYC_API, GET_STATUS.as_bytes()).status == 422).then_some(())
    });
    replace(&schema, "no schema");
    wait_for("the refusal", || verbose(&gateway).contains("the last good one").then_some(()));
    assert_eq!(connection.post(KYC_API, GET_STATUS.as_bytes()).status, 422);
}

#[test]
fn a_refusal_is_told_once_and_tried_again_until_what_it_wants_for_is_there() {
    let upstream = Upstream::start();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut gateway = Setup::before(&upstream).start();
    let (user, pass) = (elsewhere.path().join("user"), gateway.folder().join("pass"));
    rewrite(&gateway, |text| {
        text.replace("user = { file = \"user\" }", &format!("user = {{ file = \"{}\" }}", user.display()))
    });
    wait_for("the refusal", || verbose(&gateway).contains("the last good one").then_some(()));
    // With the credentials of the configuration in force it is read again, which gives nothing new to tell.
    replace(&pass, "another-password-for-tests");
    wait_for("the password", || {
        let version = "dcams_gateway_credential_version{credential=\"production\"}";
        (gateway.metric(version) == Some(2.0)).then_some(())
    });
    fs::copy(gateway.folder().join("user"), &user).unwrap();
    wait_for("the configuration", || verbose(&gateway).contains(", as written\n").then_some(()));
    assert!(gateway.stop().success());
    let results: Vec<_> = reloads(&gateway).into_iter().map(|(_, result, _)| result).collect();
    assert_eq!(results, ["refused", "applied"]);
    let faults = gateway.log_lines().into_iter().filter(|line| line["remedy"].is_string());
    assert_eq!(faults.count(), 1);
}

/// The endpoint's address and the pair that is sent there change together, from one account to another and back, while
/// eight connections on four workers ask without a pause. A request of two halves would bring a pair to the other account.
#[test]
fn no_request_sees_a_half_of_two_configurations_on_any_worker() {
    const RELOADS: u64 = 10;
    let accounts = [plain_upstream(), plain_upstream()];
    let pairs = [("user-a", "password-of-account-a"), ("user-b", "password-of-account-b")];
    let mut setup = telling(&accounts[0]).edit(|text| {
        let pair = "\n[credentials.b]\nuser = { file = \"user-b\" }\npass = { file = \"pass-b\" }\n";
        *text = text.replace("workers = 1", "workers = 4");
        *text = text.replace("[credentials.production]", "[credentials.a]") + pair;
        *text = text.replace("credentials = \"production\"", "credentials = \"a\"");
    });
    for ((user, pass), account) in pairs.iter().zip(&accounts) {
        account.keep(false);
        account.accept(user, pass);
    }
    setup = setup.file("user", pairs[0].0).file("pass", pairs[0].1);
    setup = setup.file("user-b", pairs[1].0).file("pass-b", pairs[1].1);
    let mut gateway = setup.start();
    let text = fs::read_to_string(gateway.folder().join("gateway.toml")).unwrap();
    let other = text
        .replace(&accounts[0].url(), &accounts[1].url())
        .replace("credentials = \"a\"", "credentials = \"b\"");
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let mut connection = gateway.connect();
                let (stop, answered) = (&stop, &answered);
                scope.spawn(move || {
                    let (mut refused, begun) = (Vec::new(), Instant::now());
                    while !stop.load(Ordering::Relaxed) && begun.elapsed() < 6 * PATIENCE {
                        let answer = connection.post(KYC_API, GET_STATUS.as_bytes());
                        answered.fetch_add(1, Ordering::Relaxed);
                        // A disk that is too slow for an intent says nothing of reloads.
                        if answer.status != 200 && !answer.text().contains("audit_unavailable") {
                            refused.push(answer.text());
                        }
                    }
                    refused
                })
            })
            .collect();
        for reload in 1..=RELOADS {
            let before = answered.load(Ordering::Relaxed);
            rewrite(&gateway, |_| if reload % 2 == 1 { other.clone() } else { text.clone() });
            let line = format!("dcams_gateway_config_reloads_total{{result=\"applied\"}} {reload}");
            wait_for("the reload", || metric(&gateway, &line).then_some(()));
            wait_for("answers", || (answered.load(Ordering::Relaxed) > before + 16).then_some(()));
        }
        stop.store(true, Ordering::Relaxed);
        for asking in asking {
            assert_eq!(asking.join().unwrap(), Vec::<String>::new());
        }
    });
    for ((user, pass), account) in pairs.iter().zip(&accounts) {
        let seen: Vec<_> = account.pairs_seen().into_iter().collect();
        assert_eq!(seen, [((*user).to_owned(), (*pass).to_owned())], "no pair of the other account");
    }
    assert!(gateway.stop().success());
    let of_each = |outcome: &serde_json::Value| {
        Some((outcome["config"].to_string(), outcome["credential"]["name"].as_str()?.to_owned()))
    };
    let together: std::collections::BTreeSet<_> = gateway.outcomes().iter().filter_map(of_each).collect();
    assert_eq!(together.len(), 2, "{together:?}");
}

#[test]
fn a_smaller_limit_of_requests_counts_those_that_are_in_progress() {
    let upstream = Upstream::start();
    let limited = |text: &mut String| *text = text.replace("workers = 1", "workers = 1\nmax_requests = 6");
    let gateway = Setup::before(&upstream).edit(limited).start();
    fill(&gateway, &upstream, 6, || {});
    // Those in progress go on, beyond the new limit.
    fill(&gateway, &upstream, 6, || {
        rewrite(&gateway, |text| text.replace("max_requests = 6", "max_requests = 3"));
        let applied = "dcams_gateway_config_reloads_total{result=\"applied\"} 1";
        wait_for("the reload", || metric(&gateway, applied).then_some(()));
    });
    fill(&gateway, &upstream, 3, || {});
}

/// Has so many requests in progress while the double stands still, and does `something` meanwhile; before and after that
/// there is room for none more. Then all are answered.
fn fill(gateway: &Gateway, upstream: &Upstream, count: usize, something: impl FnOnce()) {
    let in_progress = |count: usize| {
        wait_for("the requests in progress", || {
            (gateway.metric("dcams_gateway_requests_in_progress") == Some(count as f64)).then_some(())
        });
    };
    in_progress(0);
    let (release, released) = channel::<()>();
    upstream.runtime().spawn(async move {
        // An error is the release.
        let _ = released.recv();
    });
    let mut connections: Vec<_> = (0..count).map(|_| gateway.connect()).collect();
    for (connection, caller) in connections.iter_mut().zip([KYC_API, BATCH, OPS_PORTAL].into_iter().cycle()) {
        connection.send(&message(caller, GET_STATUS.as_bytes()));
    }
    in_progress(count);
    let is_full = || assert_eq!(gateway.post(OPS_PORTAL, GET_STATUS).json()["code"], "overloaded");
    is_full();
    something();
    is_full();
    drop(release);
    for mut connection in connections {
        assert_eq!(connection.read_answer().status, 200);
    }
}
