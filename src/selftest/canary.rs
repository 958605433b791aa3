//! Which texts are put in, so that they can be looked for in what comes out?

use std::collections::BTreeMap;

use serde::Serialize;

/// A text that must not come out.
#[derive(Clone, Debug)]
pub struct Canary {
    /// What it stands for, for example `pass`.
    pub name: String,
    /// The text, as it is put in; best 24 random characters or more.
    pub text: String,
}

/// Where a canary may come out nonetheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    /// Nowhere.
    Nowhere,
    /// In DCAMS's own answers, which pass to the caller who asked.
    ForwardedBodies,
    /// In the heads of answers: the request id that goes back to its sender.
    Heads,
}

/// A canary with its rule.
#[derive(Clone, Debug)]
pub(super) struct Planted {
    pub(super) canary: Canary,
    pub(super) allowed: Allowed,
}

/// Makes canaries, new ones in every run: a hit is no coincidence.
pub(super) struct Mint {
    state: u64,
    reserved: BTreeMap<String, String>,
    made: BTreeMap<String, Planted>,
}

/// How long a canary is where nothing limits it.
pub(super) const LENGTH: usize = 28;

/// Without letters and digits that look alike, and without capitals: the search finds both cases.
const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";

impl Mint {
    /// Seeded by the system; `None` where it has no random bytes.
    pub(super) fn new() -> Option<Self> {
        let mut seed = [0; 8];
        aws_lc_rs::rand::fill(&mut seed).ok()?;
        Some(Self::seeded(u64::from_be_bytes(seed)))
    }

    /// Makes the same canaries for the same `seed`.
    pub(super) fn seeded(seed: u64) -> Self {
        Self { state: seed, reserved: BTreeMap::new(), made: BTreeMap::new() }
    }

    /// A canary that may come out nowhere: the same one for the same `name`.
    pub(super) fn fresh(&mut self, name: &str) -> String {
        let text = self.reserve(name, |mint| mint.letters(LENGTH));
        self.plant(name, &text, Allowed::Nowhere);
        text
    }

    /// The text that `name` would have, made by `make` when it is asked for first.
    pub(super) fn reserve(&mut self, name: &str, make: impl FnOnce(&mut Self) -> String) -> String {
        if let Some(text) = self.reserved.get(name) {
            return text.clone();
        }
        let text = make(self);
        self.reserved.insert(name.to_owned(), text.clone());
        text
    }

    /// From now on `text` is looked for as `name`: it is put in.
    pub(super) fn plant(&mut self, name: &str, text: &str, allowed: Allowed) {
        let canary = Canary { name: name.to_owned(), text: text.to_owned() };
        self.made.entry(name.to_owned()).or_insert(Planted { canary, allowed });
    }

    /// Every canary so far, in the order of the names.
    pub(super) fn planted(&self) -> impl Iterator<Item = &Planted> {
        self.made.values()
    }

    /// Random letters and digits; a letter first, as names need it.
    pub(super) fn letters(&mut self, length: usize) -> String {
        let first = self.pick(b"bcdfghjkmnpqrstvwxyz");
        let rest: String = (1..length).map(|_| self.pick(LETTERS)).collect();
        format!("{first}{rest}")
    }

    /// Random digits, the first of them not 0.
    pub(super) fn digits(&mut self, length: usize) -> String {
        let first = self.pick(b"123456789");
        let rest: String = (1..length).map(|_| self.pick(b"0123456789")).collect();
        format!("{first}{rest}")
    }

    /// A random number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(bound).unwrap_or_default()
    }

    fn pick(&mut self, alphabet: &[u8]) -> char {
        let at = usize::try_from(self.below(alphabet.len() as u64)).unwrap_or_default();
        char::from(alphabet.get(at).copied().unwrap_or(b'x'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_canary_and_every_run_another() {
        let (mut one, mut other) = (Mint::new().unwrap(), Mint::new().unwrap());
        let first = one.fresh("pass");
        assert_eq!(one.fresh("pass"), first);
        assert_ne!(one.fresh("user"), first);
        assert_ne!(other.fresh("pass"), first);
        assert_eq!(first.len(), LENGTH);
        assert!(first.bytes().all(|byte| LETTERS.contains(&byte)));
        let names: Vec<&str> = one.planted().map(|planted| planted.canary.name.as_str()).collect();
        assert_eq!(names, ["pass", "user"]);
    }
}
