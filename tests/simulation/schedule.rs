//! What happens to hosts, links, passwords and configurations, and when?

use crate::links::Trouble;
use crate::random::Random;

/// Something that happens to the world.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    Link(usize, Trouble),
    CrashGateway {
        power_fails: bool,
    },
    /// When a stop is under way: as soon as it is done.
    StartGateway,
    /// The gateway is told to stop.
    Stop,
    CrashUpstream,
    StartUpstream,
    SickDisk(bool),
    /// In the gateway's file first, or else at DCAMS, where the old one may still be accepted.
    NewPassword {
        first_here: bool,
        overlap: bool,
    },
    /// DCAMS accepts the new password alone, which is in the gateway's file at last.
    OldPasswordEnds,
    /// The configuration changes, and is read again.
    Reload,
    /// It changes into one that cannot come into force.
    FaultyReload,
}

/// Events in the order of their times.
pub struct Schedule(Vec<(u64, Event)>);

impl Schedule {
    /// Everything before `end_ms`. What begins ends after a while.
    pub fn new(random: &mut Random, end_ms: u64) -> Self {
        let mut events = Vec::new();
        for _ in 0..random.below(13) {
            let begin = random.below(end_ms);
            let end = begin + 1 + random.below(900);
            let (one, other) = pair(random);
            events.push((begin, one));
            events.push((end, other));
        }
        // Later ones are taken first.
        events.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        Self(events)
    }

    /// Those that are due.
    pub fn due(&mut self, now_ms: u64) -> Vec<Event> {
        let mut due = Vec::new();
        while let Some((_, event)) = self.0.pop_if(|(at, _)| *at <= now_ms) {
            due.push(event);
        }
        due
    }
}

/// What begins, and what ends it.
fn pair(random: &mut Random) -> (Event, Event) {
    let link = random.index(7);
    let on_link = |one, other| (Event::Link(link, one), Event::Link(link, other));
    match random.below(20) {
        0 | 1 => on_link(Trouble::Partition(None), Trouble::Repair),
        2 => on_link(Trouble::Partition(Some(random.below(2) == 0)), Trouble::Repair),
        3 => on_link(Trouble::Hold, Trouble::Release),
        4 => on_link(Trouble::Latency(2 + random.below(400)), Trouble::Latency(5)),
        5..=7 => (Event::CrashGateway { power_fails: random.below(2) == 0 }, Event::StartGateway),
        8..=10 => (Event::Stop, Event::StartGateway),
        11 => (Event::CrashUpstream, Event::StartUpstream),
        12 => (Event::SickDisk(true), Event::SickDisk(false)),
        13..=15 => {
            let (first_here, overlap) = (random.below(3) == 0, random.below(2) == 0);
            (Event::NewPassword { first_here, overlap }, Event::OldPasswordEnds)
        }
        16 => (Event::FaultyReload, Event::Reload),
        _ => (Event::Reload, Event::Reload),
    }
}
