//! Is this our path, method and media type?

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderName, ORIGIN};
use http::{HeaderMap, Method, Request, Version};

use super::Identified;
use crate::arrival::Peer;
use crate::config::Config;
use crate::ids::{CallerId, EndpointId};
use crate::reject::Reject;
use crate::stage::Stage;
use crate::track::{Step, Track, Tracks};

/// Headers that we, or hyper for us, interpret: repeated, two readers could pick different ones.
const INTERPRETED: [HeaderName; 6] = [
    HOST,
    CONTENT_TYPE,
    CONTENT_LENGTH,
    EXPECT,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
];

/// A query is passed over: only where the fuzz targets must find a bug.
const ANY_QUERY: bool = cfg!(feature = "planted-bug");

/// A request for one of our endpoints. Made only here; the caller's method, path and headers end
/// here.
pub struct Routed<B> {
    track: Track,
    caller: CallerId,
    endpoint: EndpointId,
    body: B,
}

impl<B> Routed<B> {
    /// Who is calling.
    pub fn caller(&self) -> CallerId {
        self.caller
    }

    pub(super) fn into_parts(self) -> (Track, CallerId, EndpointId, B) {
        (self.track, self.caller, self.endpoint, self.body)
    }
}

impl<B> Tracks for Routed<B> {
    fn track(&self) -> &Track {
        &self.track
    }
}

/// Finds the endpoint of a request, and refuses heads that could be read in two ways.
#[derive(Clone)]
pub struct Route {
    config: Arc<Config>,
}

impl Route {
    /// Routes to the endpoints of `config`.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self { config }
    }

    fn endpoint<B>(&self, request: &Request<B>) -> Result<EndpointId, Reject> {
        let uri = request.uri();
        let endpoints = (0_u16..).map(EndpointId).zip(self.config.endpoints.iter());
        let found = endpoints.into_iter().find(|(_, endpoint)| *endpoint.path == *uri.path());
        let (id, _) = found.filter(|_| uri.query().is_none() || ANY_QUERY).ok_or(Reject::NotFound)?;
        if request.method() == Method::POST { Ok(id) } else { Err(Reject::MethodNotAllowed) }
    }

    /// On a loopback listener a browser could be made to call (DNS rebinding): it would name a
    /// foreign host, or its origin.
    fn host<B>(&self, request: &Request<B>, peer: Peer) -> Result<(), Reject> {
        let host = host_of(request)?;
        let loopback = matches!(peer, Peer::Tcp { loopback_listener: true, .. });
        let ours = |name: &str| self.config.data.hosts.iter().any(|known| known.eq_ignore_ascii_case(name));
        if loopback && (request.headers().contains_key(ORIGIN) || !ours(host)) {
            return Err(Reject::BadRequest);
        }
        Ok(())
    }
}

impl<B> Stage<Identified<B>> for Route {
    type Next = Routed<B>;
    const STEP: Step = Step::Route;

    fn advance(&self, identified: Identified<B>) -> Result<Routed<B>, Reject> {
        let (track, caller, peer, request) = identified.into_parts();
        form(&request)?;
        self.host(&request, peer)?;
        let endpoint = self.endpoint(&request)?;
        media_type(request.headers())?;
        track.note(|record| record.endpoint = Some(endpoint));
        Ok(Routed { track, caller, endpoint, body: request.into_body() })
    }
}

/// The form of the request line and of the headers we interpret. hyper lets some pass that mean
/// different things to different readers.
fn form<B>(request: &Request<B>) -> Result<(), Reject> {
    let headers = request.headers();
    let repeated = |name: &HeaderName| headers.get_all(name).iter().nth(1).is_some();
    // Few requests repeat any name.
    let any_repeated = headers.len() > headers.keys_len() && INTERPRETED.iter().any(repeated);
    let uri = request.uri();
    let origin_form = uri.path().starts_with('/') && uri.path().is_ascii();
    let absolute = request.version() < Version::HTTP_2 && uri.authority().is_some();
    let expects_other =
        headers.get(EXPECT).is_some_and(|expect| !expect.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let known_version = matches!(request.version(), Version::HTTP_11 | Version::HTTP_2);
    if !origin_form || absolute || expects_other || !known_version || any_repeated {
        return Err(Reject::BadRequest);
    }
    Ok(())
}

/// The host that the request names, without its port.
fn host_of<B>(request: &Request<B>) -> Result<&str, Reject> {
    let header = request.headers().get(HOST);
    let authority = match (header, request.uri().authority()) {
        (Some(host), None) => host.to_str().map_err(|_| Reject::BadRequest)?,
        (None, Some(authority)) => authority.as_str(),
        // HTTP/2 may carry both; they must agree (RFC 9113, section 8.3.1).
        (Some(host), Some(authority)) if host.as_bytes() == authority.as_str().as_bytes() => {
            authority.as_str()
        }
        _ => return Err(Reject::BadRequest),
    };
    let name = without_port(authority).ok_or(Reject::BadRequest)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let well_formed = match literal {
        Some(address) => address.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')),
        None => name.bytes().all(plain),
    };
    if well_formed && !name.is_empty() { Ok(name) } else { Err(Reject::BadRequest) }
}

fn without_port(authority: &str) -> Option<&str> {
    let after_literal = authority.rfind(']').map_or(0, |end| end + 1);
    let (name, port) = match authority.get(after_literal..)?.rfind(':') {
        Some(colon) => (authority.get(..after_literal + colon)?, authority.get(after_literal + colon + 1..)?),
        None => return Some(authority),
    };
    port.bytes().all(|byte| byte.is_ascii_digit()).then_some(name)
}

/// `application/json`, alone or with `charset=utf-8`, and no content encoding.
fn media_type(headers: &HeaderMap) -> Result<(), Reject> {
    let plain = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    let json = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(is_json);
    if plain && json { Ok(()) } else { Err(Reject::UnsupportedMediaType) }
}

fn is_json(value: &str) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    essence
        && parts.all(|parameter| {
            let utf8 = |text: &str| text.trim_matches('"').eq_ignore_ascii_case("utf-8");
            parameter
                .split_once('=')
                .is_some_and(|(name, text)| name.eq_ignore_ascii_case("charset") && utf8(text))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_in_utf8_is_json() {
        for yes in
            ["application/json", "Application/JSON; charset=utf-8", "application/json;charset=\"UTF-8\""]
        {
            assert!(is_json(yes), "{yes}");
        }
        for no in
            ["text/json", "application/json; charset=latin1", "application/json;", "application/jsonp", ""]
        {
            assert!(!is_json(no), "{no}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_a_literal_with_an_optional_port() {
        let host = |value: &str| {
            let request = Request::builder().uri("/").header(HOST, value).body(()).unwrap();
            host_of(&request).map(str::to_owned)
        };
        assert_eq!(host("localhost:3226"), Ok("localhost".to_owned()));
        assert_eq!(host("[::1]:3226"), Ok("[::1]".to_owned()));
        assert_eq!(host("[::1]"), Ok("[::1]".to_owned()));
        for odd in ["", ":80", "a b", "user@localhost", "localhost:80:80", "localhost:x", "[::1", "a/b"] {
            assert_eq!(host(odd), Err(Reject::BadRequest), "{odd}");
        }
    }

    #[test]
    fn repeated_interpreted_headers_are_refused() {
        for name in INTERPRETED {
            let request = Request::builder()
                .uri("/x")
                .header(&name, "100-continue")
                .header(&name, "100-continue")
                .body(())
                .unwrap();
            assert_eq!(form(&request), Err(Reject::BadRequest), "{name}");
        }
    }
}
