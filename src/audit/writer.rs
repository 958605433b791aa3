//! How do audit lines reach their output without blocking a request, and what happens when they cannot?

use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::event::Origin;
use super::health::Health;
use super::journal::{Journal, JournalSettings, Medium};
use super::queue::{Change, Queue};
use super::stream::Stream;
use super::trail::Trail;
use super::waiters::{Ticket, Waiters};
use super::work::{Followers, Work};

/// Bytes that wait from which on lines about strangers are given up.
const STRANGERS_FROM_BYTES: u64 = 1 << 20;
/// Bytes that wait from which on lines are given up of which none is required.
const BEST_EFFORT_FROM_BYTES: u64 = 4 << 20;
/// How long a stop waits for an output that takes nothing.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Why no record could be written.
#[derive(Debug, thiserror::Error)]
pub enum AuditFault {
    /// The output cannot be opened or read, or the writer's thread not be started.
    #[error("the audit output cannot be opened: {0}")]
    Open(#[from] io::Error),
    /// The folder is locked.
    #[error("another gateway writes to this folder")]
    Locked,
    /// A chain is to be begun, and its key is missing.
    #[error("the audit folder is empty: to begin a chain, audit.chain_key is needed")]
    NoChainKey,
    /// There are segments, and the state of their chain is missing or damaged: it cannot be continued.
    #[error(
        "the audit folder has segments, but its file `chain` is missing or damaged: move all of it away as \
         evidence, and begin a new chain in an empty folder"
    )]
    NoState,
}

/// Where lines go.
pub enum Output {
    /// Numbered lines without MACs; durable when taken.
    Stream(File),
    /// A chain of segments.
    Folder(JournalSettings),
    /// The same on a disk of another kind, for simulations.
    FolderOn(Box<dyn Medium>, JournalSettings),
}

impl Output {
    /// Standard output without the line buffering of the standard library, which would copy every line and could
    /// split it.
    ///
    /// # Errors
    ///
    /// It cannot be duplicated.
    pub fn stdout() -> io::Result<Self> {
        use std::os::fd::AsFd;
        Ok(Self::Stream(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }
}

/// Which lines are given up first when too many wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// About nobody who is known: from 1 MiB on, or when disk space is short.
    Stranger,
    /// Of services whose audit is not required, and refusals: from 4 MiB on.
    BestEffort,
    /// Never. There are few, because intents are refused while the output takes nothing.
    Required,
}

/// The one thread that writes audit lines, and how to reach it.
pub struct Writer {
    queue: Arc<Queue>,
    health: Arc<Health>,
    followers: Followers,
    /// Tells, by being closed, that the thread has ended.
    ended: Mutex<Receiver<()>>,
}

impl Writer {
    /// Opens `output`, continues or begins its chain, and starts the thread.
    ///
    /// # Errors
    ///
    /// [`AuditFault`].
    pub fn start(output: Output, origin: Origin) -> Result<Self, AuditFault> {
        Self::drive(open(output, origin)?)
    }

    pub(super) fn drive(trail: Box<dyn Trail>) -> Result<Self, AuditFault> {
        let (end, ended) = channel();
        let (writer, work) = Self::before(trail, ended);
        let guard = Ended { health: Arc::clone(&writer.health), _end: Some(end) };
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || {
            let _guard = guard;
            work.run();
        })?;
        Ok(writer)
    }

    /// As [`Self::start`], without the thread: lines are written when whoever holds the [`Rounds`] says so, for
    /// simulations that must go the same way each time. [`Self::finish`] waits for nothing; the next round is the last.
    ///
    /// # Errors
    ///
    /// [`AuditFault`].
    pub fn without_thread(output: Output, origin: Origin) -> Result<(Self, Rounds), AuditFault> {
        let (_, ended) = channel();
        let (writer, work) = Self::before(open(output, origin)?, ended);
        let guard = Ended { health: Arc::clone(&writer.health), _end: None };
        Ok((writer, Rounds { work, _guard: guard }))
    }

    fn before(trail: Box<dyn Trail>, ended: Receiver<()>) -> (Self, Work) {
        let queue = Arc::new(Queue::new());
        let health = Arc::new(Health::new());
        let followers = Followers::default();
        let work = Work::new(trail, Arc::clone(&queue), Arc::clone(&health), Arc::clone(&followers));
        (Self { queue, health, followers, ended: Mutex::new(ended) }, work)
    }

