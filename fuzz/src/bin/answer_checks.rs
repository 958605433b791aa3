//! Is every answer that a caller may see one strict JSON object without the password?
#![no_main]

use dcams_gateway_fuzz::answers::{Verdict, check, reflections};
use dcams_gateway_fuzz::mutate::mutate_with;
use dcams_gateway_fuzz::shares::Shares;
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};

static SHARES: Shares<4> = Shares::new(["accepted", "accepted as echoes", "withheld", "invalid"]);

/// What stands in front of the body.
const HEAD: usize = 3;

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(verdict) = check(input) else { return Corpus::Reject };
    SHARES.count(match verdict {
        Verdict::Believed => 0,
        Verdict::Echoed => 1,
        Verdict::Withheld => 2,
        Verdict::Invalid => 3,
    });
    Corpus::Keep
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    // One in eight changes the head.
    if size <= HEAD || max_size <= HEAD || seed % 8 == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    HEAD + mutate_with(&mut data[HEAD..], size - HEAD, max_size - HEAD, seed / 8, reflections())
});
