//! How many connections and requests do the descriptors of this process allow?

use rustix::process::{Resource, getrlimit};

use crate::config::{Config, Data};

/// The runtimes' own, listeners, standard streams, the audit's files, secrets and certificates that are read again.
const OWN: u64 = 48;
/// Beside those, of each worker.
const OWN_PER_WORKER: u64 = 8;
/// Of a connection to the upstream: a request in progress has one, and others are idle.
const PER_UPSTREAM: u64 = 2;
/// Connections to the operators' listener.
const OPS: usize = 64;
/// With fewer descriptors than these, operators have fewer connections, too.
const FEW: u64 = 1024;

/// How many descriptors `config` could need.
#[must_use]
pub fn needed(config: &Config) -> u64 {
    own(&config.data, OPS as u64) + of_all_connections(config, config.upstream.max_idle)
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

/// Lowers the limits of `config` to what `most` descriptors allow, and says whether it did. What gives way first are
/// idle connections to the upstream, as long as there are as many as requests in progress; then all, in proportion.
pub fn fit(config: &mut Config, most: Option<u64>) -> bool {
    let Some(left) = too_few(config, most) else { return false };
    let before = limits(config);
    let wanted = of_all_connections(config, least_idle(config));
    if left < wanted {
        config.data.max_connections = part(config.data.max_connections, left, wanted);
    }
    fit_upstream(config, left);
    limits(config) != before
}

/// As [`fit`], for a configuration that follows `running`: callers may have as many connections as since the start.
pub fn fit_after(running: &Config, config: &mut Config, most: Option<u64>) -> bool {
    config.data.max_connections = running.data.max_connections;
    let Some(left) = too_few(config, most) else { return false };
    let before = limits(config);
    fit_upstream(config, left);
    limits(config) != before
}

/// Of connections, requests in progress, and idle connections to the upstream.
fn limits(config: &Config) -> (usize, usize, usize) {
    (config.data.max_connections, config.data.max_requests, config.upstream.max_idle)
}

/// How many of the `most` descriptors are left for connections, if that is less than there could be.
fn too_few(config: &Config, most: Option<u64>) -> Option<u64> {
    let most = most.filter(|most| *most < needed(config))?;
    Some(most.saturating_sub(own(&config.data, of_operators_with(Some(most)) as u64)))
}

/// Lets requests and idle connections have what connections of callers leave of the descriptors that are `left`.
fn fit_upstream(config: &mut Config, left: u64) {
    let left = left.saturating_sub(config.data.max_connections as u64) / PER_UPSTREAM;
    let (requests, least_idle) = (config.data.max_requests, least_idle(config));
    let wanted = (requests + least_idle) as u64;
    let max_idle = match left.checked_sub(wanted) {
        Some(spare) => least_idle.saturating_add(usize::try_from(spare).unwrap_or(usize::MAX)),
        None => {
            config.data.max_requests = part(requests, left, wanted);
            part(least_idle, left, wanted)
        }
    };
    config.upstream.max_idle = max_idle.min(config.upstream.max_idle);
}

/// As many idle connections as requests in progress, each of which may leave one.
fn least_idle(config: &Config) -> usize {
    config.upstream.max_idle.min(config.data.max_requests)
}

/// Of `count` the part that `left` is of `wanted`, and at least one, if there was one.
fn part(count: usize, left: u64, wanted: u64) -> usize {
    let part = u128::from(left) * (count as u128) / u128::from(wanted.max(1));
    usize::try_from(part).unwrap_or(count).clamp(count.min(1), count)
}

/// Says that the limits of `config` were lowered.
pub fn tell(config: &Config, descriptors: Option<u64>) {
    let Data { max_connections, max_requests, .. } = config.data;
    let idle_upstream_connections = config.upstream.max_idle;
    tracing::warn!(
        descriptors,
        max_connections,
        max_requests,
        idle_upstream_connections,
        "fewer descriptors are allowed than the limits could need: the limits are lower than configured"
    );
}

/// Those of callers, and to the upstream.
fn of_all_connections(config: &Config, idle: usize) -> u64 {
    let data = &config.data;
    data.max_connections as u64 + PER_UPSTREAM * (data.max_requests + idle) as u64
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

    /// Of `callers` that use one endpoint, on two workers.
    fn config_of(callers: usize) -> Config {
        let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let overrides = vec![set("data.workers", "2"), set("audit.output", "stdout")];
        let source = Source { path: "config/minimal.toml".into(), overrides, ..Source::default() };
        let mut config = load(&source).unwrap_or_else(|faults| panic!("{faults}")).config;
        assert_eq!(config.upstream.max_idle, 2 * 8, "of one caller");
        config.upstream.max_idle = (2 * callers + 512).min(2 * callers * 8);
        config
    }

    #[test]
    fn each_connection_and_forward_counts() {
        let own = 48 + 2 * 8 + 64 + 16 + 2 * 32;
        assert_eq!(needed(&config_of(1)), own + 1024 + 2 * 512 + 2 * 16);
        assert_eq!(needed(&config_of(1000)), own + 1024 + 2 * 512 + 2 * 2512);
    }

    #[test]
    fn enough_descriptors_change_nothing() {
        for most in [None, Some(needed(&config_of(1)))] {
            let mut config = config_of(1);
            assert!(!fit(&mut config, most));
            assert_eq!(limits(&config), (1024, 512, 16));
        }
    }

    #[test]
    fn idle_connections_beyond_requests_in_progress_give_way_first() {
        for (most, idle) in [(7279, 2511), (4096, 920), (3280, 512)] {
            let mut config = config_of(1000);
            assert!(fit(&mut config, Some(most)));
            assert_eq!(limits(&config), (1024, 512, idle));
        }
    }

    #[test]
    fn a_reload_keeps_the_connections_and_shares_out_the_rest() {
        let running = config_of(1);
        for (callers, most, lowered, limits_then) in [
            (1, 2288, false, (1024, 512, 16)),
            (1000, 2400, true, (1024, 292, 292)),
            (1000, 4096, true, (1024, 512, 920)),
        ] {
            let mut config = config_of(callers);
            assert_eq!(fit_after(&running, &mut config, Some(most)), lowered, "{most}");
            assert_eq!(limits(&config), limits_then);
        }
    }

    #[test]
    fn idle_connections_are_never_more_than_could_be() {
        let mut config = config_of(1);
        (config.data.max_connections, config.data.max_requests) = (100, 50);
        // Operators have fewer connections here, so that there is enough for all others.
        assert!(!fit(&mut config, Some(439)));
        assert_eq!(limits(&config), (100, 50, 16));
    }

    #[test]
    fn few_descriptors_are_shared_out_in_proportion() {
        for (callers, most, shared, ops) in [
            (1000, 2048, (613, 306, 306), 64),
            (1, 2048, (905, 452, 14), 64),
            (1, 256, (47, 23, 1), 16),
            (1, 64, (1, 1, 1), 4),
        ] {
            let mut config = config_of(callers);
            assert!(fit(&mut config, Some(most)));
            assert_eq!(of_operators_with(Some(most)), ops);
            assert_eq!(limits(&config), shared);
        }
    }
}
