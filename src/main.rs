//! The `dcams-gateway` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    dcams_gateway::cli::main()
}
