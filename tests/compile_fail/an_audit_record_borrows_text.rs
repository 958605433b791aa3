//! An audit record cannot borrow text either, however long that lives.
use dcams_gateway::textless_record;

textless_record! {
    /// What somebody would like to write down.
    #[derive(Clone)]
    pub struct Wish {
        /// What.
        pub note: Option<&'static str>,
    }
}

fn main() {
    let _ = size_of::<Wish>();
}
