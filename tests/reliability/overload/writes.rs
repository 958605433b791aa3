//! Is a write seen through whose caller leaves?

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::harness::{Gateway, KYC_API, PATH, Setup, UPDATE_STATUS, Upstream, http2, message};

/// It reached DCAMS, and was answered there; its caller was gone.
fn assert_seen_through(upstream: &Upstream, gateway: &Gateway) {
    let record: Value = gateway.wait_for_outcomes(1).remove(0);
    assert_eq!((&record["outcome"], &record["upstream"]["status"]), (&"abandoned".into(), &200.into()));
    let received = upstream.wait_for_received(1);
    assert_eq!(received.len(), 1);
}

#[test]
fn one_over_tls_is_seen_through() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).tls().start();
    upstream.delay(Duration::from_millis(300));
    let mut connection = gateway.connect();
    connection.send(&message(KYC_API, UPDATE_STATUS.as_bytes()));
    upstream.wait_for_received(1);
    drop(connection);
    assert_seen_through(&upstream, &gateway);
}

#[test]
fn one_whose_stream_is_reset_is_seen_through() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).tls().start();
    upstream.delay(Duration::from_millis(300));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut sender = http2::connect::<Full<Bytes>>(&gateway, 1 << 20).await;
        let request = Request::post(format!("https://localhost{PATH}"))
            .header("authorization", format!("Bearer {KYC_API}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from_static(UPDATE_STATUS.as_bytes())))
            .unwrap();
        let answer = sender.send_request(request);
        let arrives = async {
            while upstream.received().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            // Dropped, the stream is reset: RST_STREAM with CANCEL. The connection stays.
            _ = answer => panic!("answered before it was reset"),
            () = arrives => {}
        }
        while gateway.outcomes().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!sender.is_closed());
    });
    assert_seen_through(&upstream, &gateway);
}
