//! May this request be sent again?
//!
//! Decided from what is known of the attempt alone. A write may be sent again only where no byte of it was
//! written: no connection came about, or hyper gave the request back because it had not begun with it. A
//! byte that was handed to hyper may have been written, the head's included.

use std::time::Duration;

use http::StatusCode;

use super::answer::Judged;
use super::jitter::{Jitter, doubled};
use crate::audit::ResultKind;
use crate::config::{Effect, Retry};
use crate::reject::Reject;

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// An answer of DCAMS itself, whatever it says and whatever its status is.
    Answered,
    /// A 4xx that is no answer of DCAMS: what stands before it did not like the request.
    ClientError,
    /// A 502, 503 or 504 that is no answer of DCAMS: what stands before it could not reach it.
    Unavailable,
    /// Another 5xx that is no answer of DCAMS.
    ServerError,
    /// No connection came about, or it was closed before hyper began with the request.
    Unconnected,
    /// No connection came about because the certificate or the TLS does not hold.
    Untrusted,
    /// A connection that had been idle was closed while the request was being sent.
    Stale,
    /// The time was up, and not a byte of the body had been asked for by then.
    Unreached,
    /// The time was up after the request had begun to leave.
    TimedOut,
    /// The answer was cut, or the connection was lost after the request had begun to leave.
    Truncated,
    /// What came is no answer of DCAMS, nor of anything that stands before it.
    Invalid,
    /// The answer held the password.
    Withheld,
    /// It failed on this side.
    Ours,
}

/// How much of a request that was not answered had left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing, for certain.
    Nothing,
    /// It may be something or all: the connection had been idle, and was closed at this very moment.
    Stale,
    /// It may be something or all.
    Something,
    /// It was answered, and there was no room for the answer.
    Answered,
}

/// Whether and when a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It is not.
    Never,
    /// At once, on a fresh connection. It is no sign of trouble that an idle one is closed.
    AtOnce,
    /// After a pause, if the budget has room for it.
    Later,
}

impl Ended {
    /// What became of an attempt that was answered with `status` and then judged.
    #[must_use]
    pub fn judged(status: StatusCode, judged: &Result<Judged, Reject>) -> Self {
        match judged {
            Err(Reject::ResponseWithheld(_)) => Self::Withheld,
            Ok(Judged { result: ResultKind::Success | ResultKind::Error, .. }) => Self::Answered,
            _ if status.is_client_error() => Self::ClientError,
            _ if matches!(status.as_u16(), 502..=504) => Self::Unavailable,
            _ if status.is_server_error() => Self::ServerError,
            Ok(_) => Self::Answered,
            Err(_) => Self::Invalid,
        }
    }

    /// What became of an attempt that was not answered.
    #[must_use]
    pub fn unanswered(reject: &Reject, left: Left) -> Self {
        match (reject, left) {
            (_, Left::Answered) => Self::Ours,
            (Reject::UpstreamTls, _) => Self::Untrusted,
            (Reject::UpstreamUnreachable, Left::Nothing) => Self::Unconnected,
            (Reject::UpstreamTimeout(_), Left::Nothing) => Self::Unreached,
            (Reject::UpstreamTimeout(_), _) => Self::TimedOut,
            (Reject::UpstreamTruncated(_), Left::Stale) => Self::Stale,
            (Reject::UpstreamTruncated(_), _) => Self::Truncated,
            (Reject::UpstreamInvalid(_), _) => Self::Invalid,
            _ => Self::Ours,
        }
    }

    /// Whether an answer that ended it so says what became of the request. A 5xx of something in between does not: what
    /// it could not get may have happened.
    #[must_use]
    pub fn is_conclusive(self) -> bool {
        matches!(self, Self::Answered | Self::ClientError)
    }

    /// The retry rule.
    #[must_use]
    pub fn again(self, effect: Effect) -> Again {
        match (self, effect) {
            (Self::Unconnected, _) => Again::Later,
            // The time was up while hyper had the request: a byte of its head may have been written.
            (Self::Unreached | Self::TimedOut | Self::Truncated | Self::Unavailable, Effect::Read) => {
                Again::Later
            }
            (Self::Stale, Effect::Read) => Again::AtOnce,
            _ => Again::Never,
        }
    }
}

