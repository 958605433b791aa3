//! Which pages of large bodies are used again?
//!
//! New pages are the dearest part of a large body: for 5 MB the system finds, charges and clears 1,221 of them, and takes
//! them back a moment later; that was a fifth of what an upload costs. Each thread keeps a few, cleared, for the next
//! body; a thread that has nothing to do lets go of them.

use std::cell::RefCell;

use memmap2::{MmapMut, MmapOptions};

use crate::wiped::clear;

/// So much is kept, of each thread.
const KEPT_BYTES: usize = 12 << 20;
/// Mappings are of so many bytes, or a multiple: bodies of nearly the same size fit into the same pages.
const STEP_BYTES: usize = 1 << 20;

thread_local! {
    static SPARES: RefCell<Vec<MmapMut>> = const { RefCell::new(Vec::new()) };
}

/// Pages for `bytes` or more, all of them zero. They cost addresses, and memory only where they are written to, now or
/// before: never more than twice as much as `bytes`. `None` when the system has no more mappings.
#[must_use]
pub fn take(bytes: usize) -> Option<MmapMut> {
    let kept = SPARES.try_with(|spares| {
        let mut spares = spares.borrow_mut();
        let fits = |pages: &MmapMut| (bytes..=bytes.saturating_mul(2)).contains(&pages.len());
        let found = spares.iter().position(fits);
        found.map(|index| spares.swap_remove(index))
    });
    kept.ok().flatten().or_else(|| {
        let whole = bytes.checked_next_multiple_of(STEP_BYTES)?;
        MmapOptions::new().len(whole).no_reserve_swap().map_anon().ok()
    })
}

/// Takes back pages of which the first `used` bytes were written to. What is not kept goes back to the system.
pub fn give_back(mut pages: MmapMut, used: usize) {
    // An error is that of a thread which ends: it keeps nothing.
    let _ = SPARES.try_with(|spares| {
        let mut spares = spares.borrow_mut();
        let kept: usize = spares.iter().map(|pages| pages.len()).sum();
        if kept.saturating_add(pages.len()) <= KEPT_BYTES {
            clear(pages.get_mut(..used).unwrap_or_default());
            spares.push(pages);
        }
    });
}

/// Gives all that this thread keeps back to the system.
pub fn let_go() {
    SPARES.take();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Vec<usize> {
        SPARES.with_borrow(|spares| spares.iter().map(|pages| pages.len()).collect())
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
        let many: Vec<_> = (0..4).map(|_| written(5 << 20)).collect();
        let large = written(KEPT_BYTES + 1);
        many.into_iter().chain([large]).for_each(|pages| give_back(pages, 1));
        assert_eq!(kept(), [5 << 20, 5 << 20]);
        let_go();
        assert!(kept().is_empty());
    }
}
