//! Which of what is kept was put last on its shelf, and which first of all?

use std::collections::{BTreeMap, VecDeque};

/// Things on shelves, in the order in which they were put there. Nothing takes longer the more shelves there are, but
/// for the depth of a tree.
pub(super) struct Shelves<T> {
    /// The oldest first.
    kept: BTreeMap<Turn, Kept<T>>,
    /// What lies on each shelf, the oldest first.
    turns: BTreeMap<Shelf, VecDeque<Turn>>,
    last: u64,
}

/// The number of a shelf; none is used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shelf(u64);

/// Counts what was ever put on any shelf.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn(u64);

struct Kept<T> {
    shelf: Shelf,
    thing: T,
}

impl<T> Default for Shelves<T> {
    fn default() -> Self {
        Self { kept: BTreeMap::new(), turns: BTreeMap::new(), last: 0 }
    }
}

impl<T> Shelves<T> {
    /// One more shelf.
    pub(super) fn open(&mut self) -> Shelf {
        let shelf = Shelf(self.next());
        self.turns.insert(shelf, VecDeque::new());
        shelf
    }

    /// Takes a shelf away, with what lies on it.
    pub(super) fn close(&mut self, shelf: Shelf) {
        for turn in self.turns.remove(&shelf).unwrap_or_default() {
            self.kept.remove(&turn);
        }
    }

    /// Puts `thing` on a shelf that is open; on another, it is dropped.
    pub(super) fn put(&mut self, shelf: Shelf, thing: T) {
        let turn = Turn(self.next());
        if let Some(turns) = self.turns.get_mut(&shelf) {
            turns.push_back(turn);
            self.kept.insert(turn, Kept { shelf, thing });
        }
    }

    /// Takes what was put last on `shelf`.
    pub(super) fn take_newest(&mut self, shelf: Shelf) -> Option<T> {
        let turn = self.turns.get_mut(&shelf)?.pop_back()?;
        self.kept.remove(&turn).map(|kept| kept.thing)
    }

    /// Takes what was put first on `shelf`.
    pub(super) fn take_oldest(&mut self, shelf: Shelf) -> Option<T> {
        let turn = self.turns.get_mut(&shelf)?.pop_front()?;
        self.kept.remove(&turn).map(|kept| kept.thing)
    }

    /// Takes what was put first on any of them.
    pub(super) fn take_oldest_of_all(&mut self) -> Option<T> {
        let (_, Kept { shelf, thing }) = self.kept.pop_first()?;
        if let Some(turns) = self.turns.get_mut(&shelf) {
            turns.pop_front();
        }
        Some(thing)
    }

    /// Drops what is not to be kept.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&T) -> bool) {
        self.kept.retain(|_, kept| is_kept(&kept.thing));
        let kept = &self.kept;
        self.turns.values_mut().for_each(|turns| turns.retain(|turn| kept.contains_key(turn)));
    }

    /// Drops what is not to be kept on `shelf`.
    pub(super) fn retain_on(&mut self, shelf: Shelf, is_kept: impl Fn(&T) -> bool) {
        let Some(turns) = self.turns.get_mut(&shelf) else { return };
        turns.retain(|turn| {
            let is_kept = self.kept.get(turn).is_some_and(|kept| is_kept(&kept.thing));
            if !is_kept {
                self.kept.remove(turn);
            }
            is_kept
        });
    }

    /// How many lie on all of them.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// How many lie on `shelf`.
    pub(super) fn len_of(&self, shelf: Shelf) -> usize {
        self.turns.get(&shelf).map_or(0, VecDeque::len)
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three on one shelf and two on another, by the order in which they were put there.
    fn five() -> (Shelves<u8>, Shelf, Shelf) {
        let mut shelves = Shelves::default();
        let (one, other) = (shelves.open(), shelves.open());
        for (shelf, thing) in [(one, 1), (other, 2), (one, 3), (other, 4), (one, 5)] {
            shelves.put(shelf, thing);
        }
        (shelves, one, other)
    }

    fn rest(mut shelves: Shelves<u8>) -> Vec<u8> {
        std::iter::from_fn(|| shelves.take_oldest_of_all()).collect()
    }

    #[test]
    fn a_shelf_gives_its_own_newest_and_oldest() {
        let (mut shelves, one, other) = five();
        assert_eq!((shelves.take_newest(one), shelves.take_oldest(one)), (Some(5), Some(1)));
        assert_eq!((shelves.len(), shelves.len_of(one), shelves.len_of(other)), (3, 1, 2));
        assert_eq!((shelves.take_newest(one), shelves.take_newest(one)), (Some(3), None));
        assert_eq!(rest(shelves), [2, 4]);
    }

    #[test]
    fn the_oldest_of_all_leaves_its_shelf() {
        let (mut shelves, one, other) = five();
        assert_eq!((shelves.take_oldest_of_all(), shelves.take_oldest_of_all()), (Some(1), Some(2)));
        shelves.put(one, 6);
        assert_eq!((shelves.take_oldest(one), shelves.take_oldest(other)), (Some(3), Some(4)));
        assert_eq!(rest(shelves), [5, 6]);
    }

    #[test]
    fn what_is_not_to_be_kept_is_on_no_shelf() {
        let (mut shelves, one, other) = five();
        shelves.retain_on(one, |thing| *thing == 3);
        assert_eq!((shelves.len_of(one), shelves.len()), (1, 3));
        shelves.retain(|thing| *thing != 2);
        assert_eq!((shelves.len_of(one), shelves.len_of(other)), (1, 1));
        assert_eq!(rest(shelves), [3, 4]);
    }

    #[test]
    fn a_shelf_that_is_taken_away_takes_all_with_it_and_nothing_more() {
        let (mut shelves, one, other) = five();
        shelves.close(one);
        shelves.put(one, 6);
        assert_eq!((shelves.take_newest(one), shelves.len_of(one)), (None, 0));
        assert!(shelves.open() != one);
        assert_eq!((shelves.len_of(other), rest(shelves)), (2, vec![2, 4]));
    }
}
