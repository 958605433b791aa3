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
    /// A caller is not told that the outcome of its request is unknown.
    HidesUnknown,
    /// The key of every caller is taken for the first one's.
    ConfusesCallers,
    /// What was forwarded is recorded as not sent.
    RecordsUnsent,
    /// A password that was exchanged is never read again.
    NeverRereads,
    /// A connection is not woken any more after a while.
    ForgetsConnections,
    /// A reload is done a while after it was told to be done.
    ReloadsLate,
    /// A stop does not wait for what is in progress.
    CutsStops,
}
