//! A secret has no `Display`.
use dcams_gateway::secret::Secret;

fn log(secret: &Secret) -> String {
    format!("{}", secret.expose().len())
}

fn main() {
    let _ = log;
}
