//! What is in the trail after the gateway was killed, again and again, at random instants?

use std::collections::{HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use crate::book::{Book, segments};
use crate::harness::{KYC_API, Setup, Upstream, wait_for};
use crate::load::{Load, Requests, assert_served};
use crate::random::{Random, number_of};
use crate::trail::{
    assert_clean, customer, customer_in, fingerprint, folder_of, keeping, plain_upstream, write_of,
};

/// How many callers send at once.
const CALLERS: usize = 6;
/// A gateway is killed within so many milliseconds after it serves, or after it was started.
const SERVING_MS: u64 = 250;
const STARTING_MS: u64 = 40;
/// How many requests the last gateways serve at least: enough for several segments.
const SOME: u64 = 40;
/// How often the trail is verified before the gateway is started again.
const VERIFY_EVERY: u64 = 25;

#[test]
fn what_the_upstream_saw_is_in_the_trail_once_however_often_the_gateway_is_killed() {
    let kills = number_of("AUDIT_KILLS").unwrap_or(5);
    let mut random = Random::seeded();
    let upstream = plain_upstream();
    // A new segment after some fifteen requests, a checkpoint ten times a second: kills strike these too.
    let setup = keeping(&upstream)
        .set("audit.segment_bytes", "\"16KiB\"")
        .set("audit.checkpoint_interval", "\"100ms\"")
        .set("data.workers", "2");
    let (folder, next) = (folder_of(setup.folder()), Arc::new(AtomicU64::new(1)));
    let (mut seen, mut book, mut answered) = (Seen::default(), Book::default(), 0);
    let (mut checkpoints, mut verified) = (Vec::new(), 0);
    for kill in 0..kills {
        // The first ones strike while the chain is begun, the last ones requests.
        let is_last = kill + 2 >= kills;
        if !is_last && (kill < 2 || random.below(4) == 0) {
            kill_while_starting(&setup, Duration::from_micros(random.below(STARTING_MS * 1_000)));
        } else {
            let gateway = setup.run();
            let load = Load::start(gateway.data(), CALLERS, &next, Requests::Mixed);
            if is_last {
                let before = upstream.counts().requests;
                wait_for("some requests", || (upstream.counts().requests > before + SOME).then_some(()));
            }
            std::thread::sleep(Duration::from_micros(random.below(SERVING_MS * 1_000)));
            // What was pushed off the machine.
            let kept = gateway.operators("/audit/checkpoint");
            checkpoints.extend((kept.status == 200).then(|| kept.text()));
            // SIGKILL.
            drop(gateway);
            let replies = load.stop();
            answered += replies.iter().filter(|reply| reply.status == 200).count();
            assert_served(&replies);
        }
        seen.look(&upstream);
        // The first kills may all have come before it was made.
        let begun = folder.exists();
        if begun {
            book.read_on(&folder);
        }
        seen.assert_intended(&book);
        if kill % VERIFY_EVERY == 2 && begun && !segments(&folder).is_empty() {
            assert_clean(setup.folder(), book.checkpoint.as_deref());
            verified += 1;
        }
    }
    let mut gateway = setup.run();
    assert_eq!(gateway.stop().code(), Some(0));
    seen.look(&upstream);
    book.read_on(&folder);
    seen.assert_intended(&book);

    // At most the one that each caller had in progress.
    assert!(seen.cut(&upstream) <= kills * CALLERS as u64, "{} were not looked at", seen.cut(&upstream));
    assert_eq!(seen.writes_sent_twice(), Vec::<&String>::new());
    assert_eq!(book.gaps, []);
    assert_eq!(book.not_closed_once(), []);
    let began = Instant::now();
    assert_clean(setup.folder(), None);
    assert_clean(setup.folder(), Some(&checkpoints.concat()));
    assert_clean(setup.folder(), book.checkpoint.as_deref());
    println!(
        "kill: {kills} kills; {} requests at the upstream, {} of them cut, {answered} answered; lines {:?} in {} segments; \
         {} intents closed as unknown; verified {} times, at last \
         with {} checkpoints in {:?} each",
        upstream.counts().requests,
        seen.cut(&upstream),
        book.kinds,
        segments(&folder).len(),
        book.count_of("unknown"),
        verified + 3,
        checkpoints.len(),
        began.elapsed() / 3,
    );
    assert_something_happened(&book, kills);
}

/// A crash of the machine, not only of the process, can leave half a line: here half of a line that never came, and the
/// first half of one that was not yet durable.
#[test]
fn a_torn_last_line_is_cut_off_and_told() {
    for torn in ["half a line more", "half a line less"] {
        let upstream = plain_upstream();
        // No checkpoint within the test: it would be a witness of the line that is cut.
        let setup = keeping(&upstream).set("audit.checkpoint_interval", "\"1h\"");
        let gateway = setup.run();
        let folder = folder_of(setup.folder());
        let answer = gateway.post(KYC_API, write_of(&customer(1)));
        assert_eq!(answer.status, 200);
        wait_for("the outcome", || (Book::of(&folder).count_of("forwarded") == 1).then_some(()));
        drop(gateway);
        let open = segments(&folder).pop().unwrap();
        let length = fs::metadata(&open).unwrap().len();
        let mut file = OpenOptions::new().append(true).open(open).unwrap();
        let (torn_bytes, outcome) = match torn {
            "half a line more" => {
                file.write_all(br#"{"seq":5,"v":1,"ki"#).unwrap();
                (18, "forwarded")
            }
            _ => {
                let text = fs::read_to_string(segments(&folder).pop().unwrap()).unwrap();
                let last = text.trim_end().rfind('\n').unwrap() + 1;
                file.set_len(length - 10).unwrap();
                (length - 10 - last as u64, "unknown")
            }
        };
        let mut gateway = setup.run();
        assert_eq!(gateway.stop().code(), Some(0));
        let book = Book::of(&folder);
        let told: Vec<_> = book.events_of("repair").iter().map(|line| line["torn_bytes"].as_u64()).collect();
        assert_eq!(told, [Some(torn_bytes)], "{torn}");
        let entry = book.intended_for(&fingerprint(&customer(1))).unwrap();
        assert_eq!(entry.outcomes, [outcome], "{torn}");
        assert_eq!((&book.gaps, book.not_closed_once()), (&vec![], vec![]), "{torn}");
        assert_clean(setup.folder(), book.checkpoint.as_deref());
    }
}

/// The test would show nothing if the kills never struck work in progress.
fn assert_something_happened(book: &Book, kills: u64) {
    assert!(book.intended.len() as u64 > kills, "too few requests: {:?}", book.kinds);
    assert!(book.count_of("unknown") > 0, "no kill struck a request: {:?}", book.kinds);
    assert!(book.kinds["segment"] > 2 && book.kinds["checkpoint"] > 2, "{:?}", book.kinds);
}

fn kill_while_starting(setup: &Setup, after: Duration) {
    let mut command = setup.command(&["run"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    assert_eq!(child.try_wait().unwrap(), None, "the gateway did not start");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What arrived at the upstream over all lives of the gateway.
#[derive(Default)]
struct Seen {
    /// How often the request for a customer arrived, and whether it writes.
    customers: HashMap<String, (u32, bool)>,
    /// The double's numbers of the requests that were looked at.
    numbers: HashSet<u64>,
    /// Customers since the last comparison with the trail.
    new: Vec<String>,
}

impl Seen {
    /// Takes over what arrived whole since the last look. Of a request that a kill cut in two nothing is known that
    /// could be looked for.
    fn look(&mut self, upstream: &Upstream) {
        for request in upstream.received() {
            if request.complete && self.numbers.insert(request.number) {
                let customer = customer_in(&request.body);
                let writes = request.body.windows(12).any(|window| window == b"updateStatus");
                self.customers.entry(customer.clone()).or_insert((0, writes)).0 += 1;
                self.new.push(customer);
            }
        }
    }

    /// How many requests the double counted and this did not see whole.
    fn cut(&self, upstream: &Upstream) -> u64 {
        upstream.counts().requests - self.numbers.len() as u64
    }

    fn assert_intended(&mut self, book: &Book) {
        for customer in self.new.drain(..) {
            let entry = book.intended_for(&fingerprint(&customer));
            assert!(entry.is_some(), "{customer} reached the upstream without an intent");
        }
    }

    fn writes_sent_twice(&self) -> Vec<&String> {
        let twice = self.customers.iter().filter(|(_, (count, writes))| *writes && *count > 1);
        twice.map(|(customer, _)| customer).collect()
    }
}
