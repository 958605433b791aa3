//! How is DCAMS spoken to, and which of its answers is believed?

mod answer;
mod connect;
mod exchange;
mod needles;
mod pool;
mod resolve;
mod wire;

pub use answer::{Judged, allowed_headers, judge};
pub use connect::{Connector, probe};
pub use exchange::{Answered, Client, Exchange, Outgoing};
pub use needles::Needles;
pub use wire::{Look, Reach, Reached, Wire};
