//! Which pages of large bodies are used again?
//!
//! New pages are the dearest part of a large body: for 5 MB the system finds, charges and clears 1,221 of them, and takes
//! them back a moment later; that was a fifth of what an upload costs. Each thread keeps a few, cleared, for the next
//! body; a thread that has nothing to do lets go of them. They are in no budget, so all threads together keep little.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::{MmapMut, MmapOptions};

use crate::wiped::clear;

/// So much is kept, of all threads together: four bodies of 5 MB.
const KEPT_BYTES: usize = 24 << 20;
/// Mappings are of so many bytes, or a multiple: bodies of nearly the same size fit into the same pages.
const STEP_BYTES: usize = 1 << 20;

/// What all threads keep.
static KEPT: AtomicUsize = AtomicUsize::new(0);

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
    let kept = SPARES.try_with(|spares| spares.borrow_mut().take(bytes));
    kept.ok().flatten().or_else(|| {
        let whole = bytes.checked_next_multiple_of(STEP_BYTES)?;
        MmapOptions::new().len(whole).no_reserve_swap().map_anon().ok()
    })
}

/// Takes back pages of which the first `used` bytes were written to. What is not kept goes back to the system.
pub fn give_back(pages: MmapMut, used: usize) {
    // An error is that of a thread which ends: it keeps nothing.
    let _ = SPARES.try_with(|spares| spares.borrow_mut().keep(pages, used));
}

/// Gives all that this thread keeps back to the system.
pub fn let_go() {
    SPARES.take();
}

impl Spares {
    fn take(&mut self, bytes: usize) -> Option<MmapMut> {
        let fits = |pages: &MmapMut| (bytes..=bytes.saturating_mul(2)).contains(&pages.len());
        let pages = self.0.iter().position(fits).map(|index| self.0.swap_remove(index))?;
        KEPT.fetch_sub(pages.len(), Ordering::Relaxed);
        Some(pages)
    }

    fn keep(&mut self, mut pages: MmapMut, used: usize) {
        let with_these = |kept: usize| kept.checked_add(pages.len()).filter(|bytes| *bytes <= KEPT_BYTES);
        if KEPT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_these).is_ok() {
            clear(pages.get_mut(..used).unwrap_or_default());
            self.0.push(pages);
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
    }

    #[test]
    fn a_body_gets_no_more_than_twice_its_pages_and_never_less() {
        give_back(written(4 << 20), 4 << 20);
        assert_eq!(take((2 << 20) - 1).unwrap().len(), 2 << 20);
        assert_eq!(take((4 << 20) + 1).unwrap().len(), 5 << 20);
        assert_eq!(kept(), [4 << 20]);
        assert_eq!(take(2 << 20).unwrap().len(), 4 << 20);
    }

    #[test]
    fn few_are_kept_and_none_for_ever() {
        let many: Vec<_> = (0..8).map(|_| written(5 << 20)).collect();
        let large = written(KEPT_BYTES + 1);
        many.into_iter().chain([large]).for_each(|pages| give_back(pages, 1));
        // Other tests may keep some, too.
        let kept_here = kept();
        assert!(kept_here.iter().all(|bytes| *bytes == 5 << 20), "{kept_here:?}");
        assert!((1..=4).contains(&kept_here.len()), "{kept_here:?}");
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
