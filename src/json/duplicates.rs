//! Does an object have two members of the same name?
//!
//! Parsers differ on which of two equal names wins (RFC 8259, section 4), so a body with duplicates could
//! mean one thing to the schema and another to the upstream.

use std::hash::{BuildHasher, RandomState};

use super::index::{Entry, names};
use super::text::{Escapes, Text};
use crate::digest::first;

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
    let mut outlines = [Outline::default(); PAIRWISE];
    for (at, (_, name)) in names(entries, object).take(count).enumerate() {
        let text = name.text(input);
        let outline = Outline::of(text);
        let earlier =
            || names(entries, object).take(at).any(|(_, earlier)| earlier.text(input).equals_text(text));
        if outlines.iter().take(at).any(|known| *known == outline) && earlier() {
            return Some(name.start);
        }
        if let Some(place) = outlines.get_mut(at) {
            *place = outline;
        }
    }
    None
}

/// What of a name, unescaped, differs from that of most others.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Outline {
    length: usize,
    beginning: [u8; 8],
}

impl Outline {
    fn of(name: Text<'_>) -> Self {
        match name.escapes() {
            Escapes::None => Self::of_bytes(name.raw()),
            _ => Self::of_bytes(name.unescape().as_bytes()),
        }
    }

    fn of_bytes(bytes: &[u8]) -> Self {
        Self { length: bytes.len(), beginning: first(bytes) }
    }
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
        .filter(|((_, first), (_, second))| match (name(*first), name(*second)) {
            (Some(first), Some(second)) => first.equals_text(second),
            _ => false,
        })
        .filter_map(|(_, (_, second))| entries.get(*second as usize))
        // The same one however the names are hashed.
        .map(|second| second.start)
        .min()
}
