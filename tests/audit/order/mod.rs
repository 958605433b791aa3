//! Is the intent of a request on the disk before its first byte goes upstream?
//!
//! A SIGKILL cannot tell: what was written and not synced survives it in the page cache. The order of the calls can.

mod precedence;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::book::Book;
use crate::harness::{Gateway, Setup, Upstream, wait_for};
use crate::load::{Load, Requests, assert_served};
use crate::strace::{Event, Strace, read};
use crate::trail::{assert_clean, fingerprint, folder_of, keeping, plain_upstream};
use precedence::{Forward, forwards};

/// Calls that write to the trail, make it durable, or send.
const TRACED: &str =
    "trace=pwrite64,write,writev,sendto,sendmsg,fdatasync,fsync,openat,rename,renameat,renameat2";
/// A sync that takes this long cannot be before a send by chance: the send would come first.
const SLOWLY: &str = "inject=fdatasync:delay_enter=20000";
const CALLERS: usize = 8;
/// How many requests are looked at.
const REQUESTS: u64 = 100;

/// Requests of which each was traced from its intent to its forward.
struct Traced {
    gateway: Gateway,
    setup: Setup,
    upstream: Upstream,
    folder: PathBuf,
    events: Vec<Event>,
}

impl Traced {
    /// Sends requests of several callers through a gateway as configured by `change`.
    fn requests(change: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = plain_upstream();
        // Small segments: the name of a new one must be on the disk too.
        let setup = keeping(&upstream).set("audit.segment_bytes", "\"32KiB\"").set("data.workers", "2");
        let setup = change(setup);
        let gateway = setup.run();
        let strace = Strace::attach(gateway.pid(), &[TRACED, SLOWLY]);
        let load = Load::start(gateway.data(), CALLERS, &Arc::new(AtomicU64::new(1)), Requests::Mixed);
        wait_for("requests at the upstream", || (upstream.counts().requests >= REQUESTS).then_some(()));
        let replies = load.stop();
        assert_served(&replies);
        let folder = folder_of(setup.folder()).canonicalize().unwrap();
        Self { gateway, events: strace.detach(), setup, upstream, folder }
    }

    /// All forwards.
    fn forwards(&self) -> Vec<Forward> {
        self.forwards_in(&self.events)
    }

    fn forwards_in(&self, events: &[Event]) -> Vec<Forward> {
        let seen = forwards(events, &self.folder, self.upstream.address().port());
        assert_eq!(seen.len() as u64, self.upstream.counts().requests, "a forward escaped the trace");
        seen
    }
}

#[test]
fn every_intent_is_on_the_disk_before_the_first_byte_of_its_forward() {
    let mut traced = Traced::requests(|setup| setup);
    let seen = traced.forwards();
    assert_eq!(late(&seen), Vec::<&Forward>::new());
    let is_sync = |event: &&Event| matches!(event, Event::Entered { call, .. } if call.name == "fdatasync");
    println!(
        "order: {} forwards by {CALLERS} callers, each after its intent was on the disk; {} fdatasync",
        seen.len(),
        traced.events.iter().filter(is_sync).count()
    );

    // The same trace without its syncs is found wanting: every single forward.
    let unsynced = traced.forwards_in(&without(&traced.events, "fdatasync"));
    assert_eq!(late(&unsynced).len(), seen.len());

    assert_eq!(traced.gateway.stop().code(), Some(0));
    assert_clean(traced.setup.folder(), None);
    let book = Book::of(&traced.folder);
    assert!(seen.iter().all(|forward| book.intended_for(&fingerprint(&forward.customer)).is_some()));
}

/// Who does not wait is seen not to wait: the test above could fail.
#[test]
fn a_best_effort_forward_does_not_wait_for_its_intent() {
    let traced = Traced::requests(|setup| {
        setup.set("services.getStatus.audit", "best_effort").set("services.updateStatus.audit", "best_effort")
    });
    assert!(!late(&traced.forwards()).is_empty());
}

fn late(forwards: &[Forward]) -> Vec<&Forward> {
    forwards.iter().filter(|forward| !forward.is_in_order()).collect()
}

/// The trace without the calls of one name.
fn without(events: &[Event], name: &str) -> Vec<Event> {
    let mut left_out = HashSet::new();
    let mut kept = Vec::new();
    for event in events {
        match event {
            Event::Entered { thread, call } if call.name == name => {
                left_out.insert(*thread);
            }
            Event::Returned { thread, .. } if left_out.remove(thread) => {}
            _ => kept.push(event.clone()),
        }
    }
    kept
}

