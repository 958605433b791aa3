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
use crate::reject::Reject;
use crate::stage::StageLayer;
use crate::stages::{Answer, Forward, Reply, RespondLayer, Sealed};
use crate::upstream::Client;

/// The whole stack, top to bottom. Each typed line takes what the line above it makes, so none of
/// them can be left out or moved; the two of tower's own keep the type, and a test pins their place.
pub fn stack<B>(
    gateway: &Gateway,
    client: Arc<Client>,
) -> impl Service<Arrival<B>, Response = Response<Reply>, Error = Infallible, Future: Send> + Clone + Send + use<B>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let (config, credentials) = (Arc::clone(&gateway.config), Arc::clone(&gateway.credentials));
    let forward = Forward::new(config, credentials, Arc::clone(&gateway.lanes), client);
    stack_on(gateway, forward)
}

/// The same stack on another end than the upstream, for tests of what lies above.
pub fn stack_on<B, End>(
    gateway: &Gateway,
    end: End,
) -> impl Service<Arrival<B>, Response = Response<Reply>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ use<B, End>
where
    B: Body<Data = Bytes> + Send + 'static,
    End: Service<Sealed, Response = Response<Answer>, Error = Reject, Future: Send> + Clone + Send + 'static,
{
    let stages = gateway.stages.clone();
    ServiceBuilder::new()
        .layer(RespondLayer)
        .layer(stages.audit)
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&gateway.requests)))
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
