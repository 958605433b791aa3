//! Which keys take effect at the start only?

use crate::config::canonical::Canonical;
use crate::config::findings::Findings;
use crate::config::fixed::{FixedKey, FixedKeys};
use crate::config::reader::{Field, Written};
use crate::config::tree::Place;
use crate::config::written::Root;

/// What `root` says of them. `audit.chain_key` is not among them: it is taken away once the chain was begun.
pub(super) fn fixed(root: &Root, findings: &Findings) -> FixedKeys {
    let mut keys = Vec::new();
    let mut is_fixed = |key, (digest, place): ([u8; 32], Option<&Place>)| {
        keys.push(FixedKey { key, digest, origin: findings.origin(place.unwrap_or(&Place::Default)) });
    };
    is_fixed("instance", written(&root.instance));
    if let Some(data) = root.data.value() {
        is_fixed("data.listen", written(&data.listen));
        is_fixed("data.workers", written(&data.workers));
        is_fixed("data.max_connections", written(&data.max_connections));
        is_fixed("data.max_connections_per_peer", written(&data.max_connections_per_peer));
    }
    if let Some(ops) = root.ops.value() {
        is_fixed("ops.listen", written(&ops.listen));
    }
    if let Some(log) = root.log.value() {
        is_fixed("log.filter", written(&log.filter));
        is_fixed("log.format", written(&log.format));
    }
    if let Some(audit) = root.audit.value() {
        is_fixed("audit.output", written(&audit.output));
        is_fixed("audit.signing_key", written(&audit.signing_key));
        is_fixed("audit.segment_bytes", written(&audit.segment_bytes));
        is_fixed("audit.segment_age", written(&audit.segment_age));
        is_fixed("audit.checkpoint_interval", written(&audit.checkpoint_interval));
        is_fixed("audit.retain_segments", written(&audit.retain_segments));
        is_fixed("audit.retain_age", written(&audit.retain_age));
        is_fixed("audit.retain_bytes", written(&audit.retain_bytes));
        is_fixed("audit.reserve", written(&audit.reserve));
    }
    FixedKeys { list: keys.into() }
}

fn written<T: Written>(field: &Field<T>) -> ([u8; 32], Option<&Place>) {
    let mut canonical = Canonical::new();
    field.feed(&mut canonical);
    (canonical.finish(), field.at().map(|at| &at.spot.place))
}
