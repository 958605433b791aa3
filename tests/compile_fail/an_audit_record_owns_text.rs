//! An audit record cannot own text: a name or a message of a request would reach the audit.
use dcams_gateway::textless_record;

textless_record! {
    /// What somebody would like to write down.
    #[derive(Clone)]
    pub struct Wish {
        /// When.
        pub at: std::time::SystemTime,
        /// What.
        pub note: String,
    }
}

fn main() {
    let _ = size_of::<Wish>();
}
