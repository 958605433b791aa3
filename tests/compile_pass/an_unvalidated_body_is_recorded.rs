//! A body that was not validated cannot go on towards the upstream.
use dcams_gateway::stage::Staged;
use dcams_gateway::stages::{Forward, Inject, Permitted, Record, Validated};
use tower::Service;

fn towards_the_upstream(mut record: Record<Staged<Inject, Forward>>, body: Validated) {
    drop(record.call(body));
}

fn main() {
    let _ = (towards_the_upstream, size_of::<Permitted>(), size_of::<Validated>());
}
