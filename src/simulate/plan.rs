//! Which fault does the next request meet?

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fault::Fault;

/// The standing fault, those queued for one request each, and the latency of every answer.
pub(super) struct Plan {
    orders: Mutex<Orders>,
}

struct Orders {
    standing: Fault,
    once: VecDeque<Fault>,
    latency: Duration,
}

impl Plan {
    pub(super) fn new(standing: Fault, latency: Duration) -> Self {
        Self { orders: Mutex::new(Orders { standing, once: VecDeque::new(), latency }) }
    }

    pub(super) fn stand(&self, fault: Fault) {
        self.orders().standing = fault;
    }

    pub(super) fn queue(&self, fault: Fault) {
        self.orders().once.push_back(fault);
    }

    pub(super) fn delay(&self, latency: Duration) {
        self.orders().latency = latency;
    }

    pub(super) fn latency(&self) -> Duration {
        self.orders().latency
    }

    /// The standing fault and the queue, for `GET /control/state`.
    pub(super) fn pending(&self) -> (Fault, Vec<Fault>) {
        let orders = self.orders();
        (orders.standing, orders.once.iter().copied().collect())
    }

    /// The fault of a connection that was just accepted: none, or one that strikes there.
    ///
    /// A queued fault of another kind waits for its request, so it also keeps the standing one off the connection.
    pub(super) fn take_on_accept(&self) -> Fault {
        let mut orders = self.orders();
        match orders.once.front().copied() {
            Some(first) if first.strikes_on_accept() => {
                orders.once.pop_front();
                first
            }
            Some(_) => Fault::None,
            None if orders.standing.strikes_on_accept() => orders.standing,
            None => Fault::None,
        }
    }

    pub(super) fn take_for_request(&self) -> Fault {
        let mut orders = self.orders();
        orders.once.pop_front().unwrap_or(orders.standing)
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
