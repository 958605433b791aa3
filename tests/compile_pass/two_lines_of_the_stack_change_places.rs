//! No two neighbouring lines of the stack can change places.
#![allow(dead_code)]

use std::convert::Infallible;

use bytes::Bytes;
use dcams_gateway::arrival::Arrival;
use dcams_gateway::stage::StageLayer;
use dcams_gateway::stages::{
    Admit, AuditLayer, Authorize, Forward, Identify, Inject, Parse, ReceiveLayer, RecordLayer,
    RespondLayer, Route, Validate,
};
use http_body_util::Full;
use tower::layer::util::Stack;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::{Service, ServiceBuilder};

/// The lines of `stack_on`, top to bottom; tower's own two as one.
#[derive(Clone)]
struct Lines {
    respond: RespondLayer,
    audit: AuditLayer,
    shed: Shed,
    identify: StageLayer<Identify>,
    route: StageLayer<Route>,
    admit: StageLayer<Admit>,
    receive: ReceiveLayer,
    parse: StageLayer<Parse>,
    authorize: StageLayer<Authorize>,
    validate: StageLayer<Validate>,
    record: RecordLayer,
    inject: StageLayer<Inject>,
}

type Shed = Stack<GlobalConcurrencyLimitLayer, LoadShedLayer>;

/// What the server needs.
fn is_a_stack(_: impl Service<Arrival<Full<Bytes>>, Error = Infallible>) {}

macro_rules! case {
    ($name:ident: [$($above:ident)*] $first:ident $second:ident [$($below:ident)*]) => {
        fn $name(lines: Lines, end: Forward) {
            is_a_stack(
                ServiceBuilder::new()
                    $(.layer(lines.$above))*
                    .layer(lines.$first).layer(lines.$second)
                    $(.layer(lines.$below))*
                    .service(end),
            );
        }
    };
}

case!(audit_above_respond: [] respond audit [shed identify route admit receive parse authorize validate record inject]);
case!(shed_above_audit: [respond] audit shed [identify route admit receive parse authorize validate record inject]);
case!(identify_above_shed: [respond audit] shed identify [route admit receive parse authorize validate record inject]);
case!(route_above_identify: [respond audit shed] identify route [admit receive parse authorize validate record inject]);
case!(admit_above_route: [respond audit shed identify] route admit [receive parse authorize validate record inject]);
case!(receive_above_admit: [respond audit shed identify route] admit receive [parse authorize validate record inject]);
case!(parse_above_receive: [respond audit shed identify route admit] receive parse [authorize validate record inject]);
case!(authorize_above_parse: [respond audit shed identify route admit receive] parse authorize [validate record inject]);
case!(validate_above_authorize: [respond audit shed identify route admit receive parse] authorize validate [record inject]);
case!(record_above_validate: [respond audit shed identify route admit receive parse authorize] validate record [inject]);
case!(inject_above_record: [respond audit shed identify route admit receive parse authorize validate] record inject []);

fn main() {}
