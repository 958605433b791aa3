//! A secret has no `Serialize`.
use dcams_gateway::secret::Secret;

fn write(secret: &Secret) -> serde_json::Result<String> {
    serde_json::to_string(&secret.expose().len())
}

fn main() {
    let _ = write;
}