    /// Hands over the record `object`, `{"v":1,"kind":…}` without a line feed. Never waits; what is given up is
    /// counted.
    pub fn send(&self, class: Class, object: &[u8]) {
        self.hand_over(class, object, Change::None, false);
    }

    /// Hands over the intent of the request `id`. `None`: it was not taken, because it is required and would not be
    /// durable soon, or because too much waits.
    pub fn intend(&self, class: Class, object: &[u8], id: u128) -> Option<Ticket> {
        if class == Class::Required && !self.health.available() {
            self.health.tell_stall();
            return None;
        }
        self.hand_over(class, object, Change::Opens(id), class == Class::Required)
    }

    /// Hands over the outcome of the request `id`, which had an intent. It is never given up: an intent without
    /// outcome would be carried from segment to segment. There are few: intents are refused while too much waits.
    pub fn close(&self, object: &[u8], id: u128) {
        self.hand_over(Class::Required, object, Change::Closes(id), false);
    }

    /// Wakes `waiters` once for each batch that became durable, as long as it lives.
    pub fn follow(&self, waiters: &Arc<Waiters>) {
        self.followers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(waiters));
        // What became durable before it followed is not announced again.
        waiters.advance(self.health.durable());
    }

    /// Whether lines reach their output.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Writes what is waiting and the line `stop`, with `in_progress` requests that were cut off, and ends the
    /// thread; blocks until then. A failing output is tried once more and then given up, a blocked one after five
    /// seconds. Returns how many lines are missing and not told of: what was given up earlier is, by lines `loss`,
    /// unless even these could not be written.
    pub fn finish(&self, in_progress: u64) -> u64 {
        let first = self.queue.close(in_progress);
        // Nothing is ever sent: the wait ends when the thread does, or with the patience.
        let waited = self.ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(STOP_PATIENCE);
        if first {
            self.health.lost_at_end(self.queue.taken().saturating_sub(self.health.durable()));
        }
        let told = waited == Err(RecvTimeoutError::Disconnected) && !self.health.failing();
        if told { self.health.lost_lines_at_end() } else { self.health.lost_lines() }
    }

    fn hand_over(&self, class: Class, object: &[u8], change: Change, awaited: bool) -> Option<Ticket> {
        let pending = self.health.pending_bytes();
        match class {
            Class::Stranger if pending >= STRANGERS_FROM_BYTES || self.health.short_of_space() => {
                self.health.lost_stranger();
                return None;
            }
            Class::BestEffort if pending >= BEST_EFFORT_FROM_BYTES => {
                self.health.lost_best_effort_line();
                return None;
            }
            _ => {}
        }
        self.health.took(object.len());
        let taken = self.queue.push(object, change, awaited);
        if taken.is_none() {
            self.health.gave_back(object.len());
            self.health.lost_at_end(1);
        }
        taken.map(Ticket)
    }
}

/// Who did not finish it finds its folder locked no longer than it takes to write what is waiting.
impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.finish(0);
    }
}

fn open(output: Output, origin: Origin) -> Result<Box<dyn Trail>, AuditFault> {
    Ok(match output {
        Output::Stream(sink) => {
            let mut stream = Stream::new(sink);
            stream.append(&super::event::start(&origin), Change::None);
            Box::new(stream)
        }
        Output::Folder(settings) => Box::new(Journal::open(settings, origin)?),
        Output::FolderOn(medium, settings) => Box::new(Journal::open_on(medium, settings, origin)?),
    })
}

/// What the thread of a writer does, in the hands of somebody else. Dropped, it is as if the thread had died.
pub struct Rounds {
    work: Work,
    _guard: Ended,
}

impl Rounds {
    /// Writes what is waiting and makes it durable where somebody waits for it. `false`: it was the last round.
    pub fn round(&mut self) -> bool {
        self.work.round()
    }
}

