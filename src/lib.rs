//! dcams-gateway: a sidecar between internal services and the DCAMS storage API.
//!
//! Callers send DCAMS's own JSON without `user` and `pass`; the gateway checks it, adds them, forwards, and
//! leaves one redacted record. What flows:
//!
//! | from | through | to |
//! |---|---|---|
//! | a socket | [`server`] | [`arrival::Arrival`] |
//! | an arrival | [`stack`]: the steps of [`stages`], top to bottom | a response |
//! | a body | [`json`] (strict), [`schema`] (valid) | [`splice`]: the credentials in front |
//! | a sealed request | [`upstream`] | an answer that is believed |
//! | every request, at its end | [`track`] | [`audit`]: one line |
//!
//! Read [`stack`] next, then one of [`stages`].
#![forbid(unsafe_code)]

pub mod arrival;
pub mod arriving;
pub mod audit;
pub mod budget;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod digest;
pub mod gateway;
pub mod generation;
pub mod ids;
pub mod json;
pub mod limits;
pub mod metrics;
pub mod openapi;
pub mod ops;
pub mod pages;
pub mod quotas;
pub mod reject;
pub mod reload;
pub mod revocation;
pub mod schema;
pub mod secret;
pub mod selftest;
pub mod server;
pub mod simulate;
pub mod spares;
pub mod splice;
pub mod stack;
pub mod stage;
pub mod stages;
pub mod stragglers;
pub mod tls;
pub mod track;
mod turns;
pub mod upstream;
pub mod wiped;
