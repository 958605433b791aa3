//! Do breakers keep time, and go on in the next configuration?

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use dcams_gateway::config::{self, Config, Effect, Source};
use dcams_gateway::ids::{CallerId, EndpointId};
use dcams_gateway::reject::Reject;
use dcams_gateway::upstream::{Ended, Lanes};
use tokio::time::advance;

use crate::fixture::Fixture;

/// The configuration of the tests in this folder, changed.
fn config(change: impl FnOnce(String) -> String) -> Config {
    let folder = tempfile::tempdir().unwrap();
    for file in ["user", "pass", "fingerprint-key"] {
        let path = folder.path().join(file);
        fs::write(&path, format!("a secret for {file}, and no other one")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let path = folder.path().join("gateway.toml");
    fs::write(&path, change(include_str!("gateway.toml").replace("@KEY@", &"0a".repeat(32)))).unwrap();
    config::load(&Source { path, ..Source::default() }).unwrap_or_else(|faults| panic!("{faults}")).config
}

fn lanes(fixture: &Fixture, config: &Config, before: Option<&Lanes>) -> Arc<Lanes> {
    let (writer, metrics) = (Arc::clone(&fixture.gateway.writer), Arc::clone(&fixture.gateway.metrics));
    Arc::new(Lanes::new(config, writer, metrics, before))
}

/// Lets so many writes of a caller end so.
fn end(lanes: &Arc<Lanes>, caller: u16, times: usize, ended: Ended) {
    for _ in 0..times {
        lanes.admit(CallerId(caller), EndpointId(0), Effect::Write).unwrap().settle(ended);
    }
}

fn is_suspended(lanes: &Arc<Lanes>, caller: u16, effect: Effect) -> bool {
    let asked = lanes.admit(CallerId(caller), EndpointId(0), effect);
    matches!(asked, Err(Reject::UpstreamSuspended { retry_after_s: 1..=5 }))
}

#[tokio::test(start_paused = true)]
async fn breakers_go_on_in_the_next_configuration_by_name() {
    let fixture = Fixture::new(&[]);
    let first = lanes(&fixture, &config(|text| text), None);
    end(&first, 0, 10, Ended::TimedOut);
    assert!(is_suspended(&first, 0, Effect::Write) && !is_suspended(&first, 0, Effect::Read));

    // Another caller stands before it in the next one.
    let another = |text: String| {
        let (before, caller) = text.split_once("[[callers]]").unwrap();
        let other = caller.replace("kyc-api", "other").replace(&"0a".repeat(32), &"0b".repeat(32));
        format!("{before}[[callers]]{other}\n[[callers]]{caller}")
    };
    let next = lanes(&fixture, &config(another), Some(&first));
    assert!(is_suspended(&next, 1, Effect::Write) && !is_suspended(&next, 0, Effect::Write));

    let elsewhere = config(|text| text.replace("dcams.example.com", "dcams.example.net"));
    assert!(
        !is_suspended(&lanes(&fixture, &elsewhere, Some(&first)), 0, Effect::Write),
        "it is another upstream"
    );

    advance(Duration::from_secs(5)).await;
    end(&next, 1, 3, Ended::Answered);
    assert!(!is_suspended(&first, 0, Effect::Write), "requests of the last configuration profit as well");
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_tells_something_only_where_it_took_long() {
    let fixture = Fixture::new(&[]);
    let lanes = lanes(&fixture, &config(|text| text), None);
    for (seconds, suspended) in [(1, false), (15, true)] {
        let passes: Vec<_> =
            (0..10).map(|_| lanes.admit(CallerId(0), EndpointId(0), Effect::Read).unwrap()).collect();
        advance(Duration::from_secs(seconds)).await;
        drop(passes);
        assert_eq!(is_suspended(&lanes, 0, Effect::Read), suspended, "after {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_has_a_budget_of_its_own_that_time_fills() {
    let fixture = Fixture::new(&[]);
    let lanes = lanes(&fixture, &config(|text| text), None);
    let taken = || (0..1_000).take_while(|_| lanes.may_retry(CallerId(0), EndpointId(0))).count();
    assert_eq!(taken(), 10, "one a second, for ten seconds");
    (0..100).for_each(|_| lanes.requested(CallerId(0), EndpointId(0)));
    assert_eq!(taken(), 20, "a fifth of the requests");
    advance(Duration::from_secs(30)).await;
    assert_eq!(taken(), 10, "what was long ago does not count");
}
