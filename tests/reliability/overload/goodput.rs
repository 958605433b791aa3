//! Is as much served under ten times the load as at the peak?

use std::time::{Duration, Instant};

use super::load::{offer, quantile};
use super::{count, is_strict, pin};
use crate::harness::{GET_STATUS, KYC_API, Setup, Upstream, message};

/// How long the upstream takes; with the requests at once it makes the capacity.
const LATENCY: Duration = Duration::from_millis(20);

#[test]
fn ten_times_the_capacity_is_refused_and_the_rest_is_served() {
    let requests = count("OVERLOAD_REQUESTS", 4);
    let lasts = Duration::from_secs(count("OVERLOAD_SECONDS", 2) as u64);
    let upstream = Upstream::start();
    upstream.keep(false);
    upstream.delay(LATENCY);
    let gateway = Setup::before(&upstream)
        .set("data.max_requests", &requests.to_string())
        .set("callers.kyc-api.rate", "{ per_second = 1000000 }")
        .start();
    if is_strict() {
        pin(&gateway);
    }
    let (address, request) = (gateway.data(), message(KYC_API, GET_STATUS.as_bytes()));
    let peak = offer(address, request.clone(), requests, None, lasts).join().unwrap();
    let wanted = peak.goodput() * 10.0;
    let over = offer(address, request.clone(), 256, Some(wanted), lasts).join().unwrap();
    let ended = Instant::now();
    while gateway.post(KYC_API, GET_STATUS).status != 200 {
        assert!(ended.elapsed() < Duration::from_secs(5), "not back to normal");
    }
    let recovered = ended.elapsed();
    // Half of the requests at once are what any one caller may have, whatever is kept for the others.
    let after = offer(address, request, requests / 2, None, lasts).join().unwrap();
    let (refused, offered) = (over.refused(), over.samples.len() as f64 / over.lasted.as_secs_f64());
    println!(
        "goodput: peak {:.0}/s; offered {offered:.0}/s ({:.1} times), served {:.0}/s ({:.0} % of the peak), \
         refused p50 {:?} p99 {:?}; first served {recovered:?} after the load, then {:.0}/s ({:.0} %)",
        peak.goodput(),
        offered / peak.goodput(),
        over.goodput(),
        over.goodput() / peak.goodput() * 100.0,
        quantile(&refused, 0.5),
        quantile(&refused, 0.99),
        after.goodput(),
        after.goodput() / peak.goodput() * 100.0,
    );
    assert_eq!(over.broken, 0);
    assert_eq!(over.with(200).count() + refused.len(), over.samples.len(), "{:?}", over.statuses());
    assert!(!refused.is_empty() && refused.iter().all(|refusal| refusal.retry_after));
    assert!(over.with(200).count() > 0);
    assert_eq!(after.with(200).count(), after.samples.len(), "{:?}", after.statuses());
    if is_strict() {
        assert!(over.goodput() >= 0.9 * peak.goodput());
        assert!(quantile(&refused, 0.99) <= Duration::from_millis(50));
    }
}
