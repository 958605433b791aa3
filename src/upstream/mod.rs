//! How is DCAMS spoken to, and which of its answers is believed?

mod answer;
mod connect;
mod exchange;
mod needles;
mod pool;

pub use answer::{Judged, judge};
pub use connect::{Connector, probe};
pub use exchange::{Client, Exchange};
pub use needles::Needles;
