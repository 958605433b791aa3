//! What happens in one run, from its seed?

use std::time::Duration;

use turmoil::{Builder, Sim};

use crate::caller::Caller;
use crate::dcams::{Dcams, Mood};
use crate::flaw::Flaw;
use crate::invariants;
use crate::machine::Machine;
use crate::random::Random;
use crate::schedule::{Event, Schedule};
use crate::witness::Witness;
use crate::{CALLERS, GATEWAY, UPSTREAM};

/// Until when all are back to what they should be, milliseconds.
const CHAOS_MS: u64 = 4_000;
/// How long the last requests in progress may take.
const PATIENCE_MS: u64 = 5_000;

/// A run that has ended.
pub struct Ran {
    pub witness: Witness,
    /// Which invariants do not hold, and for whom.
    pub broken: Vec<String>,
}

impl Ran {
    /// Runs `seed`, with a planted fault or without.
    pub fn of(seed: u64, flaw: Option<Flaw>) -> Self {
        let mut world = World::new(seed, flaw);
        world.chaos();
        world.calm();
        let World { witness, machine, .. } = world;
        let broken = invariants::broken(&witness.facts(), &machine);
        Self { witness, broken }
    }
}

/// The hosts, the links between them, and what will happen to them.
struct World {
    sim: Sim<'static>,
    witness: Witness,
    machine: Machine,
    dcams: Dcams,
    random: Random,
    schedule: Schedule,
    gateway_runs: bool,
    upstream_runs: bool,
    /// Until when a drain may take, while there is one.
    draining: Option<u64>,
    version: u64,
}

impl World {
    fn new(seed: u64, flaw: Option<Flaw>) -> Self {
        let mut random = Random::new(seed);
        let witness = Witness::default();
        let mood = Mood {
            accepted: (1, 1),
            faults: random.below(4) * random.below(100),
            rejections: random.below(2) * random.below(60),
            slowest_ms: 8 + random.below(900),
        };
        let dcams = Dcams::new(witness.clone(), Random::new(random.next()), mood);
        let machine = Machine::new(witness.clone(), Random::new(random.next()), flaw);
        let mut sim = Builder::new()
            .rng_seed(random.next())
            .enable_random_order()
            .tick_duration(Duration::from_millis(1))
            .simulation_duration(Duration::from_secs(60))
            .min_message_latency(Duration::from_millis(0))
            .max_message_latency(Duration::from_millis(1 + random.below(30)))
            .build();
        let (upstream, gateway) = (dcams.clone(), machine.clone());
        sim.host(UPSTREAM, move || upstream.clone().run());
        sim.host(GATEWAY, move || gateway.clone().run());
        for number in 0..CALLERS {
            let caller = Caller {
                number,
                witness: witness.clone(),
                random: Random::new(random.next()),
                requests: 5 + random.below(25),
                pause_ms: random.below(250),
                whims: random.below(300),
            };
            sim.client(name_of(number), caller.run());
        }
        let schedule = Schedule::new(&mut random, CHAOS_MS);
        Self {
            sim,
            witness,
            machine,
            dcams,
            random,
            schedule,
            gateway_runs: true,
            upstream_runs: true,
            draining: None,
            version: 1,
        }
    }

    /// Everything that the schedule holds, while the callers call.
    fn chaos(&mut self) {
        while self.witness.now_ms() < CHAOS_MS {
            self.step();
            let now_ms = self.witness.now_ms();
            for event in self.schedule.due(now_ms) {
                self.apply(event);
            }
            self.look_at_drain();
        }
    }

    /// All links and hosts are well again, and what is in progress comes to its end.
    fn calm(&mut self) {
        self.heal();
        let until = self.witness.now_ms() + PATIENCE_MS;
        while !self.step() && self.witness.now_ms() < until {}
        while self.machine.in_progress() > 0 && self.witness.now_ms() < until {
            self.step();
        }
        let left = self.machine.in_progress();
        if left > 0 {
            self.witness.tell("stuck", left);
        }
        self.stop();
        // A gateway that starts again closes what the ones before it left open, and serves.
        self.start();
        let probe = Caller {
            number: CALLERS,
            witness: self.witness.clone(),
            random: Random::new(0),
            requests: 0,
            pause_ms: 1,
            whims: 0,
        };
        self.sim.client("probe", probe.probe());
        while !self.step() && self.witness.now_ms() < until + PATIENCE_MS {}
        self.stop();
    }

    fn heal(&mut self) {
        for (one, other) in links() {
            self.sim.repair(&*one, &*other);
            self.sim.release(&*one, &*other);
            self.sim.set_link_latency(&*one, &*other, Duration::from_millis(1));
        }
        self.machine.disk().set_sick(false);
        self.machine.hurry();
        let version = self.version;
        self.dcams.set_mood(|mood| {
            *mood = Mood { accepted: (version, version), faults: 0, rejections: 0, slowest_ms: 8 };
        });
        self.machine.write_pair(version);
        if self.draining.take().is_some() {
            self.stop();
        }
        self.start();
        if !std::mem::replace(&mut self.upstream_runs, true) {
            self.sim.bounce(UPSTREAM);
        }
    }

