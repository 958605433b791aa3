//! What does the operator want, and is it consistent?

mod model;

pub use model::*;
