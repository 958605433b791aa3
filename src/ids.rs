//! By which numbers does a request name what the configuration defines?

/// Index of a caller in [`Config::callers`](crate::config::Config::callers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerId(pub u16);

/// Index of a service in [`Config::services`](crate::config::Config::services).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId(pub u16);

/// Index of a credential pair in [`Config::credentials`](crate::config::Config::credentials).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CredentialId(pub u16);

/// Index of an endpoint in [`Config::endpoints`](crate::config::Config::endpoints).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u16);
