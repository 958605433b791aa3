//! Does the double do what it says, over real TCP and TLS?

mod client;
mod controls;
mod faults;
mod services;