/// How long to wait before the attempt after the `made` ones, at most: any shorter pause is as likely ("full
/// jitter"), so that requests that failed together do not come back together.
#[must_use]
pub fn pause(retry: &Retry, made: u32, jitter: &Jitter) -> Duration {
    doubled(retry.backoff_base, made.saturating_sub(1), retry.backoff_max).mul_f64(jitter.fraction())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::ErrorClass;
    use crate::reject::Fate;

    /// Every way in which an attempt can end, with what the rule says of reads and writes.
    const RULE: [(Ended, Again, Again); 13] = [
        (Ended::Answered, Again::Never, Again::Never),
        (Ended::ClientError, Again::Never, Again::Never),
        (Ended::Unavailable, Again::Later, Again::Never),
        (Ended::ServerError, Again::Never, Again::Never),
        (Ended::Unconnected, Again::Later, Again::Later),
        (Ended::Untrusted, Again::Never, Again::Never),
        (Ended::Stale, Again::AtOnce, Again::Never),
        (Ended::Unreached, Again::Later, Again::Never),
        (Ended::TimedOut, Again::Later, Again::Never),
        (Ended::Truncated, Again::Later, Again::Never),
        (Ended::Invalid, Again::Never, Again::Never),
        (Ended::Withheld, Again::Never, Again::Never),
        (Ended::Ours, Again::Never, Again::Never),
    ];

    #[test]
    fn the_rule_is_this_table() {
        for (ended, read, write) in RULE {
            assert_eq!((ended.again(Effect::Read), ended.again(Effect::Write)), (read, write), "{ended:?}");
        }
    }

    #[test]
    fn a_write_is_sent_again_only_where_it_never_left() {
        let again: Vec<Ended> =
            RULE.iter().map(|row| row.0).filter(|ended| ended.again(Effect::Write) != Again::Never).collect();
        assert_eq!(again, [Ended::Unconnected]);
    }

    #[test]
    fn what_was_not_answered_is_told_by_what_had_left() {
        let fate = Fate::Unknown;
        let timeout = Reject::UpstreamTimeout(fate);
        for (reject, left, ended) in [
            (Reject::UpstreamUnreachable, Left::Nothing, Ended::Unconnected),
            // A connection that fails later is never reported so; if it were, nothing would be known.
            (Reject::UpstreamUnreachable, Left::Something, Ended::Ours),
            (Reject::UpstreamTls, Left::Nothing, Ended::Untrusted),
            (timeout, Left::Nothing, Ended::Unreached),
            (timeout, Left::Something, Ended::TimedOut),
            (timeout, Left::Stale, Ended::TimedOut),
            (timeout, Left::Answered, Ended::Ours),
            (Reject::Overloaded, Left::Answered, Ended::Ours),
            (Reject::UpstreamTruncated(fate), Left::Something, Ended::Truncated),
            (Reject::UpstreamTruncated(fate), Left::Stale, Ended::Stale),
            (Reject::UpstreamInvalid(fate), Left::Something, Ended::Invalid),
            (Reject::Overloaded, Left::Something, Ended::Ours),
            (Reject::Internal, Left::Nothing, Ended::Ours),
        ] {
            assert_eq!(Ended::unanswered(&reject, left), ended, "{reject} {left:?}");
        }
    }

    #[test]
    fn an_answer_of_dcams_itself_is_final_whatever_its_status_is() {
        let says = |result| {
            let class = (result == ResultKind::Error).then_some(ErrorClass::Other);
            Ok(Judged { result, class, returned_status: None })
        };
        let fate = Fate::Harmless;
        for (status, judged, ended) in [
            (200, says(ResultKind::Success), Ended::Answered),
            (503, says(ResultKind::Success), Ended::Answered),
            (503, says(ResultKind::Error), Ended::Answered),
            (404, says(ResultKind::Error), Ended::Answered),
            (200, says(ResultKind::Other), Ended::Answered),
            (404, says(ResultKind::Other), Ended::ClientError),
            (502, says(ResultKind::Other), Ended::Unavailable),
            (503, says(ResultKind::Other), Ended::Unavailable),
            (504, Err(Reject::UpstreamInvalid(fate)), Ended::Unavailable),
            (500, says(ResultKind::Other), Ended::ServerError),
            (505, Err(Reject::UpstreamInvalid(fate)), Ended::ServerError),
            (413, Err(Reject::UpstreamInvalid(fate)), Ended::ClientError),
            (200, Err(Reject::UpstreamInvalid(fate)), Ended::Invalid),
            (302, Err(Reject::UpstreamInvalid(fate)), Ended::Invalid),
            (503, Err(Reject::ResponseWithheld(fate)), Ended::Withheld),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Ended::judged(status, &judged), ended, "{status} {judged:?}");
        }
    }

    proptest! {
        #[test]
        fn a_pause_lies_between_nothing_and_its_doubled_limit(made in 1_u32..50, seed: u64) {
            let retry = Retry {
                backoff_base: Duration::from_millis(50),
                backoff_max: Duration::from_secs(2),
                ..Retry::once()
            };
            let limit = doubled(retry.backoff_base, made - 1, retry.backoff_max);
            let jitter = Jitter::seeded(seed);
            let pauses: Vec<Duration> = (0..64).map(|_| pause(&retry, made, &jitter)).collect();
            prop_assert!(pauses.iter().all(|pause| *pause < limit));
            // Full jitter: neither a fixed part nor a narrow band.
            prop_assert!(pauses.iter().any(|pause| *pause < limit / 4));
            prop_assert!(pauses.iter().any(|pause| *pause > limit / 4 * 3));
        }
    }
}
