//! For which reasons is a request refused, and with which status and code?
//!
//! This is the whole table. [`respond`](crate::stages::Respond) is the one file that turns it into HTTP.

use std::time::Duration;

use http::StatusCode;

use crate::schema::Violations;

/// A refusal: numbers and codes only, so that it can carry no text of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// The request's head or the framing of its body breaks HTTP, or a header that we interpret is repeated or missing.
    BadRequest,
    /// Not strict JSON, or not one object.
    MalformedJson {
        /// Byte offset into the body.
        offset: u32,
    },
    /// Two members of one object have the same name.
    DuplicateMember {
        /// Byte offset into the body.
        offset: u32,
    },
    /// Deeper, longer or more members than any service needs.
    TooComplex {
        /// Byte offset into the body.
        offset: u32,
    },
    /// The body names `user` or `pass`, in some spelling.
    CredentialsNotAllowed,
    /// The endpoint has no service of that name.
    UnknownService,
    /// No key, or none that is valid.
    Unauthenticated,
    /// The caller may not use this service.
    ServiceNotPermitted,
    /// No endpoint has this path.
    NotFound,
    /// Only POST is served.
    MethodNotAllowed,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body is larger than the service takes.
    BodyTooLarge {
        /// The largest body that would be taken, bytes.
        limit_bytes: u64,
    },
    /// Not `application/json` in UTF-8 without content encoding.
    UnsupportedMediaType,
    /// The body does not match the service's schema.
    SchemaViolation(Violations),
    /// A limit of this caller, or of the account, is used up.
    RateLimited(Exceeded),
    /// A fault of the gateway itself.
    Internal,
    /// No connection to the upstream came about; nothing was sent.
    UpstreamUnreachable,
    /// The upstream's certificate or TLS does not hold; nothing was sent.
    UpstreamTls,
    /// The upstream's answer is not what DCAMS answers.
    UpstreamInvalid(Fate),
    /// The upstream's answer ended early.
    UpstreamTruncated(Fate),
    /// DCAMS did not accept the gateway's own credentials.
    UpstreamCredentialsRejected,
    /// The answer held a credential.
    ResponseWithheld(Fate),
    /// Too much is in progress.
    Overloaded,
    /// The gateway is being stopped.
    Draining,
    /// The audit record cannot be written.
    AuditUnavailable,
    /// The credentials are suspended after a rejection, or cannot be read.
    CredentialsUnavailable {
        /// When they are tried again.
        retry_after_s: u32,
    },
    /// A breaker is open: the upstream failed so often of late that it is not tried.
    UpstreamSuspended {
        /// When it is tried again.
        retry_after_s: u32,
    },
    /// The upstream did not answer within the deadline.
    UpstreamTimeout(Fate),
}

/// What is known of a request that failed beyond the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It changes nothing, or it was not sent.
    Harmless,
    /// A write that may or may not have happened.
    Unknown,
}

/// Which limit refused, and when it has room again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Whose limit.
    pub limit: Limit,
    /// The quota: requests in a burst, requests in progress, or bytes.
    pub quota: u64,
    /// In how many seconds the whole quota comes back; 0 where it comes back as work ends.
    pub window_s: u32,
    /// Seconds until a retry can succeed, at least 1.
    pub retry_after_s: u32,
}

/// The limits that a request can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The caller's requests.
    Caller,
    /// The caller's requests to one service.
    CallerService,
    /// The caller's requests in progress.
    CallerRequests,
    /// The caller's body bytes in memory.
    CallerBytes,
    /// The upstream account's requests, all callers together.
    Account,
}

impl Limit {
    /// The name in the answer, the audit record and the metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::CallerService => "caller_service",
            Self::CallerRequests => "caller_requests",
            Self::CallerBytes => "caller_bytes",
            Self::Account => "account",
        }
    }
}

