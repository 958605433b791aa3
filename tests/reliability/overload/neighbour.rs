//! Does a caller notice that another one asks for a hundred times its quota?

use std::time::Duration;

use super::load::{offer, quantile};
use super::{count, is_strict, pin};
use crate::harness::{BATCH, GET_STATUS, KYC_API, Setup, Upstream, message};

/// Of the noisy caller, per second; it asks for a hundred times as much.
const QUOTA: f64 = 20.0;
/// What its neighbour asks for, per second.
const NEIGHBOUR: f64 = 100.0;

#[test]
fn a_hundred_times_the_quota_of_one_refuses_nobody_else() {
    let lasts = Duration::from_secs(count("OVERLOAD_SECONDS", 2) as u64);
    let upstream = Upstream::start();
    upstream.keep(false);
    upstream.delay(Duration::from_millis(5));
    let gateway = Setup::before(&upstream)
        .set("data.workers", "2")
        .set("callers.kyc-api.rate", "{ per_second = 20 }")
        .set("callers.batch.rate", "{ per_second = 1000000 }")
        .start();
    if is_strict() {
        pin(&gateway);
    }
    let noise = message(KYC_API, GET_STATUS.as_bytes());
    let asked = message(BATCH, GET_STATUS.as_bytes());
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 0..count("OVERLOAD_ROUNDS", 2) * 2 {
        let noisy = round % 2 == 1;
        let noise = noisy.then(|| offer(gateway.data(), noise.clone(), 32, Some(QUOTA * 100.0), lasts));
        let heard = offer(gateway.data(), asked.clone(), 8, Some(NEIGHBOUR), lasts).join().unwrap();
        assert_eq!(heard.broken, 0);
        assert_eq!(heard.with(200).count(), heard.samples.len(), "{:?}", heard.statuses());
        if noisy { &mut beside } else { &mut alone }.extend(heard.samples);
        if let Some(noise) = noise {
            let noise = noise.join().unwrap();
            assert!(noise.with(429).count() > noise.with(200).count(), "{:?}", noise.statuses());
        }
    }
    let (alone, beside) = (quantile(&alone, 0.99), quantile(&beside, 0.99));
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    println!("neighbour: p99 alone {alone:?}, beside 100 times a quota {beside:?}: {ratio:.2} times");
}
