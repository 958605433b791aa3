//! Is every record one line of the published form without a word of the request?
#![no_main]

use dcams_gateway_fuzz::records::check;
use dcams_gateway_fuzz::shares::Shares;
use libfuzzer_sys::{Corpus, fuzz_target};

static SHARES: Shares<3> = Shares::new(["without a body", "valid", "violating"]);

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(verdict) = check(input) else { return Corpus::Reject };
    SHARES.count(verdict as usize);
    Corpus::Keep
});
