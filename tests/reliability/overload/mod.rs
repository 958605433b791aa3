//! What becomes of callers, neighbours and memory when more comes than can be served?
//!
//! | variable | CI | `make experiments` | what |
//! |---|---|---|---|
//! | `OVERLOAD_REQUESTS` | 4 | 16 | requests at once that make the capacity |
//! | `OVERLOAD_SECONDS` | 2 | 10 | of each load |
//! | `OVERLOAD_ROUNDS` | 2 | 20 | of the neighbour, each with and without |
//! | `OVERLOAD_UPLOADS` | 200 | 200 | of 20 MiB, in parallel |
//! | `OVERLOAD_STRICT` | 0 | 1 | gateway and load on a core each, and the figures of the issue are asserted |

mod cgroup;
mod goodput;
mod load;
mod memory;
mod neighbour;
mod shedding;
mod writes;

use std::process::{Command, Stdio};

use crate::harness::Gateway;
use crate::number_of;

fn count(variable: &str, otherwise: u64) -> usize {
    usize::try_from(number_of(variable).unwrap_or(otherwise)).unwrap()
}

fn is_strict() -> bool {
    number_of("OVERLOAD_STRICT").is_some_and(|strict| strict > 0)
}

/// Puts the gateway on the first core, and this process with its load and the double on the second.
fn pin(gateway: &Gateway) {
    for (core, process) in [("0", gateway.pid()), ("1", std::process::id())] {
        let pinned = Command::new("taskset")
            .args(["-a", "-c", "-p", core, &process.to_string()])
            .stdout(Stdio::null())
            .status();
        assert!(pinned.unwrap().success());
    }
}
