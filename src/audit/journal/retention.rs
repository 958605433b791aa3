//! Which ended segments are no longer to be kept?

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::settings::Retention;
use crate::audit::event::SegmentFacts;
use crate::audit::{Segment, Segments};

/// Segments that are removed at once: to remove a large file takes its time.
const MOST_AT_ONCE: usize = 8;

/// What the first line of a segment tells of the one before, which ended then.
#[derive(Deserialize)]
struct Head {
    time: String,
    previous: Option<Previous>,
}

#[derive(Deserialize)]
struct Previous {
    first: u64,
    last: u64,
    sha256: String,
}

impl Retention {
    /// Whether all is kept.
    pub(super) fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// The oldest of `segments` that exceed a limit. The one that begins with `open`, and what comes after it, stays.
    ///
    /// # Errors
    ///
    /// A segment cannot be read.
    pub(super) fn exceeded(
        &self,
        segments: &Segments,
        open: u64,
        now: Timestamp,
    ) -> io::Result<Vec<SegmentFacts>> {
        let mut removed = Vec::new();
        if self.is_unlimited() {
            return Ok(removed);
        }
        let ended = segments.iter().filter(|segment| segment.first_seq < open).count() as u64;
        let (mut left, mut bytes) = (ended, segments.bytes());
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            if segment.first_seq >= open || removed.len() == MOST_AT_ONCE {
                break;
            }
            let Some((end, facts)) = facts(segment, next)? else {
                // Who changed it should not see it removed as well.
                tracing::warn!("an audit segment is not removed: the one after it tells of another");
                break;
            };
            let age = Duration::try_from(now.duration_since(end)).unwrap_or_default();
            let too_many = self.segments.is_some_and(|most| left > most);
            let too_old = self.age.is_some_and(|most| age > most);
            let too_large = self.bytes.is_some_and(|most| bytes > most);
            if !(too_many || too_old || too_large) {
                break;
            }
            removed.push(facts);
            left -= 1;
            bytes = bytes.saturating_sub(segment.bytes);
        }
        Ok(removed)
    }
}

/// When `segment` ended, and what it was then, as the one after it tells.
fn facts(segment: &Segment, next: &Segment) -> io::Result<Option<(Timestamp, SegmentFacts)>> {
    let mut lines = next.lines()?;
    let Some(line) = lines.read_line()? else { return Ok(None) };
    let head: Option<Head> =
        std::str::from_utf8(line.bytes).ok().and_then(|text| serde_json::from_str(text).ok());
    let told = head.and_then(|head| {
        let Previous { first, last, sha256 } = head.previous?;
        Some((head.time.parse().ok()?, SegmentFacts { first, last, sha256: of_hex(&sha256)? }))
    });
    Ok(told.filter(|(_, facts)| facts.first == segment.first_seq))
}

fn of_hex(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    (digits.len() == 64).then_some(bytes)
}
