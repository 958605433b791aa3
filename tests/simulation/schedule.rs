//! What happens to hosts, links and passwords, and when?

use crate::random::Random;

/// Something that happens to the world.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// Nothing gets through any more; in one direction only, where one is named.
    Partition {
        link: usize,
        one_way: Option<bool>,
    },
    Repair {
        link: usize,
    },
    /// Nothing gets through, and nothing is lost.
    Hold {
        link: usize,
    },
    Release {
        link: usize,
    },
    Latency {
        link: usize,
        ms: u64,
    },
    CrashGateway {
        power_fails: bool,
    },
    StartGateway,
    /// The gateway is told to stop.
    Drain,
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
}

/// Events in the order of their times.
pub struct Schedule(Vec<(u64, Event)>);

impl Schedule {
    /// Everything before `end_ms`. What begins ends after a while.
    pub fn new(random: &mut Random, end_ms: u64) -> Self {
        let mut events = Vec::new();
        for _ in 0..random.below(10) {
            let begin = random.below(end_ms);
            let end = begin + 1 + random.below(900);
            let (one, other) = pair(random);
            events.push((begin, one));
            if let Some(other) = other {
                events.push((end, other));
            }
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
fn pair(random: &mut Random) -> (Event, Option<Event>) {
    let link = random.index(7);
    match random.below(16) {
        0 | 1 => (Event::Partition { link, one_way: None }, Some(Event::Repair { link })),
        2 => {
            let one_way = Some(random.below(2) == 0);
            (Event::Partition { link, one_way }, Some(Event::Repair { link }))
        }
        3 => (Event::Hold { link }, Some(Event::Release { link })),
        4 => (Event::Latency { link, ms: 1 + random.below(400) }, Some(Event::Latency { link, ms: 5 })),
        5..=8 => (Event::CrashGateway { power_fails: random.below(2) == 0 }, Some(Event::StartGateway)),
        9 | 10 => (Event::Drain, Some(Event::StartGateway)),
        11 => (Event::CrashUpstream, Some(Event::StartUpstream)),
        12 => (Event::SickDisk(true), Some(Event::SickDisk(false))),
        _ => {
            let (first_here, overlap) = (random.below(3) == 0, random.below(2) == 0);
            (Event::NewPassword { first_here, overlap }, Some(Event::OldPasswordEnds))
        }
    }
}
