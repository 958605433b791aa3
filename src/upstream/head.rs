//! What stands above the body of every request to an endpoint?

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};

use super::outgoing::Outgoing;
use crate::config::{HttpVersion, UpstreamUrl};
use crate::reject::Reject;

/// The heads of requests to one endpoint, all alike: made of configuration alone, so that nothing of a caller's reaches
/// it.
pub(super) struct Head {
    uri: Uri,
    version: Version,
    headers: HeaderMap,
}

impl Head {
    /// For requests to `url`.
    ///
    /// # Errors
    ///
    /// [`Reject::Internal`] for a URL that the configuration would not have let through.
    pub(super) fn new(url: &UpstreamUrl, http: HttpVersion) -> Result<Self, Reject> {
        let target = Uri::builder().path_and_query(&*url.path);
        let mut headers = HeaderMap::new();
        let (target, version) = match http {
            HttpVersion::Http2 => {
                let scheme = if url.tls { "https" } else { "http" };
                (target.scheme(scheme).authority(&*url.authority), Version::HTTP_2)
            }
            HttpVersion::Http1 => {
                let host = HeaderValue::from_str(&url.authority).map_err(|_| Reject::Internal)?;
                headers.insert(HOST, host);
                (target, Version::HTTP_11)
            }
        };
        let json = || HeaderValue::from_static("application/json");
        let own = concat!("dcams-gateway/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(own));
        headers.insert(CONTENT_TYPE, json());
        headers.insert(ACCEPT, json());
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Ok(Self { uri: target.build().map_err(|_| Reject::Internal)?, version, headers })
    }

    /// One above `body`.
    pub(super) fn above(&self, body: Outgoing) -> Request<Outgoing> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        request.headers_mut().clone_from(&self.headers);
        request
    }
}
