//! What does the gateway's configuration say, and which one was in force when?

use dcams_gateway::stages::key_hash;

use crate::flaw::Flaw;
use crate::random::Random;
use crate::witness::Facts;
use crate::{CALLERS, name_of};

const TEMPLATE: &str = include_str!("gateway.toml");
/// What a caller may ask for: all of it, or less.
const SERVICES: [&[&str]; 4] = [
    &["createOrUpdateCustomer", "getStatus", "updateStatus"],
    &["getStatus", "updateStatus"],
    &["createOrUpdateCustomer", "getStatus"],
    &["getStatus"],
];
/// What makes one gateway patient and another one not: places in the template, and what may stand there.
const LIMITS: [(&str, &[&str]); 6] = [
    ("@MAX-REQUESTS@", &["2", "6", "100"]),
    ("@ATTEMPTS@", &["1", "3", "5"]),
    ("@BUDGET@", &["0%", "20%", "100%"]),
    ("@BUDGET-MIN@", &["0", "1", "100"]),
    ("@FAILURES@", &["0", "3", "10"]),
    ("@SLOW@", &["100ms", "400ms"]),
];

/// One configuration.
#[derive(Clone, Debug)]
pub struct Rules {
    /// By the number of the caller.
    callers: [Rule; CALLERS as usize],
    /// In which they stand in the file.
    order: [usize; CALLERS as usize],
    limits: [&'static str; LIMITS.len()],
}

/// What it says of one caller.
#[derive(Clone, Copy, Debug)]
struct Rule {
    known: bool,
    services: &'static [&'static str],
    /// Its requests are sent with the credentials of the second account.
    second: bool,
    max_requests: u64,
}

/// Rules that are in force since a time.
pub struct InForce {
    pub from_ms: u64,
    pub rules: Rules,
    /// What records call it.
    pub digest: String,
}

impl Rules {
    /// Everybody may ask for everything, but for the last caller.
    pub fn open(random: &mut Random) -> Self {
        let mut rule = Rule { known: true, services: SERVICES[0], second: false, max_requests: 100 };
        let callers = std::array::from_fn(|caller| {
            if caller + 1 == CALLERS as usize {
                (rule.services, rule.max_requests) = (SERVICES[1], 1);
            }
            rule
        });
        Self { callers, order: std::array::from_fn(|place| place), limits: limits(random) }
    }

    /// A configuration that may follow this one.
    pub fn changed(&self, random: &mut Random) -> Self {
        let mut next = self.clone();
        for _ in 0..=random.below(3) {
            let place = random.index(next.callers.len());
            let rule = &mut next.callers[place];
            match random.below(6) {
                0 | 1 => rule.known = !rule.known,
                2 => rule.services = SERVICES[random.index(SERVICES.len())],
                3 => rule.second = !rule.second,
                4 => {
                    rule.max_requests = 1 + random.below(100);
                    next.limits = limits(random);
                }
                // What records and connections call the callers changes with their places.
                _ => next.order.rotate_left(1),
            }
        }
        if next.callers.iter().all(|rule| !rule.known) {
            next.callers[0].known = true;
        }
        next
    }

    pub fn knows(&self, caller: u64) -> bool {
        self.of(caller).known
    }

    pub fn permits(&self, caller: u64, service: &str) -> bool {
        let rule = self.of(caller);
        rule.known && rule.services.contains(&service)
    }

    /// Whether requests of `caller` are sent with the credentials of the second account.
    pub fn uses_second(&self, caller: u64) -> bool {
        self.of(caller).second
    }

    /// The last caller, who only looks, has the first one's key.
    fn of(&self, caller: u64) -> &Rule {
        &self.callers[(caller % CALLERS) as usize]
    }

    /// The file.
    pub fn text(&self, flaw: Option<Flaw>) -> String {
        let values = LIMITS.iter().zip(self.limits);
        let text = values.fold(TEMPLATE.to_owned(), |text, ((place, _), value)| text.replace(place, value));
        let known = self.order.iter().filter(|caller| self.callers[**caller].known);
        let confuses = flaw == Some(Flaw::ConfusesCallers);
        let key = |caller: &usize| key_line(*caller as u64 + if confuses { CALLERS } else { 0 });
        let mut keys: Vec<_> = known.clone().map(key).collect();
        if confuses {
            keys[0] = (0..CALLERS).map(key_line).collect::<Vec<_>>().join(", ");
        }
        let callers = known.zip(keys).map(|(caller, keys)| {
            let (name, rule) = (name_of(*caller as u64), self.callers[*caller]);
            let credentials = if rule.second { "second" } else { "production" };
            let Rule { services, max_requests, .. } = rule;
            format!(
                "\n[[callers]]\nname = \"{name}\"\nkeys = [{keys}]\ncredentials = \"{credentials}\"\n\
                 rate = {{ per_second = 1000000, burst = 1000000 }}\nmax_requests = {max_requests}\n\
                 services = {services:?}\n"
            )
        });
        text + &callers.collect::<String>()
    }
}

/// A configuration that cannot come into force: it has a key that nobody knows, or changes one that takes effect at a
/// start only.
pub fn faulty(text: &str, random: &mut Random) -> String {
    match random.below(2) {
        0 => text.replace("[upstream.retry]", "[upstream.retri]"),
        _ => format!("instance = \"another\"\n{text}"),
    }
}

/// The key of a caller.
pub fn key_of(caller: u64) -> String {
    format!("the-key-of-caller-{caller}")
}

fn key_line(caller: u64) -> String {
    let hash = key_hash(key_of(caller).as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{{ sha256 = \"{hash}\" }}")
}

fn limits(random: &mut Random) -> [&'static str; LIMITS.len()] {
    LIMITS.map(|(_, values)| values[random.index(values.len())])
}

impl Facts {
    /// What was in force at any time from `from_ms` to `to_ms`, both included.
    pub fn in_force(&self, from_ms: u64, to_ms: u64) -> impl Iterator<Item = &InForce> {
        let ends = self.in_force.iter().skip(1).map(|next| next.from_ms).chain([u64::MAX]);
        let known = self.in_force.iter().zip(ends);
        known.filter(move |(known, end)| known.from_ms <= to_ms && *end >= from_ms).map(|(known, _)| known)
    }
}
