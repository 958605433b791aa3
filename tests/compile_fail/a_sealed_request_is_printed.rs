//! What holds the credentials has no `Debug` either.
use dcams_gateway::stages::Sealed;

fn log(sealed: &Sealed) -> String {
    format!("{:?}", sealed)
}

fn main() {
    let _ = log;
}
