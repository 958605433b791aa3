//! Do good callers get through beside slow and greedy ones?
//!
//! | variable | CI | `make experiments` | what |
//! |---|---|---|---|
//! | `PEERS_REQUESTS` | 50 | 2000 | of the good caller beside each |

mod crowds;
mod frames;
mod hoards;
mod slow;

use crate::harness::{GET_STATUS, Gateway};
use crate::number_of;

/// A good caller: each request on a connection of its own, every second one also on one that it keeps.
fn assert_served(gateway: &Gateway, key: &str) {
    let mut kept = gateway.connect();
    // Until it has asked it is a stranger like others.
    assert_eq!(kept.post(key, GET_STATUS.as_bytes()).status, 200);
    for number in 0..number_of("PEERS_REQUESTS").unwrap_or(50) {
        assert_eq!(gateway.post(key, GET_STATUS).status, 200, "request {number}");
        if number % 2 == 0 {
            assert_eq!(kept.post(key, GET_STATUS.as_bytes()).status, 200, "request {number}, kept");
        }
    }
}
