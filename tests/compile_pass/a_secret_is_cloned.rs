//! A secret has no `Clone`: a copy would have to be zeroised too.
use dcams_gateway::secret::Secret;

fn copy(secret: &Secret) -> Secret {
    Secret::new(secret.expose().to_vec())
}

fn main() {
    let _ = copy;
}
