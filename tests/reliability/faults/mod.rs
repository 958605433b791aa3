//! What do callers see of a fault of the upstream, and what is left of it?
//!
//! The table of faults is `table/`: each row is met by a read and by a write, with the built binary before a peer that
//! is at fault, and healed. `docs/reliability.md` shows it; `BLESS=1 cargo test --test reliability faults::shown`
//! writes it there.

mod certificates;
mod http2;
mod lookups;
mod names;
mod peer;
mod script;
mod shown;
mod table;
mod trial;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// What DCAMS says to each request of the trials.
const BODY: &str =
    r#"{"result":"Success","reference":"r-1","status":"PASS","target":{"email":"jane@example.com"}}"#;
/// The same as a message of HTTP/1.1.
const OK: &str = concat!(
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 92\r\n\r\n",
    r#"{"result":"Success","reference":"r-1","status":"PASS","target":{"email":"jane@example.com"}}"#
);

/// Rows that are met at the same time; most of them wait.
const AT_ONCE: usize = 24;

/// The faults whose names contain `FAULT`, or all.
#[test]
fn every_fault_of_the_upstream_is_told_and_leaves_nothing_behind() {
    dcams_gateway::tls::install_provider();
    assert_eq!(OK.split("\r\n\r\n").nth(1), Some(BODY));
    assert!(OK.contains(&format!("Content-Length: {}\r\n", BODY.len())));
    let wanted = std::env::var("FAULT").unwrap_or_default();
    let rows = table::parts()
        .into_iter()
        .flat_map(|(part, rows)| rows.into_iter().map(move |row| (format!("{part}: {}", row.name), row)));
    let rows: VecDeque<_> = rows.filter(|(name, _)| name.contains(&wanted)).collect();
    let count = rows.len();
    // Those that wait for a deadline are begun first.
    let (mut waiting, other): (VecDeque<_>, VecDeque<_>) = rows.into_iter().partition(|(_, row)| row.hurried);
    waiting.extend(other);
    let (waiting, failed) = (Mutex::new(waiting), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((name, row)) = waiting.lock().unwrap().pop_front() else { return };
                    let met = catch_unwind(AssertUnwindSafe(|| row.check()));
                    if let Err(panic) = met {
                        let said = panic.downcast_ref::<String>().cloned();
                        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
                        failed.lock().unwrap().push(format!("{name}\n    {}", said.unwrap_or_default()));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {count} faults:\n{}", failed.len(), failed.join("\n"));
    println!("{count} faults of the upstream, each with a read and a write: all as told");
}
