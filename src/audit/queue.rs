//! How do lines get from many threads to the one that writes them?

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long lines that nobody waits for are gathered before they are written.
const GATHER: Duration = Duration::from_millis(5);
/// How long requests wait at most for one another's lines, so that one sync serves them all, once as many of them
/// waited together lately as [`COMPANY`] says. A lone request never does.
const COMPANY_GATHER: Duration = Duration::from_millis(2);
const COMPANY: usize = 4;
/// So many who wait are not kept waiting for more, however many there were lately.
const CROWD: usize = 64;
/// Gathered bytes that are written at once.
const GATHERED_BYTES: usize = 128 << 10;
/// Room that an emptied buffer may keep.
const KEPT_BYTES: usize = 1 << 20;

/// What a line does to the set of requests whose end is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// It is the intent of this request.
    Opens(u128),
    /// It is the outcome of a request that had an intent.
    Closes(u128),
}

/// Lines in the order in which they were taken, in one buffer.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where each line ends, and what it changes.
    ends: Vec<(usize, Change)>,
    /// How many wait until these lines are durable.
    pub(super) awaited: usize,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = (&[u8], Change)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        self.ends
            .iter()
            .zip(starts)
            .map(|((end, change), start)| (self.bytes.get(start..*end).unwrap_or_default(), *change))
    }

    /// Empties it; keeps its room, unless that was made by a flood.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.ends.clear();
        self.ends.shrink_to(KEPT_BYTES / 256);
        self.awaited = 0;
    }
}

/// The lines that the writer has not yet taken.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    batch: Batch,
    /// How many lines were ever put in.
    taken: u64,
    sleeper: Sleeper,
    /// From how many who wait on nothing is gathered any more.
    enough: usize,
    /// With how many requests in progress the writer is to stop.
    closing: Option<u64>,
}

impl State {
    fn has_enough(&self) -> bool {
        self.batch.awaited >= self.enough || self.batch.len_bytes() >= GATHERED_BYTES
    }
}

/// What wakes the writer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sleeper {
    Awake,
    /// Any line.
    Idle,
    /// Enough lines that somebody waits for, or a lot of others.
    Gathering,
    /// Only the end.
    Pausing,
}

impl Queue {
    pub(super) fn new() -> Self {
        let state =
            State { batch: Batch::default(), taken: 0, sleeper: Sleeper::Awake, enough: 1, closing: None };
        Self { state: Mutex::new(state), wake: Condvar::new() }
    }

    /// Copies `line` behind the others; never waits for the output. Returns how many lines were put in, this one
    /// included; `None` when the writer is being stopped.
    pub(super) fn push(&self, line: &[u8], change: Change, awaited: bool) -> Option<u64> {
        let mut state = self.lock();
        if state.closing.is_some() {
            return None;
        }
        let batch = &mut state.batch;
        batch.bytes.extend_from_slice(line);
        batch.ends.push((batch.bytes.len(), change));
        state.taken += 1;
        let taken = state.taken;
        self.stir(state, awaited);
        Some(taken)
    }

    /// From now on nothing is taken. `false` where that was so before.
    pub(super) fn close(&self, in_progress: u64) -> bool {
        let mut state = self.lock();
        let first = state.closing.is_none();
        state.closing.get_or_insert(in_progress);
        drop(state);
        self.wake.notify_one();
        first
    }

    /// How many lines were ever put in.
    pub(super) fn taken(&self) -> u64 {
        self.lock().taken
    }

    /// Waits for lines and swaps them for `empty`: at once for a line that somebody waits for, in company a moment
    /// later, and gathered for a longer one where nobody waits. Returns without lines at `until`.
    ///
    /// `company` is how many waited together lately: when they are here again, nobody else is waited for.
    pub(super) fn next(&self, empty: &mut Batch, until: Instant, company: usize) -> Taken {
        let (gather, enough) = gathering(company);
        let mut state = self.lock();
        state.enough = enough;
        let mut gathered: Option<Instant> = None;
        loop {
            let ready = state.has_enough() || state.closing.is_some();
            let now = Instant::now();
            let (sleeper, end) = if state.batch.is_empty() {
                (Sleeper::Idle, until)
            } else {
                (Sleeper::Gathering, *gathered.get_or_insert(now + gather))
            };
            let left = end.saturating_duration_since(now);
            if ready || left.is_zero() {
                state.sleeper = Sleeper::Awake;
                return swap(&mut state, empty);
            }
            state = self.sleep(state, sleeper, left);
        }
    }

    /// As [`Self::next`], but takes what is here and waits for nothing.
    pub(super) fn take(&self, empty: &mut Batch) -> Taken {
        swap(&mut self.lock(), empty)
    }