impl Reject {
    /// The stable code, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.row().1
    }

    /// One sentence, for people.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.row().2
    }

    /// When a retry can succeed, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = match self {
            Self::RateLimited(exceeded) => exceeded.retry_after_s.max(1),
            Self::CredentialsUnavailable { retry_after_s } | Self::UpstreamSuspended { retry_after_s } => {
                (*retry_after_s).max(1)
            }
            Self::Overloaded => 1,
            Self::Draining | Self::AuditUnavailable => 5,
            _ => return None,
        };
        Some(Duration::from_secs(u64::from(seconds)))
    }

    /// Whether a write may have happened upstream although it failed here.
    #[must_use]
    pub fn fate(&self) -> Fate {
        match self {
            Self::UpstreamInvalid(fate)
            | Self::UpstreamTruncated(fate)
            | Self::ResponseWithheld(fate)
            | Self::UpstreamTimeout(fate) => *fate,
            _ => Fate::Harmless,
        }
    }

    /// The error type of the `Proxy-Status` field (RFC 9209, section 2.3) where the request failed
    /// beyond the gateway.
    #[must_use]
    pub fn proxy_status(&self) -> Option<&'static str> {
        Some(match self {
            Self::UpstreamUnreachable | Self::UpstreamSuspended { .. } => "destination_unavailable",
            Self::UpstreamTls => "tls_protocol_error",
            Self::UpstreamInvalid(_) => "http_protocol_error",
            Self::UpstreamTruncated(_) => "http_response_incomplete",
            Self::UpstreamCredentialsRejected => "http_request_denied",
            Self::ResponseWithheld(_) => "http_protocol_error",
            Self::UpstreamTimeout(_) => "http_response_timeout",
            _ => return None,
        })
    }

    /// The table of refusals: code, status, title.
    fn row(&self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::BadRequest => {
                ("bad_request", StatusCode::BAD_REQUEST, "The request's head or framing is not acceptable")
            }
            Self::MalformedJson { .. } => {
                ("malformed_json", StatusCode::BAD_REQUEST, "The body is not one strict JSON object")
            }
            Self::DuplicateMember { .. } => (
                "duplicate_member",
                StatusCode::BAD_REQUEST,
                "An object of the body has two members of one name",
            ),
            Self::TooComplex { .. } => (
                "too_complex",
                StatusCode::BAD_REQUEST,
                "The body is nested too deeply or has too many parts",
            ),
            Self::CredentialsNotAllowed => (
                "credentials_not_allowed",
                StatusCode::BAD_REQUEST,
                "The body must not carry user or pass: the gateway adds them",
            ),
            Self::UnknownService => {
                ("unknown_service", StatusCode::BAD_REQUEST, "The body names no service of this endpoint")
            }
            Self::Unauthenticated => {
                ("unauthenticated", StatusCode::UNAUTHORIZED, "The request carries no valid key")
            }
            Self::ServiceNotPermitted => {
                ("service_not_permitted", StatusCode::FORBIDDEN, "This caller may not use this service")
            }
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "There is no endpoint of this path"),
            Self::MethodNotAllowed => {
                ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "Only POST is served here")
            }
            Self::BodyTimeout => {
                ("body_timeout", StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time")
            }
            Self::BodyTooLarge { .. } => (
                "body_too_large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body is larger than this service takes",
            ),
            Self::UnsupportedMediaType => (
                "unsupported_media_type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body must be application/json in UTF-8, without content encoding",
            ),
            Self::SchemaViolation(_) => (
                "schema_violation",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The request does not match the service's schema",
            ),
            Self::RateLimited(_) => {
                ("rate_limited", StatusCode::TOO_MANY_REQUESTS, "A limit is used up; see Retry-After")
            }
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The gateway failed"),
            Self::UpstreamUnreachable => (
                "upstream_unreachable",
                StatusCode::BAD_GATEWAY,
                "DCAMS could not be reached; nothing was sent",
            ),
            Self::UpstreamTls => (
                "upstream_tls",
                StatusCode::BAD_GATEWAY,
                "DCAMS could not be verified by its certificate; nothing was sent",
            ),
            Self::UpstreamInvalid(_) => {
                ("upstream_invalid", StatusCode::BAD_GATEWAY, "DCAMS answered something that is not its API")
            }
            Self::UpstreamTruncated(_) => {
                ("upstream_truncated", StatusCode::BAD_GATEWAY, "The answer of DCAMS was cut short")
            }
            Self::UpstreamCredentialsRejected => (
                "upstream_credentials_rejected",
                StatusCode::BAD_GATEWAY,
                "DCAMS did not accept the gateway's credentials",
            ),
            Self::ResponseWithheld(_) => {
                ("response_withheld", StatusCode::BAD_GATEWAY, "The answer was withheld: it held a secret")
            }
            Self::Overloaded => {
                ("overloaded", StatusCode::SERVICE_UNAVAILABLE, "The gateway has too much in progress")
            }
            Self::Draining => ("draining", StatusCode::SERVICE_UNAVAILABLE, "The gateway is being stopped"),
            Self::AuditUnavailable => (
                "audit_unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "The audit record cannot be written, so nothing is forwarded",
            ),
            Self::CredentialsUnavailable { .. } => (
                "credentials_unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "The gateway has no credentials that DCAMS accepts",
            ),
            Self::UpstreamSuspended { .. } => (
                "upstream_suspended",
                StatusCode::SERVICE_UNAVAILABLE,
                "DCAMS failed too often of late and is not tried for a while; nothing was sent",
            ),
            Self::UpstreamTimeout(_) => {
                ("upstream_timeout", StatusCode::GATEWAY_TIMEOUT, "DCAMS did not answer in time")
            }
        }
    }
}

