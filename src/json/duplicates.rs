//! Does an object have two members of the same name?
//!
//! Parsers differ on which of two equal names wins (RFC 8259, section 4), so a body with duplicates could
//! mean one thing to the schema and another to the upstream.

use std::hash::{BuildHasher, RandomState};

use super::index::{Entry, names};
use super::text::Text;

/// Names up to this number are compared pair by pair; more are hashed, so that time stays linear.
const PAIRWISE: usize = 16;

/// Members at the end of an object that are not looked at: 0, except where the fuzz targets must find a bug.
const UNCHECKED: u32 = if cfg!(feature = "planted-bug") { 1 } else { 0 };

/// Offset of the second of two names that are equal after unescaping, in the object at `object`.
pub(super) fn find(input: &[u8], entries: &[Entry], object: u32) -> Option<u32> {
    let count = entries.get(object as usize)?.tag.count().saturating_sub(UNCHECKED) as usize;
    match count {
        0 | 1 => None,
        2..=PAIRWISE => find_by_pairs(input, entries, object, count),
        _ => find_by_hash(input, entries, object, count),
    }
}

fn find_by_pairs(input: &[u8], entries: &[Entry], object: u32, count: usize) -> Option<u32> {
    let second = |at: usize, name: Text<'_>| {
        names(entries, object).take(at).any(|(_, earlier)| earlier.text(input).equals_text(name))
    };
    names(entries, object)
        .take(count)
        .enumerate()
        .find(|(at, (_, name))| second(*at, name.text(input)))
        .map(|(_, (_, name))| name.start)
}

/// The hash is keyed at random, so nobody can choose names that collide.
fn find_by_hash(input: &[u8], entries: &[Entry], object: u32, count: usize) -> Option<u32> {
    let keys = RandomState::new();
    let mut hashed: Vec<(u64, u32)> = names(entries, object)
        .take(count)
        .map(|(at, name)| (keys.hash_one(&*name.text(input).unescape()), at))
        .collect();
    hashed.sort_unstable();
    let name = |at: u32| entries.get(at as usize).map(|name| name.text(input));
    hashed
        .iter()
        .zip(hashed.iter().skip(1))
        .filter(|((hash, _), (other, _))| hash == other)
        .find(|((_, first), (_, second))| match (name(*first), name(*second)) {
            (Some(first), Some(second)) => first.equals_text(second),
            _ => false,
        })
        .and_then(|(_, (_, second))| entries.get(*second as usize))
        .map(|second| second.start)
}
