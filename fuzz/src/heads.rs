//! Is the verdict on the head of a request right, whatever the head?
//!
//! An input is a byte that chooses the peer, a line with method, target and version, and a line for each header. The
//! whole stack judges it, with an end in the place of the upstream; the body is always a good one.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

use dcams_gateway::arrival::{Arrival, Peer};
use dcams_gateway::audit::Output;
use dcams_gateway::reject::Reject;
use dcams_gateway::stack::stack_on;
use dcams_gateway::stages::{Answer, Sealed};
use http::{HeaderMap, Request, Response, Uri, Version};
use http_body_util::Full;
use tower::{ServiceExt, service_fn};

use crate::fixture::{self, Fixture, KEY, PATH, STATUS};

/// What became of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The request is forwarded.
    Forwarded,
    /// Its caller is not known.
    Unauthenticated,
    /// It is refused for something else.
    Refused,
}

struct Stand {
    fixture: Fixture,
    runtime: tokio::runtime::Runtime,
}

static STAND: LazyLock<Stand> = LazyLock::new(|| {
    dcams_gateway::tls::install_provider();
    let nowhere = |_: &std::path::Path| Output::Stream(std::fs::File::create("/dev/null").unwrap());
    // Nothing but the head decides.
    let generous = "{ per_second = 1000000, burst = 1000000 }";
    let overrides = [("services.getStatus.audit", "best_effort"), ("callers.kyc-api.rate", generous)];
    Stand {
        fixture: Fixture::recording_to(nowhere, &overrides),
        runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap(),
    }
});

/// Judges the head that `input` stands for, and panics where the verdict is not what the rules demand. `None` where
/// it stands for none that HTTP's own parser could give us.
pub fn check(input: &[u8]) -> Option<Verdict> {
    let (peer, request) = read(input)?;
    let faults = faults(&request, peer);
    let ids = values(request.headers(), "x-request-id");
    // One of two could be anybody's.
    let id = ids.first().filter(|id| ids.len() == 1 && is_echoed(id)).map(|id| id.to_vec());
    let forwarded = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&forwarded);
    let end = service_fn(move |_: Sealed| {
        counting.fetch_add(1, Relaxed);
        async { Err::<Response<Answer>, _>(Reject::UpstreamUnreachable) }
    });
    let answered = STAND.runtime.block_on(async {
        let stack = stack_on(&STAND.fixture.gateway.current(), end);
        let Ok(response) = stack.oneshot(Arrival { request, peer }).await;
        fixture::read(response).await
    });
    let (_, code) = answered.refusal();
    if let Some(id) = &id {
        assert_eq!(values(&answered.head.headers, "x-request-id"), [&**id], "a good id is given back");
    }
    // A caller may take its key for an id.
    let told = id.is_some_and(|id| String::from_utf8_lossy(&id).contains(KEY));
    assert!(told || !answered.all().contains(KEY), "the key comes back");
    if code == "upstream_unreachable" {
        assert_eq!(forwarded.load(Relaxed), 1, "forwarded once");
        assert!(faults.is_empty(), "forwarded in spite of {faults:?}");
        return Some(Verdict::Forwarded);
    }
    assert_eq!(forwarded.load(Relaxed), 0, "refused with {code}, and forwarded");
    assert!(faults.contains(&&*code), "{code}, and not one of {faults:?}");
    if faults.contains(&"unauthenticated") {
        // A stranger learns nothing of paths and hosts.
        assert_eq!(code, "unauthenticated");
        return Some(Verdict::Unauthenticated);
    }
    Some(Verdict::Refused)
}

