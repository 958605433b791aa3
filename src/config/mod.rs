//! What does the operator want, and is it consistent?
//!
//! | step | file | makes |
//! |---|---|---|
//! | the TOML, with the place of each value | `tree` | `Node` |
//! | environment and command line over it | `environment` | `Node` |
//! | each key by its type, limits and default | `written`, `reader` | `Root` |
//! | names, files, schemas and rules across keys | `resolve` | [`Config`] |
//! | the secrets that it refers to | `secrets`, `secret_source` | [`Secrets`] |
//!
//! Every step reports all faults that it finds to `findings`, and none stops at the first.

mod addresses;
mod canonical;
mod collections;
mod effective;
mod environment;
mod faults;
mod findings;
mod fixed;
mod json_place;
mod json_schema;
mod load;
mod model;
mod names;
mod reader;
mod references;
mod resolve;
mod secret_source;
mod secrets;
mod shown;
mod text;
mod tree;
mod units;
mod written;

pub use effective::effective;
pub use environment::process_overrides;
pub use faults::{Fault, Faults, Severity};
pub use fixed::{FixedKeys, judge_fixed};
pub use json_schema::json_schema;
pub use load::{Loaded, Source, load, load_with_secrets, load_with_secrets_under};
pub use model::*;
pub use secret_source::{LARGEST_BYTES as LARGEST_SECRET_BYTES, SecretFault};
pub use secrets::{Pair, SecretUses, Secrets, read_secrets};