    /// One millisecond. Whether all callers are done.
    fn step(&mut self) -> bool {
        let done = self.sim.step().unwrap_or_else(|error| panic!("a host failed: {error}"));
        self.witness.facts().now_ms = u64::try_from(self.sim.elapsed().as_millis()).unwrap();
        done
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Partition { link, one_way } => self.on_link(link, one_way, "partition"),
            Event::Repair { link } => self.on_link(link, None, "repair"),
            Event::Hold { link } => self.on_link(link, None, "hold"),
            Event::Release { link } => self.on_link(link, None, "release"),
            Event::Latency { link, ms } => {
                let (one, other) = link_of(link);
                self.witness.tell("latency", format_args!("{one} {other} {ms}"));
                self.sim.set_link_max_message_latency(&*one, &*other, Duration::from_millis(ms));
            }
            Event::CrashGateway { power_fails } if self.gateway_runs => self.crash(power_fails),
            Event::StartGateway => self.start(),
            Event::Drain if self.gateway_runs && self.draining.is_none() => {
                self.witness.tell("drain", self.machine.in_progress());
                self.machine.drain();
                self.draining = Some(self.witness.now_ms() + 1_000);
            }
            Event::CrashUpstream if self.upstream_runs => {
                self.witness.tell("upstream crashes", "");
                self.upstream_runs = false;
                self.sim.crash(UPSTREAM);
            }
            Event::StartUpstream if !self.upstream_runs => {
                self.upstream_runs = true;
                self.sim.bounce(UPSTREAM);
            }
            Event::SickDisk(sick) => self.machine.disk().set_sick(sick),
            Event::NewPassword { first_here, overlap } => self.rotate(first_here, overlap),
            Event::OldPasswordEnds => {
                let version = self.version;
                self.dcams.set_mood(|mood| mood.accepted = (version, version));
                self.witness.tell("old password ends", version - 1);
                self.machine.write_pair(version);
            }
            _ => {}
        }
    }

    /// The account has a new password. `first_here`: the gateway's file has it before DCAMS accepts it.
    fn rotate(&mut self, first_here: bool, overlap: bool) {
        self.version += 1;
        let version = self.version;
        self.witness.tell("new password", format_args!("{version} {first_here} {overlap}"));
        if first_here {
            self.machine.write_pair(version);
        } else {
            let first = if overlap { version - 1 } else { version };
            self.dcams.set_mood(|mood| mood.accepted = (first, version));
        }
    }

    fn on_link(&mut self, link: usize, one_way: Option<bool>, what: &'static str) {
        let (one, other) = link_of(link);
        self.witness.tell(what, format_args!("{one} {other} {one_way:?}"));
        match (what, one_way) {
            ("partition", None) => self.sim.partition(&*one, &*other),
            ("partition", Some(true)) => self.sim.partition_oneway(&*one, &*other),
            ("partition", Some(false)) => self.sim.partition_oneway(&*other, &*one),
            ("repair", _) => self.sim.repair(&*one, &*other),
            ("hold", _) => self.sim.hold(&*one, &*other),
            _ => self.sim.release(&*one, &*other),
        }
    }

    fn crash(&mut self, power_fails: bool) {
        self.witness
            .tell(if power_fails { "power fails" } else { "gateway crashes" }, self.machine.in_progress());
        self.draining = None;
        self.gateway_runs = false;
        let now_ms = self.witness.now_ms();
        self.witness.facts().crashes_ms.push(now_ms);
        let silent = power_fails && self.random.below(2) == 0;
        let others: Vec<_> = (0..CALLERS).map(name_of).chain([UPSTREAM.to_owned()]).collect();
        if silent {
            // A machine without power says good-bye to nobody.
            others.iter().for_each(|other| self.sim.partition(GATEWAY, &**other));
        }
        self.same_latency();
        let sim = &mut self.sim;
        self.machine.crash(power_fails, || sim.crash(GATEWAY));
        if silent {
            others.iter().for_each(|other| self.sim.repair(GATEWAY, &**other));
        }
    }

    /// The connections to the upstream are closed in no order that the seed decides: it must make no difference.
    fn same_latency(&mut self) {
        self.sim.set_link_latency(GATEWAY, UPSTREAM, Duration::from_millis(2));
    }

    fn start(&mut self) {
        if !std::mem::replace(&mut self.gateway_runs, true) {
            self.machine.disk().power();
            self.sim.bounce(GATEWAY);
            self.witness.tell("gateway starts", "");
        }
    }

    fn look_at_drain(&mut self) {
        let Some(until) = self.draining else { return };
        if self.machine.in_progress() == 0 || self.witness.now_ms() >= until {
            self.draining = None;
            self.stop();
        }
    }

    /// The gateway's process ends in order.
    fn stop(&mut self) {
        if std::mem::replace(&mut self.gateway_runs, false) {
            let left = self.machine.in_progress();
            self.witness.tell("gateway stops", left);
            self.same_latency();
            let sim = &mut self.sim;
            self.machine.stop(|| sim.crash(GATEWAY));
        }
    }
}

fn name_of(caller: u64) -> String {
    format!("caller-{caller}")
}

/// Every link that may fail.
fn links() -> impl Iterator<Item = (String, String)> {
    let callers = (0..CALLERS).map(|caller| (name_of(caller), GATEWAY.to_owned()));
    std::iter::once((GATEWAY.to_owned(), UPSTREAM.to_owned())).chain(callers)
}

/// Mostly the one to the upstream.
fn link_of(number: usize) -> (String, String) {
    let links: Vec<_> = links().collect();
    links[number.saturating_sub(3).min(links.len() - 1)].clone()
}
