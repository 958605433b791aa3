//! Does a new configuration change what can only be changed by a restart?

use super::faults::{Fault, Faults, Origin, Severity};
use super::model::Config;

/// What a configuration says of the keys that take effect at the start only. Holds digests and places, no values.
#[derive(Clone, Default)]
pub struct FixedKeys {
    pub(super) list: Box<[FixedKey]>,
}

/// One of them.
#[derive(Clone)]
pub(super) struct FixedKey {
    pub(super) key: &'static str,
    /// Of what is written, or that nothing is.
    pub(super) digest: [u8; 32],
    pub(super) origin: Origin,
}

/// Refuses `new` where it differs from the `running` configuration in such a key. It is refused as a whole, because
/// what runs is then always one configuration that somebody wrote, and the audit names it by its digest.
///
/// # Errors
///
/// A fault for each of these keys.
pub fn judge_fixed(running: &Config, new: &Config) -> Result<(), Faults> {
    let is_same = |key: &FixedKey| {
        let running = running.fixed.list.iter().find(|known| known.key == key.key);
        running.is_some_and(|known| known.digest == key.digest)
    };
    let fault = |key: &FixedKey| {
        let problem = format!("{}: differs from what is running, and takes effect at a start only", key.key);
        let remedy = "restart the gateway, or put the old value back and reload".to_owned();
        Fault::new(Severity::Error, problem, remedy, key.origin.clone())
    };
    let faults: Vec<_> = new.fixed.list.iter().filter(|key| !is_same(key)).map(fault).collect();
    if faults.is_empty() { Ok(()) } else { Err(Faults::sorted(faults)) }
}
