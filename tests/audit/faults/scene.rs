//! What must be true before, during and after every fault?

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::book::Book;
use crate::harness::{Gateway, KYC_API, PATIENCE, Setup, Upstream};
use crate::load::{Line, Reply};
use crate::tmpfs::Tmpfs;
use crate::trail::{
    customer, disk_of, fingerprint, folder_of, keeping, plain_upstream, read_of, verify, write_of,
};

/// No answer takes longer, whatever is broken: the promise is one second, the rest is for a slow machine.
const LONGEST_ANSWER: Duration = Duration::from_secs(3);
/// How long a caller waits who was refused: as fast as it can, it would make more lines than are kept.
pub const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// Room for the trail of most faults, bytes.
const DISK: u64 = 64 << 20;
/// How many requests must be refused in a row while something is broken.
const REFUSALS: usize = 5;

/// A gateway whose writes (`updateStatus`) require the trail, whose reads (`getStatus`) do not wait for it, and a
/// caller who sends one request after the other.
pub struct Scene {
    // Dropped in this order.
    pub gateway: Gateway,
    disk: Option<Tmpfs>,
    pub setup: Setup,
    pub upstream: Upstream,
    name: &'static str,
    caller: Line,
    operator: Line,
    customers: u64,
    /// Customers of writes that were answered by the upstream, of writes that were refused, and of reads.
    forwarded: Vec<String>,
    refused: Vec<String>,
    read: Vec<String>,
    /// Reads of other callers.
    beside: usize,
    slowest: Duration,
}

impl Scene {
    /// Of a fault called `name`.
    pub fn of(name: &'static str) -> Self {
        Self::with(name, DISK, |setup| setup)
    }

    /// With a disk of `bytes`, as configured by `change`.
    pub fn with(name: &'static str, bytes: u64, change: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = plain_upstream();
        let setup = change(keeping(&upstream));
        // Nobody else makes it slow.
        let disk = Tmpfs::mount(&disk_of(setup.folder()), bytes);
        Self::around(name, upstream, setup, Some(disk))
    }

    /// With what stands there.
    pub fn around(name: &'static str, upstream: Upstream, setup: Setup, disk: Option<Tmpfs>) -> Self {
        let setup = setup.set("services.getStatus.audit", "best_effort");
        let gateway = setup.run();
        let caller = Line::connect(gateway.data()).unwrap();
        let operator = Line::connect(gateway.ops()).unwrap();
        let mut scene = Self {
            gateway,
            disk,
            setup,
            upstream,
            name,
            caller,
            operator,
            customers: 0,
            forwarded: Vec::new(),
            refused: Vec::new(),
            read: Vec::new(),
            beside: 0,
            slowest: Duration::ZERO,
        };
        assert!(scene.write(), "{name}: refused before anything was broken");
        scene.read();
        scene
    }

    /// So many reads were served to others.
    pub fn served_beside(&mut self, reads: usize) {
        self.beside += reads;
    }

    /// The disk that the trail is on.
    pub fn disk(&self) -> &Tmpfs {
        self.disk.as_ref().expect("a trail on a disk")
    }

    /// The trail's folder.
    pub fn folder(&self) -> PathBuf {
        folder_of(self.setup.folder())
    }

    /// Sends one write. Whether it was forwarded: else it was refused for want of the trail, in time, and nothing of
    /// it reached the upstream.
    pub fn write(&mut self) -> bool {
        let email = self.next_customer();
        let reply = self.post(&write_of(&email));
        let forwarded = reply.status == 200;
        if forwarded {
            self.forwarded.push(email);
        } else {
            assert_eq!(
                (reply.status, reply.code().as_deref()),
                (503, Some("audit_unavailable")),
                "{}",
                self.name
            );
            self.refused.push(email);
        }
        self.assert_nothing_else_was_sent();
        forwarded
    }

    /// Sends one read, which is served whatever is broken.
    pub fn read(&mut self) {
        let email = self.next_customer();
        let reply = self.post(&read_of(&email));
        assert_eq!(reply.status, 200, "{}: a best_effort service was refused: {}", self.name, reply.body);
        self.read.push(email);
        self.assert_nothing_else_was_sent();
    }

    /// Writes until one is refused, then looks at all that must be true while something is broken. Gives the time to
    /// the first refusal.
    pub fn assert_fails_closed(&mut self) -> Duration {
        let began = Instant::now();
        while self.write() {
            assert!(began.elapsed() < PATIENCE, "{}: nothing is refused", self.name);
            std::thread::sleep(BETWEEN_LOOKS);
        }
        let took = began.elapsed();
        for _ in 0..REFUSALS {
            assert!(!self.write(), "{}: forwarded while it was broken", self.name);
        }
        self.read();
        assert_eq!(self.operator("/readyz"), "ready\n", "{}", self.name);
        assert_eq!(self.metric("dcams_gateway_audit_available"), Some(0.0), "{}", self.name);
        took
    }

