//! Which faults of a gateway can be planted, to see that the simulation finds them?

/// A planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The disk says that lines are durable before they are.
    DurableTooEarly,
    /// Whatever is sent to the upstream is sent on a second connection too.
    SendsTwice,
    /// A user of one version and the password of another are read together.
    MixesCredentials,
    /// A gateway that starts again forgets the intents that it left open.
    ForgetsIntents,
}
