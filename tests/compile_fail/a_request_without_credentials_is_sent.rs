//! The end of the stack takes sealed requests only: what has no credentials cannot be sent.
use std::future::Future;

use dcams_gateway::stages::{Forward, Recorded, Sealed};
use tower::Service;

fn send(forward: &mut Forward, request: Recorded) -> impl Future {
    forward.call(request)
}

fn main() {
    let _ = (send, size_of::<Recorded>(), size_of::<Sealed>());
}
