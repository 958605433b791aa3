//! What stands in the audit beside outcomes, and what do operators see of it?

use std::fs;

use dcams_gateway::simulate::Fault;
use serde_json::{Value, json};

use crate::harness::{GET_STATUS, Gateway, KYC_API, Setup, UPDATE_STATUS, Upstream, wait_for};
use crate::refusals::scene::assert_published_form;

/// Kind of each line about the request `id`.
fn story<'a>(lines: &'a [Value], id: &Value) -> Vec<&'a str> {
    lines.iter().filter(|line| line["id"] == *id).map(|line| line["kind"].as_str().unwrap()).collect()
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

/// Numbers grow by one, and every line is of the published form.
fn assert_in_order(lines: &[Value]) {
    let numbers: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    lines.iter().for_each(assert_published_form);
}

#[test]
fn each_forward_has_an_intent_that_its_outcome_closes_and_a_refusal_has_none() {
    for required in [true, false] {
        let upstream = Upstream::start();
        let setup = Setup::before(&upstream);
        let mut gateway = if required {
            setup.start()
        } else {
            setup.set("services.getStatus.audit", "best_effort").recording_to_stdout().start()
        };
        let forwarded: Vec<_> = (0..20).map(|_| gateway.post(KYC_API, GET_STATUS)).collect();
        let refused = gateway.post(KYC_API, "{}");
        assert_eq!((forwarded[0].status, refused.status), (200, 400));
        assert_eq!(gateway.stop().code(), Some(0));
        let lines = gateway.audit();
        assert_in_order(&lines);
        for answer in &forwarded {
            assert_eq!(story(&lines, &answer.id().into()), ["intent", "outcome"]);
        }
        assert_eq!(story(&lines, &refused.id().into()), ["outcome"]);
        assert_eq!(of_kind(&lines, "intent").len(), upstream.received().len());
        let intent = of_kind(&lines, "intent")[0];
        let outcome = of_kind(&lines, "outcome")[0];
        for (name, member) in intent.as_object().unwrap() {
            let own = ["seq", "kind", "bytes", "mac"].contains(&name.as_str());
            assert!(own || outcome[name] == *member, "{name}");
        }
    }
}

