//! What does HTTP/2 look like from a caller's end?

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use tokio::task::JoinSet;

use super::make::{GET_IMAGES, customer_with_photo, ending, wait_for_events};
pub use crate::harness::http2::connect;
use crate::harness::{
    Connection, GET_STATUS, Gateway, KYC_API, PATH, PATIENCE, Setup, UPDATE_STATUS, Upstream,
};

/// A request as an ordinary client makes it.
pub fn request(key: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(format!("https://localhost{PATH}"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap()
}

pub async fn whole(response: Response<Incoming>) -> (StatusCode, Bytes) {
    let status = response.status();
    (status, response.into_body().collect().await.unwrap().to_bytes())
}

/// Runs a caller, for as long as anything is waited for.
pub fn run<T>(caller: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, caller).await.expect("an end in time") })
}

#[test]
fn every_service_is_served_by_http2() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).tls().start();
    run(async {
        let mut sender = connect(&gateway, 1 << 20).await;
        let customer = customer_with_photo();
        for body in [&customer, GET_STATUS, UPDATE_STATUS, GET_IMAGES] {
            let (status, answer) = whole(sender.send_request(request(KYC_API, body)).await.unwrap()).await;
            let answer: serde_json::Value =
                serde_json::from_str(std::str::from_utf8(&answer).unwrap()).unwrap();
            assert_eq!((status, answer["result"].as_str()), (StatusCode::OK, Some("Success")));
            if body == GET_IMAGES {
                let sent: serde_json::Value = serde_json::from_str(&customer).unwrap();
                assert!(answer["target"]["documents"] == sent["target"]["documents"], "the images differ");
            }
        }
        let (status, _) = whole(sender.send_request(request("wrong", &customer)).await.unwrap()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        let (status, _) = whole(sender.send_request(request(KYC_API, GET_STATUS)).await.unwrap()).await;
        assert_eq!(status, StatusCode::OK, "a refused stream must not end its connection");
    });
    wait_for_events(&gateway, "accepted", 1.0);
}

#[test]
fn sixty_four_streams_are_served_at_once() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream)
        .tls()
        .edit(|text| *text = text.replace("\nrate = {", "\nmax_requests = 64\nrate = {"))
        .start();
    upstream.delay(std::time::Duration::from_millis(100));
    run(async {
        let sender = connect(&gateway, 1 << 20).await;
        let mut streams = JoinSet::new();
        for _ in 0..64 {
            let mut sender = sender.clone();
            streams.spawn(async move {
                sender.send_request(request(KYC_API, GET_STATUS)).await.unwrap().status()
            });
        }
        let answered = streams.join_all().await;
        assert_eq!(answered, vec![StatusCode::OK; 64]);
    });
}

fn impatient(upstream: &Upstream) -> Gateway {
    Setup::before(upstream)
        .tls()
        .set("data.idle_timeout", "200ms")
        .set("data.min_body_rate", "1GiB/s")
        .start()
}

/// The connection is closed; the answer was held until then.
async fn assert_cut(sender: &SendRequest<Full<Bytes>>, unread: Response<Incoming>) {
    while !sender.is_closed() {
        tokio::task::yield_now().await;
    }
    assert!(unread.into_body().collect().await.is_err());
}

#[test]
fn a_stream_that_nobody_reads_is_given_up() {
    let upstream = Upstream::start();
    let gateway = impatient(&upstream);
    run(async {
        let mut sender = connect(&gateway, 16 << 10).await;
        let stored = sender.send_request(request(KYC_API, &customer_with_photo())).await.unwrap();
        assert_eq!(whole(stored).await.0, StatusCode::OK);
        let unread = sender.send_request(request(KYC_API, GET_IMAGES)).await.unwrap();
        assert_cut(&sender, unread).await;
    });
    assert_eq!(ending(&gateway.wait_for_outcomes(2)[1]), ("truncated", None, Some(200)));
    wait_for_events(&gateway, "reader_timeout", 1.0);
}

/// A small answer is handed over as soon as there is room for its first byte.
#[test]
fn an_answer_whose_rest_waits_for_its_reader_is_not_idle() {
    let upstream = Upstream::start();
    let gateway = impatient(&upstream);
    run(async {
        let mut sender = connect(&gateway, 1).await;
        let unread = sender.send_request(request(KYC_API, GET_STATUS)).await.unwrap();
        assert_cut(&sender, unread).await;
    });
    wait_for_events(&gateway, "reader_timeout", 1.0);
}

#[test]
fn a_plain_listener_speaks_no_http2() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).start();
    let answered = gateway.send_raw(&[PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat());
    assert!(answered.is_empty() || answered.starts_with(b"HTTP/1.1 4"), "{answered:?}");
}

#[test]
fn a_flood_of_resets_ends_the_connection() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).tls().start();
    let mut connection = Connection::tls(gateway.data(), gateway.tls_ca().unwrap(), b"h2");
    let mut flood = [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    for stream in (1..2_000_u32).step_by(2) {
        // HEADERS of `POST / https localhost`, and CANCEL.
        let fields = [&[0x83, 0x87, 0x84, 0x41, 9][..], b"localhost"].concat();
        flood.extend_from_slice(&frame(1, 4, stream, &fields));
        flood.extend_from_slice(&frame(3, 0, stream, &[0, 0, 0, 8]));
    }
    connection.send(&flood);
    let answered = connection.read_to_end();
    let frames = frames(&answered);
    let (kind, payload) = frames.first().unwrap();
    assert_eq!((*kind, setting(payload, 3), setting(payload, 6)), (4, Some(64), Some(16 << 10)));
    // ENHANCE_YOUR_CALM
    assert!(frames.iter().any(|(kind, payload)| *kind == 7 && payload[4..8] == [0, 0, 0, 11]), "no GOAWAY");
    assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200);
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Kind and payload of every whole frame.
fn frames(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while bytes.len() >= 9 {
        let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        let Some(payload) = bytes.get(9..9 + length) else { break };
        frames.push((bytes[3], payload));
        bytes = &bytes[9 + length..];
    }
    frames
}

/// One of the values in a SETTINGS frame.
fn setting(payload: &[u8], id: u8) -> Option<u32> {
    let found = payload.chunks_exact(6).find(|entry| entry[..2] == [0, id])?;
    Some(u32::from_be_bytes([found[2], found[3], found[4], found[5]]))
}
