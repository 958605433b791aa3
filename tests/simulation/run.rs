//! What happens in one run, from its seed?

use std::time::Duration;

use turmoil::{Builder, Sim};

use crate::caller::Caller;
use crate::dcams::{Dcams, Mood};
use crate::flaw::Flaw;
use crate::machine::Machine;
use crate::operator::Order;
use crate::random::Random;
use crate::rules::Rules;
use crate::schedule::{Event, Schedule};
use crate::witness::{Stop, Witness};
use crate::{CALLERS, GATEWAY, UPSTREAM, name_of};
use crate::{invariants, links};

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
    stopping: Option<Stopping>,
    version: u64,
}

/// A stop that is under way.
struct Stopping {
    begun_ms: u64,
    /// From when on requests are refused.
    refusing_ms: u64,
    until_ms: u64,
    starts_again: bool,
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
            stopping: None,
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
            self.look_at_stop();
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
        self.end();
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
        self.end();
    }

    fn heal(&mut self) {
        links::heal(&mut self.sim);
        self.machine.disk().set_sick(false);
        self.machine.hurry();
        let version = self.version;
        self.dcams.set_mood(|mood| {
            *mood = Mood { accepted: (version, version), faults: 0, rejections: 0, slowest_ms: 8 };
        });
        self.machine.write_pair(version);
        if let Some(stopping) = self.stopping.take() {
            self.stopped(&stopping, true);
        }
        self.machine.order(Order::Install(Box::new(Rules::open(&mut self.random))));
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
            Event::Link(link, trouble) => links::trouble(&mut self.sim, &self.witness, link, trouble),
            Event::CrashGateway { power_fails } if self.gateway_runs => self.crash(power_fails),
            Event::StartGateway => match &mut self.stopping {
                Some(stopping) => stopping.starts_again = true,
                None => self.start(),
            },
            Event::Stop if self.gateway_runs && self.stopping.is_none() => self.begin_stop(),
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
                self.put_in_place(version);
            }
            Event::Reload => {
                let next = self.machine.rules().changed(&mut self.random);
                self.machine.order(Order::Install(Box::new(next)));
            }
            Event::FaultyReload => self.machine.order(Order::Fail),
            _ => {}
        }
    }

    /// The account has a new password. `first_here`: the gateway's file has it before DCAMS accepts it.
    fn rotate(&mut self, first_here: bool, overlap: bool) {
        self.version += 1;
        let version = self.version;
        self.witness.tell("new password", format_args!("{version} {first_here} {overlap}"));
        if first_here {
            self.put_in_place(version);
        } else {
            let first = if overlap { version - 1 } else { version };
            self.dcams.set_mood(|mood| mood.accepted = (first, version));
        }
    }

    /// The gateway learns of new files, or reads them only when their credentials are rejected.
    fn put_in_place(&mut self, version: u64) {
        self.machine.write_pair(version);
        if self.random.below(2) == 0 {
            self.machine.order(Order::Reread);
        }
    }

    fn crash(&mut self, power_fails: bool) {
        self.witness
            .tell(if power_fails { "power fails" } else { "gateway crashes" }, self.machine.in_progress());
        let now_ms = self.witness.now_ms();
        let mut facts = self.witness.facts();
        facts.crashes_ms.push(now_ms);
        if let Some(Stopping { begun_ms, .. }) = self.stopping.take() {
            facts.stops.push(Stop { begun_ms, ended_ms: now_ms, cut: true });
        }
        drop(facts);
        self.gateway_runs = false;
        let silent = power_fails && self.random.below(2) == 0;
        self.same_latency();
        let (sim, machine) = (&mut self.sim, &self.machine);
        let crash = |sim: &mut Sim<'_>| machine.crash(power_fails, || sim.crash(GATEWAY));
        // A machine without power says good-bye to nobody.
        if silent { links::in_silence(sim, crash) } else { crash(sim) }
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

    fn begin_stop(&mut self) {
        let Some((grace_ms, timeout_ms)) = self.machine.stop() else { return };
        self.witness.tell("stop", self.machine.in_progress());
        let begun_ms = self.witness.now_ms();
        let (refusing_ms, until_ms) = (begun_ms + grace_ms, begun_ms + timeout_ms);
        self.stopping = Some(Stopping { begun_ms, refusing_ms, until_ms, starts_again: false });
    }

    fn look_at_stop(&mut self) {
        let now_ms = self.witness.now_ms();
        let Some(stopping) = &self.stopping else { return };
        if now_ms >= stopping.refusing_ms {
            self.machine.refuse();
        }
        let whole = self.machine.is_done();
        if (whole || now_ms >= stopping.until_ms)
            && let Some(stopping) = self.stopping.take()
        {
            self.stopped(&stopping, !whole);
            if stopping.starts_again {
                self.start();
            }
        }
    }

    fn stopped(&mut self, stopping: &Stopping, cut: bool) {
        let (begun_ms, ended_ms) = (stopping.begun_ms, self.witness.now_ms());
        let mut facts = self.witness.facts();
        facts.tell(if cut { "stop cut short" } else { "stop done" }, ended_ms - begun_ms);
        facts.stops.push(Stop { begun_ms, ended_ms, cut });
        drop(facts);
        self.end();
    }

    /// The gateway's process ends in order.
    fn end(&mut self) {
        if std::mem::replace(&mut self.gateway_runs, false) {
            let left = self.machine.in_progress();
            self.witness.tell("gateway ends", left);
            self.same_latency();
            let sim = &mut self.sim;
            self.machine.end(|| sim.crash(GATEWAY));
        }
    }
}
