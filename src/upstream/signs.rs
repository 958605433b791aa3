//! What does an attempt tell of the upstream, and to whom is it put down?

use super::breaker::Sign;
use super::retry::Ended;
use super::tally::Source;

/// What an attempt tells the caller's own breaker, and that of all callers; `None`: it was given up half-way,
/// which tells something only where it took long.
pub(super) fn signs(ended: Option<Ended>, slow: bool, caller: Source) -> [Sign; 2] {
    let failed = [Sign::Failed(Source::Nobody), Sign::Failed(caller)];
    match ended {
        Some(Ended::Answered | Ended::ClientError) | None if slow => failed,
        Some(Ended::Answered | Ended::ClientError) => [Sign::Fine; 2],
        Some(Ended::Unconnected | Ended::Untrusted) => [Sign::Nothing, Sign::Failed(Source::Nobody)],
        // Not reached is, too, what waits behind the caller's own requests on an HTTP/2 connection.
        Some(
            Ended::Unavailable
            | Ended::ServerError
            | Ended::Unreached
            | Ended::TimedOut
            | Ended::Truncated
            | Ended::Invalid,
        ) => failed,
        Some(Ended::Stale | Ended::Withheld | Ended::Ours) | None => [Sign::Nothing; 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_can_cause_is_put_down_to_its_caller() {
        let caller = Source::Caller(7);
        let failed = [Sign::Failed(Source::Nobody), Sign::Failed(caller)];
        let (fine, nothing) = ([Sign::Fine; 2], [Sign::Nothing; 2]);
        let unsent = [Sign::Nothing, Sign::Failed(Source::Nobody)];
        for (ended, quick, slow) in [
            (Some(Ended::Answered), fine, failed),
            (Some(Ended::ClientError), fine, failed),
            (Some(Ended::Unavailable), failed, failed),
            (Some(Ended::ServerError), failed, failed),
            (Some(Ended::Unconnected), unsent, unsent),
            (Some(Ended::Untrusted), unsent, unsent),
            (Some(Ended::Unreached), failed, failed),
            (Some(Ended::Stale), nothing, nothing),
            (Some(Ended::TimedOut), failed, failed),
            (Some(Ended::Truncated), failed, failed),
            (Some(Ended::Invalid), failed, failed),
            (Some(Ended::Withheld), nothing, nothing),
            (Some(Ended::Ours), nothing, nothing),
            (None, nothing, failed),
        ] {
            assert_eq!((signs(ended, false, caller), signs(ended, true, caller)), (quick, slow), "{ended:?}");
        }
    }
}