mod traces {
    //! Traces by hand: does the check see what it must see?

    use super::*;

    const OPEN: &str = r#"1 openat(AT_FDCWD</>, "/audit/audit-0000000000000001.jsonl", O_RDWR|O_CREAT, 0640) = 6</audit/audit-0000000000000001.jsonl>"#;
    const NAME: &str = "1 fsync(5</audit>) = 0";
    const SYNC: &str = "1 fdatasync(6</audit/audit-0000000000000001.jsonl>) = 0";

    fn write() -> String {
        let line = intent();
        let quoted = quoted(&line);
        format!("1 pwrite64(6</audit/audit-0000000000000001.jsonl>, {quoted}, 99, 0) = {}", line.len())
    }

    fn intent() -> String {
        let print = fingerprint("jane@example.com");
        format!("{{\"kind\":\"intent\",\"fingerprints\":{{\"email\":\"{print}\"}}}}\n")
    }

    fn send() -> String {
        let body = r#"{"target":{"email":"jane@example.com"}}"#;
        let head = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", body.len());
        let parts = [&head, body].map(|part| format!("{{iov_base={}, iov_len=9}}", quoted(part))).join(", ");
        format!("2 writev(7<TCP:[127.0.0.1:1->127.0.0.1:80]>, [{parts}], 2) = {}", head.len() + body.len())
    }

    /// As strace writes it.
    fn quoted(text: &str) -> String {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
        format!("\"{text}\"")
    }

    fn is_in_order(lines: &[&str]) -> bool {
        let seen = forwards(&read(&lines.join("\n")), Path::new("/audit"), 80);
        assert_eq!(seen.len(), 1);
        seen[0].is_in_order()
    }

    #[test]
    fn a_forward_after_the_sync_of_its_intent_is_in_order() {
        assert!(is_in_order(&[OPEN, NAME, &write(), SYNC, &send()]));
        assert!(is_in_order(&[OPEN, &write(), SYNC, NAME, &send()]));
        assert!(is_in_order(&[&write(), SYNC, &send()]));
    }

    #[test]
    fn a_forward_without_a_sync_that_succeeded_is_late() {
        assert!(!is_in_order(&[&write(), &send()]));
        assert!(!is_in_order(&[&write(), &send(), SYNC]));
        assert!(!is_in_order(&[SYNC, &write(), &send()]));
        assert!(!is_in_order(&[&send(), &write(), SYNC]));
        let failed = SYNC.replace("= 0", "= -1 EIO (Input/output error)");
        assert!(!is_in_order(&[&write(), &failed, &send()]));
        let elsewhere = SYNC.replace("0001.jsonl", "0002.jsonl");
        assert!(!is_in_order(&[&write(), &elsewhere, &send()]));
    }

    #[test]
    fn a_forward_before_the_name_of_its_segment_is_on_the_disk_is_late() {
        assert!(!is_in_order(&[OPEN, &write(), SYNC, &send()]));
        assert!(!is_in_order(&[NAME, OPEN, &write(), SYNC, &send()]));
    }

    #[test]
    fn a_segment_that_gets_its_name_later_is_on_the_disk_with_its_name() {
        let before = |line: &str| line.replace("audit-0000000000000001.jsonl", "segment.new");
        let rename = r#"1 renameat2(5</audit>, "segment.new", 5</audit>, "audit-0000000000000001.jsonl", RENAME_NOREPLACE) = 0"#;
        let (open, write, sync) = (before(OPEN), before(&write()), before(SYNC));
        assert!(is_in_order(&[&open, &write, &sync, rename, NAME, &send()]));
        assert!(!is_in_order(&[&open, &write, rename, NAME, &send()]));
        assert!(!is_in_order(&[&open, &write, &sync, rename, &send()]));
        assert!(!is_in_order(&[&open, &write, &sync, NAME, rename, &send()]));
    }

    #[test]
    fn a_sync_that_was_entered_before_the_write_returned_counts_for_nothing() {
        let (began, ended) = (SYNC.replace(") = 0", " <unfinished ...>"), "1 <... fdatasync resumed>) = 0");
        assert!(is_in_order(&[&write(), &began, ended, &send()]));
        assert!(!is_in_order(&[&write(), &began, &send(), ended]));
        let write = write().replacen('1', "3", 1);
        assert!(!is_in_order(&[&began, &write, ended, &send()]));
    }

    #[test]
    fn half_an_intent_is_none() {
        let half = write().replace(&format!("= {}", intent().len()), "= 20");
        assert!(!is_in_order(&[&half, SYNC, &send()]));
    }
}
