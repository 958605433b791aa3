//! Which pages of large bodies are used again?
//!
//! New pages are the dearest part of a large body: for 5 MB the system finds, charges and clears 1,221 of them, and takes
//! them back a moment later; that was a fifth of what an upload costs. Each thread keeps some, cleared, for the next
//! body; a thread that has nothing to do lets go of them. They are in no budget, so what is kept and what is in use are
//! together no more than was in use at some time since, or a few bodies.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::{MmapMut, MmapOptions};

use crate::wiped::clear;

/// So much may be kept and in use, of all threads together, however little was in use: four bodies of 5 MB.
const FEW_BYTES: usize = 24 << 20;
/// Mappings are of so many bytes, or a multiple: bodies of nearly the same size fit into the same pages.
const STEP_BYTES: usize = 1 << 20;

/// What all threads keep.
static KEPT: AtomicUsize = AtomicUsize::new(0);
/// What all bodies lie in.
static IN_USE: AtomicUsize = AtomicUsize::new(0);
/// The most of it since a thread let go of what it kept.
static MOST: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SPARES: RefCell<Spares> = const { RefCell::new(Spares(Vec::new())) };
}

/// What one thread keeps.
#[derive(Default)]
struct Spares(Vec<MmapMut>);

/// Pages for `bytes` or more, all of them zero. They cost addresses, and memory only where they are written to, now or
/// before: never more than twice as much as `bytes`. `None` when the system has no more mappings.
#[must_use]
pub fn take(bytes: usize) -> Option<MmapMut> {
    let kept = SPARES.try_with(|spares| spares.borrow_mut().take(bytes)).ok().flatten();
    let pages = kept.or_else(|| {
        let whole = bytes.checked_next_multiple_of(STEP_BYTES)?;
        MmapOptions::new().len(whole).no_reserve_swap().map_anon().ok()
    })?;
    let in_use = IN_USE.fetch_add(pages.len(), Ordering::Relaxed).saturating_add(pages.len());
    MOST.fetch_max(in_use, Ordering::Relaxed);
    // Those that are kept do not fit, and would come on top.
    let _ = SPARES.try_with(|spares| spares.borrow_mut().make_room());
    Some(pages)
}

/// Takes back pages of [`take`], of which the first `used` bytes were written to. What is not kept goes back to the
/// system.
pub fn give_back(pages: MmapMut, used: usize) {
    IN_USE.fetch_sub(pages.len(), Ordering::Relaxed);
    // An error is that of a thread which ends: it keeps nothing.
    let _ = SPARES.try_with(|spares| spares.borrow_mut().keep(pages, used));
}

/// Gives all that this thread keeps back to the system.
pub fn let_go() {
    SPARES.take();
    // Other threads let go of theirs in their own time.
    MOST.store(
        IN_USE.load(Ordering::Relaxed).saturating_add(KEPT.load(Ordering::Relaxed)),
        Ordering::Relaxed,
    );
}

/// Whether so much may be kept.
fn may_keep(bytes: usize) -> bool {
    let most = MOST.load(Ordering::Relaxed).max(FEW_BYTES);
    IN_USE.load(Ordering::Relaxed).saturating_add(bytes) <= most
}

impl Spares {
    fn take(&mut self, bytes: usize) -> Option<MmapMut> {
        let fits = |pages: &MmapMut| (bytes..=bytes.saturating_mul(2)).contains(&pages.len());
        let pages = self.0.iter().position(fits).map(|index| self.0.swap_remove(index))?;
        KEPT.fetch_sub(pages.len(), Ordering::Relaxed);
        Some(pages)
    }

    fn keep(&mut self, mut pages: MmapMut, used: usize) {
        let with_these = |kept: usize| kept.checked_add(pages.len()).filter(|bytes| may_keep(*bytes));
        if KEPT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_these).is_ok() {
            clear(pages.get_mut(..used).unwrap_or_default());
            self.0.push(pages);
        }
    }

    fn make_room(&mut self) {
        while !may_keep(KEPT.load(Ordering::Relaxed)) {
            let Some(pages) = self.0.pop() else { return };
            KEPT.fetch_sub(pages.len(), Ordering::Relaxed);
        }
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        let kept = self.0.iter().map(|pages| pages.len()).sum();
        KEPT.fetch_sub(kept, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Vec<usize> {
        SPARES.with_borrow(|spares| spares.0.iter().map(|pages| pages.len()).collect())
    }

    /// Pages for `bytes` that were written to all over.
    fn written(bytes: usize) -> MmapMut {
        let mut pages = take(bytes).unwrap();
        pages[..bytes].fill(7);
        pages
    }

    #[test]
    fn pages_are_used_again_and_hold_nothing_of_before() {
        let pages = written(5_000_000);
        let place = pages.as_ptr();
        give_back(pages, 5_000_000);
        // More of them than the next body needs, and not the same size.
        let again = take(4_900_000).unwrap();
        assert_eq!(again.as_ptr(), place);
        assert!(again.iter().all(|byte| *byte == 0));
        assert!(kept().is_empty());
        give_back(again, 0);
    }

    #[test]
    fn a_body_gets_no_more_than_twice_its_pages_and_never_less() {
        give_back(written(4 << 20), 4 << 20);
        let taken = [(2 << 20) - 1, (4 << 20) + 1].map(|bytes| take(bytes).unwrap());
        assert_eq!(taken.each_ref().map(|pages| pages.len()), [2 << 20, 5 << 20]);
        assert_eq!(kept(), [4 << 20]);
        let fitting = take(2 << 20).unwrap();
        assert_eq!(fitting.len(), 4 << 20);
        taken.into_iter().chain([fitting]).for_each(|pages| give_back(pages, 0));
    }

    #[test]
    fn few_are_kept_and_none_for_ever() {
        let_go();
        // One after the other, no more is kept than one needs; all at once, as much as all needed.
        for size in (1..=8).map(|size| size * FEW_BYTES / 4) {
            give_back(written(size), 1);
        }
        // Other tests may keep some, too.
        assert!(kept().iter().sum::<usize>() <= 2 * FEW_BYTES, "{:?}", kept());
        let many: Vec<_> = (0..16).map(|_| written(5 << 20)).collect();
        many.into_iter().for_each(|pages| give_back(pages, 1));
        assert!(kept().len() >= 8, "{:?}", kept());
        // What does not fit gives way to what does.
        let large: Vec<_> = (0..2).map(|_| written(35 << 20)).collect();
        assert!(kept().iter().sum::<usize>() <= 15 << 20, "{:?}", kept());
        large.into_iter().for_each(|pages| give_back(pages, 1));
        let_go();
        assert!(kept().is_empty());
        // More than is kept in all: what a thread keeps that ends is free for others.
        for _ in 0..8 {
            let there = std::thread::spawn(|| {
                give_back(written(5 << 20), 1);
                kept()
            });
            assert_eq!(there.join().unwrap(), [5 << 20]);
        }
    }
}
