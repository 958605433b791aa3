//! Is anything lost when the gateway is stopped or restarted under load?
//!
//! | variable | CI | |
//! |---|---|---|
//! | `DRAIN_REQUESTS` | 500 | requests in flight at SIGTERM |

mod http1;
mod http2;
mod judged;
mod scene;
