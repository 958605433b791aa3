//! No typed line of the stack can be left out.
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
    ($name:ident: [$($above:ident)*] $line:ident [$($below:ident)*]) => {
        fn $name(lines: Lines, end: Forward) {
            is_a_stack(
                ServiceBuilder::new()
                    $(.layer(lines.$above))*
                    // $line is left out.
                    $(.layer(lines.$below))*
                    .service(end),
            );
        }
    };
}

case!(without_respond: [] respond [audit shed identify route admit receive parse authorize validate record inject]);
case!(without_audit: [respond] audit [shed identify route admit receive parse authorize validate record inject]);
case!(without_shed: [respond audit] shed [identify route admit receive parse authorize validate record inject]);
case!(without_identify: [respond audit shed] identify [route admit receive parse authorize validate record inject]);
case!(without_route: [respond audit shed identify] route [admit receive parse authorize validate record inject]);
case!(without_admit: [respond audit shed identify route] admit [receive parse authorize validate record inject]);
case!(without_receive: [respond audit shed identify route admit] receive [parse authorize validate record inject]);
case!(without_parse: [respond audit shed identify route admit receive] parse [authorize validate record inject]);
case!(without_authorize: [respond audit shed identify route admit receive parse] authorize [validate record inject]);
case!(without_validate: [respond audit shed identify route admit receive parse authorize] validate [record inject]);
case!(without_record: [respond audit shed identify route admit receive parse authorize validate] record [inject]);
case!(without_inject: [respond audit shed identify route admit receive parse authorize validate record] inject []);

fn main() {}
