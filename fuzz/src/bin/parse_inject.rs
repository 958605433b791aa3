//! Does every parser read from what is sent for a body exactly the caller's members and our two?
#![no_main]

use dcams_gateway::json::Malformed;
use dcams_gateway_fuzz::mutate::mutate;
use dcams_gateway_fuzz::oracle::{Fate, judge};
use dcams_gateway_fuzz::shares::Shares;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

static SHARES: Shares<5> =
    Shares::new(["accepted", "naming credentials", "no strict JSON", "with duplicates", "beyond the caps"]);

fuzz_target!(|body: &[u8]| {
    SHARES.count(match judge(body) {
        Fate::Sent => 0,
        Fate::NamesCredentials => 1,
        Fate::Refused(Malformed::Syntax { .. }) => 2,
        Fate::Refused(Malformed::Duplicate { .. }) => 3,
        Fate::Refused(Malformed::TooComplex { .. }) => 4,
    });
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});