impl std::fmt::Display for Reject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.code())
    }
}

impl std::error::Error for Reject {}

/// One refusal of every kind, in the order of the enum: for documentation and exhaustive tests.
#[must_use]
pub fn every() -> [Reject; 28] {
    let exceeded = Exceeded { limit: Limit::Caller, quota: 1, window_s: 1, retry_after_s: 1 };
    [
        Reject::BadRequest,
        Reject::MalformedJson { offset: 0 },
        Reject::DuplicateMember { offset: 0 },
        Reject::TooComplex { offset: 0 },
        Reject::CredentialsNotAllowed,
        Reject::UnknownService,
        Reject::Unauthenticated,
        Reject::ServiceNotPermitted,
        Reject::NotFound,
        Reject::MethodNotAllowed,
        Reject::BodyTimeout,
        Reject::BodyTooLarge { limit_bytes: 0 },
        Reject::UnsupportedMediaType,
        Reject::SchemaViolation(Violations::default()),
        Reject::RateLimited(exceeded),
        Reject::Internal,
        Reject::UpstreamUnreachable,
        Reject::UpstreamTls,
        Reject::UpstreamInvalid(Fate::Harmless),
        Reject::UpstreamTruncated(Fate::Harmless),
        Reject::UpstreamCredentialsRejected,
        Reject::ResponseWithheld(Fate::Harmless),
        Reject::Overloaded,
        Reject::Draining,
        Reject::AuditUnavailable,
        Reject::CredentialsUnavailable { retry_after_s: 1 },
        Reject::UpstreamSuspended { retry_after_s: 1 },
        Reject::UpstreamTimeout(Fate::Harmless),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Exhaustive on purpose: a new variant does not compile until it has its place in [`every`].
    fn position(reject: &Reject) -> usize {
        match reject {
            Reject::BadRequest => 0,
            Reject::MalformedJson { .. } => 1,
            Reject::DuplicateMember { .. } => 2,
            Reject::TooComplex { .. } => 3,
            Reject::CredentialsNotAllowed => 4,
            Reject::UnknownService => 5,
            Reject::Unauthenticated => 6,
            Reject::ServiceNotPermitted => 7,
            Reject::NotFound => 8,
            Reject::MethodNotAllowed => 9,
            Reject::BodyTimeout => 10,
            Reject::BodyTooLarge { .. } => 11,
            Reject::UnsupportedMediaType => 12,
            Reject::SchemaViolation(_) => 13,
            Reject::RateLimited(_) => 14,
            Reject::Internal => 15,
            Reject::UpstreamUnreachable => 16,
            Reject::UpstreamTls => 17,
            Reject::UpstreamInvalid(_) => 18,
            Reject::UpstreamTruncated(_) => 19,
            Reject::UpstreamCredentialsRejected => 20,
            Reject::ResponseWithheld(_) => 21,
            Reject::Overloaded => 22,
            Reject::Draining => 23,
            Reject::AuditUnavailable => 24,
            Reject::CredentialsUnavailable { .. } => 25,
            Reject::UpstreamSuspended { .. } => 26,
            Reject::UpstreamTimeout(_) => 27,
        }
    }

    #[test]
    fn every_refusal_stands_in_the_list_once() {
        let positions: Vec<usize> = every().iter().map(position).collect();
        assert_eq!(positions, (0..every().len()).collect::<Vec<_>>());
    }

    #[test]
    fn codes_are_unique() {
        let codes: BTreeSet<&str> = every().iter().map(Reject::code).collect();
        assert_eq!(codes.len(), every().len());
    }

    #[test]
    fn every_code_is_documented_with_its_status() {
        let documentation = include_str!("../docs/refusals.md");
        for reject in every() {
            let row = format!("| `{}` | {} |", reject.code(), reject.status().as_u16());
            assert!(documentation.contains(&row), "{row}");
        }
    }

    #[test]
    fn a_busy_answer_says_when_to_come_back() {
        for reject in every() {
            let busy = matches!(reject.status().as_u16(), 429 | 503);
            assert_eq!(reject.retry_after().is_some(), busy, "{}", reject.code());
        }
    }
}