    /// Waits for `time`, or until the writer is to stop, with the requests in progress then; takes no lines.
    pub(super) fn pause(&self, time: Duration) -> Option<u64> {
        let end = Instant::now() + time;
        let mut state = self.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if state.closing.is_some() || left.is_zero() {
                state.sleeper = Sleeper::Awake;
                return state.closing;
            }
            state = self.sleep(state, Sleeper::Pausing, left);
        }
    }

    fn sleep<'q>(
        &'q self,
        mut state: MutexGuard<'q, State>,
        sleeper: Sleeper,
        time: Duration,
    ) -> MutexGuard<'q, State> {
        state.sleeper = sleeper;
        self.wake.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// A call into the kernel only where the writer sleeps and this is what it waits for.
    fn stir(&self, mut state: MutexGuard<'_, State>, awaited: bool) {
        state.batch.awaited += usize::from(awaited);
        let wanted = match state.sleeper {
            Sleeper::Idle => true,
            Sleeper::Gathering => state.has_enough(),
            Sleeper::Awake | Sleeper::Pausing => false,
        };
        if wanted {
            state.sleeper = Sleeper::Awake;
        }
        drop(state);
        if wanted {
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Queue::next`] found.
pub(super) struct Taken {
    /// How many lines were ever put in, up to the last of the batch.
    pub(super) up_to: u64,
    /// With how many requests in progress the writer is to stop.
    pub(super) closing: Option<u64>,
}

/// How long is gathered at most, and until how many wait.
fn gathering(company: usize) -> (Duration, usize) {
    if company < COMPANY { (GATHER, 1) } else { (COMPANY_GATHER, company.min(CROWD)) }
}

fn swap(state: &mut State, empty: &mut Batch) -> Taken {
    std::mem::swap(&mut state.batch, empty);
    Taken { up_to: state.taken, closing: state.closing }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn a_batch_holds_every_line_in_order_with_what_it_changes() {
        let queue = Queue::new();
        assert_eq!(queue.push(b"{1}", Change::None, false), Some(1));
        assert_eq!(queue.push(b"{22}", Change::Opens(7), true), Some(2));
        let mut batch = Batch::default();
        let taken = queue.next(&mut batch, far(), 0);
        assert_eq!((taken.up_to, taken.closing), (2, None));
        let lines: Vec<_> = batch.lines().collect();
        assert_eq!(lines, [(&b"{1}"[..], Change::None), (&b"{22}"[..], Change::Opens(7))]);
    }

    #[test]
    fn an_awaited_line_ends_the_gathering_of_others() {
        let queue = std::sync::Arc::new(Queue::new());
        let taker = std::thread::spawn({
            let queue = std::sync::Arc::clone(&queue);
            move || {
                let mut lines = 0;
                while lines < 1_000 {
                    let mut batch = Batch::default();
                    let _ = queue.next(&mut batch, far(), 0);
                    lines += batch.lines().count();
                }
                lines
            }
        });
        for number in 0..1_000_u32 {
            queue.push(b"{}", Change::None, number % 7 == 0);
        }
        assert_eq!(taker.join().unwrap(), 1_000);
    }

    #[test]
    fn those_who_wait_in_company_are_taken_together() {
        let queue = Queue::new();
        queue.push(b"{}", Change::None, true);
        let mut batch = Batch::default();
        // Were it at once for the one, the far end would not matter; gathered, it is the gathering that ends it.
        assert_eq!(queue.next(&mut batch, far(), COMPANY).up_to, 1);
        assert_eq!(batch.awaited, 1);
        batch.clear();
        for _ in 0..COMPANY {
            queue.push(b"{}", Change::None, true);
        }
        assert_eq!(queue.next(&mut batch, far(), COMPANY).up_to, 1 + COMPANY as u64);
        assert_eq!(batch.awaited, COMPANY);
    }

    #[test]
    fn nobody_waits_for_more_than_were_there_lately_or_than_a_crowd() {
        let until = |company| gathering(company).1;
        assert_eq!([0, COMPANY - 1, COMPANY, 40, 10 * CROWD].map(until), [1, 1, COMPANY, 40, CROWD]);
    }

    #[test]
    fn nothing_is_taken_after_the_close() {
        let queue = Queue::new();
        queue.push(b"{}", Change::None, false);
        assert!(queue.close(3));
        assert!(!queue.close(4));
        assert_eq!(queue.push(b"{}", Change::None, true), None);
        let mut batch = Batch::default();
        let taken = queue.next(&mut batch, far(), 0);
        assert_eq!((batch.lines().count(), taken.closing), (1, Some(3)));
        assert_eq!(queue.pause(Duration::from_secs(60)), Some(3), "a stop ends a pause");
    }
}
