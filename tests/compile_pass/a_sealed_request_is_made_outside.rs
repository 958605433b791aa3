//! Only the step that puts the credentials in makes a sealed request.
use dcams_gateway::stages::Sealed;

fn seal(sealed: Sealed) -> Sealed {
    sealed
}

fn main() {
    let _ = seal;
}
