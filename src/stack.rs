//! Which steps does a request take, in which order?

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::{Service, ServiceBuilder};

use crate::arrival::Arrival;
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::reject::Reject;
use crate::revocation::Revocation;
use crate::stage::StageLayer;
use crate::stages::{Answer, Forward, Reply, RespondLayer, Sealed};
use crate::upstream::Client;

/// The whole stack for the requests of one generation, top to bottom. Each typed line takes what the line above it makes, so none of
/// them can be left out or moved; the two of tower's own keep the type, and a test pins their place.
pub fn stack<B>(
    gateway: &Arc<Gateway>,
    generation: &Arc<Generation>,
    client: Arc<Client>,
) -> impl Service<Arrival<B>, Response = Response<Reply>, Error = Infallible, Future: Send> + Clone + Send + use<B>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let revocation = Revocation::new(Arc::clone(gateway), Arc::clone(generation));
    let (config, credentials) = (Arc::clone(&generation.config), Arc::clone(&generation.credentials));
    let lanes = Arc::clone(&generation.lanes);
    stack_on(generation, Forward::new(config, credentials, lanes, client, revocation))
}

/// The same stack on another end than the upstream, for tests of what lies above.
pub fn stack_on<B, End>(
    generation: &Generation,
    end: End,
) -> impl Service<Arrival<B>, Response = Response<Reply>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ use<B, End>
where
    B: Body<Data = Bytes> + Send + 'static,
    End: Service<Sealed, Response = Response<Answer>, Error = Reject, Future: Send> + Clone + Send + 'static,
{
    let stages = generation.stages.clone();
    ServiceBuilder::new()
        .layer(RespondLayer)
        .layer(stages.audit)
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&generation.lasting.requests)))
        .layer(StageLayer(stages.identify))
        .layer(StageLayer(stages.route))
        .layer(StageLayer(stages.admit))
        .layer(stages.receive)
        .layer(StageLayer(stages.parse))
        .layer(StageLayer(stages.authorize))
        .layer(StageLayer(stages.validate))
        .layer(stages.record)
        .layer(StageLayer(stages.inject))
        .service(end)
}