/// Dropped with the thread, however it ends: after that nothing is available.
struct Ended {
    health: Arc<Health>,
    _end: Option<Sender<()>>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.health.set_ended();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            instance: "gateway-1".into(),
            version: "1.0.0".into(),
            config: [7; 32],
            services: Vec::new(),
        }
    }

    fn to_file(path: &std::path::Path) -> Writer {
        let sink = File::options().append(true).create(true).open(path).unwrap();
        Writer::start(Output::Stream(sink), origin()).unwrap()
    }

    #[test]
    fn lines_of_a_stream_are_numbered_and_stand_between_start_and_stop() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let writer = to_file(&path);
        for n in 0..1_000 {
            writer.send(Class::Required, format!(r#"{{"v":1,"kind":"outcome","n":{n}}}"#).as_bytes());
        }
        assert_eq!(writer.finish(3), 0);
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1_002);
        assert!(lines[0].starts_with(r#"{"seq":1,"v":1,"kind":"start","time":""#), "{}", lines[0]);
        for (n, line) in lines[1..=1_000].iter().enumerate() {
            assert_eq!(*line, format!(r#"{{"seq":{},"v":1,"kind":"outcome","n":{n}}}"#, n + 2));
        }
        assert!(lines[1_001].ends_with(r#","in_progress":3}"#), "{}", lines[1_001]);
        assert_eq!(writer.health().written_lines(), 1_002);
        assert_eq!(writer.health().pending_bytes(), 0);
    }

    #[test]
    fn a_full_disk_makes_the_audit_unavailable_and_refuses_intents() {
        let writer = to_file("/dev/full".as_ref());
        while writer.health().faults() == 0 {
            std::thread::yield_now();
        }
        assert!(!writer.health().available());
        assert_eq!(writer.intend(Class::Required, b"{}", 1), None);
        writer.send(Class::Required, b"{}");
        assert_eq!(writer.finish(0), 1);
    }

    #[test]
    fn strangers_are_given_up_before_callers_and_those_before_what_is_required() {
        let writer = to_file("/dev/full".as_ref());
        let line = vec![b'x'; 1 << 20];
        for class in [Class::Stranger, Class::Stranger, Class::BestEffort, Class::Stranger] {
            writer.send(class, &line);
        }
        assert_eq!((writer.health().lost_strangers(), writer.health().lost_best_effort()), (2, 0));
        for _ in 0..8 {
            writer.send(Class::BestEffort, &line);
        }
        writer.send(Class::Required, &line);
        assert_eq!((writer.health().lost_strangers(), writer.health().lost_best_effort()), (2, 6));
        assert_eq!(writer.health().pending_bytes(), 5 << 20);
        assert_eq!(writer.finish(0), 13);
    }

    #[tokio::test]
    async fn a_request_is_woken_when_its_intent_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let writer = to_file(&folder.path().join("out"));
        let waiters = Waiters::new();
        writer.follow(&waiters);
        let waits: Vec<_> = (0..100)
            .map(|id| waiters.wait(writer.intend(Class::Required, b"{\"v\":1}", id).unwrap()))
            .collect();
        drop(waiters.wait(Ticket(u64::MAX)));
        futures_util::future::join_all(waits).await;
        assert_eq!(writer.health().written_lines(), 101);
    }

    #[test]
    fn without_a_thread_lines_are_written_round_by_round() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let sink = File::options().append(true).create(true).open(&path).unwrap();
        let (writer, mut rounds) = Writer::without_thread(Output::Stream(sink), origin()).unwrap();
        let ticket = writer.intend(Class::Required, b"{\"v\":1}", 1).unwrap();
        assert!(writer.health().durable() < ticket.0);
        assert!(rounds.round());
        assert_eq!(writer.health().durable(), ticket.0);
        writer.close(b"{\"v\":1}", 1);
        writer.finish(0);
        assert!(!rounds.round(), "it was the last");
        drop(rounds);
        assert!(!writer.health().available());
        let lines = std::fs::read_to_string(path).unwrap().lines().count();
        assert_eq!(lines, 4, "start, two lines and stop");
    }

    #[test]
    fn what_comes_after_the_end_is_lost_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let writer = to_file(&folder.path().join("out"));
        assert_eq!(writer.finish(0), 0);
        writer.send(Class::Required, b"{}");
        assert_eq!(writer.finish(0), 1);
        assert!(!writer.health().available());
    }
}