#[test]
fn starts_stops_and_configurations_are_in_the_audit_and_a_chain_goes_on() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit");
    let output = format!("{{ folder = {:?} }}", audit.to_str().unwrap());
    let run = |timeout: &str, chain_key: bool| {
        let setup = Setup::before(&upstream).set("audit.output", &output).set("data.body_timeout", timeout);
        let setup = if chain_key { setup } else { setup.file("chain-key", "") };
        let mut gateway = setup.start();
        assert_eq!(gateway.post(KYC_API, UPDATE_STATUS).status, 200);
        assert_eq!(gateway.stop().code(), Some(0), "{}", gateway.stderr());
    };
    run("60s", true);
    // The secret that the chain began with is not read again.
    run("60s", false);
    run("61s", false);

    let text = fs::read_to_string(audit.join("audit-0000000000000001.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_in_order(&lines);
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    let each = ["start", "credentials", "intent", "outcome", "stop", "checkpoint"];
    assert_eq!(kinds, [&["segment"][..], &each, &each, &each].concat());
    let starts = of_kind(&lines, "start");
    assert_eq!(starts[0]["config"], starts[1]["config"]);
    assert_ne!(starts[0]["config"], starts[2]["config"]);
    for (start, outcome) in starts.iter().zip(of_kind(&lines, "outcome")) {
        let (whole, part) = (start["config"].as_str().unwrap(), outcome["config"].as_str().unwrap());
        assert!(whole.starts_with(part), "{whole} {part}");
        assert_eq!(start["services"].as_array().unwrap().len(), 4);
    }
    assert!(of_kind(&lines, "stop").iter().all(|stop| stop["in_progress"] == 0));
}

#[test]
fn what_becomes_of_a_version_of_the_credentials_is_in_the_audit() {
    let upstream = Upstream::start();
    let mut gateway = Setup::before(&upstream).start();
    upstream.inject_once(Fault::RejectCredential);
    assert_eq!(gateway.post(KYC_API, GET_STATUS).json()["code"], "upstream_credentials_rejected");
    // Written anew with another user, the pair is another version.
    fs::write(gateway.folder().join("user"), "another-user").unwrap();
    wait_for("a new version", || (of_kind(&gateway.audit(), "credentials").len() == 3).then_some(()));
    assert_eq!(gateway.stop().code(), Some(0));
    let lines = gateway.audit();
    assert_in_order(&lines);
    let told: Vec<_> = of_kind(&lines, "credentials")
        .iter()
        .map(|line| (line["credential"].clone(), line["version"].clone(), line["state"].clone()))
        .collect();
    let told_of = |version: u32, state: &str| (json!("production"), json!(version), json!(state));
    assert_eq!(told, [told_of(1, "current"), told_of(1, "suspended"), told_of(2, "current")]);
}

#[test]
fn checkpoints_are_logged_and_served_so_that_they_can_be_kept_elsewhere() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).set("audit.checkpoint_interval", "100ms").start();
    let first =
        |gateway: &Gateway| Some(gateway.operators("/audit/checkpoint")).filter(|it| it.status == 200);
    let served = wait_for("a checkpoint", || first(&gateway));
    assert_eq!(served.header("content-type"), Some("application/json"));
    let served = served.json();
    let lines = gateway.audit();
    assert!(of_kind(&lines, "checkpoint").contains(&&served), "{served}");
    let logged = |line: &Value| line["target"] == "dcams_gateway::checkpoint" && line["level"] == "INFO";
    let log = gateway.log_lines();
    let line = log.iter().find(|line| logged(line)).unwrap()["line"].as_str().unwrap();
    assert!(
        fs::read_to_string(gateway.folder().join("audit/audit-0000000000000001.jsonl"))
            .unwrap()
            .contains(line)
    );
    assert!(gateway.metric("dcams_gateway_audit_checkpoint_age_seconds").is_some_and(|age| age >= 0.0));
    assert!(gateway.metric("dcams_gateway_audit_last_seq").is_some_and(|seq| seq > 0.0));

    let gateway = Setup::before(&upstream).recording_to_stdout().start();
    let none = gateway.operators("/audit/checkpoint");
    assert_eq!((none.status, none.json()["code"].as_str()), (404, Some("no_checkpoint")));
    assert_eq!(none.header("content-type"), Some("application/problem+json"));
    assert!(gateway.metric("dcams_gateway_audit_checkpoint_age_seconds").is_some_and(f64::is_nan));
}

#[test]
fn a_folder_has_one_gateway_and_a_check_says_so() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let output = format!("{{ folder = {:?} }}", gateway.folder().join("audit").to_str().unwrap());
    let second = Setup::before(&upstream).set("audit.output", &output);
    let said = |arguments: &[&str]| {
        let output = second.command(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for command in ["run", "check"] {
        let (code, stderr) = said(&[command]);
        assert_eq!(code, Some(74), "{command}: {stderr}");
        assert!(stderr.contains("another gateway writes to this folder"), "{command}: {stderr}");
    }
    assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200, "the first is not disturbed");
}

#[test]
fn a_check_tells_what_becomes_of_the_audit() {
    let upstream = Upstream::start();
    let check = |setup: &Setup| {
        let output = setup.command(&["check", "--offline"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let setup = Setup::before(&upstream);
    let (said, warned) = check(&setup);
    assert!(said.contains("(a new chain will be begun)"), "{said}");
    assert!(!warned.contains("audit"), "{warned}");
    fs::create_dir(setup.folder().join("audit")).unwrap();
    fs::write(setup.folder().join("audit/chain"), "").unwrap();
    let (said, warned) = check(&setup);
    assert!(said.contains("(its chain goes on)"), "{said}");
    assert!(warned.contains("audit.chain_key is not read any more"), "{warned}");
    let (said, warned) = check(&Setup::before(&upstream).recording_to_stdout());
    assert!(said.contains("audit ok: standard output"), "{said}");
    assert!(warned.contains("as durable as what reads standard output"), "{warned}");
}
