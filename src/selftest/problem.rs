//! Why did the self test not come to a verdict?

use std::io;

use super::scanner::Unfit;
use crate::config::Faults;

/// What stopped the self test. None of its texts holds a canary or a secret.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The configuration is faulty.
    #[error("the configuration is faulty")]
    Configuration(Faults),
    /// A sample that the operator gave is of no use.
    #[error("the sample of {service} {what}")]
    Sample {
        /// The service as it was named.
        service: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The system has no random bytes.
    #[error("the system has no random bytes")]
    Random,
    /// A file or a socket.
    #[error("input or output failed: {0}")]
    Io(#[from] io::Error),
    /// The double of DCAMS.
    #[error("the double of DCAMS did not start")]
    Double,
    /// The gateway ended, or said nothing, before it served.
    #[error("the gateway under test did not start (in {act}):\n{said}")]
    Start {
        /// In which part.
        act: &'static str,
        /// The end of what it said on standard error, which names keys of the configuration.
        said: String,
    },
    /// Something did not come about in time.
    #[error("waited in vain for {0}")]
    Patience(&'static str),
    /// The operator stopped it.
    #[error("interrupted; there is no verdict")]
    Interrupted,
    /// A bug of the self test itself.
    #[error("the search could not be set up: {0}")]
    Search(#[from] Unfit),
}
