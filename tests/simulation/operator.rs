//! What does the operator of a running gateway do, and is it done?

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dcams_gateway::audit::{ReloadCause, ReloadResult};
use dcams_gateway::gateway::Gateway;
use dcams_gateway::reload::Reloader;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

use crate::flaw::Flaw;
use crate::random::Random;
use crate::rules::{InForce, Rules, faulty};
use crate::witness::Witness;

/// What is wanted.
pub enum Order {
    /// Write a configuration, and have it read.
    Install(Box<Rules>),
    /// Write one that cannot come into force, have it read, and take it back.
    Fail,
    /// Have the credentials read again.
    Reread,
}

/// Changes the files of a gateway, and has it read them.
pub struct Operator {
    pub gateway: Arc<Gateway>,
    pub reloader: Reloader,
    pub file: PathBuf,
    /// What stands in the file.
    pub rules: Arc<Mutex<Rules>>,
    pub witness: Witness,
    pub random: Random,
    pub flaw: Option<Flaw>,
}

impl Operator {
    /// Does what is wanted until the gateway's end.
    pub async fn obey(mut self, mut orders: UnboundedReceiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Install(rules) => self.install(*rules).await,
                Order::Fail => self.fail(),
                Order::Reread => {
                    self.reloader.reread_credentials();
                }
            }
        }
    }

    async fn install(&self, rules: Rules) {
        self.write(&rules.text(self.flaw));
        if self.flaw == Some(Flaw::ReloadsLate) {
            tell_in_force(&self.witness, &self.gateway, &rules);
            sleep(Duration::from_millis(300)).await;
        }
        match self.reload() {
            ReloadResult::Applied { .. } | ReloadResult::Unchanged { .. } => {
                self.witness.tell("reload", format_args!("{rules:?}"));
                tell_in_force(&self.witness, &self.gateway, &rules);
                *self.rules.lock().unwrap() = rules;
            }
            ReloadResult::Refused { .. } => self.witness.tell("wrong reload", "a sound configuration"),
        }
    }

    fn fail(&mut self) {
        let sound = self.rules.lock().unwrap().text(self.flaw);
        let faulty = faulty(&sound, &mut self.random);
        self.write(&faulty);
        let refused = matches!(self.reload(), ReloadResult::Refused { .. });
        self.witness.tell(if refused { "reload refused" } else { "wrong reload" }, "a faulty configuration");
        self.write(&sound);
    }

    fn write(&self, text: &str) {
        fs::write(&self.file, text).unwrap();
    }

    fn reload(&self) -> ReloadResult {
        let result = self.reloader.reload(ReloadCause::Signal);
        self.reloader.reread_credentials();
        result
    }
}

/// `rules` are in force from now on, under the name that the gateway has for what it runs on.
pub fn tell_in_force(witness: &Witness, gateway: &Gateway, rules: &Rules) {
    let digest = gateway.current().config.digest;
    let digest = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut facts = witness.facts();
    let from_ms = facts.now_ms;
    facts.in_force.push(InForce { from_ms, rules: rules.clone(), digest });
}
