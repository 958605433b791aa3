//! What does a gateway answer that cannot work?

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use super::limits::hold;
use super::scene::{Expected, Met, Scene};
use crate::harness::{BATCH, GET_STATUS, KYC_API, OPS_PORTAL, UPDATE_STATUS, Upstream, message, wait_for};
use dcams_gateway::simulate::Fault;

/// Descriptors at first.
const MOST: u32 = 4096;

/// Leaves it a descriptor for its caller's connection, and none for one to the upstream.
pub fn a_gateway_without_descriptors_refuses() -> Met {
    let upstream = Upstream::start();
    // By address: a look-up of a name would need a descriptor as well.
    let url = upstream.url().replace("localhost", "127.0.0.1");
    let mut scene =
        Scene::before(upstream, |setup| setup.set("endpoints.storage.url", &url).most_descriptors(MOST));
    let pid = Pid::from_raw(i32::try_from(scene.gateway.pid()).unwrap());
    let taken = || {
        let taken = std::fs::read_dir(format!("/proc/{}/fd", scene.gateway.pid())).unwrap();
        let number =
            |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        taken.map(|entry| number(entry).parse::<u64>().unwrap()).collect::<std::collections::BTreeSet<_>>()
    };
    let free = (0..).find(|number| !taken().contains(number)).unwrap();
    let few = Rlimit { current: Some(free + 1), maximum: Some(u64::from(MOST)) };
    let before = prlimit(pid, Resource::Nofile, few).unwrap();
    let answer = scene.post(GET_STATUS);
    prlimit(pid, Resource::Nofile, before).unwrap();
    let nothing = json!({"attempts": 1});
    Expected::beyond("internal", "getStatus", nothing).meets(&mut scene, &answer)
}

pub fn a_gateway_with_too_many_requests_refuses() -> Met {
    let mut scene = Scene::with(|setup| setup.set("data.max_requests", "1"));
    scene.upstream.inject_once(Fault::HangAfterRead);
    let mut hanging = scene.gateway.connect();
    hanging.send(&message(BATCH, GET_STATUS.as_bytes()));
    scene.upstream.wait_for_received(1);
    let answer = scene.post(GET_STATUS);
    drop(hanging);
    wait_for("room for a request", || (scene.post(GET_STATUS).status == 200).then_some(()));
    // By now every record of a request that was refused is there.
    Expected::stranger("overloaded").sent(&[GET_STATUS, GET_STATUS]).meets(&mut scene, &answer)
}

pub fn a_gateway_with_too_many_bytes_refuses() -> Met {
    let mut scene = Scene::with(|setup| {
        setup
            .edit(|text| *text = text.replace("effect = \"", "body_limit = \"1MiB\"\neffect = \""))
            .set("data.body_budget", "1MiB")
            .set("data.caller_share", "100%")
            .set("data.budget_wait", "0s")
            .set("data.min_body_rate_grace", "10m")
    });
    let holding = hold(&scene, BATCH, 1_000_000, 1_000_001);
    let answer = scene.post(format!("{GET_STATUS}{}", " ".repeat(60_000)));
    let met = Expected::endpoint("overloaded").meets(&mut scene, &answer);
    drop(holding);
    met
}

pub fn a_gateway_that_is_stopped_refuses() -> Met {
    let mut scene = Scene::with(|setup| setup.set("data.drain_grace", "0s"));
    let bytes = message(KYC_API, GET_STATUS.as_bytes());
    let (first, rest) = bytes.split_at(40);
    scene.connection.send(first);
    // Not yet read from, a connection may be closed without an answer.
    wait_for("the half of a head to be read", || scene.connection.is_read_by_its_peer().then_some(()));
    scene.gateway.terminate();
    wait_for("the gateway to drain", || {
        (scene.gateway.operators("/readyz").text() == "draining\n").then_some(())
    });
    let answer = scene.send(rest);
    let met = Expected::endpoint("draining").meets(&mut scene, &answer);
    assert_eq!(scene.gateway.wait().code(), Some(0));
    assert_eq!(scene.gateway.outcomes().len(), 1);
    met
}

pub fn a_gateway_that_cannot_record_refuses() -> Met {
    // The first record, that of the start, shows that none can be written.
    let mut scene = Scene::with(|setup| setup.recording_to_stdout().stdout("/dev/full"));
    wait_for("the fault to be noticed", || {
        scene.gateway.stderr().contains("audit records cannot be written").then_some(())
    });
    let answer = scene.post(GET_STATUS);
    let met = Expected::service("audit_unavailable", "getStatus").unrecorded().meets(&mut scene, &answer);
    // It is told to who watches, and readiness does not flip.
    assert_eq!(scene.gateway.operators("/readyz").text(), "ready\n");
    assert!(
        scene.gateway.metric("dcams_gateway_audit_write_faults_total").is_some_and(|faults| faults > 0.0)
    );
    // Nor does it end as if nothing were lost.
    assert_eq!(scene.gateway.stop().code(), Some(74));
    assert!(scene.gateway.stderr().contains("records were lost"));
    met
}

pub fn a_gateway_whose_credentials_were_rejected_refuses() -> Met {
    let mut scene = Scene::new();
    scene.upstream.inject_once(Fault::RejectCredential);
    assert_eq!(scene.post(GET_STATUS).json()["code"], "upstream_credentials_rejected");
    let answer = scene.post(GET_STATUS);
    Expected::service("credentials_unavailable", "getStatus").sent(&[GET_STATUS]).meets(&mut scene, &answer)
}

/// What this caller's writes met; its reads and other callers go on.
pub fn a_gateway_whose_upstream_failed_too_often_refuses() -> Met {
    let mut scene = Scene::with(|setup| setup.set("upstream.breaker.failures", "2"));
    scene.upstream.inject(Fault::Html { status: 500 });
    for _ in 0..2 {
        assert_eq!(scene.post(UPDATE_STATUS).json()["code"], "upstream_invalid");
    }
    scene.upstream.inject(Fault::None);
    let answer = scene.post(UPDATE_STATUS);
    let sent = [UPDATE_STATUS; 2];
    let met = Expected::suspended("updateStatus").sent(&sent).meets(&mut scene, &answer);
    assert_eq!(scene.post(GET_STATUS).status, 200);
    assert_eq!(scene.gateway.post(OPS_PORTAL, UPDATE_STATUS).status, 200);
    met
}

/// What no caller can cause.
pub fn a_gateway_that_cannot_reach_its_upstream_refuses_every_caller() -> Met {
    let mut scene = Scene::with(|setup| setup.set("upstream.breaker.failures", "2"));
    scene.upstream.inject(Fault::ResetOnAccept);
    for key in [BATCH, OPS_PORTAL] {
        assert_eq!(scene.gateway.post(key, GET_STATUS).json()["code"], "upstream_unreachable");
    }
    scene.upstream.inject(Fault::None);
    let answer = scene.post(GET_STATUS);
    let met = Expected::suspended("getStatus").sent(&[]).meets(&mut scene, &answer);
    assert_eq!(scene.gateway.operators("/readyz").text(), "ready\n");
    met
}