    /// Writes until one is forwarded, and tells how long that took and all the rest.
    pub fn assert_recovers(&mut self, refused_after: Duration) {
        let began = Instant::now();
        while !self.write() {
            assert!(began.elapsed() < PATIENCE, "{}: not served again", self.name);
            std::thread::sleep(BETWEEN_LOOKS);
        }
        let resumed = began.elapsed();
        for _ in 0..REFUSALS {
            assert!(self.write(), "{}: refused after it was repaired", self.name);
        }
        assert_eq!(self.metric("dcams_gateway_audit_available"), Some(1.0), "{}", self.name);
        println!(
            "{}: refused after {refused_after:?}, slowest answer {:?}, served {resumed:?} after the repair, {} refused",
            self.name,
            self.slowest,
            self.refused.len()
        );
    }

    /// Stops the gateway and compares the trail with what the caller knows. Each request has exactly one outcome, and
    /// each that was forwarded an intent.
    pub fn end(self) -> Ended {
        let ended = self.end_damaged();
        ended.assert_complete();
        ended
    }

    /// As [`end`](Self::end), where the fault destroyed records.
    pub fn end_damaged(self) -> Ended {
        let folder = self.folder();
        self.end_with(|| Book::of(&folder))
    }

    /// As [`end_damaged`](Self::end_damaged), where the trail is not in the folder.
    pub fn end_with(mut self, book: impl FnOnce() -> Book) -> Ended {
        assert_eq!(self.gateway.stop().code(), Some(0), "{}: {}", self.name, self.gateway.stderr());
        let book = book();
        Ended { scene: self, book }
    }

    /// What the operators are told, on a connection that is open already, unless it was idle for too long.
    pub fn operator(&mut self, path: &str) -> String {
        let reply = self.operator.ask(path).unwrap_or_else(|| {
            self.operator = Line::connect(self.gateway.ops()).unwrap();
            self.operator.ask(path).expect("an answer to the operator")
        });
        assert_eq!(reply.status, 200, "{}: {path}", self.name);
        reply.body
    }

    pub fn metric(&mut self, series: &str) -> Option<f64> {
        let text = self.operator("/metrics");
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.trim().parse().ok())
    }

    fn post(&mut self, body: &str) -> Reply {
        let reply = self.caller.post(KYC_API, body).expect("an answer");
        assert!(reply.took < LONGEST_ANSWER, "{}: an answer took {:?}", self.name, reply.took);
        self.slowest = self.slowest.max(reply.took);
        reply
    }

    fn next_customer(&mut self) -> String {
        self.customers += 1;
        customer(self.customers)
    }

    fn assert_nothing_else_was_sent(&self) {
        let answered = self.forwarded.len() + self.read.len() + self.beside;
        assert_eq!(
            self.upstream.counts().requests,
            answered as u64,
            "{}: a refused request was sent",
            self.name
        );
    }
}

/// A fault that is over, and the trail that it left.
pub struct Ended {
    pub scene: Scene,
    pub book: Book,
}

impl Ended {
    /// Every request, forwarded or refused, is in the trail as the caller knows it, and no line is missing.
    pub fn assert_complete(&self) {
        let name = self.scene.name;
        assert_eq!(self.book.gaps, [], "{name}");
        assert_eq!(self.book.not_closed_once(), [], "{name}");
        self.assert_complete_from(0);
        for customer in &self.scene.read {
            let ids = self.book.ended.get(&fingerprint(customer)).map_or(0, Vec::len);
            assert_eq!(ids, 1, "{name}: the read of {customer}");
        }
    }

    /// Every write is in the trail as the caller knows it, without the first `lost` that were forwarded: the fault
    /// destroyed the records of these.
    pub fn assert_complete_from(&self, lost: usize) {
        let name = self.scene.name;
        for customer in self.scene.forwarded.iter().skip(lost) {
            let entry = self.book.intended_for(&fingerprint(customer));
            let entry = entry.unwrap_or_else(|| panic!("{name}: {customer} was forwarded without an intent"));
            assert_eq!(entry.outcomes, ["forwarded"], "{name}: {customer}");
        }
        for customer in &self.scene.refused {
            let ids = self.book.ended.get(&fingerprint(customer));
            let ids = ids.unwrap_or_else(|| panic!("{name}: the refusal of {customer} is not in the trail"));
            let [id] = ids.as_slice() else { panic!("{name}: {customer} ended {} times", ids.len()) };
            let entry = &self.book.requests[id];
            let outcome = if entry.intents == 0 { "refused" } else { "not_sent" };
            assert_eq!(entry.outcomes, [outcome], "{name}: {customer}");
            assert_eq!(entry.code.as_deref(), Some("audit_unavailable"), "{name}: {customer}");
        }
    }

    /// The trail tells of one of these faults, and `audit verify` too, and finds nothing wrong.
    pub fn assert_clean_and_told(&self, faults: &[&str]) {
        self.assert_told(faults);
        let verdict = verify(self.scene.setup.folder(), self.book.checkpoint.as_deref());
        assert_eq!(verdict.code, Some(0), "{}: {verdict}", self.scene.name);
        let told = faults.iter().any(|fault| verdict.stdout.contains(&format!("fault {fault}")));
        assert!(told, "{}: {verdict}", self.scene.name);
    }

    /// The trail tells of one of these faults.
    pub fn assert_told(&self, faults: &[&str]) {
        let told = self.book.events_of("fault");
        let told: Vec<&str> = told.iter().map(|line| line["fault"].as_str().unwrap()).collect();
        assert!(told.iter().any(|fault| faults.contains(fault)), "{}: {told:?}", self.scene.name);
    }
}
