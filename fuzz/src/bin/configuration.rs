//! Is every configuration read, no secret shown, and what is accepted the same when it is written again?
#![no_main]

use dcams_gateway_fuzz::configuration::check;
use dcams_gateway_fuzz::shares::Shares;
use libfuzzer_sys::{Corpus, fuzz_target};

static SHARES: Shares<3> = Shares::new(["accepted", "refused", "with the password in it"]);

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(verdict) = check(input) else { return Corpus::Reject };
    SHARES.count(verdict as usize);
    Corpus::Keep
});
