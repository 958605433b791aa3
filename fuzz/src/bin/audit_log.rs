//! Is no changed log called clean, and no log accused that nobody changed?
#![no_main]

use dcams_gateway_fuzz::logs::check;
use dcams_gateway_fuzz::shares::Shares;
use libfuzzer_sys::{Corpus, fuzz_target};

static SHARES: Shares<3> = Shares::new(["clean", "found", "of nobody"]);

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(verdict) = check(input) else { return Corpus::Reject };
    SHARES.count(verdict as usize);
    Corpus::Keep
});
