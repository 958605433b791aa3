//! Is every configuration read, no secret shown, and what is accepted the same when it is written again?
#![no_main]

use dcams_gateway_fuzz::configuration::{SLIPS, check};
use dcams_gateway_fuzz::lines::mutate_configuration;
use dcams_gateway_fuzz::shares::Shares;
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};

static SHARES: Shares<3> = Shares::new(["accepted", "refused", "with the password in it"]);

const SLIPPED: [&[u8]; 2] = [
    include_bytes!("../../corpus/configuration/slip-bracket.bin"),
    include_bytes!("../../corpus/configuration/slip-quote.bin"),
];

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(verdict) = check(input) else { return Corpus::Reject };
    SHARES.count(verdict as usize);
    Corpus::Keep
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if data.first() == Some(&SLIPS) {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let slips = SLIPPED[usize::from(seed % 64 == 0)];
    // Few become a list of slips, and stay one.
    if seed % 32 == 0 && slips.len() <= max_size {
        data[..slips.len()].copy_from_slice(slips);
        return libfuzzer_sys::fuzzer_mutate(data, slips.len(), max_size);
    }
    mutate_configuration(data, size, max_size, seed)
});
