//! How is DCAMS spoken to, and which of its answers is believed?

mod answer;
mod breaker;
mod connect;
mod examined;
mod exchange;
mod forms;
mod head;
mod jitter;
mod lanes;
mod needles;
mod outgoing;
mod pool;
mod resolve;
mod retry;
mod shelves;
mod signs;
mod tally;
mod told;
mod waits;
mod wire;

pub use answer::{Judged, allowed_headers, judge};
pub use connect::{Connector, probe};
pub use examined::{Examined, Examining};
pub use exchange::{Answered, Client, Exchange, Unanswered};
pub use lanes::{Lanes, Pass};
pub use needles::Needles;
pub use outgoing::Outgoing;
pub use retry::{Again, Ended, Left, pause};
pub use waits::Waits;
pub use wire::{Look, Reach, Reached, Wire};