fn read(input: &[u8]) -> Option<(Peer, Request<Full<bytes::Bytes>>)> {
    let (&peer, text) = input.split_first()?;
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let peer = match peer {
        b'u' => Peer::Unix { uid: 1000 },
        b'r' => Peer::Tcp { address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), loopback_listener: false },
        _ => Peer::Tcp { address: loopback, loopback_listener: true },
    };
    let mut lines = text.split(|byte| *byte == b'\n');
    let mut words = lines.next()?.splitn(3, |byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let version = match version {
        b"HTTP/1.0" => Version::HTTP_10,
        b"HTTP/1.1" => Version::HTTP_11,
        b"HTTP/2" => Version::HTTP_2,
        _ => return None,
    };
    let mut request = Request::builder().method(method).uri(Uri::try_from(target).ok()?).version(version);
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    Some((peer, request.body(Full::new(STATUS.into())).ok()?))
}

/// The code of everything that is wrong with a head, found in other ways than the gateway's.
fn faults<B>(request: &Request<B>, peer: Peer) -> Vec<&'static str> {
    let headers = request.headers();
    let mut faults = Vec::new();
    let mut fault = |wrong: bool, code| faults.extend(wrong.then_some(code));
    let keys = values(headers, "authorization");
    let key_is_right = match &keys[..] {
        [one] => {
            one.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
                && &one[7..] == KEY.as_bytes()
        }
        _ => false,
    };
    fault(!key_is_right, "unauthenticated");

    let once = ["host", "content-type", "content-length", "expect", "x-request-id", "traceparent"];
    fault(once.iter().any(|name| values(headers, name).len() > 1), "bad_request");
    fault(request.version() == Version::HTTP_10, "bad_request");
    let expects = values(headers, "expect");
    fault(expects.iter().any(|value| !value.eq_ignore_ascii_case(b"100-continue")), "bad_request");
    let uri = request.uri().to_string();
    let absolute = request.uri().authority().is_some();
    fault(absolute && request.version() == Version::HTTP_11, "bad_request");
    let path =
        if absolute { request.uri().path().to_owned() } else { uri.split('?').next().unwrap().to_owned() };
    fault(!path.starts_with('/') || !path.is_ascii(), "bad_request");
    fault(!host_is_right(request, peer), "bad_request");

    fault(path != PATH || uri.contains('?'), "not_found");
    fault(request.method().as_str() != "POST", "method_not_allowed");
    let kinds = values(headers, "content-type");
    fault(kinds.len() != 1 || !is_json(kinds[0]), "unsupported_media_type");
    let encodings = values(headers, "content-encoding");
    fault(encodings.iter().any(|value| !value.eq_ignore_ascii_case(b"identity")), "unsupported_media_type");
    faults
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect()
}

/// One host that is well formed, and on a loopback listener one of ours and no page's doing.
fn host_is_right<B>(request: &Request<B>, peer: Peer) -> bool {
    let named = values(request.headers(), "host");
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let host = match (named.first(), authority) {
        (Some(host), None) => *host,
        (None, Some(authority)) => authority,
        (Some(host), Some(authority)) if *host == authority => authority,
        _ => return false,
    };
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = port.map_or(host, |(name, _)| name);
    let form = match name.as_bytes() {
        [b'[', inside @ .., b']'] => inside.iter().all(|byte| b":.0123456789abcdefABCDEF".contains(byte)),
        name => {
            !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
        }
    };
    let Peer::Tcp { loopback_listener: true, .. } = peer else { return form };
    let known = ["localhost", "127.0.0.1", "[::1]"].contains(&&*name.to_ascii_lowercase());
    form && known && values(request.headers(), "origin").is_empty()
}

fn is_json(kind: &[u8]) -> bool {
    let Ok(kind) = std::str::from_utf8(kind) else { return false };
    if !kind.chars().all(|character| matches!(character, ' '..='~' | '\t')) {
        return false;
    }
    let kind = kind.to_ascii_lowercase();
    let mut parts = kind.split(';').map(str::trim);
    parts.next() == Some("application/json")
        && parts.all(|part| {
            let value = part.strip_prefix("charset=").unwrap_or_default();
            value.trim_matches('"') == "utf-8"
        })
}

fn is_echoed(id: &[u8]) -> bool {
    (1..=64).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}
