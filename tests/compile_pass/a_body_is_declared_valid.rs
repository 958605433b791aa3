//! Nothing but the step itself says that a body is valid.
use dcams_gateway::reject::Reject;
use dcams_gateway::stages::{Permitted, Validate, Validated};

fn believe(validate: &Validate, body: Permitted) -> Result<Validated, Reject> {
    let _ = validate;
    dcams_gateway::stage::Stage::advance(validate, body)
}

fn main() {
    let _ = believe;
}
