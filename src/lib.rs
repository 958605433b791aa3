//! dcams-gateway: a sidecar between internal services and the DCAMS storage API.
#![forbid(unsafe_code)]

pub mod arrival;
pub mod audit;
pub mod budget;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod gateway;
pub mod ids;
pub mod json;
pub mod limits;
pub mod metrics;
pub mod openapi;
pub mod ops;
pub mod reject;
pub mod schema;
pub mod secret;
pub mod server;
pub mod simulate;
pub mod splice;
pub mod stack;
pub mod stage;
pub mod stages;
pub mod tls;
pub mod track;
pub mod upstream;
