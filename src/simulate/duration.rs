//! How is a pause written, on the command line and on the control path?

use std::time::Duration;

/// Reads `250us`, `50ms` or `2s`: a whole number and its unit. `None` for anything else.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    // `ms` and `us` end in `s` too, so they come first.
    if let Some(number) = text.strip_suffix("us") {
        return number.parse().ok().map(Duration::from_micros);
    }
    if let Some(number) = text.strip_suffix("ms") {
        return number.parse().ok().map(Duration::from_millis);
    }
    text.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
}

/// Writes what [`parse_duration`] reads; what is finer than a microsecond is dropped.
#[must_use]
pub fn show_duration(pause: Duration) -> String {
    let micros = pause.as_micros();
    if micros.is_multiple_of(1000) { format!("{}ms", micros / 1000) } else { format!("{micros}us") }
}
