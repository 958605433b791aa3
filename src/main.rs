//! The `dcams-gateway` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// What callers and DCAMS sent passes through buffers of hyper and rustls, which do not clear them.
#[cfg(feature = "clear-on-free")]
#[global_allocator]
static MEMORY: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    dcams_gateway::cli::main()
}
