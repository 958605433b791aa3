//! Is a request forwarded exactly when its head obeys every rule?
#![no_main]

use dcams_gateway_fuzz::heads::check;
use dcams_gateway_fuzz::lines::mutate_head;
use dcams_gateway_fuzz::shares::Shares;
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};

static SHARES: Shares<3> = Shares::new(["forwarded", "of strangers", "refused"]);

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(verdict) = check(input) else { return Corpus::Reject };
    SHARES.count(verdict as usize);
    Corpus::Keep
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate_head(data, size, max_size, seed)
});
