//! How long may one connection keep a worker to itself?
//!
//! All connections of a worker take turns on its thread, and tokio ends a turn after so many calls into the kernel,
//! however many bytes each of them moves. So bytes count, too: while one caller's images pass, others wait for a part
//! of them only.

use std::task::{Context, Poll};

use tokio::task::coop::{has_budget_remaining, poll_proceed};

/// Bytes that cost as much of a turn as one call does, of which a turn has 128.
const STEP_BYTES: usize = 4 << 10;

/// Takes what `bytes`, which were read or written just now, cost of this turn. Once it is used up, the next read or
/// write waits for the next turn.
pub(crate) fn spend(context: &mut Context<'_>, bytes: usize) {
    for _ in 0..bytes / STEP_BYTES {
        if !has_budget_remaining() {
            return;
        }
        if let Poll::Ready(step) = poll_proceed(context) {
            step.made_progress();
        }
    }
}
