//! Has each request one intent and one outcome?

use std::collections::{HashMap, HashSet};

use super::record::Sent;

/// Ids that are remembered at least, so that a second outcome is found up to so many outcomes later. Memory stays
/// bounded by twice as many.
const REMEMBERED: usize = 1 << 19;
/// More open requests than any gateway serves at once; further ones are not followed.
const MOST_OPEN: usize = 1 << 20;

/// The requests of a log, as far as they are remembered.
#[derive(Default)]
pub(super) struct Requests {
    open: HashMap<u128, u64>,
    recent: HashSet<u128>,
    older: HashSet<u128>,
    sent_without_intent: u64,
}

/// What is known when a log ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Intents without an outcome.
    pub(super) open: u64,
    /// The number of the first such intent; 0 where it is listed by a segment's first line only.
    pub(super) first: u64,
    /// Requests that were sent upstream and have an outcome but no intent.
    pub(super) sent_without_intent: u64,
}

impl Requests {
    /// Requests that were open when a segment began whose predecessors are not there.
    pub(super) fn were_open(&mut self, ids: &[u128]) {
        for id in ids {
            if self.open.len() < MOST_OPEN {
                self.open.entry(*id).or_insert(0);
            }
        }
    }

    /// Takes an intent; false where the request had one, or an outcome. Where lines are not `in_order`, the outcome
    /// may be the one that belongs behind it.
    pub(super) fn intend(&mut self, id: u128, seq: u64, in_order: bool) -> bool {
        if self.is_closed(id) {
            return !in_order;
        }
        if self.open.contains_key(&id) {
            return false;
        }
        if self.open.len() < MOST_OPEN {
            self.open.insert(id, seq);
        }
        true
    }

    /// Takes an outcome; false where the request had one.
    pub(super) fn close(&mut self, id: u128, sent: Sent) -> bool {
        if self.is_closed(id) {
            return false;
        }
        if self.open.remove(&id).is_none() && sent.0 {
            self.sent_without_intent += 1;
        }
        if self.recent.len() == REMEMBERED {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(id);
        true
    }

    fn is_closed(&self, id: u128) -> bool {
        self.recent.contains(&id) || self.older.contains(&id)
    }

    /// What is left at the end.
    pub(super) fn left(&self) -> Left {
        Left {
            open: self.open.len() as u64,
            first: self.open.values().copied().min().unwrap_or_default(),
            sent_without_intent: self.sent_without_intent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_intent_and_one_outcome() {
        let mut requests = Requests::default();
        assert!(requests.intend(1, 10, true));
        assert!(!requests.intend(1, 11, true));
        assert!(requests.close(1, Sent(true)));
        assert!(!requests.close(1, Sent(true)));
        assert!(!requests.intend(1, 12, true));
        assert_eq!(requests.left(), Left::default());
    }

    #[test]
    fn what_is_open_at_the_end_is_counted() {
        let mut requests = Requests::default();
        assert!(requests.intend(1, 10, true));
        assert!(requests.intend(2, 11, true));
        assert!(requests.close(1, Sent(true)));
        // A refusal has no intent; what was sent has one.
        assert!(requests.close(3, Sent(false)));
        assert!(requests.close(4, Sent(true)));
        assert_eq!(requests.left(), Left { open: 1, first: 11, sent_without_intent: 1 });
    }

    #[test]
    fn a_second_outcome_is_found_half_a_million_outcomes_later() {
        let mut requests = Requests::default();
        for id in 0..=REMEMBERED as u128 {
            assert!(requests.close(id, Sent(false)));
        }
        assert!(!requests.close(1, Sent(false)));
    }
}
