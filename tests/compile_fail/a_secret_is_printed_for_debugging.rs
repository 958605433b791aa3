//! A secret has no `Debug`.
use dcams_gateway::secret::Secret;

fn log(secret: &Secret) -> String {
    format!("{:?}", secret)
}

fn main() {
    let _ = log;
}
