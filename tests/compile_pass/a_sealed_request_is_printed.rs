//! What holds the credentials has no `Debug` either.
use dcams_gateway::stages::Sealed;

fn log(sealed: &Sealed) -> String {
    format!("{:?}", dcams_gateway::track::Tracks::track(sealed).http1())
}

fn main() {
    let _ = log;
}
