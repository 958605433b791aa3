//! A secret has no `Clone`: a copy would have to be zeroised too.
use dcams_gateway::secret::Secret;

fn copy(secret: &Secret) -> Secret {
    Secret::clone(secret)
}

fn main() {
    let _ = copy;
}
