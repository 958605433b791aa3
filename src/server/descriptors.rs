//! How many connections and requests do the descriptors of this process allow?

use rustix::process::{Resource, getrlimit};

use crate::config::{Config, Data};

/// The runtimes' own, listeners, standard streams, the audit's files, secrets and certificates that are read again.
const OWN: u64 = 48;
/// Beside those, of each worker.
const OWN_PER_WORKER: u64 = 8;
/// Of a request in progress, beside its caller's connection: an upstream connection takes two, and as many idle ones
/// are kept as are in use at most.
const PER_REQUEST: u64 = 4;
/// Connections to the operators' listener.
const OPS: usize = 64;
/// With fewer descriptors than these, operators have fewer connections, too.
const FEW: u64 = 1024;

/// How many descriptors `config` could need.
#[must_use]
pub fn needed(config: &Config) -> u64 {
    let data = &config.data;
    own(data, OPS as u64) + data.max_connections as u64 + PER_REQUEST * data.max_requests as u64
}

/// The connections that operators may have.
#[must_use]
pub fn of_operators() -> usize {
    of_operators_with(getrlimit(Resource::Nofile).current)
}

fn of_operators_with(most: Option<u64>) -> usize {
    let part = |most| usize::try_from(OPS as u64 * most / FEW).unwrap_or(OPS).max(4);
    most.filter(|most| *most < FEW).map_or(OPS, part)
}

/// Lowers the limits of `config` to what `most` descriptors allow, in proportion, and says whether it did.
pub fn fit(config: &mut Config, most: Option<u64>) -> bool {
    let Some(most) = most.filter(|most| *most < needed(config)) else { return false };
    let data = &mut config.data;
    let left = most.saturating_sub(own(data, of_operators_with(Some(most)) as u64));
    let wanted = data.max_connections as u64 + PER_REQUEST * data.max_requests as u64;
    let part = |count: usize| {
        let part = u128::from(left) * (count as u128) / u128::from(wanted.max(1));
        usize::try_from(part).unwrap_or(count).clamp(1, count)
    };
    data.max_connections = part(data.max_connections);
    data.max_requests = part(data.max_requests);
    true
}

fn own(data: &Data, ops: u64) -> u64 {
    OWN + OWN_PER_WORKER * data.workers as u64 + ops
        // Of each listener those that are refused, and of callers and operators those that leave.
        + (super::porch::MOST * data.listen.len()) as u64
        + 2 * super::doors::MOST_LEAVING as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    fn config() -> Config {
        let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let overrides = vec![set("data.workers", "2"), set("audit.output", "stdout")];
        let source = Source { path: "config/minimal.toml".into(), overrides, ..Source::default() };
        load(&source).unwrap_or_else(|faults| panic!("{faults}")).config
    }

    #[test]
    fn each_connection_and_forward_counts() {
        assert_eq!(needed(&config()), 48 + 2 * 8 + 64 + 16 + 2 * 32 + 1024 + 4 * 512);
    }

    #[test]
    fn enough_descriptors_change_nothing() {
        for most in [None, Some(needed(&config()))] {
            let mut config = config();
            assert!(!fit(&mut config, most));
            assert_eq!((config.data.max_connections, config.data.max_requests), (1024, 512));
        }
    }

    #[test]
    fn few_descriptors_are_shared_out_in_proportion() {
        for (most, connections, requests, ops) in [(2048, 613, 306, 64), (256, 32, 16, 16), (64, 1, 1, 4)] {
            let mut config = config();
            assert!(fit(&mut config, Some(most)));
            assert_eq!(of_operators_with(Some(most)), ops);
            assert_eq!((config.data.max_connections, config.data.max_requests), (connections, requests));
        }
    }
}
