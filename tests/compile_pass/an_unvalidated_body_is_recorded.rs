//! A body that was not validated cannot go on towards the upstream.
use dcams_gateway::reject::Reject;
use dcams_gateway::stage::Stage;
use dcams_gateway::stages::{Inject, Permitted, Record, Sealed, Validated};

fn towards_the_upstream(record: &Record, inject: &Inject, body: Validated) -> Result<Sealed, Reject> {
    inject.advance(record.advance(body)?)
}

fn main() {
    let _ = (towards_the_upstream, size_of::<Permitted>(), size_of::<Validated>());
}
