//! What becomes of the links between hosts?

use std::time::Duration;

use turmoil::Sim;

use crate::witness::Witness;
use crate::{CALLERS, GATEWAY, UPSTREAM, name_of};

/// What happens to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing gets through any more; in one direction only, where one is named.
    Partition(Option<bool>),
    Repair,
    /// Nothing gets through, and nothing is lost.
    Hold,
    Release,
    /// A message takes so many milliseconds at most; not less than 2, which it may take at least.
    Latency(u64),
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Self::Partition(_) => "partition",
            Self::Repair => "repair",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Latency(_) => "latency",
        }
    }
}

/// Lets it happen to the link of that number below 7: of two in three to the one to the upstream, else to a caller's.
pub fn trouble(sim: &mut Sim<'_>, witness: &Witness, link: usize, trouble: Trouble) {
    let caller = link.checked_sub(4).map(|caller| caller as u64);
    let (one, other) = match caller {
        Some(caller) => (name_of(caller), GATEWAY.to_owned()),
        None => (GATEWAY.to_owned(), UPSTREAM.to_owned()),
    };
    witness.tell(trouble.name(), format_args!("{one} {other} {trouble:?}"));
    witness.facts().rough.extend(caller);
    match trouble {
        Trouble::Partition(None) => sim.partition(&*one, &*other),
        Trouble::Partition(Some(true)) => sim.partition_oneway(&*one, &*other),
        Trouble::Partition(Some(false)) => sim.partition_oneway(&*other, &*one),
        Trouble::Repair => sim.repair(&*one, &*other),
        Trouble::Hold => sim.hold(&*one, &*other),
        Trouble::Release => sim.release(&*one, &*other),
        Trouble::Latency(ms) => sim.set_link_max_message_latency(&*one, &*other, Duration::from_millis(ms)),
    }
}

/// All links are well, and fast.
pub fn heal(sim: &mut Sim<'_>) {
    let callers = (0..CALLERS).map(|caller| (name_of(caller), GATEWAY.to_owned()));
    for (one, other) in callers.chain([(GATEWAY.to_owned(), UPSTREAM.to_owned())]) {
        sim.repair(&*one, &*other);
        sim.release(&*one, &*other);
        sim.set_link_latency(&*one, &*other, Duration::from_millis(1));
    }
}

/// Everybody else is out of the gateway's reach while `act` happens to it.
pub fn in_silence(sim: &mut Sim<'_>, act: impl FnOnce(&mut Sim<'_>)) {
    let others: Vec<_> = (0..CALLERS).map(name_of).chain([UPSTREAM.to_owned()]).collect();
    others.iter().for_each(|other| sim.partition(GATEWAY, &**other));
    act(sim);
    others.iter().for_each(|other| sim.repair(GATEWAY, &**other));
}
