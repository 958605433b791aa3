//! Does 256 MiB do, whatever comes?

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cgroup::{Cap, status_kib};
use super::load::{quantile, upload};
use super::{count, is_strict};
use crate::harness::{GET_STATUS, KYC_API, Setup, Upstream, key_hash_hex, message};

const MIB: usize = 1 << 20;
const CAP: u64 = 256 << 20;
/// Callers that upload.
const CALLERS: usize = 4;
/// Readers of answers of 5 MB who read next to nothing.
const READERS: usize = 24;

fn key(number: usize) -> String {
    format!("dcg_upload-{number}-key-of-the-tests-0123456789abcdef")
}

fn caller(number: usize) -> String {
    format!(
        "\n[[callers]]\nname = \"upload-{number}\"\nkeys = [{{ sha256 = \"{}\" }}]\ncredentials = \"production\"\n\
         rate = {{ per_second = 1000, burst = 1000 }}\nservices = [\"createOrUpdateCustomer\", \"getDocumentImages\"]\n",
        key_hash_hex(&key(number))
    )
}

/// A customer with a document of 4.7 MB, and white space up to `bytes`.
fn customer(bytes: usize) -> Vec<u8> {
    use base64::Engine;
    let photo = include_bytes!("../../images/phone-photo.jpg");
    let photo = base64::engine::general_purpose::STANDARD.encode(photo);
    let mut body = format!(
        r#"{{"service":"createOrUpdateCustomer","target":{{"email":"jane@example.com","documents":{{"front":"{photo}"}}}}}}"#
    )
    .into_bytes();
    body.pop();
    body.resize(bytes.max(body.len() + 1) - 1, b' ');
    body.push(b'}');
    body
}

#[test]
fn two_hundred_uploads_and_slow_readers_fit_into_256_mib() {
    let upstream = Upstream::start();
    upstream.keep(false);
    let cap = Cap::of(CAP);
    let setup = (0..CALLERS).fold(Setup::before(&upstream), |setup, number| setup.append(&caller(number)));
    let setup = setup.set("data.workers", "2");
    let gateway = cap.iter().fold(setup, |setup, cap| setup.within(cap.folder())).start();
    assert_eq!(gateway.post(&key(0), customer(0)).status, 200);
    let readers: Vec<_> = (0..READERS)
        .map(|number| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(16 << 10).unwrap();
            socket.connect(&gateway.data().into()).unwrap();
            let mut stream = std::net::TcpStream::from(socket);
            let body = r#"{"service":"getDocumentImages","target":{"email":"jane@example.com"}}"#;
            stream.write_all(&message(&key(number % CALLERS), body.as_bytes())).unwrap();
            stream
        })
        .collect();
    upstream.delay(Duration::from_millis(200));
    let messages: Vec<_> =
        (0..CALLERS).map(|number| Arc::new(message(&key(number), &customer(20 * MIB)))).collect();
    let uploads = count("OVERLOAD_UPLOADS", 200);
    for round in 1..=2 {
        let outcome = upload(gateway.data(), messages.iter().cycle().take(uploads).cloned().collect());
        let refused = outcome.refused();
        println!(
            "memory: round {round}: {:?} in {:.1} s, refusals p50 {:?} p99 {:?}, peak {} MiB resident",
            outcome.statuses(),
            outcome.lasted.as_secs_f64(),
            quantile(&refused, 0.5),
            quantile(&refused, 0.99),
            status_kib(gateway.pid(), "VmHWM") >> 10,
        );
        assert_eq!((outcome.broken, outcome.with(200).count() + refused.len()), (0, uploads));
        assert!(outcome.with(200).count() > 0);
        assert!(refused.iter().all(|refusal| refusal.retry_after));
    }
    let ended = Instant::now();
    upstream.delay(Duration::ZERO);
    assert_eq!(gateway.post(KYC_API, GET_STATUS).status, 200);
    println!("memory: a small request is answered {:?} after the load", ended.elapsed());
    assert!(ended.elapsed() < Duration::from_secs(5));
    drop(readers);
    assert!(status_kib(gateway.pid(), "VmHWM") < CAP >> 10);
    if let Some(cap) = &cap {
        let (met, killed) = cap.met_and_killed();
        println!(
            "memory: peak {} MiB of the group, limit met {met} times, killed {killed}",
            cap.peak_bytes() >> 20
        );
        assert_eq!(killed, 0);
    }
    assert!(cap.is_some() || !is_strict(), "no control group could be made");
    println!("memory: {} MiB resident afterwards", status_kib(gateway.pid(), "VmRSS") >> 10);
}
