//! What do the trail and the double say of requests that were all answered?

use std::collections::HashMap;

use super::scene::Scene;
use crate::book::Book;
use crate::trail::{assert_clean, customer, customer_in, fingerprint, folder_of};

/// That each of the customers 1 to `count` has one intent, one outcome and one request at the double, and that
/// `audit verify` finds nothing.
pub fn assert_recorded_and_sent_once(scene: &Scene, count: u64) {
    let book = Book::of(&folder_of(scene.setup.folder()));
    assert_eq!(book.gaps, []);
    assert_eq!(book.not_closed_once(), []);
    assert_eq!(book.count_of("forwarded") as u64, count);
    assert_eq!((book.kinds["intent"], book.kinds["outcome"]), (count, count));
    let mut sent: HashMap<String, u32> = HashMap::new();
    for request in scene.upstream.received() {
        assert!(request.complete);
        *sent.entry(customer_in(&request.body)).or_default() += 1;
    }
    for number in 1..=count {
        let entry = book.intended_for(&fingerprint(&customer(number))).expect("an intent");
        assert_eq!(entry.outcomes, ["forwarded"], "{number}");
        assert_eq!(sent.get(&customer(number)), Some(&1), "{number}");
    }
    assert_clean(scene.setup.folder(), None);
}
