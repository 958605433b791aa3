//! dcams-gateway: a sidecar between internal services and the DCAMS storage API.
#![forbid(unsafe_code)]

pub mod config;
pub mod ids;
pub mod json;
pub mod schema;
pub mod secret;
pub mod simulate;
