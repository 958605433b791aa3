//! Is anything lost when the gateway is stopped or restarted under load?
//!
//! | variable | CI | |
//! |---|---|---|
//! | `DRAIN_REQUESTS` | 500 | requests in flight at SIGTERM |
//! | `DRAIN_RESTARTS` | 3 | restarts of one port, and of one passed socket |

mod activation;
mod callers;
mod http1;
mod http2;
mod judged;
mod restarts;
mod scene;
